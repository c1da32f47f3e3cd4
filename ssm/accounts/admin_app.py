"""The Django admin as an app, with SSM's site."""

from django.contrib.admin.apps import AdminConfig


class SsmAdminConfig(AdminConfig):
    """In place of django.contrib.admin."""

    default_site = "ssm.accounts.site.SsmAdminSite"
