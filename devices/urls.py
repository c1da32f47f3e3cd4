"""URLs of devices."""

from django.urls import path

from devices.views import access, groups, host_keys, importing, logins, tls, transfer
from devices.views import devices as views

app_name = "devices"
urlpatterns = [
    path("", views.device_list, name="list"),
    path("add/", views.add, name="add"),
    path("test/", views.test, name="test"),
    path("schedule/", views.schedule, name="schedule"),
    path("import/", importing.import_devices, name="import"),
    path("transfer/", transfer.transfer_devices, name="transfer"),
    path("export/", transfer.export_devices, name="export"),
    path("groups/", groups.group_list, name="groups"),
    path("logins/", logins.login_list, name="logins"),
    path("logins/add/", logins.login_add, name="login-add"),
    path("logins/<uuid:pk>/", logins.login_detail, name="login"),
    path("logins/<uuid:pk>/edit/", logins.login_edit, name="login-edit"),
    path("logins/<uuid:pk>/delete/", logins.login_delete, name="login-delete"),
    path("host-keys/", host_keys.key_list, name="host-keys"),
    path("host-keys/import/", host_keys.import_file, name="host-keys-import"),
    path("host-keys/<int:pk>/forget/", host_keys.forget, name="host-key-forget"),
    path("host-keys/rules/add/", host_keys.rule_add, name="host-key-rule-add"),
    path("host-keys/rules/<int:pk>/remove/", host_keys.rule_remove, name="host-key-rule-remove"),
    path("tls/", tls.identity_list, name="tls"),
    path("tls/add/", tls.identity_add, name="tls-add"),
    path("tls/<uuid:pk>/edit/", tls.identity_edit, name="tls-edit"),
    path("tls/<uuid:pk>/delete/", tls.identity_delete, name="tls-delete"),
    path("<uuid:pk>/", views.detail, name="detail"),
    path("<uuid:pk>/access/", access.access, name="access"),
    path("<uuid:pk>/host-key/decide/", host_keys.decide, name="host-key-decide"),
    path("<uuid:pk>/edit/", views.edit, name="edit"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
    path("<uuid:pk>/retry/", views.retry, name="retry"),
    path("<uuid:pk>/run/", views.run, name="run"),
    path("<uuid:pk>/host-key/", views.accept_host_key, name="host-key"),
]
