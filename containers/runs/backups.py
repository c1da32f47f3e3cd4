"""Back up one volume: a stream from the engine's archive endpoint to the store, and its manifest last of all.

Points at which a worker may end, and what whoever goes on finds in the journal and does:

    before ``file`` is noted             nothing was done: begin
    containers held, helper made, or
    part of the archive stored           let the containers go, remove the helper, delete the part, begin again
    archive stored, no manifest          the same: without a manifest it counts for nothing
    manifest stored, row not yet good    read the manifest, and the backup is good
    ``ending`` noted                     it had failed: undo what is left, and end with that error
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from containers.backups import store
from containers.backups.helpers import helper, remove_helpers, require_volume
from containers.backups.packing import Packer, contents_json
from containers.errors import BackupUnusable, OperationCancelled, OperationTakenOver, StoreFailed
from containers.models import Backup, Volume
from containers.push import publish
from containers.rules.archives import ArchiveReader
from containers.rules.manifests import ROOT, Manifest
from containers.rules.volume_facts import volume_facts
from containers.runs.holding import NotLetGo, hold, let_go
from containers.runs.run import Run
from devices.errors import DeviceError
from devices.models import Device, now
from ssm.lib.errors import SsmError
from ssm.templatetags.ui import size

logger = logging.getLogger(__name__)

# A link that breaks each time is no way to get a backup.
MOST_TRIES: Final = 5


class EndedBefore(SsmError):
    """An earlier attempt had failed, and could not undo all that it had begun; code and texts are its own."""


def back_up(run: Run) -> str:
    """Back up the volume of the Backup row that ``parameters`` names."""
    backup = Backup.objects.filter(pk=run.parameters["backup"]).first()
    if backup is None:
        raise SsmError("The backup was deleted before it was made.")
    if backup.operation_id != run.operation.pk:
        _update(backup, operation=run.operation)
    return make_backup(run, backup, run.device)


def make_backup(run: Run, backup: Backup, device: Device, *, lets_go: bool = True) -> str:
    """Fill a Backup row that is not good yet; what happened in a sentence. Also a step of other runs.

    ``lets_go`` False keeps the containers held once it is made: something else is about to be done to the volume.
    Raises SsmError when there is no good backup, and then the row says why; a DeviceError that is no answer leaves
    the row as it is, for whoever goes on once the host answers.
    """
    if run.is_resumed and run.journal.get("file"):
        found = store.find_manifest(run.journal["file"])
        undo(run, device, keeps_file=found is not None)
        if found is not None:
            return _keep(run, backup, found)
    _raise_ending(run, backup)
    tries = int(run.journal.get("tries", 0)) + 1
    try:
        if tries > MOST_TRIES:
            raise SsmError(
                f"The connection to {device.name} broke {MOST_TRIES} times while the volume was read.",
                fix="Look at the link to the host, then back up again.",
            )
        manifest, trouble = _attempt(run, backup, device, tries, lets_go=lets_go)
    except OperationTakenOver:
        raise
    except DeviceError as exc:
        if exc.is_answer or not run.journal.get("file"):
            _give_up(run, backup, device, exc)
        else:
            _drop_file(run)
        raise
    except OperationCancelled as exc:
        _give_up(run, backup, device, exc, why="It was called off.")
        raise
    except SsmError as exc:
        _give_up(run, backup, device, exc)
        raise
    except DatabaseError:
        raise  # nothing can be noted; whoever takes the operation over finds what is left, as after a crash
    except Exception as exc:
        _give_up(run, backup, device, SsmError(f"SSM failed at this backup ({type(exc).__name__}): see its log."))
        raise
    outcome = _keep(run, backup, manifest)
    if trouble is not None:
        raise trouble
    return outcome


def _attempt(
    run: Run, backup: Backup, device: Device, tries: int, *, lets_go: bool
) -> tuple[Manifest, NotLetGo | None]:
    """The archive and the manifest are stored then. A container that does not go on costs nobody the backup."""
    engine = run.engine_of(device)
    facts = volume_facts(require_volume(engine, backup.volume_name))
    if facts is None:
        raise SsmError(f"The engine's answer about {backup.volume_name} cannot be used.")
    started = now()
    # Each attempt has a name of its own: what is left of another one can never be taken for it.
    name = store.archive_name(device.name, backup.volume_name, started, f"{backup.pk}-{tries}")
    run.note(file=name, tries=tries)
    _update(backup, file_name=name, state=Backup.State.RUNNING, error="")
    containers = hold(run, device, backup.volume_name, backup.consistency)
    run.step(f"Reading {backup.volume_name} from {device.name}")
    known = Volume.objects.filter(device=device, name=backup.volume_name).values_list("size_bytes", flat=True).first()
    with helper(engine, run.operation.pk, backup.volume_name, read_only=True) as volume, volume.read() as stream:
        packer = pack(run, stream, known or 0)
        store.write(name, packer)
    trouble = None
    if lets_go:
        try:
            let_go(run)
        except NotLetGo as exc:
            trouble = exc
    run.step("Writing its manifest")
    manifest = Manifest(
        id=str(backup.pk),
        device=device.name,
        volume=backup.volume_name,
        driver=facts.driver,
        created_at=started,
        finished_at=now(),
        consistency=backup.consistency,
        size_bytes=packer.size_bytes,
        sha256=packer.sha256,
        contents=contents_json(packer.contents),
        engine=engine.product,
        root=ROOT,
        labels=facts.labels,
        options=facts.options,
        containers=containers,
    )
    run.check_cancelled()
    store.write_text(store.manifest_name(name), manifest.as_text())
    return manifest, trouble


def pack(run: Run, stream: Iterable[bytes], expected_bytes: int) -> Packer:
    """The compressor of a volume's tar stream, which tells how far it is and ends when it is called off."""

    def progress(reader: ArchiveReader) -> None:
        run.check_cancelled()
        text = f"{reader.entries:,} files and folders"
        # The tar stream is larger than its files by a header each, so that it may pass what was expected.
        total = max(expected_bytes, reader.content_bytes) if expected_bytes else 0
        run.show([{"id": "volume", "text": text, "current": reader.content_bytes, "total": total}])

    return Packer(stream, root=ROOT, level=settings.SSM_BACKUP_LEVEL, on_progress=progress)


