"""Commands against a web process: what they print for people and programs, whom they serve, and their exit codes."""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from containers.models import Event, Operation
from devices.models import Device
from ssm.lib.roles import Right
from tests.api.caller import token_of
from tests.cli.conftest import LogIn
from tests.cli.stage import Terminal
from tests.factories import BackupFactory, ContainerFactory, DeviceFactory, ImageFactory, NetworkFactory, VolumeFactory
from tests.people import People

HOSTILE = "web\x1b[2J\u202e"


def test_lists_show_what_there_is(log_in: LogIn) -> None:
    terminal = log_in()
    device = DeviceFactory(name="alpha", online=True, groups=["shop"])
    ContainerFactory(device=device, name="web", state="running", health="healthy", image_reference="nginx:1.27")
    ContainerFactory(device=device, name="job", state="exited", exit_code=3)
    ContainerFactory(device=DeviceFactory(name="beta", unreachable=True), name="old", state="running")
    ImageFactory(device=device)
    VolumeFactory(device=device, name="data")
    NetworkFactory(device=device, name="front")
    BackupFactory(device=device, volume_name="data")

    devices = terminal.ssm("devices", "list")
    containers = terminal.ssm("containers", "list", "--sort", "-device")
    lines = containers.out.splitlines()

    assert devices.code == 0 and re.search(r"^alpha +online +127\.0\.0\.1 +docker 28\.5\.2", devices.out, re.M)
    assert lines[0].split()[:3] == ["NAME", "IMAGE", "STATE"]
    assert lines[1].startswith("beta/old ") and "running (stale)" in lines[1]
    assert any("alpha/web" in line and "running (healthy)" in line and "nginx:1.27" in line for line in lines)
    assert any("alpha/job" in line and "exited (3)" in line for line in lines)
    for group, name in (
        ("images", "alpha"),
        ("volumes", "alpha/data"),
        ("networks", "alpha/front"),
        ("backups", "data"),
    ):
        result = terminal.ssm(group, "list", "--device", "alpha")
        assert result.code == 0 and name in result.out, result
    assert "\x1b" not in containers.out + devices.out


def test_lists_for_programs_are_the_apis_rows(log_in: LogIn) -> None:
    terminal = log_in()
    ContainerFactory.create_batch(3, device=DeviceFactory(name="alpha"))

    rows = terminal.ssm("containers", "list", "--device", "alpha", "--json").json
    one = terminal.ssm("containers", "show", f"alpha/{rows[0]['name']}", "--json").json
    raw = terminal.ssm("api", "get", "containers", "-q", "limit=2").json

    assert len(rows) == 3 and {row["device"]["name"] for row in rows} == {"alpha"}
    assert one["id"] == rows[0]["id"] and "labels" in one
    assert len(raw["items"]) == 2 and raw["next"]


def test_hostile_names_cannot_act_on_the_terminal(log_in: LogIn) -> None:
    terminal = log_in("administrator")
    device = DeviceFactory(name=HOSTILE, online=True, operating_system="x\x1b]0;owned\x07")
    container = ContainerFactory(
        device=device,
        name="web\x9b31m",
        display_name=HOSTILE,
        labels={"a\x1b[1A": "b\n\x1b[2K"},
        command="c\x1b[H",
        image_reference="\u2066evil",
    )
    Operation.objects.create(
        kind="stop",
        state="failed",
        device=device,
        device_name=HOSTILE,
        container=container,
        target_name=HOSTILE,
        error_code="x",
        error_message="no\x1b[2J\r\nssm: done",
        output="line\x1b[2J\nnext",
        finished_at=datetime.now(UTC),
    )
    operation = Operation.objects.get()
    words = (
        ["devices", "list"],
        ["devices", "show", HOSTILE],
        ["containers", "list"],
        ["containers", "show", str(container.pk)],
        ["operations", "list"],
        ["operations", "show", str(operation.pk)],
        ["operations", "wait", str(operation.pk)],
        ["containers", "show", HOSTILE + "nothing"],
        ["containers", "stop", str(container.pk), "--no-wait"],
        ["containers", "list", "--json"],
    )
    for command in words:
        result = terminal.ssm(*command)
        told = result.out + result.err
        assert result.code in (0, 1, 5), result
        assert not set(told) & set("\x1b\x9b\x07\r\u202e\u2066"), (command, told)


def test_act_is_asked_for_and_told(log_in: LogIn) -> None:
    terminal = log_in()
    device = DeviceFactory(name="alpha", online=True)
    ContainerFactory(device=device, name="web-1", state="running")
    ContainerFactory(device=device, name="web-2", state="running")

    one = terminal.ssm("containers", "stop", "web-1", "--timeout", "7", "--no-wait", "--json")
    again = terminal.ssm("containers", "restart", "web-1", "--no-wait")
    unsure = terminal.ssm("containers", "restart", "alpha/web-*")
    Operation.objects.all().delete()
    several = terminal.ssm("containers", "restart", "alpha/web-*", "--yes", "--no-wait", "--json")

    assert one.code == 0 and one.json["kind"] == "stop"
    assert again.code == 1 and "web-1" in again.err
    assert unsure.code == 2 and "--yes" in unsure.err
    assert sorted(row["target"] for row in several.json) == ["web-1", "web-2"]
    assert Operation.objects.filter(kind="restart", batch__isnull=False).count() == 2


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("lost", 1), ("cancelled", 1)])
def test_waiting_ends_as_the_operation_does(log_in: LogIn, state: str, code: int) -> None:
    terminal = log_in()
    operation = Operation.objects.create(
        kind="restart",
        state=state,
        device=DeviceFactory(name="alpha"),
        device_name="alpha",
        target_name="web",
        finished_at=datetime.now(UTC),
        error_code="x" if state != "succeeded" else "",
        error_message="The host said no.",
        error_fix="Ask it nicely.",
    )
    result = terminal.ssm("operations", "wait", str(operation.pk))

    assert result.code == code and "restart web on alpha" in result.out
    assert ("The host said no." in result.err) is (state != "succeeded")


