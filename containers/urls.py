"""URLs of containers and of what happens to them."""

from django.urls import include, path

from containers.views import (
    bulk,
    events,
    fleet,
    inside,
    log_data,
    logpages,
    logs,
    operation,
    operations,
    pages,
    settings,
    statistics,
    top,
    updates,
)

container_urlpatterns = [
    path("", fleet.fleet, name="list"),
    path("bulk/", bulk.bulk, name="bulk"),
    path("top/", top.top, name="top"),
    path("<uuid:pk>/", pages.overview, name="detail"),
    path("<uuid:pk>/logs/", logpages.container_log, name="logs"),
    path("<uuid:pk>/logs/download/", logs.log_download, name="log_download"),
    path("<uuid:pk>/processes/", inside.processes, name="processes"),
    path("<uuid:pk>/changes/", inside.changes, name="changes"),
    path("<uuid:pk>/settings/", settings.settings, name="settings"),
    path("<uuid:pk>/statistics/", statistics.container_page, name="statistics"),
    path("<uuid:pk>/statistics/data/", statistics.container_data, name="statistics_data"),
    path("<uuid:pk>/inspect/", pages.inspect, name="inspect"),
    path("<uuid:pk>/events/", pages.events, name="events"),
    path("<uuid:pk>/operations/", operations.operations, name="operations"),
    path("<uuid:pk>/updates/", updates.container_updates, name="updates"),
]
update_urlpatterns = [
    path("", updates.updates, name="list"),
    path("check/", updates.check, name="check"),
    path("decide/", updates.decide, name="decide"),
    path("used-by/", updates.used_by_repository, name="used_by"),
]
log_urlpatterns = [
    path("", logpages.merged, name="merged"),
    path("find/", logpages.find, name="find"),
    path("clocks/", logpages.clocks, name="clocks"),
    path("events/", logpages.drawn_events, name="events"),
    path("search/", log_data.search, name="search"),
    path("around/", log_data.around, name="around"),
    path("histogram/", log_data.histogram, name="histogram"),
    path("download/", log_data.download, name="download"),
]
urlpatterns = [
    path("logs/", include((log_urlpatterns, "logs"))),
    path("updates/", include((update_urlpatterns, "updates"))),
    path("containers/", include((container_urlpatterns, "containers"))),
    path("devices/<uuid:pk>/statistics/", statistics.device_page, name="device-statistics"),
    path("devices/<uuid:pk>/statistics/data/", statistics.device_data, name="device-statistics-data"),
    path("events/", events.events, name="events"),
    path("events/new/", events.new_events, name="events-new"),
    path("events/export/", events.export, name="events-export"),
    path("activity/", operations.activity, name="activity"),
    path("activity/<uuid:pk>/", operation.operation, name="operation"),
    path("activity/batches/<uuid:pk>/", bulk.batch, name="batch"),
]
