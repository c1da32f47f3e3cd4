"""Every route, tried by one of each role, a stranger and nobody. A new route fails here until it is in the table."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from containers.models import Batch
from devices.models import Device, now
from ssm.accounts.tokens import make_token
from ssm.lib.roles import Limit, Right
from tests.accounts.people import make_role, make_user
from tests.factories import (
    BackupFactory,
    ContainerFactory,
    EventFactory,
    HostKeyFactory,
    HostKeyRuleFactory,
    ImageFactory,
    NetworkFactory,
    OperationFactory,
    RegistryFactory,
    ReplacementFactory,
    ShownKeyFactory,
    TagFactory,
    TlsIdentityFactory,
    VolumeFactory,
)
from tests.people import People


class Holders(tuple[str, ...]):
    """Who of the people holds a right (None: nothing but being logged in, or not even that)."""

    right: Right | None = None

    @classmethod
    def of(cls, right: Right | None, *people: str) -> "Holders":
        found = cls(people)
        found.right = right
        return found


VIEWERS = Holders.of(Right.SEE, "administrator", "operator", "viewer")
LOG_READERS = Holders.of(Right.LOGS, "administrator", "operator", "viewer")
OPERATORS = Holders.of(Right.OPERATE, "administrator", "operator")
VOLUME_KEEPERS = Holders.of(Right.MANAGE_VOLUMES, "administrator", "operator")
ADMINISTRATORS = Holders.of(Right.MANAGE_DEVICES, "administrator")
REGISTRY_KEEPERS = Holders.of(Right.MANAGE_REGISTRIES, "administrator")
USER_KEEPERS = Holders.of(Right.MANAGE_USERS, "administrator")
EVERYBODY = Holders.of(None, *VIEWERS, "stranger", "anonymous")
LOGGED_IN = Holders.of(None, *VIEWERS, "stranger")
PEOPLE = EVERYBODY
# What is told apart by a number.
NUMBERED = ("host_key", "host_key_rule")


@dataclass(frozen=True, slots=True)
class Route:
    """How a route answers: ``good`` to those who may, by method; ``takes`` names whose ids it takes."""

    method: str
    name: str
    allowed: Holders
    good: int = 200
    takes: str = ""
    data: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


ROUTES = (
    Route("GET", "home", VIEWERS),
    Route("GET", "login", Holders.of(None, "anonymous")),
    # Nobody's turn: back to the first step, or home.
    Route("GET", "login-code", EVERYBODY, good=302),
    Route("GET", "account:home", LOGGED_IN),
    Route("GET", "account:password", LOGGED_IN),
    Route("POST", "account:password", LOGGED_IN, good=422, data={"new_password": "x"}),
    Route("GET", "account:second-factor", LOGGED_IN),
    Route("POST", "account:second-factor", LOGGED_IN, good=400),
    Route("POST", "account:end-session", LOGGED_IN, good=404, takes="session"),
    Route("POST", "account:end-other-sessions", LOGGED_IN, good=302),
    Route("GET", "account:tokens", LOGGED_IN),
    Route("POST", "account:tokens", LOGGED_IN, good=422, data={"name": ""}),
    Route("POST", "account:revoke-token", USER_KEEPERS, good=302, takes="token"),
    Route("GET", "users:list", USER_KEEPERS),
    Route("GET", "users:add", USER_KEEPERS),
    Route("POST", "users:add", USER_KEEPERS, good=422, data={"username": ""}),
    Route("GET", "users:edit", USER_KEEPERS, takes="user"),
    Route("POST", "users:edit", USER_KEEPERS, good=422, takes="user", data={"username": ""}),
    Route("GET", "users:delete", USER_KEEPERS, takes="user"),
    Route("POST", "users:delete", USER_KEEPERS, good=302, takes="user"),
    Route("POST", "users:act", USER_KEEPERS, good=302, takes="user", data={"act": "unlock"}),
    Route("GET", "roles:list", USER_KEEPERS),
    Route("GET", "roles:add", USER_KEEPERS),
    Route("POST", "roles:add", USER_KEEPERS, good=422, data={"name": ""}),
    Route("GET", "roles:edit", USER_KEEPERS, takes="role"),
    Route("POST", "roles:edit", USER_KEEPERS, good=422, takes="role", data={"name": ""}),
    Route("GET", "roles:delete", USER_KEEPERS, takes="role"),
    Route("POST", "roles:delete", USER_KEEPERS, good=302, takes="role"),
    Route("GET", "audit", USER_KEEPERS),
    Route("GET", "audit-export", USER_KEEPERS),
    Route("POST", "logout", LOGGED_IN, good=302),
    Route("GET", "search", VIEWERS),
    Route("GET", "healthz", EVERYBODY),
    Route("GET", "readyz", EVERYBODY),
    Route("GET", "activity", VIEWERS),
    Route("GET", "operation", VIEWERS, takes="operation"),
    Route("POST", "operation", OPERATORS, good=302, takes="operation", data={"act": "cancel"}),
    Route("GET", "events", VIEWERS),
    Route("GET", "events-new", VIEWERS),
    Route("GET", "events-export", VIEWERS),
    Route("GET", "devices:list", VIEWERS),
    Route("GET", "devices:add", ADMINISTRATORS),
    Route("POST", "devices:add", ADMINISTRATORS, good=422, data={"name": ""}),
    Route("POST", "devices:test", ADMINISTRATORS, good=422, data={"address": ""}),
    Route("GET", "devices:detail", VIEWERS, takes="device"),
    Route("GET", "devices:edit", ADMINISTRATORS, takes="device"),
    Route("POST", "devices:edit", ADMINISTRATORS, good=422, takes="device", data={"name": ""}),
    Route("GET", "devices:delete", ADMINISTRATORS, takes="device"),
    Route("POST", "devices:delete", ADMINISTRATORS, good=422, takes="device", data={"confirmation": "another"}),
    Route("POST", "devices:retry", ADMINISTRATORS, good=302, takes="device"),
    Route("GET", "devices:schedule", ADMINISTRATORS),
    Route("GET", "devices:import", ADMINISTRATORS),
    Route("POST", "devices:import", ADMINISTRATORS, good=422, data={"source": "list", "text": ""}),
    Route("GET", "devices:groups", ADMINISTRATORS),
    Route("POST", "devices:groups", ADMINISTRATORS, good=302, data={"name": "berlin"}),
    Route("GET", "devices:logins", ADMINISTRATORS),
    Route("GET", "devices:login-add", ADMINISTRATORS),
    Route("POST", "devices:login-add", ADMINISTRATORS, good=422, data={"name": ""}),
    Route("GET", "devices:login", ADMINISTRATORS, takes="credential"),
    Route("GET", "devices:login-edit", ADMINISTRATORS, takes="credential"),
    Route("POST", "devices:login-edit", ADMINISTRATORS, good=422, takes="credential", data={"name": ""}),
    Route("GET", "devices:login-delete", ADMINISTRATORS, takes="credential"),
    Route("POST", "devices:login-delete", ADMINISTRATORS, good=409, takes="credential"),
    Route("GET", "devices:host-keys", ADMINISTRATORS),
    Route("GET", "devices:host-keys-import", ADMINISTRATORS),
    Route("POST", "devices:host-keys-import", ADMINISTRATORS, good=422, data={"text": ""}),
    Route("GET", "devices:host-key-forget", ADMINISTRATORS, takes="host_key"),
    Route("POST", "devices:host-key-forget", ADMINISTRATORS, good=302, takes="host_key"),
    Route("GET", "devices:host-key-rule-add", ADMINISTRATORS),
    Route("POST", "devices:host-key-rule-add", ADMINISTRATORS, good=422, data={"patterns": ""}),
    Route("POST", "devices:host-key-rule-remove", ADMINISTRATORS, good=302, takes="host_key_rule"),
    Route("GET", "devices:host-key-decide", ADMINISTRATORS, takes="shown_key"),
    Route("GET", "devices:tls", ADMINISTRATORS),
    Route("GET", "devices:tls-add", ADMINISTRATORS),
    Route("POST", "devices:tls-add", ADMINISTRATORS, good=422, data={"name": ""}),
    Route("GET", "devices:tls-edit", ADMINISTRATORS, takes="tls_identity"),
    Route("POST", "devices:tls-edit", ADMINISTRATORS, good=422, takes="tls_identity", data={"name": ""}),
    Route("GET", "devices:tls-delete", ADMINISTRATORS, takes="tls_identity"),
    Route("POST", "devices:tls-delete", ADMINISTRATORS, good=302, takes="tls_identity"),
    Route("POST", "devices:run", OPERATORS, good=302, takes="device", data={"kind": "sweep"}),
    Route("POST", "devices:host-key", ADMINISTRATORS, good=400, takes="device"),
    Route("GET", "registries:list", VIEWERS),
    Route("GET", "registries:add", REGISTRY_KEEPERS),
    Route("POST", "registries:test", REGISTRY_KEEPERS, good=422, data={"provider": "custom", "kind": ""}),
    Route("GET", "registries:repositories", VIEWERS),
    Route("GET", "registries:repository", VIEWERS, takes="repository"),
    Route("POST", "registries:check", OPERATORS, good=302, takes="repository"),
    Route("GET", "registries:detail", VIEWERS, takes="registry"),
    Route("GET", "registries:edit", REGISTRY_KEEPERS, takes="registry"),
    Route("POST", "registries:edit", REGISTRY_KEEPERS, good=422, takes="registry", data={"name": ""}),
    Route("GET", "registries:delete", REGISTRY_KEEPERS, takes="registry"),
    Route("POST", "registries:delete", REGISTRY_KEEPERS, good=302, takes="registry"),
    Route("POST", "registries:poll", OPERATORS, good=302, takes="registry"),
    Route("GET", "containers:list", VIEWERS),
    Route("GET", "containers:top", VIEWERS),
    Route("GET", "projects:list", VIEWERS),
    Route("GET", "projects:detail", VIEWERS, good=404, takes="device"),
    Route("GET", "containers:new", OPERATORS),
    Route("POST", "containers:new", OPERATORS, good=422, data={"name": ""}),
    Route("GET", "containers:choices", OPERATORS),
    Route("GET", "containers:recreate", OPERATORS, takes="container"),
    Route("POST", "containers:recreate", OPERATORS, good=302, takes="container", data={"name": "x", "image": "y"}),
    Route("GET", "containers:statistics", VIEWERS, takes="container"),
    Route("GET", "containers:statistics_data", VIEWERS, takes="container"),
    Route("GET", "device-statistics", VIEWERS, takes="device"),
    Route("GET", "device-statistics-data", VIEWERS, takes="device"),
    Route("POST", "containers:bulk", OPERATORS, good=302, data={"kind": "start"}),
    Route("GET", "batch", VIEWERS, takes="batch"),
    Route("POST", "batch", OPERATORS, good=302, takes="batch", data={"act": "cancel"}),
    Route("GET", "containers:detail", VIEWERS, takes="container"),
    Route("GET", "containers:inspect", VIEWERS, takes="container"),
    Route("GET", "containers:processes", VIEWERS, takes="container"),
    Route("GET", "containers:changes", VIEWERS, takes="container"),
    Route("GET", "containers:settings", VIEWERS, takes="container"),
    Route("POST", "containers:settings", OPERATORS, good=302, takes="container", data={"kind": "rename", "name": "x2"}),
    Route("GET", "containers:events", VIEWERS, takes="container"),
    Route("GET", "containers:logs", LOG_READERS, takes="container"),
    Route("GET", "containers:log_download", LOG_READERS, takes="container", good=502),
    Route("GET", "logs:merged", LOG_READERS),
    Route("GET", "logs:find", LOG_READERS),
    Route("GET", "logs:clocks", LOG_READERS),
    Route("GET", "logs:events", LOG_READERS),
    Route("GET", "logs:search", LOG_READERS, good=404),
    Route("GET", "logs:around", LOG_READERS, good=404),
    Route("GET", "logs:histogram", LOG_READERS, good=404),
    Route("GET", "logs:download", LOG_READERS, good=404),
    Route("GET", "containers:operations", VIEWERS, takes="container"),
    Route("GET", "containers:updates", VIEWERS, takes="container"),
    Route("GET", "images:list", VIEWERS),
    Route("POST", "images:bulk", OPERATORS, good=302, data={"kind": "remove"}),
    Route("GET", "images:pull", OPERATORS),
    Route("POST", "images:pull", OPERATORS, good=422, data={"reference": ""}),
    Route("GET", "images:suggestions", OPERATORS),
    Route("GET", "images:prune", OPERATORS),
    Route("POST", "images:prune", OPERATORS, good=422),
    Route("GET", "images:detail", VIEWERS, takes="image"),
    Route("GET", "images:tag", OPERATORS, takes="image"),
    Route("POST", "images:tag", OPERATORS, good=302, takes="image", data={"reference": "other:1"}),
    Route("GET", "images:remove", OPERATORS, takes="image"),
    Route("POST", "images:remove", OPERATORS, takes="image"),
    Route("GET", "images:copy", OPERATORS, takes="image"),
    Route("POST", "images:copy", OPERATORS, takes="image"),
    Route("POST", "images:check", OPERATORS, good=302, takes="image"),
    Route("GET", "volumes:list", VIEWERS),
    Route("GET", "volumes:new", VOLUME_KEEPERS),
    Route("POST", "volumes:new", VOLUME_KEEPERS, good=422, data={"name": ""}),
    Route("POST", "volumes:bulk", VOLUME_KEEPERS, good=302, data={"kind": "remove"}),
    Route("GET", "volumes:prune", VOLUME_KEEPERS),
    Route("POST", "volumes:prune", VOLUME_KEEPERS, good=422),
    Route("POST", "volumes:measure", VOLUME_KEEPERS, good=302),
    Route("GET", "volumes:detail", VIEWERS, takes="volume"),
    Route("GET", "volumes:backup", VOLUME_KEEPERS, takes="volume"),
    Route("POST", "volumes:backup", VOLUME_KEEPERS, good=302, takes="volume", data={"consistency": "running"}),
    Route("GET", "volumes:copy", VOLUME_KEEPERS, takes="volume"),
    Route("POST", "volumes:copy", VOLUME_KEEPERS, good=422, takes="volume", data={"name": ""}),
    Route("GET", "volumes:remove", VOLUME_KEEPERS, takes="volume"),
    Route("POST", "volumes:remove", VOLUME_KEEPERS, good=422, takes="volume", data={"confirmation": "another"}),
    Route("GET", "volumes:plan", VOLUME_KEEPERS, takes="volume"),
    Route("POST", "volumes:plan", VOLUME_KEEPERS, good=422, takes="volume", data={"schedule": "never"}),
    Route("GET", "backups:list", VIEWERS),
    Route("GET", "backups:upload", VOLUME_KEEPERS),
    Route("POST", "backups:upload", VOLUME_KEEPERS, good=422, data={"volume": "x"}),
    Route("GET", "backups:detail", VIEWERS, takes="backup"),
    Route("GET", "backups:restore", VOLUME_KEEPERS, takes="backup"),
    Route("POST", "backups:restore", VOLUME_KEEPERS, good=422, takes="backup", data={"name": ""}),
    # Nothing is stored: the store says so.
    Route("GET", "backups:download", VOLUME_KEEPERS, good=507, takes="backup"),
    Route("GET", "backups:delete", VOLUME_KEEPERS, takes="backup"),
    Route("POST", "backups:delete", VOLUME_KEEPERS, good=422, takes="backup", data={"confirmation": "another"}),
    Route("POST", "backups:change", VOLUME_KEEPERS, good=302, takes="backup", data={"act": "keep"}),
    Route("GET", "device-volumes", VIEWERS, takes="device"),
    Route("GET", "device-images", VIEWERS, takes="device"),
    Route("GET", "updates:list", VIEWERS),
    Route("GET", "updates:used_by", VIEWERS),
    Route("GET", "updates:apply", OPERATORS, good=302),
    Route("POST", "updates:apply", OPERATORS, good=302),
    Route("POST", "updates:replacement", OPERATORS, good=400, takes="replacement"),
    Route("POST", "updates:check", OPERATORS, good=302),
    Route("POST", "updates:decide", OPERATORS, good=404, data={"act": "ignore:1.0", "repository": "none"}),
    Route("POST", "containers:operations", OPERATORS, good=302, takes="container", data={"kind": "pause"}),
    Route("GET", "containers:networks", VIEWERS, takes="container"),
    Route("POST", "containers:leave_network", OPERATORS, good=404, takes="container", data={"name": "none"}),
    Route("GET", "device-networks", VIEWERS, takes="device"),
    Route("GET", "networks:list", VIEWERS),
    Route("GET", "networks:map", VIEWERS),
    Route("GET", "networks:ports", VIEWERS),
    Route("GET", "networks:create", OPERATORS),
    Route("POST", "networks:create", OPERATORS, good=422, data={"name": ""}),
    Route("GET", "networks:prune", OPERATORS),
    Route("POST", "networks:prune", OPERATORS, good=302),
    Route("POST", "networks:bulk", OPERATORS, good=302, data={"kind": "remove"}),
    Route("GET", "networks:detail", VIEWERS, takes="network"),
    Route("GET", "networks:configure", OPERATORS, takes="network"),
    Route("POST", "networks:configure", OPERATORS, good=422, takes="network", data={"name": ""}),
    Route("GET", "networks:remove", OPERATORS, takes="network"),
    Route("POST", "networks:remove", OPERATORS, good=302, takes="network", data={"confirmation": "yes"}),
    Route("GET", "networks:connect", OPERATORS, takes="network"),
    Route("POST", "networks:connect", OPERATORS, good=422, takes="network"),
    Route("GET", "networks:attachment", OPERATORS, takes="network container"),
    Route("POST", "networks:attachment", OPERATORS, good=302, takes="network container"),
    Route("GET", "networks:disconnect", OPERATORS, takes="network container"),
    Route("POST", "networks:disconnect", OPERATORS, takes="network container"),
)


def named_routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Names of all routes but the Django admin's, which asks for staff by itself, and the API's: tests/api."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace not in ("admin", "api"):
                yield from named_routes(
                    pattern.url_patterns, f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
                )
        else:
            yield f"{prefix}{pattern.name}"


def test_routes_of_the_project_are_all_in_the_table() -> None:
    assert set(named_routes(get_resolver().url_patterns)) == {route.name for route in ROUTES}


def ask(client: Client, route: Route, ids: dict[str, uuid.UUID]) -> int:
    """Status of the answer."""
    url = reverse(route.name, args=[ids[name] for name in route.takes.split()])
    response = client.get(url) if route.method == "GET" else client.post(url, route.data)
    return response.status_code


@pytest.fixture
def ids() -> dict[str, Any]:
    """A device and a container of it, with something to show."""
    container = ContainerFactory()
    EventFactory(container=container)
    operation = OperationFactory(
        container=container, state="failed", finished_at=container.started_at, error_message="no"
    )
    batch = Batch.objects.create(title="Stop 2 containers")
    return {
        "container": container.pk,
        "device": container.device_id,
        "credential": container.device.credential_id,
        "host_key": HostKeyFactory(device=container.device).pk,
        "host_key_rule": HostKeyRuleFactory().pk,
        "shown_key": ShownKeyFactory(device=container.device).device_id,
        "tls_identity": TlsIdentityFactory().pk,
        "batch": batch.pk,
        "operation": operation.pk,
        "registry": RegistryFactory(with_login=True).pk,
        "repository": TagFactory().repository_id,
        "network": NetworkFactory(device=container.device).pk,
        "replacement": ReplacementFactory(container=container).pk,
        "image": ImageFactory(device=container.device, repo_tags=["demo/web:1"]).pk,
        "volume": VolumeFactory(device=container.device).pk,
        "backup": BackupFactory(device=container.device).pk,
        **_of_people(),
    }


def _of_people() -> dict[str, Any]:
    """A user with a token and a role of their own, and nobody's session."""
    role = make_role("Of its own", [Right.SEE])
    user = make_user("somebody", role)
    token, _text = make_token(user, "a script", [Right.SEE], Limit(), now() + timedelta(days=1))
    return {"user": user.pk, "role": role.pk, "token": token.pk, "session": uuid.uuid4()}


