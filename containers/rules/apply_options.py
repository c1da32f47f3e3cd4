"""How updates are applied, as a form gives it (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from containers.rules.parameters import ParameterError
from containers.rules.probes import ProbeError, read_probe
from containers.rules.replacement import LONGEST_WATCH_S, SHORTEST_WATCH_S, Watch

_HOUR: Final = 3600
_KEEPS: Final = {
    0: "Remove it at once",
    _HOUR: "Keep it for an hour",
    24 * _HOUR: "Keep it for a day",
    7 * 24 * _HOUR: "Keep it for a week",
    30 * 24 * _HOUR: "Keep it for 30 days",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What a successor has to show, and how long the old containers are kept (seconds; 0: not at all)."""

    watch: Watch
    keep_old_s: int = 0


def keeps(usual_s: int) -> list[tuple[int, str]]:
    """Times for which an old container may be kept, with their words; the usual one is among them."""
    found = dict(_KEEPS)
    if usual_s not in found:
        found[usual_s] = f"Keep it for {usual_s // _HOUR} hours"
    return sorted(found.items())


def read_options(form: Mapping[str, Any], usual: Options) -> Options:
    """Options from a form's texts; what is left out is as usual. Raises ParameterError for the first that is wrong."""
    stable_s = _seconds(form, "stable_s", usual.watch.stable_s, SHORTEST_WATCH_S)
    patience_s = _seconds(form, "patience_s", usual.watch.patience_s, 0)
    try:
        probe = read_probe(str(form.get("probe", ""))[:400])
    except ProbeError as exc:
        raise ParameterError("probe", str(exc)) from exc
    keep = str(form.get("keep_old_s", usual.keep_old_s)).strip()
    if keep not in {str(seconds) for seconds, _text in keeps(usual.keep_old_s)}:
        raise ParameterError("keep_old_s", "Choose one of the times.")
    return Options(Watch(stable_s, patience_s, probe), int(keep))


def _seconds(form: Mapping[str, Any], field: str, usual: int, least: int) -> int:
    text = str(form.get(field, "")).strip()
    if not text:
        return usual
    if not text.isascii() or not text.isdigit() or not least <= int(text[:6]) <= LONGEST_WATCH_S:
        raise ParameterError(field, f"Give whole seconds, from {least} to {LONGEST_WATCH_S}.")
    return int(text)
