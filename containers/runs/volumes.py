"""Volumes of a host: create, remove, remove those that nothing uses."""

from typing import Any, Final

from containers.backups.helpers import inspect_volume, volume_path
from containers.errors import VolumeInUse, VolumeTaken
from containers.models import Volume
from containers.runs.holding import users_of
from containers.runs.run import Run
from containers.volume_sync import refresh_volume, sweep_volumes
from devices.errors import DeviceError, EngineConflict, EngineNotFound
from ssm.lib.errors import SsmError
from ssm.templatetags.ui import size

# Says which operation made a volume, so that one that was interrupted knows its own.
MADE_BY: Final = "ssm.made-by"
_DRIVER_S: Final = 120.0


def create(run: Run) -> str:
    """Create the volume that ``sealed`` describes: name, driver, options, labels."""
    name = run.operation.target_name
    if not run.journal.get("creating"):
        _require_free(run, name)
        run.note(creating=name)
        create_volume(run, name, {**run.sealed})
    elif inspect_volume(run.engine, name) is None:
        # It was free when we began, and nobody else acts on this name here: the request did not arrive.
        create_volume(run, name, {**run.sealed})
    refresh_volume(run.device, run.engine, name)
    return ""


def _require_free(run: Run, name: str) -> None:
    """The engine takes a second creation for the first one: whoever wants a new volume has to be told."""
    if inspect_volume(run.engine, name) is not None:
        refresh_volume(run.device, run.engine, name)
        raise VolumeTaken(
            f"{run.device.name} has a volume called {name} already.", fix="Choose another name, or use that one."
        )


def create_volume(run: Run, name: str, wanted: dict[str, Any], *, engine: Any = None) -> None:
    """Ask the engine for a volume with the driver, options and labels of ``wanted``. Raises DeviceError, SsmError."""
    body = {
        "Name": name,
        "Driver": wanted.get("driver") or "local",
        "DriverOpts": wanted.get("options") or {},
        "Labels": wanted.get("labels") or {},
    }
    try:
        (engine or run.engine).post("/volumes/create", body=body, timeout_s=_DRIVER_S)
    except DeviceError as exc:
        text = str(exc.details.get("engine_message", ""))
        if "plugin" in text and "not found" in text:
            raise SsmError(
                f"{run.device.name} has no volume driver called {body['Driver']}.",
                fix="Install its plugin on the host (docker plugin install), or choose the driver local.",
            ) from exc
        if "driver name conflict" in text.lower() or "must be unique" in text:
            raise VolumeTaken(f"{run.device.name} has a volume called {name} with another driver already.") from exc
        raise


def remove(run: Run) -> str:
    """Remove one volume with all that is in it."""
    name = run.operation.target_name
    run.engine.ping()  # an act on a host that cannot be reached has failed; one that was begun waits for it
    run.note(removing=name)
    outcome = ""
    try:
        run.engine.delete(volume_path(name), timeout_s=_DRIVER_S)
    except EngineNotFound:
        outcome = "" if run.is_resumed else "nothing to do: it was gone already"
    except EngineConflict as exc:
        raise _in_use(run, name) from exc
    finally:
        refresh_volume(run.device, run.engine, name)
    return outcome


def _in_use(run: Run, name: str) -> VolumeInUse:
    users = users_of(run.engine, name)
    names = ", ".join(f"{user.name} ({user.state})" for user in users[:10])
    more = f" and {len(users) - 10} more" if len(users) > 10 else ""
    return VolumeInUse(
        f"The volume {name} on {run.device.name} is used by {names or 'a container'}{more}.",
        fix="Remove those containers first: an engine removes no volume that a container mounts, stopped or not.",
        details={"containers": [user.name for user in users[:50]]},
    )


def prune(run: Run) -> str:
    """Remove the volumes that were shown beforehand, one by one: those that came into use since stay."""
    names = [str(name) for name in run.parameters.get("names", [])]
    done: list[str] = list(run.journal.get("done", []))
    kept: list[str] = list(run.journal.get("kept", []))
    freed = int(run.journal.get("freed", 0))
    sizes = dict(Volume.objects.filter(device=run.device, name__in=names).values_list("name", "size_bytes"))
    run.engine.ping()
    run.note(begun=True)
    for number, name in enumerate(names, 1):
        if name in done or name in kept:
            continue
        run.step(f"Removing {number} of {len(names)}")
        try:
            run.engine.delete(volume_path(name), timeout_s=_DRIVER_S)
            freed += sizes.get(name) or 0
            run.say(f"removed {name}")
        except EngineNotFound:
            run.say(f"gone already: {name}")
        except EngineConflict:
            kept.append(name)
            run.say(f"kept, as it is used now: {name}")
        except DeviceError as exc:
            if not exc.is_answer:
                raise
            kept.append(name)
            run.say(f"kept: {name}: {exc.message}")
        if name not in kept:
            done.append(name)
        run.note(done=done, kept=kept, freed=freed)
    sweep_volumes(run.device, run.engine)
    removed = f"{len(done)} volume{'s' if len(done) != 1 else ''} removed"
    space = f", {size(freed)} freed" if freed else ""
    return f"{removed}{space}" + (f"; {len(kept)} kept, see the output" if kept else "")
