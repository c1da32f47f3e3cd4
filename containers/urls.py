"""URLs of containers and of what happens to them."""

from django.urls import include, path

from containers.views import (
    bulk,
    creating,
    events,
    fleet,
    image_acts,
    image_prune,
    image_pulls,
    images,
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
    path("new/", creating.new, name="new"),
    path("new/choices/", creating.choices, name="choices"),
    path("<uuid:pk>/", pages.overview, name="detail"),
    path("<uuid:pk>/logs/", logpages.container_log, name="logs"),
    path("<uuid:pk>/logs/download/", logs.log_download, name="log_download"),
    path("<uuid:pk>/processes/", inside.processes, name="processes"),
    path("<uuid:pk>/changes/", inside.changes, name="changes"),
    path("<uuid:pk>/settings/", settings.settings, name="settings"),
    path("<uuid:pk>/recreate/", creating.recreate, name="recreate"),
    path("<uuid:pk>/statistics/", statistics.container_page, name="statistics"),
    path("<uuid:pk>/statistics/data/", statistics.container_data, name="statistics_data"),
    path("<uuid:pk>/inspect/", pages.inspect, name="inspect"),
    path("<uuid:pk>/events/", pages.events, name="events"),
    path("<uuid:pk>/operations/", operations.operations, name="operations"),
    path("<uuid:pk>/updates/", updates.container_updates, name="updates"),
]
image_urlpatterns = [
    path("", images.image_list, name="list"),
    path("bulk/", image_acts.bulk, name="bulk"),
    path("pull/", image_pulls.pull, name="pull"),
    path("pull/names/", image_pulls.suggestions, name="suggestions"),
    path("prune/", image_prune.prune, name="prune"),
    path("<uuid:pk>/", images.detail, name="detail"),
    path("<uuid:pk>/tag/", image_acts.tag, name="tag"),
    path("<uuid:pk>/remove/", image_acts.remove, name="remove"),
    path("<uuid:pk>/copy/", image_acts.copy, name="copy"),
    path("<uuid:pk>/check/", images.check, name="check"),
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
    path("images/", include((image_urlpatterns, "images"))),
    path("devices/<uuid:pk>/images/", images.device_images, name="device-images"),
    path("devices/<uuid:pk>/statistics/", statistics.device_page, name="device-statistics"),
    path("devices/<uuid:pk>/statistics/data/", statistics.device_data, name="device-statistics-data"),
    path("events/", events.events, name="events"),
    path("events/new/", events.new_events, name="events-new"),
    path("events/export/", events.export, name="events-export"),
    path("activity/", operations.activity, name="activity"),
    path("activity/<uuid:pk>/", operation.operation, name="operation"),
    path("activity/batches/<uuid:pk>/", bulk.batch, name="batch"),
]
