"""People at work: they act on containers, apply updates and back up, and keep books of what they asked for."""

import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.chaos.web import Caller, NoAnswer

_ACTS: Final = ("restart", "restart", "start", "stop", "stop", "pause", "unpause", "kill")
_LOOK_EVERY_S: Final = 0.5
_UPDATES: Final = ("1.0.0", "1.0.1", "1.1.0")


@dataclass(slots=True)
class Asked:
    """One act that somebody asked for; ``operation`` is empty where SSM refused it or never answered."""

    person: str
    kind: str
    target: str
    key: str
    asked_at: datetime
    operation: str = ""
    state: str = ""
    outcome: str = ""
    error: str = ""
    refused: str = ""


@dataclass(slots=True)
class Ledger:
    """What all of them asked for."""

    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, person: str, kind: str, target: str) -> Asked:
        """A new line."""
        line = Asked(person, kind, target, f"chaos-{uuid.uuid4().hex}", datetime.now(UTC))
        with self.lock:
            self.asked.append(line)
        return line


class Person:
    """Somebody who does one thing after the other, on an object that nobody else touches."""

    def __init__(self, name: str, caller: Caller, ledger: Ledger, chance: random.Random) -> None:
        self.name = name
        self.caller = caller
        self.ledger = ledger
        self.chance = chance
        self.problems: list[str] = []
        self.is_done = threading.Event()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def begin(self) -> None:
        """Go to work."""
        self._thread.start()

    def end(self, timeout_s: float) -> bool:
        """Finish what is under way; False when that does not come about in time."""
        self.is_done.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _live(self) -> None:
        while not self.is_done.is_set():
            try:
                self.act()
            except Exception as exc:  # their fault is a finding, not the end of the run
                self.problems.append(f"{self.name}: {type(exc).__name__}: {exc}")
            self.is_done.wait(self.chance.uniform(0.3, 2.0))

    def act(self) -> None:
        """One thing, to its end."""
        raise NotImplementedError

    def order(self, line: Asked, path: str, body: Any) -> bool:
        """Ask the API for it; whether it was taken."""
        answer = self.caller.order(path, body, line.key)
        if answer.status == 202:
            line.operation = answer.json["id"]
            return True
        line.refused = f"{answer.status} {answer.json.get('code', '')}"
        if answer.status != 409:
            raise RuntimeError(f"{line.kind} {line.target}: {answer.status} {answer.body[:300]!r}")
        return False

    def follow(self, line: Asked) -> None:
        """Look at an operation until it has ended."""
        while True:
            try:
                told = self.caller.get(f"/operations/{line.operation}")
            except NoAnswer:
                time.sleep(_LOOK_EVERY_S)
                continue
            line.state, line.outcome = told["state"], told["outcome"]
            line.error = (told["error"] or {}).get("message", "")
            if told["is_final"]:
                return
            if self.is_done.is_set() and (datetime.now(UTC) - line.asked_at).total_seconds() > 180:
                return
            time.sleep(_LOOK_EVERY_S)


class Operator(Person):
    """Starts, stops, pauses and kills one container."""

    def __init__(self, name: str, caller: Caller, ledger: Ledger, chance: random.Random, container: dict[str, Any]):
        super().__init__(name, caller, ledger, chance)
        self.container = container

    def act(self) -> None:
        """One act."""
        kind = self.chance.choice(_ACTS)
        line = self.ledger.enter(self.name, kind, self.container["name"])
        body = {"timeout_s": self.chance.randint(1, 3)} if kind in ("stop", "restart") else {}
        if self.order(line, f"/containers/{self.container['id']}/{kind}", body):
            self.follow(line)


class Keeper(Person):
    """Backs up one volume again and again."""

    def __init__(self, name: str, caller: Caller, ledger: Ledger, chance: random.Random, volume: dict[str, Any]):
        super().__init__(name, caller, ledger, chance)
        self.volume = volume

    def act(self) -> None:
        """One backup."""
        line = self.ledger.enter(self.name, "volume_backup", self.volume["name"])
        if self.order(line, f"/volumes/{self.volume['id']}/backup", {"consistency": "running"}):
            self.follow(line)
        self.is_done.wait(self.chance.uniform(1, 4))


class Updater(Person):
    """Moves one container from release to release, by the page, which knows no idempotency keys."""

    def __init__(self, name: str, caller: Caller, ledger: Ledger, chance: random.Random, container: dict[str, Any]):
        super().__init__(name, caller, ledger, chance)
        self.container = container
        self._release = 0

    def act(self) -> None:
        """One update."""
        self._release = (self._release + 1) % len(_UPDATES)
        line = self.ledger.enter(self.name, "update", self.container["name"])
        form = {"tag": _UPDATES[self._release], "confirmation": "", "stable_s": "1", "keep_old_s": "0"}
        try:
            answer = self.caller.submit("/updates/apply/", container=self.container["id"], **form)
        except NoAnswer:
            self._look_for(line)
        else:
            place = answer.headers.get("location", "")
            if answer.status != 302:
                raise RuntimeError(f"update page: status {answer.status}")
            if "/activity/" not in place:
                line.refused = place
                return
            line.operation = place.rstrip("/").rpartition("/")[2]
        if line.operation:
            self.follow(line)
        self.is_done.wait(self.chance.uniform(1, 4))

    def _look_for(self, line: Asked) -> None:
        """Whether it was taken although no answer came: a person looks at the list of operations."""
        time.sleep(2)
        while True:
            try:
                found = self.caller.get("/operations", container=self.container["id"], kind="update", limit="1")[
                    "items"
                ]
                break
            except NoAnswer:
                time.sleep(_LOOK_EVERY_S)
        if found and datetime.fromisoformat(found[0]["created_at"]) >= line.asked_at:
            line.operation = found[0]["id"]
        else:
            line.refused = "no answer, and not taken"
