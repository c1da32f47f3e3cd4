"""Restore a backup, or copy a volume: into a new volume, in place of a volume, or over what a volume holds.

The archive is read to its end and compared with its checksum before the host is asked for anything. What is written is
read back and compared with what was backed up. A volume is replaced only after the archive was proved on that very
host in a volume beside it, and after its own content was backed up, unless that was not wanted.

What a worker may leave behind, and what whoever goes on does with it:

    a volume that this operation made   bears its id as a label: it is removed and made again
    ``swapping`` noted                  the old volume is removed, if it is still there, and made anew with its options
    helpers, held containers            removed, let go
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from django.db import Error as DatabaseError

from containers.backups.helpers import helper, inspect_volume, remove_helpers, require_volume, volume_path
from containers.errors import BackupUnusable, OperationCancelled, OperationTakenOver, VolumeInUse, VolumeTaken
from containers.models import Backup
from containers.rules.archives import ArchiveError, ArchiveReader, Contents
from containers.rules.manifests import ROOT
from containers.rules.volume_facts import ANONYMOUS_LABEL
from containers.runs.backups import MOST_TRIES, EndedBefore, make_backup
from containers.runs.holding import hold, let_go, users_of
from containers.runs.restore_sources import Source, held_source, progress_of, source_of
from containers.runs.run import Run
from containers.runs.volumes import create_volume
from containers.volume_sync import refresh_volume
from devices.errors import DeviceError, EngineConflict, EngineNotFound
from devices.models import Device
from ssm.lib.errors import SsmError
from ssm.templatetags.ui import size

# The operation that made a volume: tells our own from those that somebody else made meanwhile.
MADE_BY: Final = "ssm.restored-by"


def restore(run: Run) -> str:
    """Restore ``parameters["backup"]``, or copy ``parameters["source"]`` (device, volume), into the operation's volume.

    ``mode`` is "new", "replace" or "over"; ``safety`` asks for a backup of what is there before.
    """
    tries = int(run.journal.get("restore_tries", 0)) + 1
    if run.is_resumed and run.journal:
        _undo(run)
        _raise_ending(run)
        run.note(restore_tries=tries)
    try:
        if tries > MOST_TRIES:
            raise SsmError(f"The connection broke {MOST_TRIES} times meanwhile.", fix="Look at the link to the host.")
        return _restore(run)
    except (OperationTakenOver, DatabaseError):
        raise
    except Exception as exc:
        if isinstance(exc, DeviceError) and not exc.is_answer:
            raise  # whoever goes on begins by undoing
        if run.journal:
            known = exc if isinstance(exc, SsmError) else SsmError(f"SSM failed ({type(exc).__name__}): see its log.")
            if run.journal.get("swapping"):
                known.fix = f"{known.fix} {_where_it_is(run)}".strip()
            run.note(ending={"code": known.code, "message": known.message, "fix": known.fix})
            _undo(run)
        raise


def _where_it_is(run: Run) -> str:
    return (
        f"The restored content, proved, is in the volume {run.journal.get('beside')} on {run.device.name}; what was in "
        f"{run.operation.target_name} before is in the backup that was made of it, unless none was wanted."
    )


def _restore(run: Run) -> str:
    mode = str(run.parameters.get("mode", "new"))
    name = run.operation.target_name
    source = source_of(run)
    with held_source(run):
        if mode == "new":
            done = _into_new(run, name, source)
        elif mode == "replace":
            done = _in_place_of(run, name, source)
        else:
            done = _over(run, name, source)
    refresh_volume(run.device, run.engine, name)
    let_go(run)
    return done


# ---- where it goes


def _into_new(run: Run, name: str, source: Source, wanted: dict[str, Any] | None = None) -> str:
    engine = run.engine
    if inspect_volume(engine, name) is not None:
        raise VolumeTaken(
            f"{run.device.name} has a volume called {name} already.",
            fix="Choose another name, or restore over it or in its place.",
        )
    _make(run, name, wanted if wanted is not None else run.sealed)
    return _fill(run, name, source)


def _make(run: Run, name: str, wanted: dict[str, Any]) -> None:
    """Make a volume that bears the operation's id; it is noted before."""
    run.note(made=[*run.journal.get("made", []), name])
    labels = {key: value for key, value in (wanted.get("labels") or {}).items() if key != ANONYMOUS_LABEL}
    create_volume(run, name, {**wanted, "labels": {**labels, MADE_BY: str(run.operation.pk)}})


