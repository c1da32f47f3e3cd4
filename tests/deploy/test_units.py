"""systemd's units: known to systemd's own check, sandboxed, and one for every process of SSM."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ssm.services.layout import Layout
from ssm.services.processes import WebAddress, programs

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
# systemd's own mark of how open a unit is, from 0 to 10.
MOST_EXPOSED = 2.0


def _instance(name: str) -> str:
    return name.replace("@.", "@8000.")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The units as installed, with programs where they look for them."""
    programs_folder = tmp_path / "bin"
    programs_folder.mkdir()
    for name in ("python", "celery"):
        (programs_folder / name).write_text("#!/bin/sh\n")
        (programs_folder / name).chmod(0o755)
    for path in UNITS.iterdir():
        if path.suffix in (".service", ".timer", ".target"):
            text = path.read_text().replace("/opt/ssm/.venv/bin", str(programs_folder))
            (tmp_path / path.name).write_text(text)
    return tmp_path


def _analyze(*words: str, place: Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not on this machine")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH": f"{place}:", "SYSTEMD_COLORS": "0"}
    return subprocess.run(
        ["systemd-analyze", *words], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_units_are_known_to_systemd(place: Path) -> None:
    names = [_instance(name) for name in SERVICES] + ["ssm.target", "ssm-backup.timer"]

    done = _analyze("verify", "--man=no", *(f"./{name}" for name in names), place=place)

    assert [line for line in done.stderr.splitlines() if "ssm" in line] == []


@pytest.mark.parametrize("name", SERVICES)
def test_unit_is_sandboxed(name: str, place: Path) -> None:
    done = _analyze("security", "--offline=true", f"./{_instance(name)}", place=place)

    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= MOST_EXPOSED


def test_every_process_of_ssm_has_a_unit_with_its_command(tmp_path: Path) -> None:
    layout = Layout(UNITS.parents[1], tmp_path, tmp_path, None)
    target = (UNITS / "ssm.target").read_text()
    for program in programs(layout, WebAddress("127.0.0.1", 8000), None, 1):
        (path,) = UNITS.glob(f"ssm-{program.name}*.service")
        command = re.findall(r"^ExecStart=(.+)$", path.read_text(), re.MULTILINE)[0]
        words = [word for word in program.command[1:] if not word.startswith(("-m", "--host", "127.", "/", "-"))]
        for word in words[:2]:
            assert word.split("@")[0] in command, (program.name, word)
        assert f"ssm-{program.name}" in target


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_as_credentials_and_are_in_no_environment(name: str) -> None:
    text = (UNITS / name).read_text()

    for secret, variable in (
        ("secret_key", "SSM_SECRET_KEY"),
        ("field_keys", "SSM_FIELD_KEYS"),
        ("database_url", "DATABASE_URL"),
    ):
        assert f"LoadCredential={secret}:/etc/ssm/secrets/{secret}" in text
        assert f"{variable}_FILE=%d/{secret}" in text
        assert not re.search(rf"{variable}=", text)
