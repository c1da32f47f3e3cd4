"""A whole fleet: hosts, bridge and registry, brought up together and taken down without a trace."""

import concurrent.futures
import contextlib
import functools
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.fleet.cgroups import controllers_with, remove_groups
from tests.fleet.contents import LOCAL_IMAGES, fill, plans_for_tests, pull_images, restore_states
from tests.fleet.errors import FleetError
from tests.fleet.host_files import Secrets
from tests.fleet.hosts import Host
from tests.fleet.inventory import HostEntry, Inventory
from tests.fleet.layout import home, make_layout
from tests.fleet.locks import hold_lock
from tests.fleet.network import Network
from tests.fleet.packages import BASE, ENGINES, PackageCache, require_directory, require_machine
from tests.fleet.processes import end_process, is_init, is_marked, marked
from tests.fleet.registry import Registry
from tests.fleet.shell import announce, read_file, run, wait_until, write_file

MOST_HOSTS = 200
_OWN_FILES = ("hosts", "registry", "keys", "state.json", "inventory.json")


class Fleet:
    """Real Docker hosts on this machine, in namespaces of their own; see the package's text for what they are.

    Two objects with the same directory are the same fleet, also in two processes: all state is on disk and in the
    kernel, and what must not happen twice at once is locked there.
    """

    def __init__(
        self,
        net: int | None = None,
        directory: str | Path | None = None,
        *,
        emit: Callable[[str], None] = announce,
    ) -> None:
        self.layout = make_layout(net, directory)
        self.packages = PackageCache(self.layout)
        self.network = Network(self.layout, self.packages)
        self.registry = Registry(self.layout, self.packages, self.network)
        self._emit = emit
        self._thread_lock = threading.RLock()
        self._depth = 0

    # -- looking

    @property
    def hosts(self) -> list[Host]:
        """The hosts that were made, on or off."""
        if not self.layout.hosts_directory.is_dir():
            return []
        names = [path.name for path in self.layout.hosts_directory.iterdir() if re.fullmatch(r"h\d+", path.name)]
        return [self._host(number) for number in sorted(int(name[1:]) for name in names)]

    def host(self, which: int | str, *, label: str = "") -> Host:
        """A host by number, by name (`h2`), by its own host name, or the first with an engine (`28`, `podman`).

        Raises FleetError when there is none.
        """
        wanted = str(which)
        for host in self.hosts:
            if wanted in (str(host.number), host.name, host.hostname):
                return self._host(host.number, label=label)
        for host in self.hosts:
            if host.engine == wanted:
                return self._host(host.number, label=label)
        raise FleetError(f"no host {wanted} in {self.layout.directory}")

    def inventory(self) -> Inventory:
        """Everything that a client needs to know; also written to `inventory.json`."""
        shared = self._secrets()
        found = Inventory(
            dir=str(self.layout.directory),
            net=self.layout.net,
            hosts=tuple(host.entry(shared) for host in self.hosts),
            registry=self.registry.entry(),
        )
        text = json.dumps(found.as_json(), indent=2) + "\n"
        write_file(self.layout.directory / "inventory.json", text, 0o600)
        return found

    def entry(self, which: int | str) -> HostEntry:
        """The inventory's line of one host, found as by `host`."""
        return self.host(which).entry(self._secrets())

    # -- up

    def prepare(self, engines: Sequence[str] = ENGINES) -> None:
        """Only fetch and unpack the packages for these engines."""
        require_machine()
        for what in dict.fromkeys((BASE, *engines)):
            self.packages.fetch(what)

    def up(
        self, engines: Sequence[str], *, hostnames: Sequence[str] = (), registry: bool = True, bare: bool = False
    ) -> Inventory:
        """Have one host per engine (`20`, `26`, `28`, `podman`), in this order, all answering.

        Hosts that are there keep what they are and have; a fleet never shrinks. `bare` hosts get no containers.
        Raises FleetError naming every host that failed.
        """
        require_machine()
        if not 1 <= len(engines) <= MOST_HOSTS:
            raise FleetError(f"{len(engines)} hosts: give 1 to {MOST_HOSTS}")
        unknown = sorted(set(engines) - set(ENGINES))
        if unknown:
            raise FleetError(f"engine {unknown[0]}: give one of {', '.join(ENGINES)}")
        with self.exclusive():
            require_directory(self.layout.directory)
            self.packages.fetch(BASE)
            self.network.require_free()
            wanted = [self._host(number) for number in range(1, len(engines) + 1)]
            for host, engine in zip(wanted, engines, strict=True):
                self.packages.fetch(host.engine or engine)
            shared = self._secrets()
            started = time.monotonic()
            self.network.up()
            if registry:
                self.registry.start()
            names = [*hostnames, *("" for _ in wanted)]
            for host, engine, name in zip(wanted, engines, names, strict=False):
                host.make(engine=engine, hostname=name, shared=shared)
            self._bring_up(wanted, registry=registry, bare=bare)
            self._emit(f"{len(wanted)} hosts in {time.monotonic() - started:.1f} s")
            return self.inventory()

    def restore(self, host: Host) -> None:
        """Bring a host back to normal from whatever a test did, its usual containers too.

        What was added stays, except what `Host.run` made under the host's label: that is removed.
        """
        host.restore()
        host.remove_runs()
        plans = plans_for_tests(self.layout.registry if self.registry.is_up() else "")
        fill(host, plans)
        restore_states(host, plans)

    def _bring_up(self, hosts: Sequence[Host], *, registry: bool, bare: bool) -> None:
        bring = functools.partial(self._bring_up_one, registry=registry, bare=bare)
        failures = []
        with concurrent.futures.ThreadPoolExecutor(min(16, 2 * max(2, os.cpu_count() or 2))) as executor:
            for host, future in [(host, executor.submit(bring, host)) for host in hosts]:
                try:
                    future.result()
                except (FleetError, OSError) as error:
                    failures.append(f"{host.name}: {error}")
        if failures:
            raise FleetError("; ".join(failures))

    def _bring_up_one(self, host: Host, *, registry: bool, bare: bool) -> None:
        began = time.monotonic()
        fresh = host.body.init is None
        host.start()
        engine_s = time.monotonic() - began
        if not bare:
            host.load(*LOCAL_IMAGES)
            if registry:
                pull_images(host, self.layout.registry)
            fill(host, plans_for_tests(self.layout.registry if registry else ""))
        whole_s = time.monotonic() - began
        what = host.note_engine((engine_s, whole_s) if fresh else ())
        self._emit(
            f"{host.hostname} {host.address} {what}: engine after {engine_s:.1f} s, complete after {whole_s:.1f} s"
        )

    # -- down

    def down(self, *, keep: bool = False, purge: bool = False) -> None:
        """End and remove everything of this fleet, also what a crash left.

        With `keep` the hosts' files stay for the next `up`; with `purge` the package cache goes too, unless another
        fleet of this machine uses it. Raises FleetError when something is still mounted; then nothing is deleted.
        """
        require_machine()
        with self.exclusive():
            for host in self.hosts:
                host.kill()
            self.registry.stop()
            self._end_stray()
            self.network.down()
            if not self.network.other_owner():
                remove_groups(self.layout.control_group())
            notes = self._notes()
            if notes and not notes.get("libpod_parent"):  # podman's default parent, absent before this fleet
                remove_groups("libpod_parent")
            wait_until(lambda: not self.mounts(), 5, f"end of mounts below {self.layout.directory}")
            for name in () if keep else _OWN_FILES:
                _remove(self.layout.directory / name)
            if not keep:
                self._remove_directories(purge=purge)
        self._emit("down")

    def mounts(self) -> list[str]:
        """Mount points of this machine that lie in the fleet's directory."""
        places = [line.split()[4] for line in read_file(Path("/proc/self/mountinfo")).splitlines()]
        return [place for place in places if place.startswith(f"{self.layout.directory}/")]

    def _end_stray(self) -> None:
        """End what a crash in the middle may have left: hosts without a directory, parents that wait for them."""
        left = marked(self.layout)
        for name, pids in left.items():
            for number in re.findall(r"^h(\d+)$", name):
                self._host(int(number)).kill()
            inits = [pid for pid in pids if is_init(self.layout, pid, name)]
            for pid in [*inits, *pids]:
                end_process(pid, functools.partial(is_marked, self.layout, pid, name))

    def _remove_directories(self, *, purge: bool) -> None:
        _remove(self.layout.directory / ".fleet")
        with contextlib.suppress(OSError):  # holds something that is not ours
            self.layout.directory.rmdir()
        others = [path for path in home().glob("*/.fleet") if path.parent != self.layout.directory]
        if purge and not others:
            with hold_lock(self.layout.cache / ".lock"):  # nobody is unpacking into it
                _remove(self.layout.cache)
        with contextlib.suppress(OSError):
            home().rmdir()

    # -- inside

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold this fleet's lock, against other processes and threads; the same thread may nest it.

        Raises FleetError when the directory holds things that are not a fleet's.
        """
        with self._thread_lock:
            if self._depth:
                yield
                return
            place = self.layout.directory
            place.mkdir(parents=True, exist_ok=True)
            if any(place.iterdir()) and not (place / ".fleet").exists():
                raise FleetError(f"{place} holds other things: give an empty or new directory")
            with hold_lock(place / ".fleet"):
                self._depth = 1
                try:
                    yield
                finally:
                    self._depth = 0

    def _host(self, number: int, *, label: str = "") -> Host:
        return Host(self.layout, self.packages, self.network, number, label=label)

    def _notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = json.loads(read_file(self.layout.directory / "state.json", "{}"))
        return notes

    def _secrets(self) -> Secrets:
        """Password and key of this fleet, made on first use."""
        notes = self._notes()
        if "hash" not in notes:
            key = self.layout.key_file
            key.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            if not key.with_suffix(".pub").exists():
                key.unlink(missing_ok=True)
                run(
                    *(self.packages.tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", key),
                    environment=self.packages.tool_environment(),
                )
            password = secrets.token_urlsafe(12)
            # Perl, as Python's own crypt module is gone from 3.13 on.
            program = 'chomp($p=<STDIN>); print crypt($p, "\\$6\\$" . $ARGV[0] . "\\$")'
            notes = {
                "password": password,
                "hash": run("perl", "-e", program, secrets.token_hex(6), text=password + "\n").stdout,
                "public_key": key.with_suffix(".pub").read_text().strip(),
                "libpod_parent": controllers_with("libpod_parent"),
            }
            write_file(self.layout.directory / "state.json", json.dumps(notes), 0o600)
        return Secrets(password=notes["password"], password_hash=notes["hash"], public_key=notes["public_key"])


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