def _fill(run: Run, name: str, source: Source, *, is_alone: bool = True) -> str:
    """Write into the volume, and read it back where nothing else is in it; what was written in words."""
    run.step(f"Writing {source.title} into {name}")
    with helper(run.engine, run.operation.pk, name, read_only=False) as volume, source.open() as pieces:
        volume.write(_counted(pieces, found := _Found(source.root)), root=source.root)
    written = found.contents()
    if source.expected is not None and written.digest != source.expected.digest:
        raise BackupUnusable("The stored archive changed while it was read.", fix="Look at the disk of the store.")
    if is_alone:
        _compare(run, name, source, written)
    return f"{written.files:,} file{'s' if written.files != 1 else ''}, {size(written.content_bytes)}"


class _Found:
    """What went by on its way into the volume."""

    def __init__(self, root: str) -> None:
        self.reader = ArchiveReader(root)

    def contents(self) -> Contents:
        try:
            return self.reader.finish()
        except ArchiveError as exc:
            raise BackupUnusable(f"What was written is not whole: {exc}.") from exc


def _counted(pieces: Iterable[bytes], found: _Found) -> Iterator[bytes]:
    for piece in pieces:
        found.reader.feed(piece)
        yield piece


def _compare(run: Run, name: str, source: Source, written: Contents) -> None:
    """Read the volume back: what the engine unpacked has to be what the archive holds. Raises BackupUnusable."""
    run.step(f"Reading {name} back to compare")
    reader = ArchiveReader(ROOT)
    show = progress_of(run, written)
    try:
        with helper(run.engine, run.operation.pk, name, read_only=True) as volume, volume.read() as stream:
            for piece in stream:
                reader.feed(piece)
                show(reader)
        back = reader.finish()
    except ArchiveError as exc:
        raise BackupUnusable(f"{name} on {run.device.name} could not be read back: {exc}.") from exc
    if source.is_exact and not written.is_sparse:
        is_same = back.digest == written.digest
    else:
        # Other programs write names twice, leave out folders, and store holes of files: it cannot be the very same.
        is_same = back.files > 0 or not written.files
    if not is_same:
        raise BackupUnusable(
            f"What was written into {name} on {run.device.name} is not what was read from {source.title}: "
            f"{back.files:,} of {written.files:,} files, {back.content_bytes:,} of {written.content_bytes:,} bytes.",
            fix="The disk or file system of that host may be at fault: see its kernel log.",
        )


# ---- in place of what is there


def _in_place_of(run: Run, name: str, source: Source) -> str:
    """Prove the archive in a volume beside it, back up what is there, then make the volume anew and fill it."""
    engine = run.engine
    if run.journal.get("swapping"):
        return _swap(run, name, source)
    old = inspect_volume(engine, name)
    if old is None:
        return _into_new(run, name, source)
    _require_replaceable(run, name, old)
    beside = f"{name[:200]}-restoring-{str(run.operation.pk)[:8]}"
    _into_new(run, beside, source, {"driver": "local"})
    _back_up_first(run)
    _require_unused(run, name)
    run.check_cancelled()
    run.seal(old={"driver": old.get("Driver"), "options": old.get("Options") or {}, "labels": old.get("Labels") or {}})
    run.note(swapping=True, beside=beside)
    return _swap(run, name, source)


