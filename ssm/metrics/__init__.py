"""Figures for Prometheus: of the fleet, of SSM's processes, and of single containers where they are asked for."""
