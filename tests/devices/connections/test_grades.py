"""The recipes of the least-privilege kit, set up on real hosts as they are shown: what works then, and what not."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.connections import Engine, open_engine
from devices.connections.access import look_at_access
from devices.errors import DeviceError, EngineError
from devices.rules.grades import ABILITIES, Grade, abilities_up_to
from devices.rules.recipes import (
    PROXY_FILE,
    PROXY_SOCKET,
    HostFacts,
    authorized_keys,
    dial_command,
    proxy_configuration,
    sshd_lines,
    sudoers_line,
)
from devices.rules.targets import ConnectionTarget, TlsSettings
from devices.ssh.session import ChannelRefused, open_session
from tests.devices.certificates import Authority
from tests.devices.targets import by_key, target_of
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import LeaseHost
from tests.fleet.packages import HAPROXY
from tests.fleet.shell import wait_until

USER = "plain"
ALL = {ability.key for ability in ABILITIES}


def _facts(fleet: Fleet, **changes: str) -> HostFacts:
    line = fleet.layout.key_file.with_suffix(".pub").read_text().split()
    return HostFacts(USER, " ".join(line[:2]), **changes)


@contextlib.contextmanager
def _let_in(host: Host, facts: HostFacts, socket: str, command: str = "") -> Iterator[None]:
    """Only by what the recipe's lines allow: the user's keys and settings are the recipe's own."""
    kept = host.exec("cat /etc/ssh/sshd_config")
    host.exec(f"cat > /etc/ssh/{USER}_keys <<'END'\n{authorized_keys(facts, command)}\nEND")
    lines = sshd_lines(facts, socket).replace("Match all", f"    AuthorizedKeysFile /etc/ssh/{USER}_keys\nMatch all")
    _configure(host, kept + lines)
    try:
        yield
    finally:
        _configure(host, kept)


def _configure(host: Host, text: str) -> None:
    host.exec(f"cat > /etc/ssh/sshd_config <<'END'\n{text}\nEND")
    host.exec(["/usr/sbin/sshd", "-t", "-f", "/etc/ssh/sshd_config"])
    host.kill_ssh()
    host.start_ssh()


@contextlib.contextmanager
def _proxy(fleet: Fleet, host: Host, grade: Grade, facts: HostFacts) -> Iterator[None]:
    """HAProxy with the recipe's file, run as by the recipe's unit: of the group docker, its own socket for our user."""
    programs = fleet.packages
    programs.fetch(HAPROXY)
    inside = Path(f"/proc/{host.body.require_init()}/root/usr/local")
    for folder in ("sbin", "lib"):
        (inside / folder).mkdir(exist_ok=True)
    shutil.copy2(programs.usr(HAPROXY) / "sbin" / "haproxy", inside / "sbin")
    for library in (programs.usr(HAPROXY) / "lib").glob("*-linux-gnu*/*.so.*"):
        shutil.copy2(library, inside / "lib")
    host.exec(f"ldconfig; mkdir -p /etc/haproxy/ssm /run/ssm-docker; cat > {PROXY_FILE} <<'END'\n"
              f"{proxy_configuration(grade, facts)}\nEND")  # fmt: skip
    host.exec(f"chown 52009:{USER} /run/ssm-docker; chmod 750 /run/ssm-docker; rm -f {PROXY_SOCKET}")
    host.exec(["haproxy", "-c", "-f", PROXY_FILE])
    host.spawn(
        "proxy",
        f"setpriv --reuid 52009 --regid {USER} --groups docker /usr/local/sbin/haproxy -db -f {PROXY_FILE}",
    )
    try:
        wait_until(lambda: _answers(host, facts), 10, "the proxy")
        yield
    finally:
        host.exec(f"kill $(cat /run/fleet/proxy.pid); rm -rf /run/ssm-docker {PROXY_FILE}", check=False)


def _answers(host: Host, facts: HostFacts) -> bool:
    if facts.transport == "tls":
        return "LISTEN" in host.exec("ss -ltn | grep :2376 || true")
    return host.exec(f"test -S {PROXY_SOCKET} && echo yes || true").strip() == "yes"


def _target(fleet: Fleet, host: Host, **changes: object) -> ConnectionTarget:
    return replace(target_of(fleet, host, by_key(fleet, USER)), **changes)


def _refused(engine: Engine, method: str, path: str, body: object = None) -> int:
    with pytest.raises(EngineError) as caught:
        engine.stream(path, read_timeout_s=5, method=method, body=body).close()
    return caught.value.engine_status


@pytest.mark.parametrize("which", ["28", "podman"])
def test_watch_only_sees_all_and_changes_nothing(fleet: Fleet, lease_host: LeaseHost, which: str) -> None:
    host = lease_host(which, exclusive=True)
    facts = _facts(fleet)
    container = host.run("grade-watch", "test/lines", env={"COUNT": "3", "HOLD": "1"})

    with _let_in(host, facts, PROXY_SOCKET), _proxy(fleet, host, Grade.WATCH, facts):
        with pytest.raises(DeviceError):  # the engine's own socket is out of reach
            open_engine(_target(fleet, host))
        engine = open_engine(_target(fleet, host, socket_path=PROXY_SOCKET))
        try:
            access, kind = look_at_access(engine), engine.channel_kind
            listed = {entry["Id"] for entry in engine.get_json("/containers/json")}
            with engine.stream(f"/containers/{container}/logs", {"stdout": "1"}, read_timeout_s=10) as stream:
                logs = b"".join(stream)
            statuses = {
                _refused(engine, "POST", f"/containers/{container}/stop"),
                _refused(engine, "DELETE", f"/containers/{container}"),
                _refused(engine, "POST", "/containers/create", {"Image": "test/lines:1.0.0"}),
                _refused(engine, "POST", f"/containers/{container}/exec", {"Cmd": ["true"]}),
                _refused(engine, "GET", f"/containers/{container}/export"),
                _refused(engine, "GET", f"/images/x/../../containers/{container}/json"),
                _refused(engine, "GET", f"/containers/{container}/attach/ws"),
                _refused(engine, "POST", f"/containers/json/../{container}/stop"),
            }
        finally:
            engine.close()

    assert access.grade is Grade.WATCH
    assert set(access.abilities) == {ability.key for ability in abilities_up_to(Grade.WATCH)}
    assert access.runs_commands
    assert kind == "streamlocal"
    assert container in listed
    assert b"line 3" in logs
    assert statuses == {403}
    assert host.api("GET", f"/containers/{container}/json")["State"]["Running"]