def test_name_that_fits_none_or_several_is_refused(log_in: LogIn) -> None:
    terminal = log_in()
    for name in ("alpha", "beta"):
        ContainerFactory(device=DeviceFactory(name=name), name="web")

    several = terminal.ssm("containers", "show", "web")
    none = terminal.ssm("containers", "show", "alpha/we")

    assert several.code == 5 and "alpha/web, beta/web" in several.err
    assert none.code == 5 and "There is no container 'alpha/we'" in none.err
    assert terminal.ssm("containers", "show", "beta/web").code == 0


def test_rights_of_the_token_count(log_in: LogIn) -> None:
    container = ContainerFactory(device=DeviceFactory(name="alpha"), name="web")
    viewer = log_in("viewer")
    refused = viewer.ssm("containers", "stop", "web")
    assert refused.code == 4 and "operate" in refused.err
    narrow = log_in("operator", rights=[Right.SEE])
    assert narrow.ssm("containers", "stop", "web").code == 4
    assert narrow.ssm("logs", "web").code == 4
    stranger = log_in("stranger")
    assert stranger.ssm("containers", "list").code == 4
    assert not Operation.objects.filter(container=container).exists()


def test_login_keeps_the_token_for_its_owner_alone(
    web: str, terminal: Terminal, transactional_db: None, people: People, monkeypatch: Any, tmp_path: Path
) -> None:
    text = token_of(people.operator)
    stream = tmp_path / "token"
    stream.write_text(text + "\n")
    with stream.open() as given:
        monkeypatch.setattr("sys.stdin", given)
        result = terminal.ssm("login", web, "--token-stdin")
    kept = tmp_path / "ssm" / "cli.json"

    assert result.code == 0 and "Logged in as operator" in result.err
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert text not in result.out + result.err
    assert "operator" in terminal.ssm("whoami").out
    assert terminal.ssm("--help").code == 0
    kept.chmod(0o644)
    assert terminal.ssm("whoami").code == 4
    kept.chmod(0o600)
    assert terminal.ssm("logout", "--revoke").code == 0
    assert terminal.ssm("whoami").code == 4
    assert text not in kept.read_text()


def test_login_with_a_wrong_token_keeps_nothing(web: str, terminal: Terminal, monkeypatch: Any, tmp_path: Path) -> None:
    given = tmp_path / "token"
    given.write_text("ssm_abcd1234_" + "x" * 43)
    with given.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert terminal.ssm("login", web, "--token-stdin").code == 4
    assert not (tmp_path / "ssm").exists()


def test_events_are_shown_the_oldest_first(log_in: LogIn) -> None:
    terminal = log_in()
    device = DeviceFactory(name="alpha")
    for number, action in enumerate(("create", "start", "die")):
        Event.objects.create(
            device=device,
            kind="container",
            action=action,
            actor_name="web\x1b[2J",
            attributes={"exitCode": "1"},
            time=datetime.now(UTC),
            time_ns=1000 + number,
        )
    result = terminal.ssm("events", "--device", "alpha")
    objects = [line for line in terminal.ssm("events", "-n", "2", "--json").out.splitlines() if line]

    assert result.code == 0 and len(result.out.splitlines()) == 3 and "\x1b" not in result.out
    assert [line for line in result.out.splitlines() if "alpha/web" in line]
    assert len(objects) == 2 and '"action":"die"' in objects[1]


def test_long_lists_are_read_page_by_page(log_in: LogIn) -> None:
    terminal = log_in()
    Device.objects.bulk_create(DeviceFactory.build_batch(450, credential=None))
    assert len(terminal.ssm("devices", "list", "--json").json) == 450


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_the_shell(terminal: Terminal, shell: str) -> None:
    result = terminal.ssm("completion", shell)
    assert result.code == 0 and "_SSM_COMPLETE" in result.out


def test_names_are_completed(log_in: LogIn, monkeypatch: Any) -> None:
    terminal = log_in()
    ContainerFactory(device=DeviceFactory(name="alpha"), name="web")
    ContainerFactory(device=DeviceFactory(name="beta\x1b[2J"), name="evil")
    monkeypatch.setitem(os.environ, "_SSM_COMPLETE", "bash_complete")
    monkeypatch.setitem(os.environ, "COMP_WORDS", "ssm logs ")
    monkeypatch.setitem(os.environ, "COMP_CWORD", "2")
    result = terminal.ssm()
    assert "alpha/web" in result.out and "evil" not in result.out
