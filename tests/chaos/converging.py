"""Whether everything is whole again after faults, seen from outside: as users and hosts see it."""

import contextlib
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.chaos.harm import Place
from tests.chaos.readers import Readers
from tests.chaos.web import Caller, NoAnswer

# A run goes on after that time, whatever is not whole yet.
_GIVES_UP_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Probes:
    """Containers of a host that nobody uses: one that the host itself changes, one that SSM acts on."""

    place: Place
    marker: dict[str, Any]
    bell: dict[str, Any]


@dataclass(slots=True)
class Look:
    """How long it took, what is missing still, and what was missing last."""

    seconds: float
    missing: list[str] = field(default_factory=list)
    lately: list[str] = field(default_factory=list)


class Judge:
    """Asks, after each round, everything that has to be so again."""

    def __init__(self, caller: Caller, probes: list[Probes], readers: Readers) -> None:
        self._caller = caller
        self._probes = probes
        self._readers = readers

    def wait(self) -> Look:
        """Wait until all is whole; gives up after some minutes."""
        began, moment = time.monotonic(), datetime.now(UTC)
        wanted = {probe.marker["id"]: self._flip(probe) for probe in self._probes}
        rings = [_Ring(self._caller, probe.bell) for probe in self._probes]
        missing = lately = ["not looked at"]
        while missing:
            try:
                missing = self._missing(moment, wanted, rings)
            except NoAnswer as exc:
                missing = [str(exc)]
            seconds = time.monotonic() - began
            lately = missing or lately
            if not missing or seconds > _GIVES_UP_S:
                break
            time.sleep(_LOOK_EVERY_S)
        for ring in rings:
            ring.give_up()
        return Look(seconds, missing, lately)

    def _flip(self, probe: Probes) -> str:
        """Have the host itself start or stop the marker; the state that SSM has to show."""
        host, engine_id = probe.place.host, probe.marker["engine_id"]
        is_running = host.api("GET", f"/containers/{engine_id}/json")["State"]["Running"]
        host.api("POST", f"/containers/{engine_id}/{'stop?t=1' if is_running else 'start'}")
        return "exited" if is_running else "running"

    def _missing(self, moment: datetime, wanted: dict[str, str], rings: list["_Ring"]) -> list[str]:
        if self._caller.page("/readyz").status != 200:
            return ["the web process is not ready"]
        missing = [
            f"{entry['name']} is {entry['state']}{' (stale)' if entry['is_stale'] else ''}, not {wanted[entry['id']]}"
            for entry in self._caller.get("/containers", q="marker-", limit="100")["items"]
            if entry["id"] in wanted and (entry["state"] != wanted[entry["id"]] or entry["is_stale"])
        ]
        missing += [ring.standing for ring in rings if not ring.is_done.is_set()]
        missing += [
            f"{entry['kind']} of {entry['target']} is {entry['state']}: {entry['progress']}"
            for entry in self._caller.get("/operations", state="active", limit="200")["items"]
            if datetime.fromisoformat(entry["created_at"]) < moment
        ]
        missing += [f"log of {name}" for name in self._readers.are_fresh(moment.timestamp())]
        return missing


class _Ring:
    """An act that has to succeed soon: whose operation failed because of what had been asks again, as people do."""

    def __init__(self, caller: Caller, bell: dict[str, Any]) -> None:
        self._caller = caller
        self._bell = bell
        self._is_over = False
        self.is_done = threading.Event()
        self.standing = f"{bell['name']} was not acted on"
        threading.Thread(target=self._try, name=f"ring {bell['name']}", daemon=True).start()

    def give_up(self) -> None:
        """Ask no more."""
        self._is_over = True

    def _try(self) -> None:
        name = self._bell["name"]
        while not self._is_over:
            with contextlib.suppress(NoAnswer):
                answer = self._caller.order(
                    f"/containers/{self._bell['id']}/restart", {"timeout_s": 1}, f"ring-{uuid.uuid4().hex}"
                )
                told = answer.json
                if answer.status != 202:
                    self.standing = f"{name}: {told.get('message', answer.status)}"
                else:
                    told = self._follow(told["id"])
                    if told.get("state") == "succeeded":
                        self.is_done.set()
                        return
                    self.standing = f"{name}: restart {told.get('state')}: {(told.get('error') or {}).get('message')}"
            time.sleep(_LOOK_EVERY_S)

    def _follow(self, operation: str) -> Any:
        told: dict[str, Any] = {}
        while not self._is_over and not told.get("is_final"):
            time.sleep(_LOOK_EVERY_S)
            with contextlib.suppress(NoAnswer):
                told = self._caller.get(f"/operations/{operation}")
                self.standing = f"{self._bell['name']}: restart is {told['state']}"
        return told
