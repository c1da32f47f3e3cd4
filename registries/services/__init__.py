"""What the rest of SSM asks of registries: register interest, read what is known, get the right credentials."""

from registries.services.accounts import Accounts, access_for, pull_credentials_for
from registries.services.interest import Pair, Wanted, knowledge, want

__all__ = ["Accounts", "Pair", "Wanted", "access_for", "knowledge", "pull_credentials_for", "want"]
