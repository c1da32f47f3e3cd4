"""Every route, tried by one of each role, a stranger and nobody. A new route fails here until it is in the table."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from containers.models import Batch
from devices.models import Device, now
from ssm.accounts.tokens import make_token
from ssm.lib.roles import WITHOUT_LIMIT, Limit, Right
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
from tests.people import ROLES, make_people

pytestmark = pytest.mark.django_db


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
    Route("GET", "api-docs", LOGGED_IN),
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
    # Off, as no token and no address is set: tests/ssm/test_metrics.py.
    Route("GET", "metrics", EVERYBODY, good=404),
    Route("GET", "metrics-containers", EVERYBODY, good=404),
    # The browser's own report, not a form.
    Route("POST", "csp-report", EVERYBODY, good=415),
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
    Route("GET", "devices:transfer", ADMINISTRATORS),
    Route("POST", "devices:transfer", ADMINISTRATORS, good=422, data={"text": ""}),
    Route("GET", "devices:export", ADMINISTRATORS),
    Route("GET", "registries:transfer", REGISTRY_KEEPERS),
    Route("POST", "registries:transfer", REGISTRY_KEEPERS, good=422, data={"text": ""}),
    Route("GET", "registries:export", REGISTRY_KEEPERS),
    Route("GET", "status", USER_KEEPERS),
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
    Route("GET", "devices:access", ADMINISTRATORS, takes="device"),
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
    Route("POST", "containers:recreate", OPERATORS, good=422, takes="container", data={"name": ""}),
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


def make_objects() -> dict[str, Any]:
    """A device and a container of it, with something to show."""
    container = ContainerFactory(
        device__name="device-of-the-matrix", device__groups=["here"], name="container-of-the-matrix"
    )
    EventFactory(container=container)
    operation = OperationFactory(
        container=container, state="failed", finished_at=container.started_at, error_message="no"
    )
    batch = Batch.objects.create(title="Stop 2 containers")
    OperationFactory(container=container, batch=batch, state="failed", finished_at=container.started_at)
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
        "image": ImageFactory(
            device=container.device, repo_tags=["image-of-the-matrix:1"], name="image-of-the-matrix:1"
        ).pk,
        "volume": VolumeFactory(device=container.device, name="volume-of-the-matrix").pk,
        "backup": BackupFactory(device=container.device).pk,
        **_of_people(),
    }


def _of_people() -> dict[str, Any]:
    """A user with a token and a role of their own, and nobody's session."""
    role = make_role("Of its own", [Right.SEE])
    user = make_user("somebody", role)
    token, _text = make_token(user, "a script", [Right.SEE], Limit(), now() + timedelta(days=1))
    return {"user": user.pk, "role": role.pk, "token": token.pk, "session": uuid.uuid4()}


def _nested() -> transaction.Atomic:
    """A block to be taken back, in which views may begin what they take for the outermost, as in Django's own tests."""
    block = transaction.atomic()
    block._from_testcase = True
    return block


@dataclass(frozen=True, slots=True)
class World:
    """One device and what is on it, and people by name, made once for all tests here; each test leaves it as it was."""

    ids: dict[str, Any]
    cookies: dict[str, str]

    def ask(self, who: str, route: Route, ids: dict[str, Any] | None = None) -> HttpResponseBase:
        """The answer to a browser of that person; whatever it changed is taken back."""
        url = reverse(route.name, args=[(ids or self.ids)[name] for name in route.takes.split()])
        return self.get(who, url) if route.method == "GET" else self.post(who, url, route.data)

    def get(self, who: str, url: str) -> HttpResponseBase:
        """The answer to GET."""
        return self._taken_back(lambda: self._client(who).get(url))

    def post(self, who: str, url: str, data: dict[str, str]) -> HttpResponseBase:
        """The answer to POST."""
        return self._taken_back(lambda: self._client(who).post(url, data))

    def _client(self, who: str) -> Client:
        client = Client()
        if who in self.cookies:
            client.cookies["sessionid"] = self.cookies[who]
        return client

    @staticmethod
    def _taken_back(ask: Callable[[], HttpResponseBase]) -> HttpResponseBase:
        with _nested():
            response = ask()
            transaction.set_rollback(True)
        return response


