"""URLs of registries."""

from django.urls import path

from registries.views import accounts, repositories, testing, transfer

app_name = "registries"
urlpatterns = [
    path("", accounts.registry_list, name="list"),
    path("add/", accounts.add, name="add"),
    path("test/", testing.test, name="test"),
    path("transfer/", transfer.transfer_registries, name="transfer"),
    path("export/", transfer.export_registries, name="export"),
    path("repositories/", repositories.repository_list, name="repositories"),
    path("repositories/<uuid:pk>/", repositories.repository, name="repository"),
    path("repositories/<uuid:pk>/check/", repositories.check, name="check"),
    path("<uuid:pk>/", accounts.detail, name="detail"),
    path("<uuid:pk>/edit/", accounts.edit, name="edit"),
    path("<uuid:pk>/delete/", accounts.delete, name="delete"),
    path("<uuid:pk>/poll/", accounts.poll, name="poll"),
]
