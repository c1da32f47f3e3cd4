"""The app of people: roles, second factors, sessions, tokens, audit."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Below the apps of the domain: they write its audit and know nothing else of it."""

    name = "ssm.accounts"
    label = "accounts"
    verbose_name = "Accounts"
