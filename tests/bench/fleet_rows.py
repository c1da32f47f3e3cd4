"""A large fleet as rows, without hosts: for the benchmarks of pages and pushes.

Each container has what a real one has: an inspect answer of Docker 28, labels, ports, mounts, networks, an encrypted
environment, usage with its recent figures, an answer about updates. Events are written by the database itself.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.db import connection

from containers.models import Container, ContainerUsage, HostUsage, Image, Operation, UpdateStatus
from devices.models import Credential, Device, now

PER_DEVICE: Final = 20
EVENTS_PER_CONTAINER: Final = 50
_ANSWER: Final = Path(__file__).resolve().parents[1] / "containers" / "data" / "inspect_28.json"
_SITES: Final = ("berlin", "oslo", "lisbon", "vienna", "dublin", "athens", "malmo", "riga")
_SERVICES: Final = (
    *("web", "api", "worker", "cache", "database", "queue", "proxy", "mail", "search", "metrics"),
    *("backup", "cron", "auth", "files", "video", "chat", "wiki", "git", "runner", "registry"),
)
_IMAGES: Final = ("nginx", "postgres", "redis", "acme/shop", "acme/api", "ghcr.io/acme/worker", "quay.io/acme/auth")
# Of a hundred containers so many are each; the rest runs well.
_ENDED, _FAILED, _UNHEALTHY, _PAUSED = 8, 1, 1, 1
_OFFERED: Final = 20


@dataclass(frozen=True, slots=True)
class Fleet:
    """How much is there by now."""

    devices: int
    containers: int
    events: int


def grow(devices: int, *, seed: int = 8, with_events: bool = True) -> Fleet:
    """Have so many devices with 20 containers each and 50 events a container; adds what is missing.

    Ends with what autovacuum does after some minutes: without statistics of the tables every plan is a guess.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    there = Device.objects.count()
    credential, _made = Credential.objects.get_or_create(name="bench", defaults={"username": "nobody", "password": "x"})
    moment = now()
    made = [_device(number, credential, moment) for number in range(there, devices)]
    Device.objects.bulk_create(made)
    HostUsage.objects.bulk_create(_host_usage(device, moment, chance) for device in made)
    for start in range(0, len(made), 50):
        _add_containers(made[start : start + 50], there + start, moment, chance)
    if with_events:
        _add_events([device.pk for device in made])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("SELECT count(*) FROM containers_event")
        events = int(cursor.fetchone()[0])
    return Fleet(Device.objects.count(), Container.objects.count(), events)


def _device(number: int, credential: Credential, moment: datetime) -> Device:
    online = number % 50 != 7
    return Device(
        name=f"{_SITES[number % len(_SITES)]}-{number:04}",
        address=f"10.{number // 250}.{number % 250}.5",
        credential=credential,
        groups=[_SITES[number % len(_SITES)], "production" if number % 3 else "staging"],
        state=Device.State.ONLINE if online else Device.State.UNREACHABLE,
        state_message="" if online else "It did not answer within 10 seconds.",
        state_since=moment - timedelta(days=2),
        last_seen_at=moment,
        cpus=8,
        memory_bytes=32 * 2**30,
        engine_product="docker",
        engine_version="28.5.2",
        api_version="1.51",
        channel_kind="streamlocal",
    )


def _host_usage(device: Device, moment: datetime, chance: random.Random) -> HostUsage:
    return HostUsage(
        device=device,
        sampled_at=moment,
        source="ssh",
        cpu_percent=chance.uniform(1, 80),
        memory_used_bytes=int(chance.uniform(0.2, 0.97) * 32 * 2**30),
        memory_total_bytes=32 * 2**30,
        disk_used_bytes=int(chance.uniform(0.1, 0.91) * 10**12),
        disk_total_bytes=10**12,
        recent_cpu=_walk(chance, 20, 30),
        recent_memory=_walk(chance, 8e9, 30),
    )


