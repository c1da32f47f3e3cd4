"""Which registries there are, what their accounts consist of, and what may go where. No I/O."""

from registries.providers.access import Access, AwsCredentials, BasicCredentials, Credentials, EntraCredentials
from registries.providers.fields import FieldProblem, check_values, credentials_from, decode_auth
from registries.providers.pulls import pull_credentials, pull_needs_token, registry_auth_header
from registries.providers.table import (
    CUSTOM,
    PROVIDERS,
    Field,
    Provider,
    anonymous_access,
    base_url_of,
    provider_of,
    realm_hosts_of,
)

__all__ = [
    "CUSTOM",
    "PROVIDERS",
    "Access",
    "AwsCredentials",
    "BasicCredentials",
    "Credentials",
    "EntraCredentials",
    "Field",
    "FieldProblem",
    "Provider",
    "anonymous_access",
    "base_url_of",
    "check_values",
    "credentials_from",
    "decode_auth",
    "provider_of",
    "pull_credentials",
    "pull_needs_token",
    "realm_hosts_of",
    "registry_auth_header",
]
