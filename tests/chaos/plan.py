"""What will go wrong: rounds of faults, given by a seed alone."""

import random
from dataclasses import dataclass
from typing import Final

PROGRAMS: Final = ("postgres", "redis", "web", "worker", "transfers", "beat", "listener")
# Kinds of faults by what they hit, with the least and most seconds until they are healed (0: it heals itself).
PROGRAM_FAULTS: Final = {"killed": (0.0, 0.0), "frozen": (1.0, 5.0)}
HOST_FAULTS: Final = {
    "sshd killed": (0.0, 2.0),
    "sshd frozen": (1.0, 5.0),
    "engine killed": (0.0, 2.0),
    "engine frozen": (1.0, 5.0),
    "engine restarted": (0.0, 0.5),
    "power cut": (0.0, 1.0),
    "cable pulled": (1.0, 6.0),
    "link refused": (1.0, 5.0),
    "link silent": (1.0, 6.0),
    "link slow": (2.0, 6.0),
    "link lossy": (2.0, 6.0),
}
DISK_FAULTS: Final = {"full": (1.0, 4.0)}
DISK: Final = "disk"
# Long enough for a frozen worker to be given up for dead, so that it wakes up beside its successor.
LONG_FREEZE_S: Final = (17.0, 22.0)
_ONE_IN: Final = 8
MOST_AT_ONCE: Final = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: ``target`` is a program, `disk`, or `h1`, `h2`, … ; it begins ``after_s`` seconds
    into its round and is healed ``for_s`` later."""

    target: str
    kind: str
    after_s: float
    for_s: float

    def __str__(self) -> str:
        lasting = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.target} {self.kind}{lasting}"


def plan(seed: int, faults: int, hosts: int, most: int = MOST_AT_ONCE) -> list[tuple[Fault, ...]]:
    """Rounds of ``most`` faults at once or up to two less, on different targets, together as many as asked for."""
    chance = random.Random(seed)  # noqa: S311 - for variety, no secret
    targets = [*PROGRAMS, DISK, *(f"h{number}" for number in range(1, hosts + 1) for _ in range(6 // hosts or 1))]
    rounds: list[tuple[Fault, ...]] = []
    left = faults
    while left > 0:
        count = min(left, chance.randint(max(1, most - 2), most))
        chosen: list[str] = []
        while len(chosen) < count:
            target = chance.choice(targets)
            if target not in chosen:
                chosen.append(target)
        rounds.append(tuple(_fault(chance, target) for target in chosen))
        left -= count
    return rounds


def _fault(chance: random.Random, target: str) -> Fault:
    kinds = {DISK: DISK_FAULTS}.get(target, PROGRAM_FAULTS if target in PROGRAMS else HOST_FAULTS)
    kind = chance.choice(sorted(kinds))
    least, most = kinds[kind]
    if kind == "frozen" and target in ("worker", "transfers") and chance.randrange(_ONE_IN) == 0:
        least, most = LONG_FREEZE_S
    return Fault(target, kind, round(chance.uniform(0, 1.5), 2), round(chance.uniform(least, most), 2))
