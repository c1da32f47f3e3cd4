"""Which token servers may be asked, and which of them may see credentials (pure).

A registry names its token server itself, so a hostile one could send our credentials anywhere (CVE-2020-15157) or
make us ask inside our own network. Trust is therefore a pair: this registry with that realm.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from registries.rules.origins import InvalidUrlError, Origin, authority_matches, origin_of


class UnsafeRealmError(ValueError):
    """A realm that must not be asked at all; says why, to be read after its name."""


@dataclass(frozen=True, slots=True)
class Realm:
    """A token server that may be asked. ``is_trusted``: with the credentials too."""

    url: str
    origin: Origin
    is_trusted: bool


def judge_realm(url: str, registry: Origin, trusted: Iterable[str]) -> Realm:
    """Decide about a realm that ``registry`` named.

    ``trusted`` are further hosts (``host[:port]``) bound to this registry. Plain http is for registries that are
    plain http themselves. Raises UnsafeRealmError.
    """
    try:
        origin = origin_of(url)
    except InvalidUrlError as exc:
        raise UnsafeRealmError(str(exc)) from exc
    if urlsplit(url).fragment or url.endswith("#"):
        raise UnsafeRealmError("contains a fragment")
    if origin.scheme == "http" and registry.scheme != "http":
        raise UnsafeRealmError("is plain http, and what goes there could be read on the way")
    is_own = origin.host == registry.host
    return Realm(url, origin, is_own or any(authority_matches(origin, host) for host in trusted))


def pull_scope(repository: str, challenged: str = "") -> str:
    """The scope to ask a token for: read this repository, whatever wider scope a challenge suggests.

    Azure wants its own ``metadata_read`` for tag lists, so that is kept when the challenge names it.
    """
    ours = f"repository:{repository}:pull"
    kind, _, rest = challenged.strip().partition(":")
    name, _, actions = rest.rpartition(":")
    wanted = set(actions.split(","))
    is_narrow = kind == "repository" and name == repository and wanted <= {"pull", "metadata_read"}
    return challenged.strip() if is_narrow else ours
