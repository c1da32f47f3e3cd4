"""The command line, a web process and a real container: its log as it is and as it grows."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import LogIn
from tests.containers.logstage import add_container, add_device
from tests.fleet import Fleet, Host


@pytest.mark.fleet
def test_log_of_a_real_container_is_shown_and_followed(fleet: Fleet, docker_host: Host, log_in: LogIn) -> None:
    terminal = log_in("operator")
    device = add_device(fleet.entry(docker_host.number))
    engine_id = docker_host.run("lines", "test/lines", env={"COUNT": "50", "HOLD": "1"})
    add_container(device, engine_id, "lines")
    name = f"{device.name}/lines"

    # What was written by then; the last line ends what is waited for below.
    following = _follow(name)
    try:
        followed = [following.stdout.readline().rstrip("\n") for _ in range(50)]  # type: ignore[union-attr]
    finally:
        following.send_signal(signal.SIGINT)
        _rest, said = following.communicate(timeout=30)
    shown = terminal.ssm("logs", name)

    assert shown.code == 0 and shown.out.splitlines() == followed
    assert len(set(followed)) == 50 and "\x1b" not in shown.out
    assert following.returncode == 130 and "Traceback" not in said
    assert terminal.ssm("logs", name, "--tail", "3").out.splitlines() == followed[-3:]


def _follow(name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-m", "ssm.cli", "logs", "-f", "-n", "50", name]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=os.environ.copy(),
        text=True,
        # Where the tests themselves run in the background, interrupts would be ignored by whatever they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **streams,
    )
