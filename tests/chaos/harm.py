"""Faults, done and healed."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tests.chaos.links import GOOD, QUALITIES, Link, Links
from tests.chaos.plan import DISK, PROGRAMS, Fault
from tests.chaos.stack import Stack, signal_all
from tests.fleet import Host
from tests.fleet.processes import executable, family, find_daemon, members

_ENGINES: Final = ("dockerd", "podman")
_END_CONTAINERS: Final = frozenset({"engine killed", "engine restarted", "power cut"})


@dataclass(frozen=True, slots=True)
class Place:
    """A host and the link to it."""

    host: Host
    link: Link

    @property
    def name(self) -> str:
        """`h1`, `h2`, …"""
        return self.host.name


@dataclass(slots=True)
class Harm:
    """Does what a plan says to a stack and its hosts."""

    stack: Stack
    links: Links
    places: dict[str, Place]
    failures: list[str] = field(default_factory=list)
    # When a host's containers were ended under its engine: place, time.
    endings: list[tuple[str, datetime]] = field(default_factory=list)

    def round(self, faults: tuple[Fault, ...]) -> None:
        """All faults of a round, each in its time; returns once the last is healed."""
        threads = [threading.Thread(target=self._suffer, args=(fault,), name=str(fault)) for fault in faults]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _suffer(self, fault: Fault) -> None:
        time.sleep(fault.after_s)
        try:
            heal = self._do(fault)
            time.sleep(fault.for_s)
            heal()
        except Exception as exc:  # a fault that could not be done must not end the run, but is told
            self.failures.append(f"{fault}: {type(exc).__name__}: {exc}")

    def _do(self, fault: Fault) -> Callable[[], object]:
        """Begin it; the value ends it."""
        if fault.target == DISK:
            self.stack.fill()
            return self.stack.free
        if fault.target in PROGRAMS:
            return self._do_to_program(fault)
        return self._do_to_host(fault, self.places[fault.target])

    def _do_to_program(self, fault: Fault) -> Callable[[], object]:
        if fault.kind == "killed":
            self.stack.send(fault.target, signal.SIGKILL, to_all=False)
            return _nothing
        frozen = self.stack.send(fault.target, signal.SIGSTOP, to_all=True)
        return lambda: signal_all(frozen, signal.SIGCONT)

    def _do_to_host(self, fault: Fault, place: Place) -> Callable[[], object]:
        host = place.host
        if fault.kind in QUALITIES:
            self.links.become(place.link, QUALITIES[fault.kind])
            return lambda: self.links.become(place.link, GOOD)
        if fault.kind == "cable pulled":
            host.cut(silent=True)
            return host.heal
        if fault.kind == "sshd killed":
            host.kill_ssh()
            return host.start_ssh
        if fault.kind in _END_CONTAINERS:
            self.endings.append((place.name, datetime.now(UTC)))
        if fault.kind in ("engine killed", "engine restarted"):
            host.kill_docker(term=fault.kind == "engine restarted")
            return host.start_docker
        if fault.kind == "power cut":
            host.kill()
            return host.reboot
        init = host.body.require_init()
        if fault.kind == "sshd frozen":
            frozen = [pid for pid in members(init) if executable(pid) == "sshd"]
        else:
            engine = find_daemon(init, "engine", _ENGINES)
            # Not the containers themselves: containerd's shims are no children of the engine.
            frozen = family(engine) if engine is not None else []
        signal_all(frozen, signal.SIGSTOP)
        return lambda: signal_all(frozen, signal.SIGCONT)


def _nothing() -> None:
    """It heals itself."""
