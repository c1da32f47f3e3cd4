"""One host of the fleet: what a test can do to it, and what a person on it could do."""

import functools
import json
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

from tests.fleet.boot import Body
from tests.fleet.engine import EngineAccess
from tests.fleet.host_files import Secrets, make_host_files, sshd_settings, user_entries
from tests.fleet.inventory import HostEntry, HostStatus
from tests.fleet.layout import Layout
from tests.fleet.network import Network
from tests.fleet.packages import PODMAN, PackageCache
from tests.fleet.processes import end_process, executable, family, find_daemon, members, memory_kib
from tests.fleet.shell import read_file, run, wait_until, write_file

SOCKET = "/var/run/docker.sock"
KEY_TYPE = "ed25519"

_SSH_PROGRAMS = ("sshd",)
_ENGINE_PROGRAMS = ("dockerd", "podman")


class Host(EngineAccess):
    """A Docker (or podman) host with its own sshd, users, files and network, on 10.77.<net>.<10 + number>.

    All methods run on this machine and touch the host directly, not over SSH, so they work on a host that is cut off.
    """

    def __init__(
        self, layout: Layout, packages: PackageCache, network: Network, number: int, *, label: str = ""
    ) -> None:
        self.number = number
        name = f"h{number}"
        self.address = layout.host_address(number)
        self.directory = layout.hosts_directory / name
        super().__init__(name=name, label=label, control_group=layout.control_group(name), packages=packages)
        self._layout = layout
        self._packages = packages
        self._network = network
        self._notes_file = self.directory / "host.json"
        self._notes: dict[str, Any] = json.loads(read_file(self._notes_file, "{}"))
        self.body = Body(layout, packages, network, number=number, name=name, directory=self.directory)

    # -- what it is

    @property
    def engine(self) -> str:
        """Kind of its engine: 20, 26, 28 or podman; "" before it was made."""
        return str(self._notes.get("engine", ""))

    @property
    def hostname(self) -> str:
        """The name that it calls itself."""
        return str(self._notes.get("hostname", self.name))

    @property
    def ssh_mode(self) -> str:
        """Its current sshd configuration, one of SSH_MODES."""
        return str(self._notes.get("ssh_mode", "default"))

    def entry(self, shared: Secrets) -> HostEntry:
        """Its line of the inventory."""
        key = read_file(self._etc / "ssh" / f"ssh_host_{KEY_TYPE}_key.pub").split()
        return HostEntry(
            name=self.name,
            hostname=self.hostname,
            address=self.address,
            port=22,
            host_key=" ".join(key[:2]),
            engine=self.engine,
            product=str(self._notes.get("product", "")),
            version=str(self._notes.get("version", "")),
            api_version=str(self._notes.get("api_version", "")),
            socket=SOCKET,
            key_file=str(self._layout.key_file),
            user="op",
            password=shared.password,
            users=user_entries(shared.password),
            ssh_mode=self.ssh_mode,
            web=f"http://{self.address}:8080/",
            dir=str(self.directory),
            start_s=tuple(self._notes.get("start_s", ())),
        )

    def status(self) -> HostStatus:
        """What it does now."""
        known: dict[str, Any] = {
            "name": self.name,
            "hostname": self.hostname,
            "address": self.address,
            "engine": self.engine,
        }
        known["version"] = str(self._notes.get("version", ""))
        init = self.body.init
        if init is None:
            return HostStatus(**known, init=None)
        processes = family(init)
        states = {item["Names"][0].lstrip("/"): item["State"] for item in self.containers()} if self.ping() else None
        return HostStatus(
            **known,
            init=init,
            link="up" if self._network.is_connected(self.number) else "cut",
            ssh=find_daemon(init, "ssh", _SSH_PROGRAMS),
            engine_pid=find_daemon(init, "engine", _ENGINE_PROGRAMS),
            processes=len(processes),
            memory_mb=round(sum(memory_kib(pid) for pid in processes) / 1024),
            own_memory_mb=round(sum(memory_kib(pid, "Pss_Anon") for pid in processes) / 1024),
            ssh_mode=self.ssh_mode,
            containers=states,
        )

    # -- its life

    def make(self, *, engine: str, hostname: str, shared: Secrets) -> None:
        """Have its files; engine and host name are chosen once."""
        if self._notes.get("made"):
            return
        self._notes.setdefault("engine", engine)
        self._notes.setdefault("hostname", hostname or self.name)
        make_host_files(
            *(self._layout, self._packages, self.directory),
            name=self.name,
            hostname=self.hostname,
            number=self.number,
            engine=self.engine,
            shared=shared,
        )
        self._make_key(self.directory / "etc" / "ssh", self.name)
        self._write_sshd_settings("default")
        self._notes["made"] = True
        self._save()

    def start(self) -> None:
        """Have it on, with sshd and an engine that answers."""
        fresh = self.body.init is None
        self.body.boot(engine=self.engine, hostname=self.hostname)
        self.start_ssh(wait=False)
        self.start_docker()
        if fresh and self.engine == PODMAN:  # what podman-restart.service does at boot
            self.exec(["podman", "start", "--all", "--filter", "restart-policy=always"], check=False)
        if self._network.is_connected(self.number):
            wait_until(self.has_ssh, 20, f"{self.name}'s sshd")

    def note_engine(self, started_s: tuple[float, ...] = ()) -> str:
        """Write down what the engine says about itself; returns product and version."""
        version = self.api("GET", "/version")
        components = {component["Name"] for component in version.get("Components") or []}
        self._notes["product"] = "podman" if "Podman Engine" in components else "docker"
        self._notes.update(version=version["Version"], api_version=version["ApiVersion"])
        if started_s:
            self._notes["start_s"] = [round(seconds, 2) for seconds in started_s]
        self._save()
        return f"{self._notes['product']} {version['Version']} (API {version['ApiVersion']})"

    def kill(self) -> None:
        """End it at once, as a power cut does; its files stay."""
        self.body.kill()

    def reboot(self) -> None:
        """End it at once and start it again, its data kept; returns when sshd and engine answer."""
        self.kill()
        self._network.up()
        self.start()

    def restore(self) -> None:
        """Bring it back to normal from whatever a test did: on, connected, first host key, sshd and engine running."""
        self.body.boot(engine=self.engine, hostname=self.hostname)
        if not self._network.is_connected(self.number):
            self.heal()
        if self._kept_key.exists() or self.ssh_mode != "default":
            self.kill_ssh()
            if self._kept_key.exists():
                for name in (f"ssh_host_{KEY_TYPE}_key", f"ssh_host_{KEY_TYPE}_key.pub"):
                    shutil.copy2(self._kept_key / name, self._etc / "ssh" / name)
                shutil.rmtree(self._kept_key)
            self._write_sshd_settings("default")
            self._save()
        self.start()

    # -- its cable

    def cut(self, *, silent: bool = False) -> None:
        """Pull its cable: packets vanish without a reset. `silent`: without "no route to host" as well."""
        self.body.require_init()
        self._network.cut(self.number, silent=silent)

    def heal(self) -> None:
        """Plug its cable in again."""
        self.body.require_init()
        self._network.heal(self.number)

    # -- its sshd

    def start_ssh(self, *, wait: bool = True) -> None:
        """Have sshd running; with `wait` until it greets."""
        if not find_daemon(self.body.require_init(), "ssh", _SSH_PROGRAMS):
            self.spawn("ssh", "/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config")
        if wait:
            wait_until(self.has_ssh, 20, f"{self.name}'s sshd")

    def kill_ssh(self, *, listener_only: bool = False) -> None:
        """Kill sshd and all its sessions, or the listener alone so that open sessions go on."""
        init = self.body.require_init()
        listener = find_daemon(init, "ssh", _SSH_PROGRAMS)
        sessions = [] if listener_only else [pid for pid in members(init) if executable(pid) in _SSH_PROGRAMS]
        for pid in [listener, *sessions]:
            if pid is not None:
                end_process(pid, functools.partial(_runs, pid, _SSH_PROGRAMS))

    def set_ssh_mode(self, mode: str) -> None:
        """Restart sshd with another configuration: default, no-streamlocal, kbdint, max1."""
        self.body.require_init()
        sshd_settings(mode)  # a wrong name fails before sshd is ended
        self.kill_ssh()
        self._write_sshd_settings(mode)
        self._save()
        self.start_ssh()

    def new_host_key(self) -> None:
        """Give it another host key, as a reinstalled server has; `restore` brings the first one back."""
        self.body.require_init()
        self.kill_ssh()
        place = self._etc / "ssh"
        if not self._kept_key.exists():
            self._kept_key.mkdir()
            for name in (f"ssh_host_{KEY_TYPE}_key", f"ssh_host_{KEY_TYPE}_key.pub"):
                shutil.copy2(place / name, self._kept_key / name)
        self._make_key(place, "new")
        self.start_ssh()

    def has_ssh(self) -> bool:
        """Whether sshd greets on port 22."""
        try:
            with socket.create_connection((self.address, 22), 2) as connection:
                connection.settimeout(2)
                return connection.recv(64).startswith(b"SSH-2.0")
        except OSError:
            return False

    # -- its engine

    def start_docker(self, *, wait: bool = True) -> None:
        """Have the engine running; with `wait` until it answers."""
        if not find_daemon(self.body.require_init(), "engine", _ENGINE_PROGRAMS):
            if self.engine == PODMAN:
                self.exec(
                    "mkdir -p /run/podman && ln -sfn podman/podman.sock /run/docker.sock; rm -f /run/podman/podman.sock"
                )
                self.spawn("engine", "podman system service --time=0 unix:///run/podman/podman.sock")
            else:
                self.exec(["rm", "-f", "/run/docker.pid", "/run/docker/containerd/containerd.pid"])
                self.spawn("engine", f"dockerd -H unix://{SOCKET}")
        if not wait:
            return
        wait_until(self.ping, 90, f"{self.name}'s engine")
        if self.engine == PODMAN:
            self.exec("chgrp docker /run/podman/podman.sock; chmod 660 /run/podman/podman.sock; chmod 755 /run/podman")

    def kill_docker(self, *, term: bool = False) -> None:
        """Crash the engine, or with `term` stop it in order. Containers end as that engine has it."""
        pid = find_daemon(self.body.require_init(), "engine", _ENGINE_PROGRAMS)
        if pid is not None:
            by = signal.SIGTERM if term else signal.SIGKILL
            end_process(pid, functools.partial(_runs, pid, _ENGINE_PROGRAMS), by=by, wait_s=30)

    def exec(self, command: str | list[str], *, check: bool = True, timeout_s: float = 60) -> str:
        """Run a command (a shell line, or words) as root inside the host and return its standard output."""
        words = ["sh", "-c", command] if isinstance(command, str) else command
        done = run(*self.body.command(*words), check=check, environment=self.body.environment(), timeout_s=timeout_s)
        return done.stdout

    def spawn(self, role: str, command: str) -> None:
        """Start a daemon that plays a role (ssh, engine, or a name of the test's own); its output goes to /var/log."""
        inner = f"echo $$ > /run/fleet/{role}.pid; exec {command}"
        self.exec(f"setsid sh -c '{inner}' </dev/null >>/var/log/{role}.log 2>&1 &")

    # -- inside

    @property
    def socket_path(self) -> Path:
        """The engine's socket as this machine reaches it."""
        return Path(f"/proc/{self.body.require_init()}/root/run/docker.sock")

    @property
    def _etc(self) -> Path:
        """Where its /etc is written: through the running host, else in its upper layer."""
        init = self.body.init
        return Path(f"/proc/{init}/root/etc") if init is not None else self.directory / "etc"

    @property
    def _kept_key(self) -> Path:
        return self.directory / "first_key"

    def _make_key(self, place: Path, comment: str) -> None:
        key = place / f"ssh_host_{KEY_TYPE}_key"
        for path in (key, key.with_name(key.name + ".pub")):
            path.unlink(missing_ok=True)
        run(
            *(self._packages.tool("ssh-keygen"), "-q", "-t", KEY_TYPE, "-N", "", "-C", comment, "-f", key),
            environment=self._packages.tool_environment(),
        )

    def _write_sshd_settings(self, mode: str) -> None:
        write_file(self._etc / "ssh" / "sshd_config", sshd_settings(mode))
        self._notes["ssh_mode"] = mode

    def _save(self) -> None:
        write_file(self._notes_file, json.dumps(self._notes), 0o600)


def _runs(pid: int, programs: tuple[str, ...]) -> bool:
    return executable(pid) in programs
