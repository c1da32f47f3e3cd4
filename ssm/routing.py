"""WebSocket routes of all apps."""

from containers.routing import websocket_urlpatterns

__all__ = ["websocket_urlpatterns"]