def just(right: Right | None) -> str:
    """Who may see, and this."""
    return f"just {right}"


def all_but(right: Right | None) -> str:
    """Who may everything else."""
    return f"all but {right}"


def _cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def _people() -> dict[str, str]:
    """Sessions of the people of each role, of each right alone and all others, and of those who are limited."""
    made = make_people()
    users = {who: getattr(made, who) for who in ROLES}
    for right in Right:
        users[just(right)] = make_user(f"just-{right}", make_role(f"just {right}", {Right.SEE, right}))
        users[all_but(right)] = make_user(f"but-{right}", make_role(f"but {right}", set(Right) - {right}))
    for name, limit in LIMITED.items():
        users[name] = make_user(name, make_role(name, Right, **limit))
    for name in ("here", "elsewhere", just(Right.SEE)):
        users[f"staff {name}"] = make_user(
            f"staff-{name.replace(' ', '-')}", *(group.role for group in users[name].groups.all())
        )
    User.objects.filter(username__startswith="staff-").update(is_staff=True)
    return {who: _cookie(user) for who, user in users.items()}


# Who holds every right, within a limit: the device and its container are in group "here", without the label.
LIMITED: dict[str, dict[str, list[str]]] = {
    "here": {"device_groups": ["here"]},
    "elsewhere": {"device_groups": ["elsewhere"]},
    "labelled": {"labels": ["team=web"]},
}


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    with django_db_blocker.unblock():
        # Work in threads of its own closes its connection at the end; here everything is in one.
        connection.close = lambda: None  # type: ignore[method-assign]
        outer = _nested()
        outer.__enter__()
        try:
            yield World(make_objects(), _people())
        finally:
            transaction.set_rollback(True)
            outer.__exit__(None, None, None)
            del connection.close


DENIED = (403, 404)
# A host that did not answer is not asked again at once: another answer to the second who asks.
ASKED_AGAIN = {"containers:log_download": 503}


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_route_answers_whom_it_is_for_alone(route: Route, world: World) -> None:
    for who in PEOPLE:
        status = world.ask(who, route).status_code

        if who in route.allowed:
            assert status in (route.good, ASKED_AGAIN.get(route.name)), who
        elif who == "anonymous" or route.name == "login":
            assert status == 302, f"{who} is sent to the log-in, or on"
        else:
            assert status in DENIED, who
            assert Device.objects.count() == 1


@pytest.mark.parametrize("route", [route for route in ROUTES if route.allowed.right], ids=str)
def test_route_takes_its_right_and_no_other(route: Route, world: World) -> None:
    right = route.allowed.right

    assert world.ask(just(right), route).status_code in (route.good, ASKED_AGAIN.get(route.name))
    if right is not Right.SEE:
        assert world.ask(all_but(right), route).status_code in DENIED
        assert world.ask(just(Right.SEE), route).status_code in DENIED


# What belongs to no device, or to none of ours: nobody limited reaches it.
GLOBAL = {"registry", "repository", "user", "role", "token", "session", "host_key_rule", "tls_identity", "replacement"}


@pytest.mark.parametrize("route", [route for route in ROUTES if route.allowed.right and route.takes], ids=str)
def test_route_of_an_object_holds_within_the_limit_of_the_role(route: Route, world: World) -> None:
    assert world.ask("elsewhere", route).status_code in DENIED
    assert world.ask("labelled", route).status_code in DENIED
    if not GLOBAL & set(route.takes.split()) and route.allowed.right not in WITHOUT_LIMIT:
        assert world.ask("here", route).status_code in (route.good, ASKED_AGAIN.get(route.name))


@pytest.mark.parametrize("who", ["elsewhere", "labelled"])
@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method == "GET" and route.allowed.right and not route.takes], ids=str
)
def test_page_of_lists_names_nothing_beyond_the_limit(route: Route, who: str, world: World) -> None:
    response = world.ask(who, route)

    if not response.streaming and response.status_code == 200:
        text = response.content.decode()
        for name in ("device-of-the-matrix", "container-of-the-matrix", "volume-of-the-matrix", "image-of-the-matrix"):
            assert name not in text