def _swap(run: Run, name: str, source: Source) -> str:
    """From here on only forwards: the old volume goes, the new one comes. Archive and old content are safe by now."""
    engine = run.engine
    run.step(f"Replacing {name}")
    try:
        engine.delete(volume_path(name), timeout_s=120)
    except EngineNotFound:
        pass  # an attempt before us had done it
    except EngineConflict as exc:
        raise _used(run, name) from exc
    _make(run, name, run.sealed.get("old") or {})
    done = _fill(run, name, source)
    run.note(made=[])
    beside = run.journal.get("beside")
    if beside:
        _remove_ours(run, [beside])
    return f"{done}, in place of what was there"


def _require_replaceable(run: Run, name: str, old: dict[str, Any]) -> None:
    _require_unused(run, name)
    if old.get("Options") or old.get("Driver") not in (None, "", "local"):
        raise SsmError(
            f"{name} on {run.device.name} lies elsewhere (driver {old.get('Driver')}, with options): removing the "
            "volume does not remove what it holds, so it cannot be replaced.",
            fix="Restore over what it holds, or into a new volume.",
        )


def _require_unused(run: Run, name: str) -> None:
    if users_of(run.engine, name):
        raise _used(run, name)


def _used(run: Run, name: str) -> VolumeInUse:
    names = ", ".join(user.name for user in users_of(run.engine, name)[:10]) or "a container"
    return VolumeInUse(
        f"{name} on {run.device.name} is used by {names}: an engine replaces no volume that a container mounts.",
        fix="Restore into a new volume and recreate the containers with it, or restore over what this one holds.",
    )


def _back_up_first(run: Run, *, lets_go: bool = True) -> None:
    """Back up what is about to be overwritten, once."""
    if not run.parameters.get("safety") or run.journal.get("is_safe"):
        return
    if not run.journal.get("safety_backup"):
        run.note(safety_backup=str(uuid.uuid4()))
    backup, _is_new = Backup.objects.get_or_create(
        pk=run.journal["safety_backup"],
        defaults={
            "device": run.device,
            "device_name": run.device.name,
            "volume_name": run.operation.target_name,
            "operation": run.operation,
            "consistency": str(run.parameters.get("during", "running")),
            "note": "before a restore",
            "requested_by_name": run.operation.requested_by_name,
        },
    )
    if not backup.is_good:
        run.say(f"Backed up first: {make_backup(run, backup, run.device, lets_go=lets_go)}")
    run.note(is_safe=True)


# ---- over what is there


def _over(run: Run, name: str, source: Source) -> str:
    """Write over what the volume holds, while nothing else writes to it."""
    require_volume(run.engine, name)
    run.note(begun=True)
    _back_up_first(run, lets_go=False)
    hold(run, run.device, name, str(run.parameters.get("during", "stopped")))
    done = _fill(run, name, source, is_alone=False)
    return f"{done} written over what was there"


# ---- undoing


def _undo(run: Run) -> None:
    """Remove helpers and the volumes that this operation made; let containers go on. DeviceError if that cannot be."""
    devices = {run.device.pk: run.device}
    wanted = run.parameters.get("source")
    other = Device.objects.filter(pk=wanted["device"]).first() if wanted else None
    if other is not None:
        devices[other.pk] = other
    for device in devices.values():
        remove_helpers(run.engine_of(device), run.operation.pk)
    made = list(run.journal.get("made", []))
    if not (run.journal.get("swapping") and run.journal.get("ending")):
        _remove_ours(run, made)
        run.note(made=[])
    let_go(run)


def _remove_ours(run: Run, names: list[str]) -> None:
    for name in names:
        found = inspect_volume(run.engine, name)
        labels = (found or {}).get("Labels") or {}
        if labels.get(MADE_BY) == str(run.operation.pk):
            with suppress(EngineNotFound):
                run.engine.delete(volume_path(name), timeout_s=120)
        refresh_volume(run.device, run.engine, name)


def _raise_ending(run: Run) -> None:
    """End as the attempt before us had to, whose host went away before it could undo all."""
    ending = run.journal.get("ending")
    if ending:
        if ending["code"] == OperationCancelled.code:
            raise OperationCancelled(ending["message"])
        error = EndedBefore(ending["message"], fix=ending["fix"])
        error.code = ending["code"]
        raise error
