"""Keep the containers that use a volume from writing while it is read or written, and let them go on afterwards.

What is held is noted in the operation's journal before it is done, so that it is undone whoever goes on after a crash.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from containers import sync
from containers.rules.helpers import is_helper
from containers.rules.inspection import is_engine_id
from containers.rules.masking import clean_text
from containers.runs.run import Run
from devices.connections import Engine
from devices.errors import DeviceError, EngineNotFound
from devices.models import Device
from ssm.lib.errors import SsmError

# The engine answers when the container has ended, or was killed after its own stop time-out.
_STOP_S: Final = 660.0


class NotLetGo(SsmError):
    """A container that was paused or stopped meanwhile could not be let go on."""

    code = "containers_not_resumed"


@dataclass(frozen=True, slots=True)
class VolumeUser:
    """A container that mounts the volume, as the engine's list tells it."""

    engine_id: str
    name: str
    state: str

    @property
    def writes(self) -> bool:
        """Whether its processes may write now."""
        return self.state in ("running", "restarting")


def users_of(engine: Engine, volume: str) -> list[VolumeUser]:
    """The containers that mount a volume, started or not, helpers left out. Raises DeviceError."""
    listed = engine.get_json("/containers/json", {"all": "1", "filters": {"volume": [volume]}})
    found = []
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict) or not is_engine_id(entry.get("Id")):
            continue
        if is_helper(entry.get("Labels")) or not _mounts(entry, volume):
            continue
        names = entry.get("Names")
        first = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else str(entry["Id"])[:12]
        state = str(entry.get("State", ""))[:20].lower()
        found.append(VolumeUser(str(entry["Id"]), clean_text(first.lstrip("/"), 255), state))
    return sorted(found, key=lambda user: user.name)


def _mounts(entry: dict[str, Any], volume: str) -> bool:
    """The engine's filter also finds mounts whose place in the container has that name."""
    mounts = entry.get("Mounts")
    return any(isinstance(mount, dict) and mount.get("Name") == volume for mount in mounts or [])


def hold(run: Run, device: Device, volume: str, consistency: str) -> list[dict[str, str]]:
    """Pause or stop what writes to the volume, by choice; what used it and how, as manifests hold it.

    Raises DeviceError; what was held until then is in the journal.
    """
    engine = run.engine_of(device)
    users = users_of(engine, volume)
    act = {"paused": "pause", "stopped": "stop"}.get(consistency, "")
    for user in users:
        run.check_cancelled()
        if not act or not user.writes:
            continue
        run.step(f"{'Pausing' if act == 'pause' else 'Stopping'} {user.name}")
        held = [
            *run.journal.get("held", []),
            {"device": str(device.pk), "id": user.engine_id, "name": user.name, "act": act},
        ]
        run.note(held=held)
        _act(engine, user.engine_id, act)
        sync.refresh(device, engine, user.engine_id)
    return [
        {
            "name": user.name,
            "state": user.state,
            "during": (consistency if act and user.writes else user.state),
        }
        for user in users
    ]


def let_go(run: Run) -> None:
    """Let all that is noted as held go on. Raises DeviceError when a host cannot be asked, NotLetGo when it refuses.

    Looks at each container first: one that somebody else has started or removed meanwhile is let be.
    """
    held = list(run.journal.get("held", []))
    failed: list[str] = []
    for entry in reversed(held):
        device = Device.objects.filter(pk=entry["device"]).first()
        if device is None:
            continue
        engine = run.engine_of(device)
        verb = "unpause" if entry["act"] == "pause" else "start"
        try:
            if _is_held(engine, entry["id"], entry["act"]):
                run.step(f"{'Resuming' if verb == 'unpause' else 'Starting'} {entry['name']}")
                _act(engine, entry["id"], verb)
                sync.refresh(device, engine, entry["id"])
        except EngineNotFound:
            run.say(f"{entry['name']} was removed meanwhile.")
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            failed.append(f"{entry['name']}: {exc.message}")
    if held:
        run.note(held=[])
    if failed:
        raise NotLetGo(
            f"Not all containers could be let go on afterwards. {' '.join(failed)}", fix="Start them yourself."
        )


def _is_held(engine: Engine, engine_id: str, act: str) -> bool:
    answer = engine.get_json(f"/containers/{quote(engine_id)}/json")
    state = answer.get("State") if isinstance(answer, dict) else None
    state = state if isinstance(state, dict) else {}
    return bool(state.get("Paused")) if act == "pause" else not state.get("Running")


def _act(engine: Engine, engine_id: str, verb: str) -> None:
    engine.post(f"/containers/{engine_id}/{verb}", timeout_s=_STOP_S if verb == "stop" else 60)
