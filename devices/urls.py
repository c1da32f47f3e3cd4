"""URLs of devices."""

from django.urls import path

from devices.views import devices as views

app_name = "devices"
urlpatterns = [
    path("", views.device_list, name="list"),
    path("add/", views.add, name="add"),
    path("test/", views.test, name="test"),
    path("schedule/", views.schedule, name="schedule"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/edit/", views.edit, name="edit"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
    path("<uuid:pk>/retry/", views.retry, name="retry"),
    path("<uuid:pk>/run/", views.run, name="run"),
    path("<uuid:pk>/host-key/", views.accept_host_key, name="host-key"),
]
