"""URLs of devices."""

from django.urls import path

from devices.views import devices as views
from devices.views import groups, logins

app_name = "devices"
urlpatterns = [
    path("", views.device_list, name="list"),
    path("add/", views.add, name="add"),
    path("test/", views.test, name="test"),
    path("schedule/", views.schedule, name="schedule"),
    path("groups/", groups.group_list, name="groups"),
    path("logins/", logins.login_list, name="logins"),
    path("logins/add/", logins.login_add, name="login-add"),
    path("logins/<uuid:pk>/", logins.login_detail, name="login"),
    path("logins/<uuid:pk>/edit/", logins.login_edit, name="login-edit"),
    path("logins/<uuid:pk>/delete/", logins.login_delete, name="login-delete"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/edit/", views.edit, name="edit"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
    path("<uuid:pk>/retry/", views.retry, name="retry"),
    path("<uuid:pk>/run/", views.run, name="run"),
    path("<uuid:pk>/host-key/", views.accept_host_key, name="host-key"),
]
