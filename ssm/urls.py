"""URLs of all apps."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path

from ssm import probes, reports, status, views
from ssm.api.entry import urls as api_urls
from ssm.api.pages import docs as api_docs
from ssm.metrics import views as metrics

urlpatterns = [
    path("", views.home, name="home"),
    path("", include("ssm.accounts.urls")),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("search/", views.search, name="search"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("metrics/containers", metrics.container_metrics, name="metrics-containers"),
    path("status/", status.status, name="status"),
    path("csp-report", reports.csp_report, name="csp-report"),
    path("devices/", include("devices.urls")),
    path("registries/", include("registries.urls")),
    path("", include("containers.urls")),
    path("api/", api_docs, name="api-docs"),
    path("api/v1/", api_urls()),
    path("admin/", admin.site.urls),
]
handler403 = "ssm.views.permission_denied"
handler404 = "ssm.views.page_not_found"
handler500 = "ssm.views.server_error"
