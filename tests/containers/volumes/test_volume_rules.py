"""Retention, manifests, and what engines tell of volumes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers.rules.manifests import Manifest, ManifestError, read_manifest
from containers.rules.masking import MASK
from containers.rules.parameters import ParameterError
from containers.rules.retention import Retention, expired
from containers.rules.volume_facts import (
    read_driver,
    read_pairs,
    read_volume_name,
    volume_facts,
    volume_sizes,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday


def made(*days: float) -> list[tuple[float, datetime]]:
    """Backups made so many days before noon."""
    return [(day, NOON - timedelta(days=day)) for day in days]


@pytest.mark.parametrize(
    ("retention", "days", "gone"),
    [
        (Retention(last=2), (0, 1, 2, 3), {2, 3}),
        (Retention(daily=2), (0, 0.1, 1, 1.1, 2), {0.1, 1.1, 2}),
        (Retention(daily=2), (0, 5, 9), {9}),
        (Retention(weekly=2), (0, 1, 2, 8), {1, 8}),
        (Retention(monthly=2), (0, 10, 24, 30, 60), {10, 30, 60}),
        (Retention(last=1, monthly=2), (0, 1, 30, 31), {1, 31}),
        (Retention(), (0, 100), set()),
        (Retention(weekly=1), (400,), set()),
    ],
    ids=["last", "daily", "gaps", "weekly", "monthly", "both", "all", "only-one"],
)
def test_backups_that_no_rule_keeps_expire(retention: Retention, days: tuple[float, ...], gone: set[float]) -> None:
    assert set(expired(made(*days), retention)) == gone


@settings(max_examples=50)
@given(
    days=st.lists(st.integers(0, 900), max_size=40, unique=True),
    rules=st.tuples(*[st.integers(0, 5)] * 4),
)
def test_newest_backup_never_expires_and_what_is_kept_stays_kept(days: list[int], rules: Any) -> None:
    gone = expired(made(*days), Retention(*rules))
    kept = [day for day in days if day not in gone]

    assert not days or min(days) in kept
    assert expired(made(*kept), Retention(*rules)) == []


def test_retention_is_told_in_words() -> None:
    assert Retention(last=1, daily=7).in_words() == "the last one, 7 daily"
    assert Retention().in_words() == "all"


MANIFEST = Manifest(
    id="b", device="host", volume="data", driver="local", created_at=NOON, finished_at=NOON, consistency="paused",
    size_bytes=3, sha256="ab" * 32, contents={"files": 1}, labels={"a": "b"},
)  # fmt: skip


def test_manifest_is_read_as_it_was_written() -> None:
    assert read_manifest(MANIFEST.as_text()) == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other/1"},
        {"sha256": "x"},
        {"size_bytes": -1},
        {"size_bytes": "3"},
        {"created_at": "yesterday"},
        {"created_at": "2026-01-01T00:00:00"},
        {"volume": None},
        {"labels": []},
        {"consistency": "perfect"},
        {"device": "a\x00b"},
    ],
    ids=str,
)
def test_manifest_that_cannot_be_used_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        read_manifest(json.dumps({**json.loads(MANIFEST.as_text()), **change}))


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", "{}", "x" * 5_000_000], ids=["", "list", "text", "empty", "big"]
)
def test_manifest_of_garbage_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        read_manifest(text)


def test_volume_of_an_engine_becomes_facts() -> None:
    answer = {
        "Name": "data",
        "Driver": "local",
        "CreatedAt": "2026-11-24T13:58:03Z",
        "Labels": {"team": "a", "api_token": "secret"},
        "Options": {"type": "cifs", "o": "username=u,password=p,rw"},
    }
    facts = volume_facts(answer)

    assert facts is not None
    assert (facts.name, facts.is_anonymous) == ("data", False)
    assert facts.created_at == datetime(2026, 11, 24, 13, 58, 3, tzinfo=UTC)
    assert facts.options == {"type": "cifs", "o": f"username=u,password={MASK},rw"}
    assert facts.labels == {"team": "a", "api_token": MASK}


@pytest.mark.parametrize("answer", [None, [], {}, {"Name": ""}, {"Name": 3}, {"Name": "x" * 256}, {"Name": "a\x00"}])
def test_volume_without_a_usable_name_is_none(answer: Any) -> None:
    assert volume_facts(answer) is None


def test_volume_facts_take_odd_values_for_nothing() -> None:
    facts = volume_facts({"Name": "v", "Driver": 3, "Labels": [], "Options": "x", "CreatedAt": {}, "Mountpoint": None})

    assert facts is not None
    assert (facts.driver, facts.labels, facts.options, facts.created_at) == ("", {}, {}, None)


@pytest.mark.parametrize("name", ["a" * 64, "x"])
def test_volume_is_anonymous_by_its_name_or_label(name: str) -> None:
    labels = {"com.docker.volume.anonymous": ""} if name == "x" else {}
    facts = volume_facts({"Name": name, "Labels": labels})

    assert facts is not None and facts.is_anonymous


def test_sizes_leave_out_what_is_not_known() -> None:
    listed = [{"Name": "a", "UsageData": {"Size": 5}}, {"Name": "b", "UsageData": {"Size": -1}}, {"Name": "c"}, 3]

    assert volume_sizes({"Volumes": listed}) == {"a": 5}
    assert volume_sizes({"VolumeUsage": {"Items": listed}}) == {"a": 5}
    assert volume_sizes(None) == volume_sizes({"Volumes": None}) == {}


@pytest.mark.parametrize("text", ["", "a", "-a", "a/b", "a b", "ä1", "x" * 256, "../x"])
def test_name_that_engines_refuse_is_told(text: str) -> None:
    with pytest.raises(ParameterError):
        read_volume_name(text)


@pytest.mark.parametrize(("text", "pairs"), [("a=1\n\n b = 2=3 ", {"a": "1", "b": "2=3"}), ("", {})])
def test_lines_become_pairs(text: str, pairs: dict[str, str]) -> None:
    assert read_pairs(text, "options") == pairs


@pytest.mark.parametrize("text", ["novalue", "=x", "a=1\na=2", "\n".join(f"k{n}=1" for n in range(300))])
def test_lines_that_are_no_pairs_are_told(text: str) -> None:
    with pytest.raises(ParameterError):
        read_pairs(text, "options")


def test_driver_is_the_engines_own_where_none_is_named() -> None:
    assert read_driver(" ") == "local"
    with pytest.raises(ParameterError):
        read_driver("a b")
