"""Every message that a socket takes or sends is in a table: by whom, how large, and what says so in the code.

The test that compares the table with the code fails when a message, a socket, or a kind of change is missing from it.
"""

import ast
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import pytest
from django.contrib.auth.models import User

from containers import push
from containers.consumers import live, logs, merged_logs, statistics
from containers.consumers.live import LiveConsumer
from containers.consumers.logs import LogConsumer
from containers.consumers.merged_logs import MergedLogConsumer
from containers.consumers.statistics import StatisticsConsumer
from containers.consumers.streams import StreamConsumer
from containers.consumers.visible import _MODELS as CHECKED
from containers.fragments import _COUNTS, _TEMPLATES, _USAGE_PARTS
from containers.logs import follow, merging, messages, viewer
from containers.statistics import following
from containers.statistics import live as live_figures
from ssm.lib.roles import Right
from ssm.routing import websocket_urlpatterns
from tests.accounts.people import make_role, make_user
from tests.factories import ContainerFactory


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket: the right it takes, what browsers may send (with the most characters), and what it sends."""

    consumer: type[Any]
    right: Right
    takes: dict[str, int]
    sends: frozenset[str]
    # Modules that make what it sends, besides its own.
    made_in: tuple[Any, ...] = ()


_LOG_LINES = frozenset({"state", "opened", "marker", "skipped", "lines", "error"})
SOCKETS = {
    # It sends HTML: the elements below, and the signal to read a list again.
    "ws/live/": Socket(LiveConsumer, Right.SEE, {"watch": live.MAX_MESSAGE}, frozenset()),
    "ws/containers/<uuid:container_id>/logs/": Socket(
        LogConsumer,
        Right.LOGS,
        dict.fromkeys(("open", "ack", "older", "retry"), logs.MAX_MESSAGE),
        _LOG_LINES | {"older"},
        (messages, viewer, follow),
    ),
    "ws/logs/": Socket(
        MergedLogConsumer,
        Right.LOGS,
        {"open": merged_logs.MAX_OPENING, "ack": logs.MAX_MESSAGE, "retry": logs.MAX_MESSAGE},
        frozenset({"sources", "merged"}),
        (merging,),
    ),
    "ws/containers/<uuid:container_id>/statistics/": Socket(
        StatisticsConsumer,
        Right.SEE,
        {"ack": statistics.MAX_MESSAGE},
        frozenset({"state", "samples"}),
        (live_figures, following),
    ),
}
# The most characters of one message, whatever it is.
LIMITS = {
    "ws/live/": 128 * 1024,
    "ws/containers/<uuid:container_id>/logs/": 8 * 1024,
    "ws/logs/": 64 * 1024,
    "ws/containers/<uuid:container_id>/statistics/": 1024,
}
# Kinds of changes, and the parts of pages that are sent for them. None: a signal to read the list again at most.
CHANGES: dict[str, frozenset[str]] = {
    "container": frozenset({"row", "header", "state"}),
    "device": frozenset({"row", "header", "schedules"}),
    "operation": frozenset({"row", "detail"}),
    "batch": frozenset({"summary"}),
    "check": frozenset({"line"}),
    "image": frozenset({"row", "header"}),
    "volume": frozenset({"row", "header"}),
    "backup": frozenset({"row"}),
    "network": frozenset({"row", "header"}),
    "usage": frozenset(),
    "update": frozenset(),
    "event": frozenset(),
}


def _compared_types(consumer: type[Any]) -> set[str]:
    """What the consumer's own ``receive`` compares a message's type with."""
    tree = ast.parse(inspect.getsource(consumer.receive).strip())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and "type" in ast.unparse(node.left):
            found |= {each.value for each in node.comparators if isinstance(each, ast.Constant)}
    return found


def _sent_types(modules: Iterable[Any]) -> set[str]:
    """The types of the messages that are written down in these modules."""
    text = "\n".join(inspect.getsource(module) for module in modules)
    return set(re.findall(r'"type": ?"([a-z]+)"', text))


def _types_of(union: Any) -> set[str]:
    return {name for kind in get_args(union) for name in get_args(get_type_hints(kind)["type"])}


def test_sockets_are_all_in_the_table() -> None:
    assert {str(route.pattern) for route in websocket_urlpatterns} == set(SOCKETS) == set(LIMITS)
    for route in websocket_urlpatterns:
        assert route.callback.consumer_class is SOCKETS[str(route.pattern)].consumer


@pytest.mark.parametrize("path", SOCKETS)
def test_messages_that_a_socket_takes_are_all_in_the_table(path: str) -> None:
    socket = SOCKETS[path]

    assert _compared_types(socket.consumer) == set(socket.takes)
    assert max(socket.takes.values()) == LIMITS[path]


def test_commands_and_messages_of_logs_are_all_in_the_table() -> None:
    socket = SOCKETS["ws/containers/<uuid:container_id>/logs/"]
    lines = set(get_args(get_type_hints(messages.LinesHead)["type"]))

    assert _types_of(messages.ClientCommand) == set(socket.takes)
    assert _types_of(messages.ServerMessage) | lines == socket.sends


@pytest.mark.parametrize("path", [path for path, socket in SOCKETS.items() if socket.sends])
def test_messages_that_a_socket_sends_are_all_in_the_table(path: str) -> None:
    socket = SOCKETS[path]
    written = _sent_types((inspect.getmodule(socket.consumer), *socket.made_in))

    # What browsers send is written down in the description of the module.
    assert written - set(socket.takes) <= socket.sends
    assert socket.sends - _LOG_LINES <= written | {"older"}


def test_kinds_of_changes_and_elements_are_all_in_the_table() -> None:
    parts: dict[str, set[str]] = {kind: set() for kind in get_args(push.Kind)}
    for kind, part in _TEMPLATES:
        parts[kind].add(part)

    assert {kind: frozenset(found) for kind, found in parts.items()} == CHANGES


def test_elements_of_every_kind_are_checked_before_they_are_sent() -> None:
    """A kind that nobody asks the door of rows about would be sent to everybody."""
    pushed = {kind for kind, _part in _TEMPLATES} | set(_USAGE_PARTS)

    assert pushed - {"check"} <= set(CHECKED), "containers.consumers.visible knows it"
    assert set(_COUNTS) == {"home-counts", "navigation-counts"}, "counts are of what each user may see"


WHO: dict[str, frozenset[Right]] = {
    "nobody": frozenset(),
    **{f"just {right}": frozenset({Right.SEE, right}) for right in Right},
    **{f"all but {right}": frozenset(Right) - {right} for right in Right},
}


@pytest.mark.django_db
@pytest.mark.parametrize("path", [path for path, socket in SOCKETS.items() if socket.consumer is not LiveConsumer])
def test_stream_takes_its_right_and_its_scope(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = SOCKETS[path]
    container = ContainerFactory(device__groups=["shop"])
    asked: list[Any] = []
    monkeypatch.setattr("containers.consumers.streams.current_user", lambda _scope: asked[-1])

    def code(user: Any) -> int:
        consumer: StreamConsumer = socket.consumer()
        consumer.scope = {"user": user}
        consumer._container_id = str(container.pk)
        if isinstance(consumer, MergedLogConsumer):
            consumer._sources = [{"id": str(container.pk)}]  # type: ignore[typeddict-item]
        asked.append(user)
        return consumer._look()

    assert code(None) == 4401
    for number, (who, rights) in enumerate(WHO.items()):
        for limit, within in (({}, True), ({"device_groups": ["shop"]}, True), ({"device_groups": ["other"]}, False)):
            name = f"{number}-{within}-{len(limit)}"
            user = make_user(name, make_role(name, rights, **limit))
            expected = 4403 if socket.right not in rights else 0 if within else 4404
            assert code(user) == expected, (who, limit)


@pytest.mark.django_db
def test_page_takes_the_right_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    user: list[Any] = []
    monkeypatch.setattr(live, "current_user", lambda _scope: User.objects.get(pk=user[-1].pk))
    for number, (who, rights) in enumerate(WHO.items()):
        user.append(make_user(f"user-{number}", make_role(f"role-{number}", rights)))
        consumer = LiveConsumer()
        consumer.scope = {"user": user[-1]}
        assert consumer._begins(user[-1]) == (Right.SEE in rights), who

    monkeypatch.setattr(live, "current_user", lambda _scope: None)
    assert not consumer._begins(user[-1]), "who is logged out meanwhile"
