"""WebSocket routes of this app."""

from django.urls import URLPattern, path

from containers.consumers.live import LiveConsumer
from containers.consumers.logs import LogConsumer
from containers.consumers.merged_logs import MergedLogConsumer
from containers.consumers.statistics import StatisticsConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/live/", LiveConsumer.as_asgi()),
    path("ws/containers/<uuid:container_id>/logs/", LogConsumer.as_asgi()),
    path("ws/logs/", MergedLogConsumer.as_asgi()),
    path("ws/containers/<uuid:container_id>/statistics/", StatisticsConsumer.as_asgi()),
]