def test_operate_restarts_containers_and_makes_none(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28", exclusive=True)
    facts = _facts(fleet)
    container = host.run("grade-operate", "test/exit", env={"DELAY": "3600"})
    started = host.api("GET", f"/containers/{container}/json")["State"]["StartedAt"]

    with _let_in(host, facts, PROXY_SOCKET), _proxy(fleet, host, Grade.OPERATE, facts):
        engine = open_engine(_target(fleet, host, socket_path=PROXY_SOCKET))
        try:
            access = look_at_access(engine)
            engine.post(f"/containers/{container}/restart", {"t": 0})
            statuses = {
                _refused(engine, "DELETE", f"/containers/{container}"),
                _refused(engine, "POST", "/containers/create", {"Image": "test/exit:1.0.0"}),
                _refused(engine, "POST", f"/containers/{container}/exec", {"Cmd": ["true"]}),
                _refused(engine, "POST", f"/containers/{container}/update", {}),
                _refused(engine, "PUT", f"/containers/{container}/archive"),
            }
        finally:
            engine.close()

    assert access.grade is Grade.OPERATE
    assert set(access.abilities) == {ability.key for ability in abilities_up_to(Grade.OPERATE)}
    assert statuses == {403}
    assert host.api("GET", f"/containers/{container}/json")["State"]["StartedAt"] > started


def test_everything_by_the_group_with_a_key_that_opens_sockets_alone(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28", exclusive=True)
    facts = _facts(fleet)
    kept = host.exec("cat /etc/group")

    with _let_in(host, facts, facts.engine_socket):
        host.exec(f"sed -i 's/^docker:.*/&,{USER}/' /etc/group")
        try:
            engine = open_engine(_target(fleet, host))
            access = look_at_access(engine)
            engine.close()
            session = open_session(_target(fleet, host))
            for attempt in (
                lambda: session.open_tcp("127.0.0.1", 22, 5),
                lambda: session.open_socket("/run/another.sock", 5),
            ):
                with pytest.raises(ChannelRefused):
                    attempt()
            session.close()
        finally:
            host.exec(f"cat > /etc/group <<'END'\n{kept.rstrip()}\nEND")

    assert (access.grade, set(access.abilities)) == (Grade.EVERYTHING, ALL)
    assert engine.channel_kind == "streamlocal"


def test_everything_by_sudo_for_one_command(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28", exclusive=True)
    facts = _facts(fleet)

    host.exec(f"cp /etc/sudoers /etc/sudoers.kept; cat >> /etc/sudoers <<'END'\n{sudoers_line(facts)}END")
    try:
        host.exec(["visudo", "-c", "-f", "/etc/sudoers"])
        with _let_in(host, facts, facts.engine_socket):
            engine = open_engine(_target(fleet, host, become="sudo"))
            access = look_at_access(engine)
            other = engine.run_program(["sudo", "-n", "id"], 5)
            engine.close()
    finally:
        host.exec("mv /etc/sudoers.kept /etc/sudoers")

    assert access.grade is Grade.EVERYTHING
    assert engine.channel_kind == "dial-stdio-sudo"
    assert other.status != 0
    assert "uid=0" not in other.output


def test_everything_by_a_key_that_can_do_nothing_else(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28", exclusive=True)
    facts = _facts(fleet)
    kept = host.exec("cat /etc/group")

    with _let_in(host, facts, facts.engine_socket, dial_command(facts)):
        host.exec(f"sed -i 's/^docker:.*/&,{USER}/' /etc/group")
        try:
            engine = open_engine(_target(fleet, host, forced_channel_kind="dial-stdio"))
            access = look_at_access(engine)
            engine.close()
        finally:
            host.exec(f"cat > /etc/group <<'END'\n{kept.rstrip()}\nEND")

    assert access.grade is Grade.EVERYTHING
    assert not access.runs_commands


def test_watch_only_over_tls(fleet: Fleet, lease_host: LeaseHost) -> None:
    host = lease_host("28", exclusive=True)
    facts, authority = _facts(fleet, transport="tls"), Authority()
    server, client = authority.server(host.address), authority.client()
    host.exec(f"mkdir -p /etc/haproxy/ssm; cat > /etc/haproxy/ssm/ca.pem <<'END'\n{authority.pem}END")
    host.exec(f"cat > /etc/haproxy/ssm/server.pem <<'END'\n{server.certificate}{server.key}END")
    settings = TlsSettings(authority.pem, client.certificate, client.key)
    target = _target(fleet, host, transport="tls", port=2376, tls=settings)

    with _proxy(fleet, host, Grade.WATCH, facts):
        engine = open_engine(target)
        access = look_at_access(engine)
        engine.close()
        with pytest.raises(DeviceError, match="client certificate"):
            open_engine(replace(target, tls=TlsSettings(authority.pem)))

    assert access.grade is Grade.WATCH
    assert not access.runs_commands
