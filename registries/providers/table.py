"""The registries that SSM knows by name: hosts, fields of an account, and which may see our credentials."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from registries.providers.access import Access

HUB_HOSTS: Final = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an account. Secret ones are stored encrypted and never shown again."""

    name: str
    label: str
    is_secret: bool = False
    is_multiline: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of registry.

    ``combinations`` are the allowed sets of fields of an account with credentials, ``optional`` fields that may be
    added to any of them; no field at all is anonymous access, if ``allows_anonymous``. ``hosts`` is for people;
    ``pattern`` decides, always on the whole host. ``default_host`` is what an account is for when no URL is given
    (empty: one must be given). ``realm_hosts`` may receive the credentials for tokens beside the registry itself:
    they are trusted as a pair with this provider's hosts, never for others.
    """

    id: str
    label: str
    hosts: tuple[str, ...]
    pattern: re.Pattern[str] | None
    fields: tuple[Field, ...]
    combinations: tuple[frozenset[str], ...]
    optional: frozenset[str] = frozenset()
    allows_anonymous: bool = True
    default_host: str = ""
    takes_url: bool = False
    realm_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    api_hosts: Mapping[str, str] = field(default_factory=dict)

    def field_named(self, name: str) -> Field:
        """The field of that name; KeyError when there is none."""
        for known in self.fields:
            if known.name == name:
                return known
        raise KeyError(name)


def _hosts(*names: str) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(name) for name in names))


_LOGIN = Field("login", "User name")
_PASSWORD = Field("password", "Password", is_secret=True, help="A personal access token works as well.")
_AUTH = Field("auth", "Base64 of user:secret", is_secret=True, help="As under “auths” in Docker's config.json.")
_GITHUB = (
    Field("username", "GitHub user name"),
    Field("token", "Personal access token (classic)", is_secret=True, help="Needs the scope read:packages."),
)
_AWS = (
    Field("accesskeyid", "Access key ID", is_secret=True),
    Field("secretaccesskey", "Secret access key", is_secret=True),
    Field("sessiontoken", "Session token", is_secret=True, help="Only for temporary keys."),
)
_BASIC_OR_AUTH = (frozenset({"login", "password"}), frozenset({"auth"}))

CUSTOM: Final = Provider(
    id="custom",
    label="Custom registry",
    hosts=(),
    pattern=None,
    fields=(_LOGIN, _PASSWORD, _AUTH),
    combinations=_BASIC_OR_AUTH,
    takes_url=True,
)

PROVIDERS: Final[dict[str, Provider]] = {
    provider.id: provider
    for provider in (
        Provider(
            id="hub",
            label="Docker Hub",
            hosts=("docker.io",),
            pattern=_hosts(*HUB_HOSTS),
            fields=(
                Field("login", "Docker ID", help="For an organisation's access token: the organisation's name."),
                Field("password", "Password", is_secret=True, help="Refused with two-factor or single sign-on."),
                Field("token", "Access token", is_secret=True),
                _AUTH,
            ),
            combinations=(
                frozenset({"login", "token"}),
                frozenset({"login", "password"}),
                frozenset({"auth"}),
            ),
            default_host="docker.io",
            realm_hosts={"*": ("auth.docker.io",)},
            api_hosts=dict.fromkeys(HUB_HOSTS, "registry-1.docker.io"),
        ),
        Provider(
            id="ecr",
            label="Amazon ECR",
            hosts=("<account>.dkr.ecr.<region>.amazonaws.com",),
            pattern=re.compile(
                r"[0-9]{12}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?"
                r"|[0-9]{12}\.dkr-ecr(?:-fips)?\.[a-z0-9-]+\.on\.aws"
            ),
            fields=(
                *_AWS,
                Field("region", "Region", help="Must be that of the registry's host name."),
                Field("accountid", "Account number"),
            ),
            combinations=(frozenset({"accesskeyid", "secretaccesskey", "region"}),),
            optional=frozenset({"sessiontoken", "accountid"}),
            allows_anonymous=False,
            takes_url=True,
        ),
        Provider(
            id="ecr-public",
            label="Amazon ECR Public",
            hosts=("public.ecr.aws",),
            pattern=_hosts("public.ecr.aws"),
            fields=_AWS,
            combinations=(frozenset({"accesskeyid", "secretaccesskey"}),),
            optional=frozenset({"sessiontoken"}),
            default_host="public.ecr.aws",
        ),
        Provider(
            id="gcr",
            label="Google Artifact Registry",
            hosts=("gcr.io", "<location>-docker.pkg.dev"),
            pattern=re.compile(
                r"(?:us\.|eu\.|asia\.|mirror\.|marketplace\.|k8s\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev|registry\.k8s\.io"
            ),
            fields=(
                Field("jsonkey", "Key file (JSON)", is_secret=True, is_multiline=True, help="The whole file."),
                Field("clientemail", "Service account's e-mail address"),
                Field("privatekey", "Private key", is_secret=True, is_multiline=True),
                Field("accesstoken", "Access token", is_secret=True, help="Valid for an hour at most."),
            ),
            combinations=(
                frozenset({"jsonkey"}),
                frozenset({"clientemail", "privatekey"}),
                frozenset({"accesstoken"}),
            ),
            default_host="gcr.io",
            takes_url=True,
        ),
        Provider(
            id="acr",
            label="Azure Container Registry",
            hosts=("<name>.azurecr.io",),
            pattern=re.compile(r"[a-z0-9][a-z0-9.-]*\.azurecr\.(?:io|cn|us)"),
            fields=(
                Field("clientid", "Client ID", help="Service principal, token or admin user."),
                Field("clientsecret", "Secret", is_secret=True),
                Field("tenant", "Tenant ID", help="Given: log in through Microsoft Entra instead of directly."),
            ),
            combinations=(frozenset({"clientid", "clientsecret"}),),
            optional=frozenset({"tenant"}),
            takes_url=True,
        ),
        Provider(
            id="ghcr",
            label="GitHub Container Registry",
            hosts=("ghcr.io",),
            pattern=_hosts("ghcr.io"),
            fields=_GITHUB,
            combinations=(frozenset({"username", "token"}),),
            default_host="ghcr.io",
        ),
        Provider(
            id="lscr",
            label="LinuxServer.io",
            hosts=("lscr.io",),
            pattern=_hosts("lscr.io"),
            fields=_GITHUB,
            combinations=(frozenset({"username", "token"}),),
            default_host="lscr.io",
            realm_hosts={"*": ("ghcr.io",)},
            # It answers with the content and the tokens of ghcr.io under the same paths.
            api_hosts={"lscr.io": "ghcr.io"},
        ),
        Provider(
            id="trueforge",
            label="TrueForge",
            hosts=("oci.trueforge.org",),
            pattern=_hosts("oci.trueforge.org"),
            fields=_GITHUB,
            combinations=(frozenset({"username", "token"}),),
            default_host="oci.trueforge.org",
            realm_hosts={"*": ("ghcr.io",)},
        ),
        Provider(
            id="gitlab",
            label="GitLab",
            hosts=("registry.gitlab.com",),
            pattern=_hosts("registry.gitlab.com"),
            fields=(
                Field("username", "User name", help="Needed for deploy and group tokens."),
                Field("token", "Access token", is_secret=True, help="Needs the scope read_registry."),
                Field("authurl", "Address of GitLab", help="Where tokens come from, if not from gitlab.com."),
            ),
            combinations=(frozenset({"token"}),),
            optional=frozenset({"username", "authurl"}),
            default_host="registry.gitlab.com",
            takes_url=True,
            realm_hosts={"registry.gitlab.com": ("gitlab.com",)},
        ),
        Provider(
            id="quay",
            label="Red Hat Quay.io",
            hosts=("quay.io",),
            pattern=_hosts("quay.io"),
            fields=(
                Field("namespace", "Namespace"),
                Field("account", "Robot account", help="The part after the plus sign."),
                Field("token", "Token", is_secret=True),
            ),
            combinations=(frozenset({"namespace", "account", "token"}),),
            default_host="quay.io",
        ),
        *(
            Provider(
                id=name,
                label=label,
                hosts=(host,) if host else (),
                pattern=_hosts(host) if host else None,
                fields=(_LOGIN, _PASSWORD, _AUTH),
                combinations=_BASIC_OR_AUTH,
                default_host=host,
                takes_url=True,
            )
            for name, label, host in (
                ("gitea", "Gitea", ""),
                ("forgejo", "Forgejo", "code.forgejo.org"),
                ("codeberg", "Codeberg", "codeberg.org"),
            )
        ),
        CUSTOM,
    )
}


def provider_of(host: str) -> Provider:
    """The provider whose host this is (with port, compared as a whole and without case); custom for all others."""
    name = host.casefold()
    for provider in PROVIDERS.values():
        if provider.pattern is not None and provider.pattern.fullmatch(name):
            return provider
    return CUSTOM


def base_url_of(host: str) -> str:
    """Where the API of a registry host is, when nobody configured it: always https."""
    name = host.casefold()
    return f"https://{provider_of(name).api_hosts.get(name, name)}"


def anonymous_access(host: str) -> Access:
    """Access without an account to a host that a reference names."""
    name = host.casefold()
    return Access(host=name, provider=provider_of(name).id, base_url=base_url_of(name))


def realm_hosts_of(access: Access) -> frozenset[str]:
    """The hosts that may get the credentials for a token, beside the registry's own: as a pair with this registry."""
    pairs = PROVIDERS.get(access.provider, CUSTOM).realm_hosts
    is_own = provider_of(access.host).id == access.provider
    paired = pairs.get(access.host, pairs.get("*", ())) if is_own else ()
    return frozenset(host.casefold() for host in (*paired, *access.auth_hosts))
