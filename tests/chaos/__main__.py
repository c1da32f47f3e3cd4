"""Run chaos: `python -m tests.chaos --faults 20 --seed 1`. The last line is one JSON object."""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any, Final

from tests.chaos.harm import Harm, Place
from tests.chaos.links import Links
from tests.chaos.plan import MOST_AT_ONCE, plan
from tests.chaos.stack import Stack
from tests.fleet import Fleet, net_from_environment

CHAOS_NET: Final = 178
_ENGINES: Final = ("28", "26", "20")
_FINISH_S: Final = 90
# Of a round that took longer it is told what was waited for.
_TOLD_FROM_S: Final = 10.0
# Growth from the first whole state to the last that caches and pools do not explain.
_MOST_KIB: Final = 60 * 1024
_MOST_FILES: Final = 60


def main() -> int:
    """0 when everything converged and adds up."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=2, choices=(1, 2, 3))
    parser.add_argument("--at-once", type=int, default=MOST_AT_ONCE, choices=range(1, 8), metavar="N", help="most")
    parser.add_argument("--within", type=float, default=30.0, metavar="S", help="whole again after so many seconds")
    parser.add_argument("--minutes", type=float, default=0.0, metavar="M", help="begin no round after so many; 0: all")
    parser.add_argument("--keep-log", action="store_true", help="leave SSM's output in a file and say where")
    options = parser.parse_args()
    fleet = Fleet(net_from_environment(CHAOS_NET))
    stack = Stack()
    links = Links()
    try:
        fleet.up(_ENGINES[: options.hosts], bare=True)
        stack.start()
        os.environ["DJANGO_SETTINGS_MODULE"] = "ssm.settings"
        import django

        django.setup()
        result, is_well = _run(fleet, stack, links, options)
    finally:
        stack.stop(keep_log=options.keep_log)
        links.close()
        if os.environ.get("FLEET_KEEP", "") in ("", "0"):
            fleet.down()
    if options.keep_log:
        say(f"SSM's own output: {stack.log}")
    print(json.dumps(result), flush=True)
    return 0 if is_well else 1


def say(text: str) -> None:
    """Tell whoever looks on."""
    print(text, flush=True)


def _run(fleet: Fleet, stack: Stack, links: Links, options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    from django.db import connections

    from tests.chaos.books import Books, compare_backups, compare_hosts, compare_operations, compare_starts
    from tests.chaos.converging import Judge
    from tests.chaos.readers import wait_for
    from tests.chaos.scene import USER, compose

    places = [Place(host, links.add(host.address, options.seed + host.number)) for host in fleet.hosts[: options.hosts]]
    scene = compose(fleet, places, stack.port, options.seed)
    scene.readers.begin()
    for person in scene.people:
        person.begin()
    if not wait_for(scene.readers, 30):
        raise RuntimeError("the logs are not shown")
    judge = Judge(scene.judge, scene.probes, scene.readers)
    first = judge.wait()
    say(f"before any fault: whole after {first.seconds:.1f} s")
    footprint = stack.footprint()
    harm = Harm(stack, links, {place.name: place for place in places})
    done = converged = 0
    slowest_s = 0.0
    over = _ending(options.minutes)
    for number, faults in enumerate(plan(options.seed, options.faults, options.hosts, options.at_once), 1):
        if over.is_set():
            say("no more rounds are begun")
            break
        harm.round(faults)
        look = judge.wait()
        done += len(faults)
        is_in_time = not look.missing and look.seconds <= options.within
        converged += len(faults) if is_in_time else 0
        slowest_s = max(slowest_s, look.seconds)
        verdict = f"whole after {look.seconds:.1f} s" if not look.missing else "NOT WHOLE"
        if look.seconds > _TOLD_FROM_S:
            verdict += f", at last: {'; '.join(look.lately)[:600]}"
        say(f"{number:4} {', '.join(str(fault) for fault in faults)}: {verdict}{'' if is_in_time else '  <<<'}")
    books = Books()
    deadline = time.monotonic() + _FINISH_S
    for person in scene.people:
        person.is_done.set()
    for person in scene.people:
        if not person.end(max(1.0, deadline - time.monotonic())):
            books.stuck.append(f"{person.name} still waits for an end")
    scene.readers.end()
    connections.close_all()  # opened before PostgreSQL was killed
    operations = compare_operations(scene.ledger.asked, [USER], books)
    compare_starts(scene.ledger.asked, scene.counters, harm.endings, books)
    compare_hosts(scene.devices, scene.wanted, books, 30)
    backups = compare_backups(scene.vaults, books, 60)
    lines = 0
    for reader in scene.readers.all:
        seen, lost, doubled, where = reader.compare()
        lines += seen
        books.lost += where if lost else []
        books.doubled += where if doubled else []
    grown = _growth(footprint, stack.footprint())
    states: dict[str, int] = {}
    for line in scene.ledger.asked:
        word = line.state or ("refused" if line.refused else "unanswered")
        states[word] = states.get(word, 0) + 1
    say(f"asked for: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}")
    say(f"{backups} backups, {lines} log lines read by {len(scene.readers.all)} readers")
    failures = Counter(_pattern(line.error) for line in scene.ledger.asked if line.state == "failed")
    for text, count in failures.most_common(12):
        say(f"{count:4} failed: {text}")
    findings = [
        *(f"lost: {text}" for text in books.lost),
        *(f"doubled: {text}" for text in books.doubled),
        *(f"stuck: {text}" for text in books.stuck),
        *(f"rows differ: {text}" for text in books.differing),
        *(f"grown: {text}" for text in grown),
        *(f"people: {text}" for person in scene.people for text in person.problems),
        *(f"fault not done: {text}" for text in harm.failures),
        *(f"defect: {text}" for text in failures if "SSM failed" in text),
    ]
    for text in findings:
        say(text)
    result = {
        "faults": done,
        "converged": converged,
        "slowest_s": round(slowest_s, 1),
        "operations": operations,
        "lost": len(books.lost),
        "doubled": len(books.doubled),
        "stuck": len(books.stuck),
    }
    return result, converged == done and not findings


def _ending(minutes: float) -> threading.Event:
    """Set once the time is over, or somebody presses Ctrl-C: then the books are compared."""
    over = threading.Event()
    signal.signal(signal.SIGINT, lambda _number, _frame: over.set())
    if minutes:
        timer = threading.Timer(minutes * 60, over.set)
        timer.daemon = True
        timer.start()
    return over


def _pattern(text: str) -> str:
    """A message without what differs from one time to the next."""
    return re.sub(r"[0-9a-f]{12,}|[0-9]+", "…", text)[:300]


def _growth(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> list[str]:
    say(
        "memory (MB) and open files: "
        + ", ".join(
            f"{name} {before[name][0] // 1024}→{kib // 1024}, {before[name][1]}→{files}"
            for name, (kib, files) in after.items()
            if name in before
        )
    )
    return [
        f"{name}: {kib // 1024} MB and {files} files, at first {before[name][0] // 1024} and {before[name][1]}"
        for name, (kib, files) in after.items()
        if name in before and (kib - before[name][0] > _MOST_KIB or files - before[name][1] > _MOST_FILES)
    ]


if __name__ == "__main__":
    sys.exit(main())
