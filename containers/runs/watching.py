"""Watch a new container until it has shown that it is well, or that it is not."""

import time
from collections.abc import Callable
from typing import Final

from containers.rules.probes import Probe, probe_places, shares_network_of
from containers.rules.replacement import Look, Watch, judge, look_of
from containers.runs.run import Run
from devices.errors import DeviceError, EngineNotFound, PortForbidden, PortSilent
from ssm.lib.errors import SsmError

_LOOK_EVERY_S: Final = 0.5
_PROBE_TIMEOUT_S: Final = 5.0
# A probe is asked again until the time that the health check has, or at least this long.
_PROBED_FOR_S: Final = 60.0


class NotWell(SsmError):
    """The new container did not show what was asked of it."""

    code = "not_well"


def watch_successor(run: Run, engine_id: str, watch: Watch, reach: Callable[[Callable[[], None]], None]) -> None:
    """Return once the container is well. Raises NotWell, OperationCancelled, DeviceError.

    ``reach`` does a step again while the host is out of reach for a moment.
    """
    first: Look | None = None
    began = time.monotonic()
    while True:
        run.check_cancelled()
        inspect = _inspect(run, engine_id, reach)
        latest = look_of(inspect)
        if first is None:
            first, began = latest, time.monotonic()
        verdict = judge(first, latest, time.monotonic() - began, watch)
        if verdict.state == "bad":
            raise NotWell(f"The new container was given up: {verdict.text}.", fix="See its last lines below.")
        if verdict.state == "well":
            break
        run.step(verdict.text)
        time.sleep(min(_LOOK_EVERY_S, max(0.05, verdict.left_s)))
    run.say(f"  {verdict.text}")
    if watch.probe is not None:
        _probe(run, first, watch, watch.probe, reach)


def _inspect(run: Run, engine_id: str, reach: Callable[[Callable[[], None]], None]) -> dict[str, object]:
    found: list[dict[str, object]] = []

    def look() -> None:
        try:
            found.append(run.engine.get_json(f"/containers/{engine_id}/json"))
        except EngineNotFound as exc:
            raise NotWell("The new container was removed by somebody meanwhile.") from exc

    reach(look)
    return found[-1]


def _probe(run: Run, first: Look, watch: Watch, probe: Probe, reach: Callable[[Callable[[], None]], None]) -> None:
    run.step(f"asking {probe.text}")
    began = time.monotonic()
    patience_s = float(watch.patience_s or _PROBED_FOR_S)
    while True:
        run.check_cancelled()
        inspect = _inspect(run, first.engine_id, reach)
        verdict = judge(first, look_of(inspect), time.monotonic() - began, watch)
        if verdict.state == "bad":
            raise NotWell(f"The new container was given up: {verdict.text}.", fix="See its last lines below.")
        said = ask(run, inspect, probe)
        if not said:
            run.say(f"  {probe.text} answers")
            return
        if time.monotonic() - began >= patience_s:
            raise NotWell(
                f"The new container was given up: {probe.text} did not answer as wanted within {patience_s:.0f} "
                f"seconds: {said}",
                fix="See its last lines below, and whether the probe's port and path are right.",
            )
        time.sleep(_LOOK_EVERY_S)


def ask(run: Run, inspect: dict[str, object], probe: Probe) -> str:
    """Why the probe did not pass, in a sentence; empty when it did. Raises NotWell where it cannot be asked at all."""
    other = shares_network_of(inspect)
    if other:
        try:
            inspect = run.engine.get_json(f"/containers/{other}/json")
        except EngineNotFound:
            return "the container whose network it uses is gone."
    said = f"it has no address that {run.device.name} could reach."
    for address, port in probe_places(inspect, probe.port):
        try:
            status = run.engine.ask_port(address, port, probe.path, _PROBE_TIMEOUT_S)
        except PortForbidden as exc:
            raise NotWell(f"The new container was given up: {exc.message}", fix=exc.fix) from exc
        except PortSilent as exc:
            said = exc.message
            continue
        except DeviceError as exc:
            return exc.message
        if not probe.path or probe.accepts(status):
            return ""
        return f"the answer was HTTP {status}."
    return said
