"""Start the demo's hosts beside an SSM that runs already: `manage.py demo_up`."""

from typing import Any

from django.core.management.base import BaseCommand

from ssm import demo


class Command(BaseCommand):
    """Three real Docker hosts on this machine, registered as devices."""

    help = "Start three Docker hosts on this machine (needs root on Linux) and register them."

    def handle(self, *args: Any, **options: Any) -> None:
        """Start and register; repeating it changes nothing."""
        demo.start(self.stdout.write)
