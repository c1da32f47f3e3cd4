"""Which account counts for which image, and what goes with a request or a pull by it."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.db.models import F

from registries.client import RegistryClient
from registries.models import Origin, Registry, RepositoryKnowledge, TagKnowledge, now
from registries.providers import (
    PROVIDERS,
    Access,
    anonymous_access,
    credentials_from,
    pull_credentials,
    pull_needs_token,
)
from registries.querysets import RepositoryQuerySet
from registries.rules.references import ImageReference, parse_reference


class Accounts:
    """The accounts in use, read once: chosen by host, then by the longest path prefix. Anonymous without any."""

    def __init__(self, registries: Iterable[Registry] | None = None) -> None:
        self._by_host: dict[str, list[Registry]] = {}
        self._accesses: dict[str, Access] = {}
        for registry in Registry.objects.enabled() if registries is None else registries:
            self._by_host.setdefault(registry.host, []).append(registry)
        for found in self._by_host.values():
            found.sort(key=lambda registry: len(registry.path_prefix), reverse=True)

    def of(self, host: str, path: str) -> Registry | None:
        """The account for a repository; None: it is asked anonymously."""
        for registry in self._by_host.get(host.casefold(), []):
            prefix = registry.path_prefix
            if not prefix or path == prefix or path.startswith(f"{prefix}/"):
                return registry
        return None

    def access(self, host: str, path: str) -> Access:
        """How to talk to the registry of a repository. Raises CredentialsInvalid and UndecryptableSecretError."""
        registry = self.of(host, path)
        if registry is None:
            return anonymous_access(host)
        known = self._accesses.get(str(registry.pk))
        if known is None:
            known = self._accesses[str(registry.pk)] = access_of(registry)
        return known

    def longer_prefixes(self, host: str, prefix: str) -> tuple[str, ...]:
        """Prefixes of other accounts of the host that take repositories away from one with this prefix."""
        found = (registry.path_prefix for registry in self._by_host.get(host, []))
        start = f"{prefix}/" if prefix else ""
        return tuple(other for other in found if other != prefix and other.startswith(start))


def access_of(registry: Registry) -> Access:
    """How to talk to a registry by an account, its secrets decrypted. No query.

    Raises CredentialsInvalid when its fields do not fit together, UndecryptableSecretError when no key opens them.
    """
    values = {**registry.public_values, **registry.secret_values()}
    usual = anonymous_access(registry.host)
    trusted = [registry.auth_host] if registry.auth_host else []
    if values.get("authurl"):
        trusted.append(urlsplit(values["authurl"]).netloc or values["authurl"])
    certificate = f"{registry.client_certificate}\n{registry.client_key}" if registry.client_certificate else ""
    return Access(
        host=registry.host,
        provider=registry.provider,
        base_url=registry.base_url or usual.base_url,
        credentials=credentials_from(PROVIDERS[registry.provider], values) if registry.kind else None,
        auth_hosts=tuple(trusted),
        allow_http=registry.allow_http,
        insecure_tls=registry.insecure_tls,
        ca_pem=registry.ca_pem,
        client_certificate=certificate,
        is_configured=True,
        account_id=str(registry.pk),
    )


def account_changed(registry: Registry, *, host_before: str = "") -> None:
    """Have failed look-ups tried again at once, now that an account is new, different or gone."""
    if registry.pk is not None:  # one that was deleted has none, and took its origins along
        Origin.objects.filter(account=registry.pk).exclude(host=registry.host).delete()
    for host in {registry.host, host_before} - {""}:
        retry_failed(RepositoryKnowledge.objects.below(host, registry.path_prefix if host == registry.host else ""))


def known_repository(registry: Registry) -> str:
    """A repository that containers use and the account should be able to read; empty without any. Two queries."""
    accounts = Accounts(Registry.objects.enabled().filter(host=registry.host).defer("secrets", "client_key"))
    longer = accounts.longer_prefixes(registry.host, registry.path_prefix)
    found = RepositoryKnowledge.objects.below(registry.host, registry.path_prefix, longer)
    return found.order_by(F("looked_up_at").desc(nulls_last=True)).values_list("path", flat=True).first() or ""


def retry_failed(repositories: RepositoryQuerySet) -> int:
    """Make those of the repositories due whose last look-up failed. How many that are."""
    moment = now()
    failed = list(repositories.exclude(last_error_code="").values_list("pk", flat=True))
    TagKnowledge.objects.filter(repository__in=failed, due_at=None).update(due_at=moment)
    rows = RepositoryKnowledge.objects.filter(pk__in=failed)
    rows.filter(needs_tag_list=True, tags_due_at=None).update(tags_due_at=moment)
    return rows.update(due_at=moment, retry_at=None, failures=0)


def access_for(registry: str, repository: str) -> Access:
    """How to talk to the registry of a repository. One query; errors as Accounts.access."""
    return Accounts(Registry.objects.enabled().filter(host=registry.casefold())).access(registry, repository)


def pull_credentials_for(reference: str) -> dict[str, str] | None:
    """What a Docker host needs for a pull, as the content of X-Registry-Auth; None: it pulls without.

    Credentials are those of the registry that the reference itself names, never of another one. Asks Amazon or
    Microsoft for a fresh password where the account needs one, so this is for threads without an event loop.
    Raises InvalidReferenceError, RegistryError, UndecryptableSecretError.
    """
    parsed = parse_reference(reference)
    if not isinstance(parsed, ImageReference):
        return None
    access = access_for(parsed.registry, parsed.repository)
    if not pull_needs_token(access):
        return pull_credentials(access, parsed.registry)
    return asyncio.run(_fetch_pull_credentials(access, parsed.registry))


async def _fetch_pull_credentials(access: Access, host: str) -> dict[str, str] | None:
    async with RegistryClient() as client:
        return await client.pull_credentials(access, host)
