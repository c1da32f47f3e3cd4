"""What the rest of SSM asks of registries: register interest, read what is known, get the right credentials."""

from registries.services.accounts import (
    Accounts,
    access_for,
    access_of,
    account_changed,
    known_repository,
    pull_credentials_for,
    retry_failed,
)
from registries.services.interest import Pair, Wanted, check_now, knowledge, want
from registries.services.standings import RegistryEntry, entries

__all__ = [
    "Accounts",
    "Pair",
    "RegistryEntry",
    "Wanted",
    "access_for",
    "access_of",
    "account_changed",
    "check_now",
    "entries",
    "knowledge",
    "known_repository",
    "pull_credentials_for",
    "retry_failed",
    "want",
]
