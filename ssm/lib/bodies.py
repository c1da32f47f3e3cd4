"""Bodies of requests as files: what the server wrote to disk is not copied once more."""

from typing import IO, Any

import django
from django.core.handlers.asgi import ASGIHandler


class Handler(ASGIHandler):
    """Django's handler; takes the body as the file that `ssm.serve` has it in."""

    async def read_body(self, receive: Any) -> IO[bytes]:
        """The body, at its beginning."""
        take = getattr(getattr(receive, "__self__", None), "take_body", None)
        body: IO[bytes] = take() if take is not None else await super().read_body(receive)
        return body


def application() -> Handler:
    """As `get_asgi_application` makes it."""
    django.setup(set_prefix=False)
    return Handler()
