"""What an engine gets to pull from a registry: the content of X-Registry-Auth (pure)."""

import base64
import json
from collections.abc import Mapping

from registries.errors import CredentialsInvalid
from registries.providers.access import Access, AwsCredentials, BasicCredentials, EntraCredentials
from registries.providers.table import HUB_HOSTS

HUB_SERVER = "https://index.docker.io/v1/"
# The user name under which Azure's registry takes its own refresh token.
ACR_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105


def pull_needs_token(access: Access) -> bool:
    """Whether a fresh token must be fetched first: AWS and Entra keys mean nothing to an engine."""
    return isinstance(access.credentials, AwsCredentials | EntraCredentials)


def pull_credentials(access: Access, reference_host: str, *, token: str = "") -> dict[str, str] | None:
    """The content of X-Registry-Auth for a pull from the host that the image reference names; None when anonymous.

    An engine sends it to the host of the reference whatever ``serveraddress`` says, so another host than that of
    the account is refused here (CredentialsInvalid). ``token`` is for accesses where `pull_needs_token`: the
    decoded password of ECR, or the refresh token of Azure.
    """
    host = reference_host.casefold()
    if _normal(host) != _normal(access.host.casefold()):
        raise CredentialsInvalid(
            f"The account is for {access.host}, the image comes from {reference_host}: its credentials stay here."
        )
    credentials = access.credentials
    if credentials is None:
        return None
    server = HUB_SERVER if _normal(host) == "docker.io" else host
    match credentials:
        case BasicCredentials(username, secret):
            return {"username": username, "password": secret, "serveraddress": server}
        case AwsCredentials() if token:
            return {"username": "AWS", "password": token, "serveraddress": server}
        case EntraCredentials() if token:
            return {"username": ACR_TOKEN_USER, "password": token, "serveraddress": server}
    raise CredentialsInvalid(f"The account for {access.host} needs a token for pulls, and none was fetched.")


def registry_auth_header(content: Mapping[str, str]) -> str:
    """X-Registry-Auth: base64url with padding of ASCII JSON; engines silently ignore any other form."""
    return base64.urlsafe_b64encode(json.dumps(dict(content)).encode("ascii")).decode("ascii")


def _normal(host: str) -> str:
    return "docker.io" if host in HUB_HOSTS else host
