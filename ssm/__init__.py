"""SSM: see and run every Docker container on all your servers, over nothing but SSH."""

from ssm.celery import app as celery_app

__version__ = "0.1.0"
__all__ = ["__version__", "celery_app"]