def _add_containers(devices: list[Device], first: int, moment: datetime, chance: random.Random) -> None:
    answer = json.loads(_ANSWER.read_text())
    images: list[Image] = []
    containers: list[Container] = []
    usages: list[ContainerUsage] = []
    updates: list[UpdateStatus] = []
    operations: list[Operation] = []
    for place, device in enumerate(devices):
        by_name = {name: _image(device, name, chance) for name in _IMAGES}
        images += by_name.values()
        for number in range(PER_DEVICE):
            image = _IMAGES[(first + place + number) % len(_IMAGES)]
            container = _container(device, first + place, number, by_name[image], moment, chance)
            container.inspect = answer
            containers.append(container)
            usages.append(_usage(container, moment, chance))
            updates.append(_update(container, chance))
        operations += [
            _operation(container, moment, chance) for container in chance.sample(containers[-PER_DEVICE:], 5)
        ]
    Image.objects.bulk_create(images, batch_size=1000)
    Container.objects.bulk_create(containers, batch_size=500)
    ContainerUsage.objects.bulk_create(usages, batch_size=1000)
    UpdateStatus.objects.bulk_create(updates, batch_size=1000)
    Operation.objects.bulk_create(operations, batch_size=1000)


def _image(device: Device, name: str, chance: random.Random) -> Image:
    return Image(
        device=device,
        engine_id=f"sha256:{chance.getrandbits(256):064x}",
        name=f"{name}:1.27",
        repo_tags=[f"{name}:1.27"],
        repo_digests=[f"{name}@sha256:{chance.getrandbits(256):064x}"],
        os="linux",
        architecture="amd64",
        size_bytes=chance.randrange(10**7, 10**9),
    )


