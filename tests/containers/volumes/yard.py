"""Volumes on real hosts: filled with what is hard to keep, and told apart by a checksum of every file."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.contrib.auth.models import User

from containers.models import Backup, Operation
from containers.volume_requests import request_backup
from tests.containers.stage import Stage
from tests.fleet import FleetError
from tests.queued import run_queued

# Owners, modes, set-id bits, kinds of links, devices, names that are no UTF-8, holes, times; and one capability.
FILL = r"""set -e; cd "$1"
chown 33:44 .; chmod 2751 .
mkdir -p sub/deep; echo hi > sub/a; chown 1000:1001 sub/a; chmod 4640 sub/a; ln sub/a sub/hard
ln -s ../gone sub/link; ln -s /etc/passwd abs; mkfifo fifo; mknod null c 1 3
head -c 3000000 /dev/urandom > blob; truncate -s 2M sparse; printf x >> sparse
printf secret > "$(printf 'bad\377')"; printf two > "$(printf 'a\nb')"; mkdir -m 1777 sticky; : > empty; chmod 0 empty
printf deep > "$(printf 'n%.0s' $(seq 200))"; chown 3000000:4000000 sub/deep
touch -d '2001-02-03 04:05:06' blob; touch -h -d '2002-02-02' abs
touch -d '2003-01-01' sub/deep; touch -d '2002-01-01' .
"""
# What the Engine's archives carry: everything but fractions of seconds, holes, and attributes of users.
LIST = r"""cd "$1"
find . -printf '%P|%y|%m|%U|%G|%Ts|%l|%n\0' | sort -z | sha256sum
find . -type f -print0 | sort -z | xargs -0 -r sha256sum | sha256sum
find . -type c -exec stat -c '%n %t %T' {} +"""


def shell(stage: Stage, script: str, *arguments: str) -> str:
    """What a script says on the host."""
    return stage.host.exec(["sh", "-c", script, "sh", *arguments])


@dataclass(frozen=True, slots=True)
class Yard:
    """A host on which volumes are made and removed again."""

    stage: Stage

    def make(self, word: str = "data", *, fill: str = FILL, **options: Any) -> str:
        """A new volume, filled by a script; its name."""
        name = f"{word}-{uuid.uuid4().hex[:8]}"
        self.stage.host.api("POST", "/volumes/create", {"Name": name, **options})
        if fill:
            shell(self.stage, fill, self.place(name))
        return name

    def place(self, name: str) -> str:
        """Where the volume lies on the host."""
        found: str = self.stage.host.api("GET", f"/volumes/{name}")["Mountpoint"]
        return found

    def state(self, name: str) -> str:
        """Digests of all names, kinds, modes, owners, times and links, and of all contents."""
        return shell(self.stage, LIST, self.place(name))

    def names(self) -> set[str]:
        """The volumes of the host."""
        return {entry["Name"] for entry in self.stage.host.api("GET", "/volumes")["Volumes"] or []}

    def helpers(self) -> list[str]:
        """Helpers on the host: ids, and names of images made for them."""
        filters = quote(json.dumps({"label": ["ssm.helper"]}))
        found = [entry["Id"] for entry in self.stage.host.api("GET", f"/containers/json?all=1&filters={filters}")]
        images = self.stage.host.api("GET", "/images/json")
        return [*found, *(tag for image in images for tag in image["RepoTags"] or [] if tag.startswith("ssm-helper"))]

    def run(self, volume: str, *, start: bool = True, command: str = "") -> str:
        """A container that mounts the volume at /v; its engine id. Removed with what the host's own `run` made."""
        host = self.stage.host
        body: dict[str, Any] = {
            "Image": "demo/clock:1.0.0",
            "Labels": {"fleet.run": host.label},
            "HostConfig": {"Binds": [f"{volume}:/v"], "RestartPolicy": {"Name": "no"}, "CgroupParent": self._group()},
        }
        if command:
            body["Cmd"] = ["sh", "-c", command]
        name = f"user-{uuid.uuid4().hex[:8]}"
        engine_id = str(host.api("POST", f"/containers/create?name={name}", body)["Id"])
        if start:
            host.api("POST", f"/containers/{engine_id}/start")
        return engine_id

    def _group(self) -> str:
        return f"/{self.stage.host._control_group}"

    def standing(self, engine_id: str) -> str:
        """The state of a container by the host's own word."""
        return str(self.stage.host.api("GET", f"/containers/{engine_id}/json")["State"]["Status"])

    def clear(self, before: set[str]) -> None:
        """Remove the volumes that were not there before."""
        for name in self.names() - before:
            with suppress(FleetError):
                self.stage.host.api("DELETE", f"/volumes/{name}")


@contextmanager
def yard_of(stage: Stage) -> Iterator[Yard]:
    """The yard of a host; what was made in it is removed at the end."""
    yard = Yard(stage)
    before = yard.names()
    try:
        yield yard
    finally:
        stage.host.remove_runs()
        yard.clear(before)


def somebody() -> User:
    """Who asks for it."""
    user, _created = User.objects.get_or_create(username="somebody", is_superuser=True)
    return user


def done(operation: Operation) -> Operation:
    """Work off the queue; what became of the operation."""
    run_queued()
    return Operation.objects.get(pk=operation.pk)


def backed_up(yard: Yard, name: str, consistency: str = "running") -> Backup:
    """A good backup of a volume."""
    backup = request_backup(somebody(), yard.stage.device, name, consistency)
    assert backup.operation is not None
    ended = done(backup.operation)
    assert ended.state == "succeeded", ended.error_message
    backup.refresh_from_db()
    return backup


def ended_with(operation: Operation) -> tuple[str, str]:
    """State and error code after the queue was worked off."""
    ended = done(operation)
    return ended.state, ended.error_code
