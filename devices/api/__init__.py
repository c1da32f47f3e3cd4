"""Devices and all that belongs to them, by the REST API."""
