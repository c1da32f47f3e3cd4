"""The event stream: cut anywhere, filled with anything."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers.rules.events import (
    MAX_EVENT_BYTES,
    EngineEvent,
    EventDecoder,
    EventStreamError,
    engine_events,
)
from tests.containers.hostile import ANYTHING

ID = "ab" * 32


def event(action: str, kind: str = "container", **attributes: str) -> dict[str, Any]:
    """An event as Docker Engine 28 writes it."""
    return {
        "status": action,
        "id": ID,
        "Type": kind,
        "Action": action,
        "Actor": {"ID": ID, "Attributes": {"name": "web", "image": "demo/web", **attributes}},
        "scope": "local",
        "time": 1_767_323_045,
        "timeNano": 1_767_323_045_000_000_001,
    }


def one(value: dict[str, Any]) -> EngineEvent:
    (found,) = engine_events([value])
    return found


def test_engine_events_real_event_is_read_whole() -> None:
    found = one(event("die", exitCode="137", password="x"))

    assert found == EngineEvent(
        kind="container",
        action="die",
        actor_id=ID,
        actor_name="web",
        attributes={"name": "web", "image": "demo/web", "exitCode": "137", "password": "••••••"},
        time_ns=1_767_323_045_000_000_001,
    )


@pytest.mark.parametrize(
    ("action", "kind", "changes", "urgent"),
    [
        ("start", "container", True, True),
        ("die", "container", True, True),
        ("died", "container", True, True),
        ("health_status: healthy", "container", True, True),
        ("rename", "container", True, True),
        ("destroy", "container", True, True),
        ("remove", "container", True, True),
        ("create", "container", True, False),
        ("init", "container", True, False),
        ("kill", "container", True, False),
        ("attach", "container", False, False),
        ("start", "volume", False, False),
        ("pull", "image", False, False),
    ],
)
def test_engine_events_what_changes_a_container(action: str, kind: str, changes: bool, urgent: bool) -> None:
    found = one(event(action, kind))

    assert (found.changes_container, found.is_urgent) == (changes, urgent)


@pytest.mark.parametrize(
    ("action", "attributes", "expected"),
    [
        ("connect", {"container": "c" * 64}, "c" * 64),
        ("disconnect", {"container": "c" * 64}, "c" * 64),
        ("create", {"container": "c" * 64}, ""),
        ("connect", {}, ""),
    ],
)
def test_engine_events_network_change_concerns_its_container(
    action: str, attributes: dict[str, str], expected: str
) -> None:
    found = one(event(action, "network", **attributes))

    assert found.container_id == expected
    assert found.changes_container is bool(expected)


@pytest.mark.parametrize(
    "action", ["exec_create: sh -c x", "exec_start: sh", "exec_die", "exec", "top", "resize", "cleanup", "", "  "]
)
def test_engine_events_noise_is_left_out(action: str) -> None:
    assert list(engine_events([{**event(action), "status": ""}])) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"timeNano": 5, "time": 1}, 5),
        ({"time": 7}, 7_000_000_000),
        ({"timeNano": -1, "time": 7}, 7_000_000_000),
        ({"timeNano": 2**63}, 0),
        ({"timeNano": "5"}, 0),
        ({"timeNano": 1.5, "time": 2**40}, 0),
        ({}, 0),
    ],
)
def test_engine_events_time_table(value: dict[str, Any], expected: int) -> None:
    assert one({"Action": "start", **value}).time_ns == expected


@given(st.dictionaries(st.sampled_from(["Type", "Action", "status", "id", "Actor", "time", "timeNano"]), ANYTHING))
def test_engine_events_anything_fits_the_columns(value: dict[str, Any]) -> None:
    for found in engine_events([value, {**event("start"), "Actor": value}]):
        assert len(found.kind) <= 20
        assert len(found.action) <= 120
        assert len(found.actor_id) <= 255
        assert len(found.actor_name) <= 255
        assert 0 <= found.time_ns < 2**63
        text = json.dumps([found.kind, found.action, found.actor_id, found.actor_name, found.attributes])
        assert "\\u0000" not in text
        assert "\\ud800" not in text


STREAM = b"".join(json.dumps(event("start", note="ü" * n)).encode() + b"\n" for n in range(3)) + b"\n  \n[1]\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(deadline=None)
def test_decoder_any_chunking_gives_what_one_shot_gives(cuts: list[int]) -> None:
    whole = list(EventDecoder().feed(STREAM))
    places = [0, *sorted(cuts), len(STREAM)]
    decoder = EventDecoder()

    found = [value for start, end in pairwise(places) for value in decoder.feed(STREAM[start:end])]

    assert found == whole
    assert len(whole) == 3


def test_decoder_byte_by_byte_gives_what_one_shot_gives() -> None:
    decoder = EventDecoder()

    found = [value for place in range(len(STREAM)) for value in decoder.feed(STREAM[place : place + 1])]

    assert found == list(EventDecoder().feed(STREAM))


@pytest.mark.parametrize("line", [b"{\n", b"not json\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"9" * 5000 + b"\n"])
def test_decoder_garbage_is_refused(line: bytes) -> None:
    with pytest.raises(EventStreamError, match="not JSON"):
        list(EventDecoder().feed(line))


def test_decoder_endless_event_is_refused_and_small_pieces_cost_little() -> None:
    decoder = EventDecoder()

    with pytest.raises(EventStreamError, match="more than"):
        for _ in range(MAX_EVENT_BYTES // 64 + 1):
            list(decoder.feed(b"x" * 64))


def test_decoder_events_before_garbage_are_given() -> None:
    decoder = EventDecoder()
    found = []

    with pytest.raises(EventStreamError):
        for value in decoder.feed(b'{"a": 1}\nnot json\n{"a": 2}\n'):
            found.append(value)

    assert found == [{"a": 1}]
