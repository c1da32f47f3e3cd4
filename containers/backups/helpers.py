"""The helper: a container that is never started, whose only use is that the engine's archive endpoints see its mounts.

It is made of any image that the host has; where there is none, of an empty one that is made for it and removed again.
It bears the id of its operation as a label, so that whoever goes on with an operation, or a later sweep, finds it.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import quote

from containers.errors import VolumeGone
from containers.rules.helpers import LABEL
from containers.rules.image_facts import image_id
from containers.rules.inspection import is_engine_id
from containers.rules.manifests import ROOT
from containers.rules.volume_facts import volume_facts
from devices.connections import Engine
from devices.errors import DeviceError, EngineConflict, EngineNotFound
from ssm.lib.errors import SsmError

logger = logging.getLogger(__name__)

# At the top of the helper: engines before 28 look for the file behind a hard link below their own "/" when they set its
# mode again after its owner (moby/moby pkg/archive, handleLChmod). Anywhere else set-id bits of such files are lost.
_PARENT: Final = "/"
_MOUNT: Final = f"/{ROOT}"
# An engine that reads from a slow disk, or writes what it was sent, may say nothing for so long.
PATIENCE_S: Final = 300.0
# Of the smallest images so many are looked at for one that declares no volumes, which would be made for the helper too.
_LOOKED_AT: Final = 5
_EMPTY_TAR: Final = bytes(10240)


def volume_path(name: str) -> str:
    """The endpoint of a volume."""
    return f"/volumes/{quote(name, safe='')}"


def inspect_volume(engine: Engine, name: str) -> dict[str, Any] | None:
    """The engine's own answer about a volume; None without such a volume. Raises DeviceError."""
    try:
        answer = engine.get_json(volume_path(name))
    except EngineNotFound:
        return None
    return answer if volume_facts(answer) is not None else None


def require_volume(engine: Engine, name: str) -> dict[str, Any]:
    """The same. Raises VolumeGone without such a volume: mounting it would make an empty one."""
    found = inspect_volume(engine, name)
    if found is None:
        raise VolumeGone(f"There is no volume {name} on {engine.target.label}.", fix="Look at the list of volumes.")
    return found


class Helper:
    """A helper that exists on its host."""

    def __init__(self, engine: Engine, engine_id: str) -> None:
        self._engine = engine
        self._path = f"/containers/{engine_id}"

    @contextmanager
    def read(self) -> Iterator[Iterable[bytes]]:
        """The volume as a tar stream whose names lie under its ROOT. Raises DeviceError, also while it is read."""
        wanted = {"path": _MOUNT}
        stream = self._engine.stream(
            f"{self._path}/archive", wanted, read_timeout_s=PATIENCE_S, head_timeout_s=PATIENCE_S
        )
        with stream:
            yield stream

    def write(self, pieces: Iterable[bytes], *, root: str) -> None:
        """Unpack a tar stream into the volume. Raises DeviceError, and what ``pieces`` raises.

        ``root`` is the directory in the archive that is the volume's root; empty: its names lie at the top.
        """
        # Below its parent directory the volume's own owner, mode and time are set too.
        place = _PARENT if root else _MOUNT
        answer = self._engine.upload("PUT", f"{self._path}/archive", {"path": place}, pieces, read_timeout_s=PATIENCE_S)
        with answer:
            for _piece in answer:
                pass


@contextmanager
def helper(engine: Engine, operation_id: object, volume: str, *, read_only: bool) -> Iterator[Helper]:
    """A helper that mounts the volume, and is removed at the end of the block. Raises DeviceError, VolumeGone.

    When the host cannot be reached at the end the error of the block goes on, and the helper stays for whoever goes
    on with the operation (`remove_helpers`).
    """
    require_volume(engine, volume)
    engine_id = _create(engine, operation_id, volume, read_only=read_only)
    try:
        yield Helper(engine, engine_id)
    except BaseException:
        try:
            _remove(engine, engine_id, operation_id)
        except DeviceError as exc:
            logger.info("helper not removed yet: %s", exc, extra={"operation": str(operation_id)})
        raise
    _remove(engine, engine_id, operation_id)


