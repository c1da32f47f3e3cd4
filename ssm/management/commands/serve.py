"""`manage.py serve`: one web process."""

import tempfile
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

from ssm.lib.env import env_port, env_str
from ssm.lib.presence import announce
from ssm.services.errors import ServiceError
from ssm.services.ports import require_free


class Command(BaseCommand):
    """Pages, API and WebSockets until the process is told to end; several may run behind one proxy."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen; else the environment says."""
        parser.add_argument("--host", help="address to listen on, instead of SSM_HTTP_HOST")
        parser.add_argument("--port", type=int, help="port to listen on, instead of SSM_HTTP_PORT")

    def handle(self, *_args: Any, host: str | None, port: int | None, **_options: Any) -> None:
        """Serve. Raises ServiceError where that cannot be."""
        host = host or env_str("SSM_HTTP_HOST", "127.0.0.1")
        port = env_port("SSM_HTTP_PORT", 8000) if port is None else port
        require_free(port, host, "SSM_HTTP_PORT")
        folder = settings.SSM_UPLOAD_DIR
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise ServiceError(
                f"SSM_UPLOAD_DIR: {folder} cannot be made: {exc.strerror}.", fix="Name a folder that SSM may write to."
            ) from exc
        # Bodies of requests, here and in Django: /tmp is often small, or memory.
        tempfile.tempdir = str(folder)
        # Only here: importing it puts Twisted's reactor into this process.
        from ssm.serve.limits import Limits
        from ssm.serve.server import Server

        server = Server(import_string(settings.ASGI_APPLICATION), host, port, Limits.from_settings())
        told = announce("web")
        try:
            server.run()
        finally:
            told.close()
        if server.failure:
            raise ServiceError(
                f"SSM cannot listen on {host}, port {port}: {server.failure}", fix="Choose another SSM_HTTP_PORT."
            )
