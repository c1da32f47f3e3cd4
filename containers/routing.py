"""WebSocket routes of this app."""

from django.urls import URLPattern, path

from containers.consumers.live import LiveConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/live/", LiveConsumer.as_asgi()),
]
