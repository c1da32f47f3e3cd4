"""SSM: see and run every Docker container on all your servers, over nothing but SSH."""

__version__ = "0.1.0"
