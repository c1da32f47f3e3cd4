"""One update check of a whole fleet: 10,000 containers on 500 devices that use 300 repositories.

    python -m tests.bench.registry [--small]

Rows of devices, images and containers are written to PostgreSQL; no host is connected to. The registry is a stub (see
tests.bench.stub_registry) that answers each request after 50 ms. Measured is a whole cycle as the worker does it, by
its own functions: the check of every device, polls until nothing is due, evaluations until nothing moves. The cycle
is run twice, as nothing is known before the first; the last line is one JSON object of the dearer one.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.bench.stub_registry import USED, content_of, repository_name
from tests.registries.servers.images import build
from tests.services import start_servers

PROJECT: Final = Path(__file__).resolve().parents[2]
MOST_SECONDS, MOST_REQUESTS_A_PAIR = 180, 3
NAME: Final = "bench-registry"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is."""

    devices: int
    containers: int
    repositories: int


FULL, SMALL = Scale(500, 10_000, 300), Scale(5, 60, 6)


@dataclass(frozen=True, slots=True)
class Cycle:
    """What a cycle took."""

    requests: int
    seconds: float


def main() -> int:
    """Measure and print; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.registry")
    parser.add_argument("--small", action="store_true", help="60 containers on 5 devices")
    scale = SMALL if parser.parse_args().small else FULL

    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with stub_registry(scale) as port:
        fill(scale, port)
        try:
            pairs = pairs_in_use()
            cycles = [run_cycle(port, word) for word in ("nothing known", "all known")]
        finally:
            clear()
    dearest = max(cycles, key=lambda cycle: (cycle.requests, cycle.seconds))
    print(f"targets: {MOST_SECONDS} s, {MOST_REQUESTS_A_PAIR} requests for each repository and tag")
    figures = {
        "containers": scale.containers,
        "repository_tags": pairs,
        "requests": dearest.requests,
        "seconds": round(max(cycle.seconds for cycle in cycles), 1),
    }
    print(json.dumps(figures))
    return 0 if figures["seconds"] <= MOST_SECONDS and dearest.requests <= MOST_REQUESTS_A_PAIR * pairs else 1


@contextmanager
def stub_registry(scale: Scale) -> Iterator[int]:
    """The stub's port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.stub_registry", str(scale.repositories)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def fill(scale: Scale, port: int) -> None:
    """Write the fleet: containers spread evenly over repositories and tags, a fifth of ``latest`` out of date."""
    from containers.models import Container, Image
    from devices.models import Credential, Device
    from registries.models import Registry

    clear()
    host = f"127.0.0.1:{port}"
    Registry.objects.create(name=NAME, provider="custom", host=host, base_url=f"http://{host}", allow_http=True)
    credential = Credential.objects.create(name=NAME, username="nobody", password="x")
    devices = Device.objects.bulk_create(
        Device(name=f"{NAME}-{number}", address="192.0.2.1", credential=credential) for number in range(scale.devices)
    )
    digests = {
        (number, tag): build(content_of(number, tag)).digest for number in range(scale.repositories) for tag in USED
    }
    images: dict[tuple[uuid.UUID, str], Image] = {}
    containers = []
    for index in range(scale.containers):
        device = devices[index % scale.devices]
        number, tag = index % scale.repositories, USED[(index // scale.repositories) % len(USED)]
        is_old = tag == "latest" and index % 5 == 0
        digest = "sha256:" + "0" * 64 if is_old else digests[number, tag]
        name = f"{host}/{repository_name(number)}"
        engine_id = f"sha256:{uuid.uuid5(device.pk, f'{name}:{tag}').hex * 2}"
        images[device.pk, engine_id] = Image(
            device=device,
            engine_id=engine_id,
            repo_tags=[f"{name}:{tag}"],
            repo_digests=[f"{name}@{digest}"],
            os="linux",
            architecture="amd64",
        )
        containers.append(
            Container(
                device=device,
                engine_id=uuid.uuid4().hex * 2,
                name=f"app-{index}",
                image_reference=f"{name}:{tag}",
                image_id=engine_id,
                registry=host,
                repository=repository_name(number),
                tag=tag,
                state="running",
            )
        )
    Image.objects.bulk_create(images.values(), batch_size=2000)
    Container.objects.bulk_create(containers, batch_size=2000)


def clear() -> None:
    """Take away what ``fill`` wrote and what came of it."""
    from devices.models import Credential, Device
    from registries.models import Origin, Registry, RepositoryKnowledge

    hosts = list(Registry.objects.filter(name=NAME).values_list("host", flat=True))
    RepositoryKnowledge.objects.filter(host__in=hosts).delete()
    Origin.objects.filter(host__in=hosts).delete()
    Registry.objects.filter(name=NAME).delete()
    Device.objects.filter(credential__name=NAME).delete()
    Credential.objects.filter(name=NAME).delete()


def pairs_in_use() -> int:
    """Distinct repositories and tags of the containers."""
    from containers.models import Container

    found = Container.objects.filter(device__name__startswith=NAME).values_list("registry", "repository", "tag")
    return found.distinct().count()


def run_cycle(port: int, word: str) -> Cycle:
    """A whole cycle: every device's check, the polls, the evaluations."""
    from django.db.models import F

    from containers.updates.cycle import check_device, evaluate_moved
    from devices.models import Device
    from registries.models import RepositoryKnowledge, TagKnowledge
    from registries.polling import poll_due

    # As if the last cycle were long ago: every schedule asks for what is older than half of it.
    long_ago = timedelta(days=1)
    RepositoryKnowledge.objects.update(tags_attempted_at=F("tags_attempted_at") - long_ago)
    TagKnowledge.objects.update(attempted_at=F("attempted_at") - long_ago)
    before, started, worked = requests_seen(port), time.monotonic(), time.process_time()
    for pk in Device.objects.filter(name__startswith=NAME).values_list("pk", flat=True):
        check_device(str(pk))
    checked = time.monotonic()
    looked_up = evaluated = 0
    while True:
        looked_up += poll_due()
        evaluated += evaluate_moved()
        # An evaluation may ask for the tags that it offers.
        if not RepositoryKnowledge.objects.filter(due_at__isnull=False).exists():
            break
    cycle = Cycle(requests_seen(port) - before, time.monotonic() - started)
    print(
        f"{word}: {cycle.requests} requests in {cycle.seconds:.1f} s "
        f"(checks of devices {checked - started:.1f} s, {looked_up} look-ups, {evaluated} evaluations; "
        f"this process worked {time.process_time() - worked:.1f} s)"
    )
    return cycle


def requests_seen(port: int) -> int:
    """How many requests reached the stub."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=10) as answer:
        return int(json.loads(answer.read())["count"])


if __name__ == "__main__":
    sys.exit(main())
