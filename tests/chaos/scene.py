"""Hosts with what people work on, their rows in SSM, and the people."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.chaos.converging import Probes
from tests.chaos.harm import Place
from tests.chaos.people import Keeper, Ledger, Operator, Person, Updater
from tests.chaos.readers import Reader, Readers
from tests.chaos.web import Caller, NoAnswer
from tests.fleet import Fleet, ImageRecipe

USER: Final = "people"
JUDGE: Final = "judge"
# Writes down each start, so that an act that was done twice can be told.
COUNTER: Final = ImageRecipe(
    "test/counter",
    """#!/bin/sh
trap 'exit 0' TERM INT
echo start >> /data/starts
while :; do sleep 3600 & wait $!; done
""",
)
_FILL: Final = r"""cd "$1"; chown 33:44 .; mkdir -p sub/deep; echo hi > sub/a; chmod 640 sub/a; ln sub/a sub/hard
ln -s ../gone sub/link; head -c 300000 /dev/urandom > blob; : > empty; head -c 400000 /dev/zero > zeros
i=0; while [ $i -lt 60 ]; do echo $i > sub/deep/$i; i=$((i+1)); done
find . -exec touch -h -d '2001-02-03 04:05:06' {} +"""
_SEEN_WITHIN_S: Final = 90


@dataclass(slots=True)
class Scene:
    """Everything that a run looks at."""

    devices: dict[Any, Place]
    probes: list[Probes]
    people: list[Person]
    readers: Readers
    ledger: Ledger
    judge: Caller
    # Names of the containers that each host has to have, counts of starts, and the volumes that are backed up.
    wanted: dict[str, list[str]] = field(default_factory=dict)
    counters: dict[str, tuple[Any, str]] = field(default_factory=dict)
    vaults: dict[Any, tuple[Place, str]] = field(default_factory=dict)


def furnish(fleet: Fleet, place: Place) -> list[str]:
    """Make the containers and the volume of a host; the containers' names."""
    host, name = place.host, place.name
    registry = fleet.layout.registry
    _clear(place)
    host.api("POST", f"/images/create?fromImage={registry}/demo/clock&tag=1.0.0", timeout_s=120)
    host.load((COUNTER, "1.0.0"))
    for word in ("marker", "bell", "one", "two"):
        host.run(f"{word}-{name}", COUNTER, volumes={f"{word}-{name}-data": "/data"})
    host.run(f"ticker-{name}", "demo/clock:1.0.0", env={"INTERVAL": "0.3"}, restart="always")
    host.run(f"app-{name}", f"{registry}/demo/clock:1.0.0", env={"INTERVAL": "30"}, restart="unless-stopped")
    volume = host.api("POST", "/volumes/create", {"Name": f"vault-{name}"})
    host.exec(["sh", "-c", _FILL, "sh", volume["Mountpoint"]])
    return [f"{word}-{name}" for word in ("marker", "bell", "one", "two", "ticker", "app")]


def _clear(place: Place) -> None:
    """Remove what an earlier run left on a host that was kept."""
    for item in place.host.containers():
        place.host.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
    for volume in place.host.api("GET", "/volumes")["Volumes"] or []:
        place.host.api("DELETE", f"/volumes/{volume['Name']}?force=1")


def compose(fleet: Fleet, places: list[Place], port: int, seed: int) -> Scene:
    """Register the hosts, wait until SSM shows what is on them, and call the people together."""
    from tests.containers.logstage import add_device, session_cookie

    caller, judge = (_caller(name, port, session_cookie) for name in (USER, JUDGE))
    wanted = {place.name: furnish(fleet, place) for place in places}
    devices = {}
    for place in places:
        device = add_device(fleet.entry(place.host.number), place.name)
        device.address, device.port = "127.0.0.1", place.link.port
        device.save(update_fields=["address", "port"])
        devices[device] = place
    names = [name for listed in wanted.values() for name in listed]
    containers = _await_all(judge, "/containers", names)
    volumes = _await_all(judge, "/volumes", [f"vault-{place.name}" for place in places])
    ledger = Ledger()
    people: list[Person] = []

    def chance(word: str) -> random.Random:
        return random.Random(f"{seed}:{word}")  # noqa: S311 - for variety, no secret

    for place in places:
        for word in ("one", "two"):
            name = f"{word}-{place.name}"
            people.append(Operator(f"operator of {name}", caller, ledger, chance(name), containers[name]))
        app, vault = f"app-{place.name}", f"vault-{place.name}"
        people.append(Updater(f"updater of {app}", caller, ledger, chance(app), containers[app]))
        people.append(Keeper(f"keeper of {vault}", caller, ledger, chance(vault), volumes[vault]))
    readers = [
        Reader(containers[f"ticker-{place.name}"], place.host, port, caller.cookie, chance(f"reader {place.name}"))
        for place in places
        for _ in range(2)
    ]
    return Scene(
        devices=devices,
        probes=[
            Probes(place, containers[f"marker-{place.name}"], containers[f"bell-{place.name}"]) for place in places
        ],
        people=people,
        readers=Readers(readers),
        ledger=ledger,
        judge=judge,
        wanted=wanted,
        counters={
            f"{word}-{place.name}": (place.host, f"{word}-{place.name}-data")
            for place in places
            for word in ("one", "two")
        },
        vaults={device: (place, f"vault-{place.name}") for device, place in devices.items()},
    )


def _caller(name: str, port: int, session_cookie: Callable[[Any], str]) -> Caller:
    from django.contrib.auth.models import User

    from ssm.accounts.tokens import make_token
    from ssm.lib.roles import Limit, Right

    user = User.objects.create_superuser(name, password=f"{name}-secret-password")
    _row, token = make_token(user, "chaos", list(Right), Limit(), datetime.now(UTC) + timedelta(days=2))
    return Caller(port, token, session_cookie(user))


def _await_all(caller: Caller, path: str, names: list[str]) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + _SEEN_WITHIN_S
    while True:
        try:
            found = {entry["name"]: entry for entry in caller.get(path, limit="500")["items"]}
        except NoAnswer:
            found = {}
        missing = [name for name in names if name not in found]
        if not missing:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"SSM does not show {', '.join(missing)}")
        time.sleep(0.3)
