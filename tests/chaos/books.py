"""At the end: what people asked for, what SSM has written down, and what is on the hosts."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tests.chaos.harm import Place
from tests.chaos.people import Asked
from tests.fleet import Host

# An act that succeeded, by how often it starts the container.
_STARTS: Final = {"restart": 1, "start": 1}
_NOTHING_DONE: Final = "it was so already"


@dataclass(slots=True)
class Books:
    """What does not add up; all empty is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


def compare_operations(asked: Iterable[Asked], people: Iterable[str], books: Books) -> int:
    """Every act that was taken has one row that has ended, and there is no row that nobody asked for; how many."""
    from containers.models import Operation

    rows = {str(row.pk): row for row in Operation.objects.filter(requested_by_name__in=list(people))}
    known = Counter(line.operation for line in asked if line.operation)
    for line in asked:
        row = rows.get(line.operation)
        if line.operation and row is None:
            books.lost.append(f"{line.kind} of {line.target} asked for by {line.person} has no row")
    books.doubled += [f"operation {pk} answers {count} requests" for pk, count in known.items() if count > 1]
    for pk, row in rows.items():
        if pk not in known:
            books.doubled.append(f"{row} ({row.state}, {row.created_at:%H:%M:%S}) was asked for by nobody")
        if not row.is_final:
            books.stuck.append(f"{row} is {row.state} since {row.created_at:%H:%M:%S}: {row.progress}")
        if row.state == Operation.State.LOST:
            books.lost.append(f"{row}: {row.error_message}")
    return len(rows)


def compare_starts(
    asked: list[Asked],
    places: dict[str, tuple[Host, str]],
    endings: Iterable[tuple[str, datetime]],
    books: Books,
) -> None:
    """No container was started more or less often than its acts say.

    ``places``: host and volume of its count; ``endings``: where and when an engine or a host was ended with all its
    containers. A start that was under way then has to be made again, as the container it had started is down.
    """
    from containers.models import Operation

    until = dict(Operation.objects.values_list("pk", "finished_at"))
    ends = list(endings)
    for name, (host, volume) in places.items():
        starts = len(host.exec(["cat", f"{mountpoint(host, volume)}/starts"]).split())
        acts = [line for line in asked if line.target == name and line.operation]
        again = sum(
            1
            for line in acts
            if line.kind in _STARTS
            for place, at in ends
            if place == host.name and line.asked_at <= at <= (until.get(UUID(line.operation)) or at)
        )
        account_for(name, starts, acts, books, again=again)


def account_for(name: str, starts: int, acts: list[Asked], books: Books, *, again: int = 0) -> None:
    """Whether these acts make this many starts of a container that was started once at its making."""
    effective = [line for line in acts if _NOTHING_DONE not in line.outcome]
    most = 1 + again + sum(_STARTS.get(line.kind, 0) for line in effective)
    least = 1 + sum(_STARTS.get(line.kind, 0) for line in effective if line.state == "succeeded")
    if starts > most:
        books.doubled.append(f"{name} was started {starts} times, its acts account for {most} at most")
    if starts < least:
        books.lost.append(f"{name} was started {starts} times, its acts say {least}")


def mountpoint(host: Host, volume: str) -> str:
    """Where a volume lies on its host."""
    found: str = host.api("GET", f"/volumes/{volume}")["Mountpoint"]
    return found


def compare_hosts(devices: dict[Any, Place], wanted: dict[str, list[str]], books: Books, timeout_s: float) -> None:
    """Rows equal hosts, and no container is lost or left over; what differs at first may settle within the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        differing = [text for device, place in devices.items() for text in _differing(device, place)]
        if not differing or time.monotonic() > deadline:
            break
        time.sleep(1)
    books.differing += differing
    for place in devices.values():
        names = [item["Names"][0].lstrip("/") for item in place.host.containers()]
        for name, count in (Counter(wanted[place.name]) - Counter(names)).items():
            books.lost.append(f"{place.name}: {count} container {name} is missing")
        for name, count in (Counter(names) - Counter(wanted[place.name])).items():
            books.doubled.append(f"{place.name}: {count} container {name} is left over")


def _differing(device: Any, place: Place) -> list[str]:
    from containers.models import Container, Image, Network, Volume

    host = place.host
    there: dict[str, set[tuple[str, ...]]] = {
        "containers": {(item["Id"], item["Names"][0].lstrip("/"), item["State"]) for item in host.containers()},
        "volumes": {(entry["Name"],) for entry in host.api("GET", "/volumes")["Volumes"] or []},
        "networks": {(entry["Id"], entry["Name"]) for entry in host.api("GET", "/networks")},
        "images": {(entry["Id"],) for entry in host.api("GET", "/images/json")},
    }
    here: dict[str, set[tuple[str, ...]]] = {
        "containers": set(Container.objects.present().filter(device=device).values_list("engine_id", "name", "state")),
        "volumes": set(Volume.objects.filter(device=device).values_list("name")),
        "networks": set(Network.objects.filter(device=device).values_list("engine_id", "name")),
        "images": set(Image.objects.filter(device=device).values_list("engine_id")),
    }
    return [
        f"{place.name} {what}: only on the host {sorted(there[what] - here[what])[:4]}, "
        f"only in rows {sorted(here[what] - there[what])[:4]}"
        for what in there
        if there[what] != here[what]
    ]


def compare_backups(keepers: dict[Any, tuple[Place, str]], books: Books, timeout_s: float) -> int:
    """Every backup that succeeded is as it was stored, and the first and the last of each volume are restored bit by
    bit; how many there are. ``keepers``: device, host and volume."""
    from django.contrib.auth.models import User

    from containers import backup_plans
    from containers.models import Backup, Operation
    from containers.volume_requests import request_restore

    count = 0
    auditor, _is_new = User.objects.get_or_create(username="auditor", is_superuser=True)
    for device, (place, volume) in keepers.items():
        good = list(Backup.objects.filter(device=device, volume_name=volume, state="good").order_by("created_at"))
        count += len(good)
        succeeded = Operation.objects.filter(device=device, kind="volume_backup", state="succeeded").count()
        if succeeded != len(good):
            books.lost.append(f"{place.name}: {succeeded} backups succeeded, {len(good)} are there")
        books.lost += [f"{backup} is not as it was stored" for backup in good if not backup_plans.verify(backup.pk)]
        for backup in {good[0], good[-1]} if good else ():
            name = f"back-{str(backup.pk)[:8]}"
            operation = request_restore(auditor, backup, device, name, mode="new")
            deadline = time.monotonic() + timeout_s
            while not operation.is_final and time.monotonic() < deadline:
                time.sleep(0.5)
                operation.refresh_from_db()
            if operation.state != "succeeded":
                books.lost.append(
                    f"{place.name}: {volume} was not restored: {operation.state} {operation.error_message}"
                )
            elif state_of(place.host, name) != state_of(place.host, volume):
                books.lost.append(f"{place.name}: {volume} is not what it was after its restore")
    return count


_LIST: Final = r"""cd "$1"
find . -printf '%P|%y|%m|%U|%G|%Ts|%l|%n\0' | sort -z | sha256sum
find . -type f -print0 | sort -z | xargs -0 -r sha256sum | sha256sum"""


def state_of(host: Host, volume: str) -> str:
    """Digests of all names, kinds, modes, owners, times and links in a volume, and of all contents."""
    return host.exec(["sh", "-c", _LIST, "sh", mountpoint(host, volume)])