def _keep(run: Run, backup: Backup, manifest: Manifest) -> str:
    """The archive and its manifest are in the store: from here on it is a good backup."""
    _update(
        backup,
        state=Backup.State.GOOD,
        file_name=run.journal["file"],
        root=manifest.root,
        size_bytes=manifest.size_bytes,
        sha256=manifest.sha256,
        contents=manifest.contents,
        containers=manifest.containers,
        driver=manifest.driver,
        labels=manifest.labels,
        options=manifest.options,
        engine=manifest.engine[:80],
        created_at=manifest.created_at,
        finished_at=manifest.finished_at,
        error="",
    )
    count = manifest.contents.get("files", 0)
    content = manifest.contents.get("content_bytes", 0)
    return f"{count:,} file{'s' if count != 1 else ''}, {size(content)}, stored in {size(manifest.size_bytes)}"


def _raise_ending(run: Run, backup: Backup) -> None:
    """End as the attempt before us had to, whose host went away before it could undo all."""
    ending: dict[str, Any] | None = run.journal.get("ending")
    if not ending:
        return
    if ending.get("is_cancelled"):
        raise OperationCancelled("It was called off.")
    error = EndedBefore(ending["message"], fix=ending["fix"])
    error.code = ending["code"]
    _fail(backup, str(error))
    raise error


def _give_up(run: Run, backup: Backup, device: Device, exc: SsmError, why: str = "") -> None:
    """Note why it ends, undo all, and tell it in the row. A host that cannot be asked raises its own DeviceError."""
    is_cancelled = isinstance(exc, OperationCancelled)
    ending = {"code": exc.code, "message": exc.message, "fix": exc.fix, "is_cancelled": is_cancelled}
    if run.journal:
        run.note(ending=ending)
    _fail(backup, why or str(exc))
    if run.journal.get("file"):
        undo(run, device)


def undo(run: Run, device: Device, *, keeps_file: bool = False) -> None:
    """Let containers go on, remove helpers, delete what was stored. DeviceError when the host cannot be asked."""
    if not keeps_file:
        _drop_file(run)
    try:
        remove_helpers(run.engine_of(device), run.operation.pk)
    finally:
        let_go(run)


def _drop_file(run: Run) -> None:
    name = run.journal.get("file")
    if not name:
        return
    try:
        store.delete(name)
    except StoreFailed as exc:
        # It has no manifest, or has lost it first: nobody will take it for a backup.
        logger.warning("the rest of a backup is left in the store: %s", exc, extra={"file": name})


def _fail(backup: Backup, why: str) -> None:
    _update(backup, state=Backup.State.FAILED, error=why[:4000], finished_at=now())


def _update(backup: Backup, **columns: Any) -> None:
    with transaction.atomic(durable=True):
        Backup.objects.filter(pk=backup.pk).update(**columns)
        publish("backup", backup.device_id or "", [backup.pk])
    for name, value in columns.items():
        setattr(backup, name, value)


def require_good(backup: Backup) -> None:
    """Raises BackupUnusable for one that is not good."""
    if not backup.is_good:
        raise BackupUnusable(
            f"The backup of {backup.volume_name} from {backup.created_at:%Y-%m-%d %H:%M} UTC is not good: "
            f"{backup.get_state_display()}.",
            fix="Choose another one.",
        )
