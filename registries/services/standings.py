"""How each registry stands: accounts, and the hosts that are asked anonymously, with what was heard of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from registries.models import Origin, Registry, RepositoryKnowledge, now
from registries.providers import PROVIDERS, Provider, provider_of
from registries.services.accounts import Accounts
from ssm.templatetags.ui import Sign

_Key = tuple[str, UUID | None]


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A line of the page: an account, or a host that is asked without one (``account`` None)."""

    host: str
    provider: Provider
    origin: Origin
    account: Registry | None = None
    repositories: int = 0
    failing: int = 0
    moment: datetime = field(default_factory=now)

    @property
    def key(self) -> str:
        """Part of an element's id."""
        return str(self.account.pk) if self.account else "".join(c if c.isalnum() else "-" for c in self.host)

    @property
    def title(self) -> str:
        """The account's name, or that of the registry."""
        if self.account:
            return self.account.name
        return self.provider.label if self.provider.id != "custom" else self.host

    @property
    def covers(self) -> str:
        """What it counts for."""
        return self.account.covers if self.account else self.host

    @property
    def login_name(self) -> str:
        """The public part of what the account logs in with, if it has one."""
        values = self.account.public_values if self.account else {}
        if values.get("namespace") and values.get("account"):
            return f"{values['namespace']}+{values['account']}"
        names = ("login", "username", "clientemail", "clientid", "region")
        return next((str(values[name]) for name in names if values.get(name)), "")

    @property
    def is_sleeping(self) -> bool:
        """Whether it must not be asked yet."""
        return self.origin.is_sleeping(self.moment)

    @property
    def overrides_default(self) -> bool:
        """Whether the host would be asked anonymously without this account."""
        account = self.account
        return account is not None and not account.path_prefix and self.host == self.provider.default_host

    @property
    def sign(self) -> Sign:
        """State as tone, icon and word."""
        origin, account = self.origin, self.account
        if account is not None and not account.is_enabled:
            return Sign("idle", "circle-pause", "not used")
        if self.is_sleeping:
            return Sign("busy", "moon", "sleeping", "It refused for too many requests.")
        if origin.last_error_code:
            return Sign("bad", "circle-x", "failing")
        asked_at = origin.last_poll_at
        if account is not None and account.test_passed is False and not _is_later(asked_at, account.tested_at):
            return Sign("bad", "circle-x", "test failed")
        if self.failing:
            return Sign("busy", "circle-alert", "partly failing", "Some repositories cannot be read.")
        if asked_at is not None:
            return Sign("good", "circle-check", "answers")
        if account is not None and account.test_passed:
            return Sign("good", "circle-check", "tested")
        return Sign("idle", "circle", "not asked yet")

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look."""
        return self.sign.tone == "bad"


def _is_later(moment: datetime | None, than: datetime | None) -> bool:
    return moment is not None and (than is None or moment > than)


def entries(accounts: Sequence[Registry], *, with_defaults: bool = True) -> list[RegistryEntry]:
    """Lines of these accounts and, after them, of hosts that are asked anonymously. Three queries."""
    used = Accounts(Registry.objects.enabled().defer("secrets", "client_key"))
    origins = {(origin.host, origin.account_id): origin for origin in Origin.objects.all()}
    counts, failing = _counts(used)
    moment = now()

    def entry(host: str, account: Registry | None) -> RegistryEntry:
        key = (host, account.pk if account else None)
        provider = PROVIDERS.get(account.provider) if account else None
        return RegistryEntry(
            host=host,
            provider=provider or provider_of(host),
            account=account,
            # One that was never asked has no row.
            origin=origins.get(key) or Origin(host=host),
            repositories=counts[key],
            failing=failing[key],
            moment=moment,
        )

    found = [entry(account.host, account) for account in accounts]
    if with_defaults:
        found += [entry(host, None) for host in _anonymous_hosts(used, counts)]
    return found


def _counts(accounts: Accounts) -> tuple[Counter[_Key], Counter[_Key]]:
    """Known repositories and failing ones of each origin. One query."""
    counts: Counter[_Key] = Counter()
    failing: Counter[_Key] = Counter()
    for host, path, code in RepositoryKnowledge.objects.values_list("host", "path", "last_error_code"):
        account = accounts.of(host, path)
        key = (host, account.pk if account else None)
        counts[key] += 1
        failing[key] += bool(code)
    return counts, failing


def _anonymous_hosts(accounts: Accounts, counts: Iterable[_Key]) -> list[str]:
    """Those that images come from, and those that SSM knows by itself, unless an account takes all of the host."""
    defaults = [provider.default_host for provider in PROVIDERS.values() if provider.allows_anonymous]
    used = sorted(host for host, account in counts if account is None)
    names = [*used, *(host for host in defaults if host and host not in used)]
    return [host for host in dict.fromkeys(names) if accounts.of(host, "") is None or host in used]
