"""URLs of containers and of what happens to them."""

from django.urls import include, path

from containers.views import bulk, fleet, logs, operations, pages, statistics

container_urlpatterns = [
    path("", fleet.fleet, name="list"),
    path("bulk/", bulk.bulk, name="bulk"),
    path("<uuid:pk>/", pages.overview, name="detail"),
    path("<uuid:pk>/logs/", logs.logs, name="logs"),
    path("<uuid:pk>/logs/download/", logs.log_download, name="log_download"),
    path("<uuid:pk>/statistics/", statistics.container_page, name="statistics"),
    path("<uuid:pk>/statistics/data/", statistics.container_data, name="statistics_data"),
    path("<uuid:pk>/inspect/", pages.inspect, name="inspect"),
    path("<uuid:pk>/events/", pages.events, name="events"),
    path("<uuid:pk>/operations/", operations.operations, name="operations"),
]
urlpatterns = [
    path("containers/", include((container_urlpatterns, "containers"))),
    path("devices/<uuid:pk>/statistics/", statistics.device_page, name="device-statistics"),
    path("devices/<uuid:pk>/statistics/data/", statistics.device_data, name="device-statistics-data"),
    path("activity/", operations.activity, name="activity"),
    path("activity/batches/<uuid:pk>/", bulk.batch, name="batch"),
]
