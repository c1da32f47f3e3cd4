"""What tests of registries' accounts and polls share: registries as rows, interest in repositories, polls."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta

from registries.client import RegistryClient
from registries.models import Registry, RepositoryKnowledge, TagKnowledge
from registries.services import Wanted, want
from tests.factories import RegistryFactory
from tests.registries.servers.distribution import PASSWORD, USERNAME, RunningRegistry
from tests.registries.servers.stub import Stub

NOW = timedelta(0)


def account_of(running: RunningRegistry, **columns: object) -> Registry:
    """The account that an administrator would make for a running registry."""
    has_login = bool(running.target.username or running.token_server)
    login = {
        "kind": "login+password",
        "public_values": {"login": USERNAME},
        "secrets": json.dumps({"password": PASSWORD}),
    }
    return RegistryFactory(
        **{
            "host": running.host,
            "base_url": running.url,
            "allow_http": running.url.startswith("http://"),
            "ca_pem": running.target.ca_pem,
            # Where the token server listens on another port than the registry.
            "auth_host": running.token_server.realm.split("/")[2] if running.token_server else "",
            **(login if has_login else {}),
            **columns,
        }
    )


def wanted(
    host: str, path: str, tags: Iterable[str] = (), *, with_list: bool = True, local: Iterable[str] = ()
) -> Wanted:
    """Interest in one repository."""
    return Wanted(host, path, frozenset(tags), with_list, frozenset(local))


def want_now(*items: Wanted) -> int:
    """Register interest that no earlier answer satisfies."""
    return want(items, max_age=NOW)


def row_of(host: str, path: str) -> RepositoryKnowledge:
    """What is known of a repository."""
    return RepositoryKnowledge.objects.get(host=host, path=path)


def tag_of(host: str, path: str, tag: str) -> TagKnowledge:
    """What is known of a tag."""
    return TagKnowledge.objects.get(repository__host=host, repository__path=path, tag=tag)


def clients_of(stub: Stub) -> Callable[[], RegistryClient]:
    """Makes clients that reach the stub under the registries' real names."""
    return lambda: RegistryClient(stub.connector(), ca_pem=stub.authority.pem)
