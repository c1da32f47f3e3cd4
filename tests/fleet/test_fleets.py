"""A fleet comes up, can be hurt and healed, and leaves nothing behind."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import SELF_TEST_NET, Fleet, FleetError
from tests.fleet.cgroups import group_exists
from tests.fleet.fixtures import require_root, users_lock
from tests.fleet.locks import hold_lock
from tests.fleet.processes import marked
from tests.fleet.shell import wait_until

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.fleet


@pytest.fixture
def bare_fleet() -> Iterator[Fleet]:
    """A fleet that is not up, of a number of its own; one test of the machine at a time."""
    require_root()
    users = users_lock(SELF_TEST_NET)
    with hold_lock(users):
        fleet = Fleet(SELF_TEST_NET)
        fleet.down()
        fleet.prepare(["20"])
        yield fleet
        fleet.down()
        users.unlink()


def _traces(fleet: Fleet) -> list[str]:
    """All that is left of a fleet on this machine."""
    layout = fleet.layout
    found = [f"process {pid} ({what})" for what, pids in marked(layout).items() for pid in pids]
    links = (path.name for path in Path("/sys/class/net").iterdir())
    found += [name for name in links if name == layout.bridge or name.startswith(f"fl{layout.net}-")]
    found += fleet.mounts()
    found += ["control groups"] if group_exists(layout.control_group()) else []
    found += [str(layout.directory)] if layout.directory.exists() else []
    return found


def test_up_then_down_leaves_nothing(bare_fleet: Fleet) -> None:
    inventory = bare_fleet.up(["20", "20"], hostnames=["alpha"])
    host = bare_fleet.host("alpha")
    host.run("sleeper", "test/stubborn")
    host.api("POST", "/containers/sleeper/pause")

    assert [entry.hostname for entry in inventory.hosts] == ["alpha", "h2"]
    assert host.exec("hostname").strip() == "alpha"
    assert len(_traces(bare_fleet)) > 4

    bare_fleet.down()

    assert _traces(bare_fleet) == []


def test_down_after_a_crash_in_the_middle_of_up_leaves_nothing(bare_fleet: Fleet) -> None:
    command = [sys.executable, "-m", "tests.fleet", "up", "2", "--engine", "20", "--net", str(SELF_TEST_NET)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: any(name.startswith("h") for name in marked(bare_fleet.layout)), 30, "a first host")
        process.send_signal(signal.SIGKILL)

    bare_fleet.down()

    assert _traces(bare_fleet) == []


def test_up_again_repairs_and_keeps_what_is_there(bare_fleet: Fleet) -> None:
    before = bare_fleet.up(["20"], registry=False, bare=True)
    host = bare_fleet.host(1)
    container = host.run("kept", "test/stubborn", restart="always")
    host.kill()

    after = bare_fleet.up(["20"], registry=False, bare=True)

    assert after.hosts[0].host_key == before.hosts[0].host_key
    host.wait_for_state(container, "running")


def test_cut_host_is_silent_but_alive_until_healed(bare_fleet: Fleet) -> None:
    bare_fleet.up(["20"], registry=False, bare=True)
    host = bare_fleet.host(1)

    host.cut(silent=True)

    assert not host.has_ssh()
    assert host.ping()

    host.heal()

    assert host.has_ssh()


def test_killed_docker_is_away_until_started(bare_fleet: Fleet) -> None:
    bare_fleet.up(["20"], registry=False, bare=True)
    host = bare_fleet.host(1)

    host.kill_docker()

    assert not host.ping()
    assert host.has_ssh()

    host.start_docker()

    assert host.ping()


def test_up_in_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    require_root()
    (tmp_path / "letter.txt").write_text("keep me")

    with pytest.raises(FleetError, match="holds other things"):
        Fleet(SELF_TEST_NET, tmp_path).up(["20"])

    assert (tmp_path / "letter.txt").exists()
