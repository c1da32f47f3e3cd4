"""Chaos, small: what goes wrong is given by a seed, what is compared is noticed, and twenty faults leave nothing."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.books import Books, account_for
from tests.chaos.links import Link, Quality
from tests.chaos.people import Asked
from tests.chaos.plan import DISK, HOST_FAULTS, PROGRAMS, plan
from tests.chaos.readers import Section, compare
from tests.fleet import TEST_NET, net_from_environment
from tests.fleet.fixtures import require_root

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
@pytest.mark.slow
@pytest.mark.alone
def test_chaos_twenty_faults_leave_nothing_lost_doubled_or_stuck() -> None:
    require_root()
    # The seed kills every program but one. A fleet of its own; more patience, as two processors are few.
    environment = os.environ | {"FLEET_NET": str(net_from_environment(TEST_NET) + 100), "FLEET_KEEP": ""}
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        "--faults",
        "20",
        "--seed",
        "317",
        "--at-once",
        "5",
        "--within",
        "60",
    ]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, timeout=540, check=False
    )
    print(done.stdout)
    told = json.loads(done.stdout.splitlines()[-1])
    assert {name: told[name] for name in ("faults", "converged", "lost", "doubled", "stuck")} == {
        "faults": 20,
        "converged": 20,
        "lost": 0,
        "doubled": 0,
        "stuck": 0,
    }
    assert told["operations"] >= 20
    assert done.returncode == 0


# ---- the plan


@pytest.mark.parametrize("seed", range(20))
def test_plan_of_a_seed_is_always_the_same_and_never_hits_a_target_twice_at_once(seed: int) -> None:
    rounds = plan(seed, 50, 3)
    assert rounds == plan(seed, 50, 3)
    assert rounds != plan(seed + 1, 50, 3)
    assert sum(len(faults) for faults in rounds) == 50
    assert all(len({fault.target for fault in faults}) == len(faults) <= 3 for faults in rounds)


def test_plan_can_have_more_at_once() -> None:
    sizes = {len(faults) for faults in plan(1, 200, 2, 5)[:-1]}
    assert sizes == {3, 4, 5}


def test_plan_of_many_faults_has_every_kind_on_every_target() -> None:
    faults = [fault for faults in plan(7, 1000, 2) for fault in faults]
    assert {fault.target for fault in faults} == {*PROGRAMS, DISK, "h1", "h2"}
    assert {fault.kind for fault in faults if fault.target == "h1"} == set(HOST_FAULTS)
    assert {fault.kind for fault in faults if fault.target == "worker"} == {"killed", "frozen"}
    assert any(fault.for_s > 16 for fault in faults if fault.target == "worker")


# ---- the links


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@pytest.fixture
async def linked() -> Any:
    """A link to an echo, and a connection through it."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    link = Link("127.0.0.1", 1, port=server.sockets[0].getsockname()[1])
    await link.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    yield link, reader, writer
    writer.close()
    await link.close()
    server.close()


async def test_link_silent_holds_what_it_carries_until_it_is_good_again(linked: Any) -> None:
    link, reader, writer = linked
    await link.become(Quality(is_silent=True))
    writer.write(b"held")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(10), 0.3)
    await link.become(Quality())
    assert await asyncio.wait_for(reader.read(10), 10) == b"held"


async def test_link_refused_resets_what_is_open_and_what_comes(linked: Any) -> None:
    link, reader, writer = linked
    writer.write(b"x")
    await reader.read(1)
    await link.become(Quality(refuses=True))
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(10), 10)
    later, more = await asyncio.open_connection("127.0.0.1", link.port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(later.read(10), 10)
    more.close()


# ---- the comparisons

TRUTH = [f"2026-01-01T00:00:0{number}Z line {number}" for number in range(8)]


@pytest.mark.parametrize(
    ("sections", "lost", "doubled"),
    [
        ([Section(TRUTH)], 0, 0),
        ([Section(TRUTH[:4]), Section(TRUTH[2:])], 0, 0),
        ([Section(TRUTH[2:5])], 0, 0),
        ([Section(TRUTH[:3] + TRUTH[4:])], 1, 0),
        ([Section(TRUTH[:3] + TRUTH[4:], {3})], 0, 0),
        ([Section(TRUTH[:3]), Section(TRUTH[5:])], 2, 0),
        ([Section([*TRUTH[:3], TRUTH[2], *TRUTH[3:]])], 0, 1),
        ([Section([*TRUTH, "of another container"])], 1, 0),
    ],
    ids=["whole", "shown anew", "a part", "a hole", "a marked hole", "behind the end", "twice", "foreign"],
)
def test_compare_lines_with_the_host(sections: list[Section], lost: int, doubled: int) -> None:
    assert compare("log", sections, TRUTH)[1:3] == (lost, doubled)


def asked(kind: str, state: str, outcome: str = "") -> Asked:
    """An act as somebody wrote it down."""
    return Asked("somebody", kind, "one", "key", datetime.now(UTC), operation="1", state=state, outcome=outcome)


@pytest.mark.parametrize(
    ("acts", "starts", "lost", "doubled"),
    [
        ([], 1, 0, 0),
        ([("restart", "succeeded", "")], 2, 0, 0),
        ([("restart", "succeeded", "")], 3, 0, 1),
        ([("restart", "succeeded", "")], 1, 1, 0),
        ([("restart", "failed", "")], 1, 0, 0),
        ([("restart", "failed", "")], 2, 0, 0),
        ([("start", "succeeded", "nothing to do: it was so already")], 2, 0, 1),
        ([("stop", "succeeded", ""), ("start", "succeeded", "")], 2, 0, 0),
    ],
)
def test_account_for_starts(acts: list[tuple[str, str, str]], starts: int, lost: int, doubled: int) -> None:
    books = Books()
    account_for("one", starts, [asked(*act) for act in acts], books)
    assert (len(books.lost), len(books.doubled)) == (lost, doubled)


def test_account_for_start_that_was_under_way_when_the_host_ended() -> None:
    books = Books()
    account_for("one", 3, [asked("restart", "succeeded")], books, again=1)
    assert not books.doubled and not books.lost