def _create(engine: Engine, operation_id: object, volume: str, *, read_only: bool) -> str:
    image = _choose_image(engine) or _make_image(engine, operation_id)
    mount = {
        "Type": "volume",
        "Source": volume,
        "Target": _MOUNT,
        "ReadOnly": read_only,
        # What the image holds at that place must not get into an empty volume.
        "VolumeOptions": {"NoCopy": True},
    }
    body = {
        "Image": image,
        # Never run; images without a command are refused without one.
        "Entrypoint": [],
        "Cmd": ["/never-started"],
        "NetworkDisabled": True,
        "Labels": {LABEL: str(operation_id)},
        "HostConfig": {"NetworkMode": "none", "RestartPolicy": {"Name": "no"}, "Mounts": [mount]},
    }
    name = f"ssm-helper-{str(operation_id)[:8]}-{'read' if read_only else 'write'}"
    try:
        _status, answer = engine.post("/containers/create", {"name": name}, body, timeout_s=60)
    except EngineConflict:
        # Left by a worker that died: nobody else works on this operation.
        remove_helpers(engine, operation_id)
        _status, answer = engine.post("/containers/create", {"name": name}, body, timeout_s=60)
    engine_id = answer.get("Id") if isinstance(answer, dict) else None
    if not isinstance(engine_id, str) or not is_engine_id(engine_id):
        raise SsmError(f"{engine.target.label}: the engine made a container, but does not tell its id.")
    return engine_id


def _choose_image(engine: Engine) -> str:
    """A small image that the host has, best one that declares no volumes; empty when it has none."""
    listed = engine.get_json("/images/json")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    sized = sorted((entry.get("Size", 0), image_id(entry.get("Id"))) for entry in entries if _is_sized(entry))
    candidates = [identity for _size, identity in sized if identity]
    for identity in candidates[:_LOOKED_AT]:
        try:
            answer = engine.get_json(f"/images/{identity}/json")
        except EngineNotFound:
            continue
        config = answer.get("Config") if isinstance(answer, dict) else None
        if not (isinstance(config, dict) and config.get("Volumes")):
            return identity
    return candidates[0] if candidates else ""


def _is_sized(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("Size", 0), int)


def _image_name(operation_id: object) -> str:
    return f"ssm-helper:{str(operation_id)[:8]}"


def _make_image(engine: Engine, operation_id: object) -> str:
    repository, _colon, tag = _image_name(operation_id).partition(":")
    wanted = {"fromSrc": "-", "repo": repository, "tag": tag}
    with engine.upload("POST", "/images/create", wanted, [_EMPTY_TAR], read_timeout_s=60) as answer:
        for _piece in answer:
            pass
    return _image_name(operation_id)


def remove_helpers(engine: Engine, operation_id: object) -> int:
    """Remove whatever an operation left on a host: its helpers, and the image made for them; how many. DeviceError."""
    found = find_helpers(engine, str(operation_id))
    for engine_id, _owner in found:
        _remove(engine, engine_id, operation_id)
    _remove_image(engine, operation_id)
    return len(found)


def _remove(engine: Engine, engine_id: str, operation_id: object) -> None:
    with suppress(EngineNotFound):
        # With its anonymous volumes, if its image declares some; those with a name stay.
        engine.delete(f"/containers/{engine_id}", {"v": "1", "force": "1"}, timeout_s=60)
    _remove_image(engine, operation_id)


def _remove_image(engine: Engine, operation_id: object) -> None:
    try:
        engine.delete(f"/images/{_image_name(operation_id)}", {"force": "1"}, timeout_s=60)
    except EngineNotFound:
        pass
    except EngineConflict as exc:
        logger.info("helper's image not removed: %s", exc, extra={"operation": str(operation_id)})


def find_helpers(engine: Engine, operation_id: str = "") -> list[tuple[str, str]]:
    """Engine ids of helpers on the host and the operations that they belong to, of one operation or of all."""
    label = f"{LABEL}={operation_id}" if operation_id else LABEL
    listed = engine.get_json("/containers/json", {"all": "1", "filters": {"label": [label]}})
    found = []
    for entry in listed if isinstance(listed, list) else []:
        labels = entry.get("Labels") if isinstance(entry, dict) else None
        owner = labels.get(LABEL) if isinstance(labels, dict) else None
        if isinstance(owner, str) and is_engine_id(entry.get("Id")) and operation_id in ("", owner):
            found.append((str(entry["Id"]), owner))
    return found
