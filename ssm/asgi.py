"""HTTP by Django, WebSockets by Channels; a socket needs the page's origin and its session."""

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

from ssm.lib import bodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
http_application: Any = bodies.application()

# Only after Django is set up may models be imported.
from ssm.lib.backpressure import with_backpressure  # noqa: E402
from ssm.lib.request_ids import with_request_ids  # noqa: E402
from ssm.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": with_backpressure(with_request_ids(http_application)),
        "websocket": with_request_ids(
            AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
        ),
    }
)
