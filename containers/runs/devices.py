"""Acts on a whole device: test its connection, read it anew, check its containers for updates."""

from datetime import UTC, datetime

from containers import sync
from containers.runs.run import Run
from containers.updates import cycle
from devices import work
from devices.diagnosis import Step, diagnose
from devices.models import Device
from devices.services import connection_target, note_access
from ssm.lib.errors import SsmError

DEADLINE_S = 30.0


class TestFailed(SsmError):
    """A step of a connection test failed, or waits for a person."""

    code = "test_failed"
    status = 409


class NotNow(SsmError):
    """What was asked for makes no sense at present."""

    code = "not_now"
    status = 409


def test_connection(run: Run) -> str:
    """Try the way to the engine on a connection of its own; each step is told. Leaves the pool alone."""

    def tell(step: Step) -> None:
        if step.state == "running":
            run.step(f"{step.title}…")
            return
        took = f" ({step.duration_ms} ms)" if step.duration_ms is not None else ""
        said = f": {step.error}" if step.error is not None else f": {step.detail}" if step.detail else ""
        run.say(f"{step.title}: {step.state.replace('_', ' ')}{took}{said}")

    diagnosis = diagnose(connection_target(run.device), emit=tell, deadline_s=DEADLINE_S)
    if diagnosis.error is not None:
        raise TestFailed(diagnosis.error.message, fix=diagnosis.error.fix)
    if diagnosis.needs_decision:
        shown = f" ({diagnosis.host_key.fingerprint})" if diagnosis.host_key is not None else ""
        raise TestFailed(
            f"{run.device.name} shows a host key{shown} that nobody has accepted yet.",
            fix="Compare it, and accept it on the device's page.",
        )
    if diagnosis.access is not None:
        note_access(str(run.device.pk), diagnosis.access)
    return f"connected: engine {diagnosis.version.get('Version', '')!s:.40}, API {diagnosis.api_version}"


def read_anew(run: Run) -> str:
    """Sweep the device now, whatever its schedule says."""
    _require_watched(run.device)
    outcome: list[str] = []

    def sweep(_device_id: str) -> None:
        started = datetime.now(UTC)
        try:
            changes = sync.sweep(run.device, run.engine)
        except SsmError as exc:
            sync.record_sweep(run.device, started_at=started, error=str(exc), is_complete=False)
            raise
        unread = f"{len(changes.unread)} could not be inspected: " + "; ".join(changes.unread[:5])
        sync.record_sweep(run.device, started_at=started, error=unread[:2000] if changes.unread else "")
        counts = (
            (len(changes.appeared), "new"),
            (len(changes.updated), "changed"),
            (len(changes.vanished), "gone"),
            (len(changes.unread), "unread"),
        )
        outcome.append(", ".join(f"{number} {word}" for number, word in counts if number) or "nothing has changed")

    if not work.perform(work.SWEEP, str(run.device.pk), sweep):
        return "another worker is reading it right now"
    return outcome[0]


def check_updates(run: Run) -> str:
    """Decide about updates of the device's containers, and have registries asked for what is too old."""
    _require_watched(run.device)
    if not work.perform(work.UPDATE_CHECK, str(run.device.pk), cycle.check_device):
        return "another worker is checking it right now"
    error = Device.objects.values_list("last_update_check_error", flat=True).get(pk=run.device.pk)
    return error or "checked; registries are asked for what is too old"


def _require_watched(device: Device) -> None:
    if not device.watch_enabled:
        raise NotNow(f"{device.name} is not watched.", fix="Switch that on under Edit.")