@pytest.mark.parametrize("route", [route for route in ROUTES if route.takes], ids=str)
def test_route_of_an_unknown_object_is_not_found(route: Route, world: World) -> None:
    nothing = {
        name: 2**31 if name in ("user", "role", "host_key", "host_key_rule") else uuid.uuid4()
        for name in route.takes.split()
    }

    assert world.ask("administrator", route, nothing).status_code == 404


SHOWN = {route.name for route in ROUTES if route.method == "GET"}


@pytest.mark.parametrize("route", [route for route in ROUTES if route.name not in SHOWN], ids=str)
def test_route_that_changes_something_refuses_get(route: Route, world: World) -> None:
    as_get = replace(route, method="GET")

    assert world.ask("administrator", as_get).status_code == 405


# ---- the Django admin


def _admin_pages() -> list[tuple[str, str]]:
    """The label of each registered table, and its app."""
    return sorted(
        (f"{model._meta.app_label}/{model._meta.model_name}", model._meta.app_label) for model in site._registry
    )


# What a list takes, of each app's tables.
ADMIN_RIGHTS = {
    "accounts": Right.MANAGE_USERS,
    "auth": Right.MANAGE_USERS,
    "containers": Right.SEE,
    "devices": Right.SEE,
    "registries": Right.SEE,
}


def test_admin_lets_in_staff_alone(world: World) -> None:
    answers = {who: world.get(who, "/admin/").status_code for who in PEOPLE}

    # The admin sends on to its own log-in, which is closed to who is logged in already.
    assert answers == {"administrator": 200, "operator": 302, "viewer": 302, "stranger": 302, "anonymous": 302}
    assert world.get("operator", "/admin/login/").status_code == 403
    assert world.get("administrator", "/admin/login/?next=/admin/auth/").headers["Location"] == "/admin/auth/"
    assert world.get("administrator", "/admin/login/?next=//evil.example/").headers["Location"] == "/admin/"
    assert world.get("anonymous", "/admin/login/?next=/admin/").headers["Location"] == "/login/?next=/admin/"


def test_admin_apps_are_all_in_the_table() -> None:
    assert {app for _page, app in _admin_pages()} == set(ADMIN_RIGHTS)


@pytest.mark.parametrize(("page", "app"), _admin_pages())
def test_admin_table_takes_its_right_everywhere(page: str, app: str, world: World) -> None:
    right = ADMIN_RIGHTS[app]
    url = f"/admin/{page}/"

    assert world.get("administrator", url).status_code == 200
    for who in ("operator", "viewer", "stranger"):
        assert world.get(who, url).status_code == 302
    # Staff by name; the rights decide.
    for who in ("staff here", "staff elsewhere", "staff just see"):
        status = world.get(who, url).status_code
        # A limited role gives no look at whole tables; and who may see may not change.
        assert status in (DENIED if who != "staff just see" or right is not Right.SEE else (200, 403)), who
        assert world.get(who, f"{url}add/").status_code in DENIED, who


@pytest.mark.parametrize("page", ["accounts/auditentry", "containers/container", "containers/operation", "auth/user"])
def test_admin_table_that_nobody_edits_offers_no_form(page: str, world: World) -> None:
    assert world.get("administrator", f"/admin/{page}/add/").status_code == 403


# ---- headers


def test_every_answer_carries_the_strict_headers(world: World) -> None:
    paths = ["/nowhere/", "/static/nowhere.css", "/admin/", "/admin/nowhere/", "/healthz", "/api/v1/nowhere"]
    for route in ROUTES:
        for who in ("administrator", "viewer", "anonymous"):
            if route.method == "GET":
                _assert_headers(world.ask(who, route), str(route))
    for path in paths:
        for who in ("administrator", "anonymous"):
            _assert_headers(world.get(who, path), path)


def _assert_headers(response: HttpResponseBase, what: str) -> None:
    headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy, what
    assert headers["X-Content-Type-Options"] == "nosniff", what
    assert headers["X-Frame-Options"] == "DENY", what
    assert headers["Referrer-Policy"] == "same-origin", what
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin", what
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin", what
    assert "Permissions-Policy" in headers, what
