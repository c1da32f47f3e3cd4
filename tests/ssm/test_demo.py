"""The demo: its hosts become devices, its containers show every state, and nothing of it is left in the end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.models import Credential, Device
from ssm import demo
from ssm.demo.plans import HOSTS, HostPlan
from tests.fleet import DEMO_TEST_NET, Fleet
from tests.fleet.fixtures import require_root, users_lock
from tests.fleet.locks import hold_lock

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def demo_net(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A fleet number for the demo that nobody looks at."""
    require_root()
    monkeypatch.setenv("FLEET_NET", str(DEMO_TEST_NET))
    users = users_lock(DEMO_TEST_NET)
    with hold_lock(users):
        yield DEMO_TEST_NET
        demo.stop_hosts(lambda _line: None, keep_packages=True)
        users.unlink()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.django_db
@pytest.mark.fleet
def test_demo_started_twice_and_stopped_leaves_only_what_is_the_users(demo_net: int) -> None:
    own = Credential.objects.create(name="Mine", username="me", password="secret")
    Device.objects.create(name="harbor", address="192.0.2.1", credential=own)
    lines: list[str] = []

    demo.start(lines.append)
    demo.start(lines.append)

    devices = Device.objects.filter(credential__name="Demo fleet")
    assert sorted(devices.values_list("name", flat=True)) == ["harbor (demo)", "lagoon", "summit"]
    assert all(device.host_keys.count() == 1 for device in devices)
    fleet = Fleet(demo_net)
    states = {item["State"] for plan in HOSTS for item in fleet.host(plan.name).containers()}
    assert {"running", "paused", "exited"} <= states
    assert lines

    demo.stop(lines.append, keep_packages=True)

    assert list(Device.objects.values_list("name", flat=True)) == ["harbor"]
    assert list(Credential.objects.values_list("name", flat=True)) == ["Mine"]
    assert not fleet.layout.directory.exists()
    assert not fleet.network.exists


@pytest.mark.fleet
def test_demo_without_root_says_so_in_one_line() -> None:
    require_root()
    program = """
import os
from ssm.demo.hosts import require_root
from ssm.demo.errors import DemoError
os.setuid(65534)
try:
    require_root()
except DemoError as error:
    print(error)
"""

    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", program],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("The demo needs root on Linux")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("plan", HOSTS, ids=lambda plan: plan.name)
def test_demo_plans_use_images_that_they_bring(plan: HostPlan) -> None:
    brought = {f"{recipe.name}:{tag}" for recipe, tag in plan.images}

    assert {container.image for container in plan.containers} == brought
    assert all(container.labels["wud.display.name"] for container in plan.containers)