def _container(
    device: Device, device_number: int, number: int, image: Image, moment: datetime, chance: random.Random
) -> Container:
    service, project = _SERVICES[number], f"project-{device_number % 200:03}-{number % 4}"
    kind = chance.randrange(100)
    state, exit_code, health = "running", None, "healthy" if number % 2 else "none"
    if kind < _ENDED:
        state, exit_code, health = "exited", 0, "none"
    elif kind < _ENDED + _FAILED:
        state, exit_code, health = "exited", 1, "none"
    elif kind < _ENDED + _FAILED + _UNHEALTHY:
        health = "unhealthy"
    elif kind < _ENDED + _FAILED + _UNHEALTHY + _PAUSED:
        state = "paused"
    labels = {f"com.docker.compose.{key}": chance.randbytes(20).hex() for key in ("config-hash", "image", "version")}
    labels |= {"com.docker.compose.project": project, "com.docker.compose.service": service}
    labels |= {"team": f"team-{number % 5}", "org.opencontainers.image.source": f"https://git.example.com/{project}"}
    return Container(
        device=device,
        engine_id=f"{chance.getrandbits(256):064x}",
        name=f"{project}-{service}-1",
        image_reference=f"{image.name}",
        image_id=image.engine_id,
        registry="docker.io",
        repository=image.name.partition(":")[0],
        tag="1.27",
        state=state,
        health=health,
        exit_code=exit_code,
        restart_policy="unless-stopped",
        status_text="Up 3 days",
        created_at=moment - timedelta(days=30),
        started_at=moment - timedelta(minutes=chance.randrange(10, 40_000)),
        finished_at=moment - timedelta(minutes=9) if state == "exited" else None,
        command="/docker-entrypoint.sh nginx -g 'daemon off;'",
        labels=labels,
        ports=[
            {"container_port": 80, "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 8000 + number},
            {"container_port": 443, "protocol": "tcp", "host_ip": "", "host_port": None},
        ],
        mounts=[
            {"kind": "volume", "source": f"{project}_data", "destination": "/data", "read_only": False},
            {"kind": "bind", "source": "/etc/localtime", "destination": "/etc/localtime", "read_only": True},
        ],
        networks=[
            {
                **{"name": f"{project}_default", "network_id": f"{chance.getrandbits(256):064x}"},
                **{"address": f"172.20.0.{number + 2}", "address6": "", "aliases": [service], "mac_address": ""},
            }
        ],
        environment=json.dumps([[f"SETTING_{place}", chance.randbytes(12).hex()] for place in range(12)]),
        compose_project=project,
        compose_service=service,
        observed_ns=int(moment.timestamp() * 1e9),
        appeared_at=moment - timedelta(days=30),
        changed_at=moment - timedelta(minutes=chance.randrange(60, 40_000)),
    )


def _usage(container: Container, moment: datetime, chance: random.Random) -> ContainerUsage:
    return ContainerUsage(
        container=container,
        sampled_at=moment,
        cpu_percent=chance.uniform(0, 120),
        memory_bytes=chance.randrange(10**7, 2 * 10**9),
        memory_limit_bytes=4 * 2**30,
        network_received_bytes_per_s=chance.uniform(0, 1e6),
        network_sent_bytes_per_s=chance.uniform(0, 1e6),
        block_read_bytes_per_s=0.0,
        block_written_bytes_per_s=chance.uniform(0, 1e5),
        pids=chance.randrange(1, 60),
        recent_cpu=_walk(chance, 5, 30),
        recent_memory=_walk(chance, 3e8, 30),
    )


def _walk(chance: random.Random, middle: float, length: int) -> list[float | None]:
    return [round(middle * chance.uniform(0.8, 1.2), 3) for _ in range(length)]


def _update(container: Container, chance: random.Random) -> UpdateStatus:
    offered = chance.randrange(100) < _OFFERED
    return UpdateStatus(
        container=container,
        state="update_available" if offered else "up_to_date",
        registry=container.registry,
        repository=container.repository,
        tag=container.tag,
        change=chance.choice(["major", "minor", "patch"]) if offered else "",
        offered_tag="1.29" if offered else "",
        trace=[{"step": f"step {number}", "text": "what was looked at, and why it counts"} for number in range(10)],
    )


def _operation(container: Container, moment: datetime, chance: random.Random) -> Operation:
    began = moment - timedelta(minutes=chance.randrange(5, 40_000))
    return Operation(
        kind=chance.choice(["restart", "stop", "start"]),
        state="failed" if chance.randrange(100) < 2 else "succeeded",
        device=container.device,
        device_name=container.device.name,
        container=container,
        engine_id=container.engine_id,
        target_name=container.name,
        requested_by_name="bench",
        created_at=began,
        started_at=began,
        finished_at=began + timedelta(seconds=2),
    )


def _add_events(devices: list[UUID]) -> None:
    """Written where they are kept: a million by way of Python would take minutes."""
    if not devices:
        return
    with connection.cursor() as cursor:
        for chosen in _in_parts(devices, 100):
            cursor.execute(
                """INSERT INTO containers_event (device_id, container_id, kind, action, actor_id, actor_name,
                    attributes, severity, time, time_ns, received_at)
                SELECT box.device_id, box.id, 'container',
                    (ARRAY['create','start','die','stop','start','health_status: healthy','kill','exec_die'])
                        [1 + number %% 8],
                    box.engine_id, box.name,
                    jsonb_build_object('image', box.image_reference, 'name', box.name, 'exitCode', '0'),
                    CASE WHEN number %% 8 = 2 THEN 3 WHEN number %% 8 = 4 THEN 1 ELSE 0 END,
                    moment, (extract(epoch FROM moment) * 1e6)::bigint * 1000 + number, moment
                FROM containers_container box, generate_series(1, %s) number,
                    LATERAL (SELECT now() - random() * interval '29 days' - number * interval '1 ms' AS moment) t
                WHERE box.device_id = ANY(%s) ON CONFLICT DO NOTHING""",
                [EVENTS_PER_CONTAINER, chosen],
            )


def _in_parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
