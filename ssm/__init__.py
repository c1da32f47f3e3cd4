"""SSM: see and run every Docker container on all your servers, over nothing but SSH."""

from ssm.celery import app as celery_app
from ssm.lib.version import VERSION as __version__

__all__ = ["__version__", "celery_app"]
