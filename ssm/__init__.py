"""SSM: see and run every Docker container on all your servers, over nothing but SSH.

Nothing is loaded here: the command line (ssm.cli) starts without Django and Celery.
"""

from ssm.lib.version import VERSION as __version__

__all__ = ["__version__"]
