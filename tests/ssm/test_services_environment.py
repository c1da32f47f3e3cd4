"""What the first start generates, what later ones keep, and whose settings win."""

import os
import stat
import subprocess
import sys

import pytest

from ssm.lib.env import ConfigurationError
from ssm.services.environment import (
    load_environment,
    postgres_access,
    prepare_environment,
    read_environment_file,
    redis_access,
)
from ssm.services.errors import AlreadyRunning, PortInUse, ServiceError
from ssm.services.layout import find_layout, is_reachable, temporary_layout
from ssm.services.locks import hold_lock
from ssm.services.ports import free_port, is_free, require_free
from tests.ssm.listeners import listening


@pytest.fixture
def layout():
    with temporary_layout() as layout:
        yield layout


def test_first_start_generates_keys_and_urls(layout):
    environment: dict[str, str] = {}

    prepare_environment(layout, environment)

    stored = read_environment_file(layout.environment_file)
    assert environment["DATABASE_URL"] == postgres_access(stored).url
    assert environment["REDIS_URL"] == redis_access(stored).url
    assert environment["SSM_SECRET_KEY"] == stored["SSM_SECRET_KEY"]
    assert len({*stored.values()}) == len(stored)


def test_generated_file_is_for_its_owner_alone(layout):
    prepare_environment(layout, {})

    assert stat.S_IMODE(layout.environment_file.stat().st_mode) == 0o600


def test_second_start_keeps_everything(layout):
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    prepare_environment(layout, first)

    prepare_environment(layout, second)

    assert second == first


def test_start_with_remembered_port_taken_moves_to_another_and_keeps_the_rest(layout):
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    prepare_environment(layout, first)
    before = read_environment_file(layout.environment_file)

    with listening(int(before["SSM_REDIS_PORT"])):
        prepare_environment(layout, second)

    after = read_environment_file(layout.environment_file)
    assert after["SSM_REDIS_PORT"] != before["SSM_REDIS_PORT"]
    assert second["REDIS_URL"] != first["REDIS_URL"]
    assert {key for key in after if after[key] != before[key]} == {"SSM_REDIS_PORT"}


def test_start_with_own_urls_and_keys_generates_nothing(layout):
    own = {"DATABASE_URL": "postgres://u@h/d", "REDIS_URL_FILE": "/x", "SSM_SECRET_KEY": "k", "SSM_FIELD_KEYS": "f"}
    environment = dict(own)

    prepare_environment(layout, environment)

    assert environment == own
    assert not layout.environment_file.exists()


def test_dotenv_wins_over_generated_and_environment_wins_over_dotenv(layout):
    prepare_environment(layout, {})
    (layout.project / ".env").write_text("REDIS_URL=redis://dotenv/0\nDATABASE_URL=postgres://dotenv/d\n")
    environment = {"DATABASE_URL": "postgres://environment/d"}

    load_environment(layout, environment)

    assert environment["DATABASE_URL"] == "postgres://environment/d"
    assert environment["REDIS_URL"] == "redis://dotenv/0"


def test_load_before_first_start_changes_nothing(layout):
    environment: dict[str, str] = {}

    load_environment(layout, environment)

    assert environment == {}
    assert list(layout.data.iterdir()) == []


def test_environment_file_forms_are_read(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# comment\n\nA=1\nexport B = two words \nC='quo#ted'\nD=\"\"\nE=a=b\n")

    assert read_environment_file(path) == {"A": "1", "B": "two words", "C": "quo#ted", "D": "", "E": "a=b"}


def test_environment_file_with_bad_line_is_refused_by_number_without_its_text(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\nhunter2\n")

    with pytest.raises(ConfigurationError, match="line 2 is not of the form NAME=value") as caught:
        read_environment_file(path)

    assert "hunter2" not in str(caught.value)


def test_generated_file_without_password_is_refused_by_name(layout):
    prepare_environment(layout, {})
    text = layout.environment_file.read_text().replace("SSM_POSTGRES_PASSWORD=", "SSM_OTHER=")
    layout.environment_file.write_text(text)

    with pytest.raises(ConfigurationError, match="SSM_POSTGRES_PASSWORD is missing"):
        load_environment(layout, {})


def test_access_does_not_show_passwords(layout):
    prepare_environment(layout, {})
    stored = read_environment_file(layout.environment_file)

    shown = repr(postgres_access(stored)) + repr(redis_access(stored))

    assert not [value for name, value in stored.items() if name.endswith("PASSWORD") and value in shown]


def test_unwritable_data_directory_is_told_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ServiceError, match=r"cannot be written: .+\. Correct its owner and rights"):
        prepare_environment(find_layout(tmp_path / "file" / "data", project=tmp_path), {})


def test_lock_held_by_another_process_is_told_with_its_id(layout):
    code = "import sys; from pathlib import Path; from ssm.services.layout import find_layout;"
    code += "from ssm.services.locks import hold_lock;"
    code += "hold_lock(find_layout(Path(sys.argv[1]))); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(layout.data)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"

        with pytest.raises(AlreadyRunning, match=rf"already runs in {layout.data} \(process {other.pid}\)"):
            hold_lock(layout)

        other.communicate(b"")
    hold_lock(layout)  # its death freed the lock
    hold_lock(layout)


def test_port_in_use_is_told_with_the_variable_to_change():
    with listening() as port, pytest.raises(PortInUse, match=rf"Port {port} .* in use .*SSM_HTTP_PORT=\d+"):
        require_free(port, "127.0.0.1", "SSM_HTTP_PORT")


def test_foreign_address_is_told_by_name():
    with pytest.raises(ServiceError, match=r"SSM_HTTP_HOST: 192\.0\.2\.1 is not an address of this machine"):
        is_free(8000, "192.0.2.1")


def test_free_port_is_free():
    assert is_free(free_port())


def test_reachable_stops_at_a_closed_directory(tmp_path):
    (tmp_path / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)

    assert not is_reachable(tmp_path / "closed" / "inner" / "not-there-yet")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_layout_as_root_below_a_closed_directory_keeps_servers_outside(tmp_path):
    tmp_path.chmod(0o700)

    layout = find_layout(tmp_path / "data", project=tmp_path)

    assert layout.account is not None
    assert layout.account.uid != 0
    assert not layout.servers.is_relative_to(tmp_path)
    assert is_reachable(layout.servers)