@pytest.mark.parametrize("route", ROUTES, ids=str)
@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.django_db(transaction=True)
def test_route_answers_whom_it_is_for_alone(route: Route, who: str, people: People, ids: dict[str, uuid.UUID]) -> None:
    status = ask(people.client(who), route, ids)

    if who in route.allowed:
        assert status == route.good
    elif who == "anonymous":
        assert status == 302
    elif route.name == "account:revoke-token":
        assert status == 404, "a token of somebody else"
    elif route.name == "login":
        assert status == 302, "who is logged in is sent on"
    else:
        assert status in (403, 404)
        assert Device.objects.count() == 1


@pytest.mark.parametrize("route", [route for route in ROUTES if route.takes], ids=str)
@pytest.mark.django_db
def test_route_of_an_unknown_object_is_not_found(route: Route, people: People) -> None:
    nothing = {name: 2**40 if name in NUMBERED else uuid.uuid4() for name in route.takes.split()}

    assert ask(people.client("administrator"), route, nothing) == 404


SHOWN = {route.name for route in ROUTES if route.method == "GET"}


@pytest.mark.parametrize("route", [route for route in ROUTES if route.name not in SHOWN], ids=str)
@pytest.mark.django_db
def test_route_that_changes_something_refuses_get(
    route: Route, people: People, ids: dict[str, uuid.UUID], client: Client
) -> None:
    url = reverse(route.name, args=[ids[name] for name in route.takes.split()])

    assert people.client("administrator").get(url).status_code == 405


@pytest.mark.django_db
def test_admin_lets_in_administrators_alone(people: People) -> None:
    answers = {who: people.client(who).get("/admin/").status_code for who in PEOPLE}

    assert answers == {"administrator": 200, "operator": 403, "viewer": 403, "stranger": 403, "anonymous": 302}


@pytest.mark.parametrize("page", ["devices/device", "devices/credential", "devices/hostkey", "containers/container"])
@pytest.mark.django_db
def test_admin_pages_open_for_administrators(page: str, people: People, ids: dict[str, uuid.UUID]) -> None:
    client = people.client("administrator")

    assert client.get(f"/admin/{page}/").status_code == 200
    if page != "devices/hostkey" and page != "containers/container":
        assert client.get(f"/admin/{page}/add/").status_code == 200


@pytest.mark.django_db
def test_every_page_carries_the_strict_policy(people: People, ids: dict[str, uuid.UUID]) -> None:
    for route in ROUTES:
        if route.method == "GET" and "administrator" in route.allowed and route.good == 200:
            url = reverse(route.name, args=[ids[name] for name in route.takes.split()])
            policy = people.client("administrator").get(url).headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy, route
