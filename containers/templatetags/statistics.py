"""Template tags about what containers and hosts use: figures in human units, small lines, bars. No queries."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ssm.templatetags.ui import relative_text, size

register = template.Library()

UNKNOWN: Final = "–"
_RATES: Final = ("B/s", "kB/s", "MB/s", "GB/s", "TB/s")
# Size of a small line, in the units of its own view box.
# Of small lines, in whole numbers, which say enough for 18 pixels; the stroke does not scale with them.
_HEIGHT: Final = 100
_ROOM: Final = 5
# What fills a small line's height when less is used: 1 % of a CPU, 1 MiB. Noise must not look like work.
_LEAST: Final = {"percent": 1.0, "bytes": 1024.0**2}
# Where a bar changes its colour, in percent.
NEARLY_FULL: Final = 80.0
FULL: Final = 90.0


def percent_text(value: float | None) -> str:
    """Percent for people: a digit after the point below 100; a dash when not known (never 0)."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}%" if value < 99.95 else f"{value:,.0f}%"


def rate_text(value: float | None) -> str:
    """Bytes per second for people, in decimal units as networks and disks are sold."""
    if value is None:
        return UNKNOWN
    for unit in _RATES:
        if value < 999.5 or unit == _RATES[-1]:
            return f"{value:.0f} {unit}" if unit == "B/s" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def number_text(value: float | None) -> str:
    """A count or a load: at most two digits after the point."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


@register.filter
def figure(value: float | None, unit: str) -> str:
    """A figure in its unit: "percent", "bytes", "rate" (bytes per second) or "number"."""
    if unit == "percent":
        return percent_text(value)
    if unit == "bytes":
        return size(None if value is None else int(value))
    return rate_text(value) if unit == "rate" else number_text(value)


@register.filter
def times_hundred(count: int | None) -> int | None:
    """CPUs as percent of one CPU."""
    return None if count is None else count * 100


@register.simple_tag
def share(part: float | None, whole: float | None) -> float | None:
    """Percent of a whole; None when either is not known."""
    return part / whole * 100 if part is not None and whole else None


@register.simple_tag
def sparkline(values: Sequence[float | None] | None, unit: str, name: str) -> SafeString | str:
    """A small line of the last figures, with its numbers for those who cannot see it. Gaps stay gaps.

    Drawn by attributes alone: the content policy takes no styles.
    """
    known = [value for value in values or () if value is not None]
    if len(known) < 2 or values is None:
        return ""
    top = max(_LEAST[unit], *known)
    # The line is not cut off at its ends: half a stroke of room.
    points = [
        None if value is None else f"{place} {_HEIGHT - _ROOM - value / top * (_HEIGHT - 2 * _ROOM):.0f}"
        for place, value in enumerate(values)
    ]
    path = "".join(f"M{' '.join(filter(None, points[at:to]))}" for at, to in _runs(points))
    label = (
        f"{name}, last {len(values)} readings: lowest {figure(min(known), unit)}, highest {figure(max(known), unit)}"
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="spark__line" d="{}"/></svg>',
        len(values) - 1,
        _HEIGHT,
        label,
        path,
    )


def _runs(points: Sequence[Any]) -> list[tuple[int, int]]:
    """Beginning and end of each stretch without a gap."""
    runs: list[tuple[int, int]] = []
    begin = None
    for place, point in enumerate([*points, None]):
        if point is not None and begin is None:
            begin = place
        elif point is None and begin is not None:
            runs.append((begin, place))
            begin = None
    return runs


@register.simple_tag
def bar(value: float | None, label: str, *, warns: bool = False) -> SafeString | str:
    """A bar of 0 to 100 percent; nothing when not known. With ``warns`` it changes colour when nearly full."""
    if value is None:
        return ""
    tone = ("bad" if value >= FULL else "busy" if value >= NEARLY_FULL else "") if warns else ""
    return format_html(
        '<svg class="bar {}" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="bar__ground" width="100" height="4" rx="2"/>'
        '<rect class="bar__fill" width="{}" height="4" rx="2"/></svg>',
        f"bar--{tone}" if tone else "",
        f"{label}: {percent_text(value)}",
        f"{min(max(value, 0.0), 100.0):.1f}",
    )


@register.filter
def unix_iso(seconds: float) -> str:
    """Unix seconds as the ``datetime`` attribute has them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@register.filter
def unix_text(seconds: float) -> str:
    """Unix seconds as a relative time, as times.js writes it."""
    return relative_text(datetime.fromtimestamp(seconds, UTC), datetime.now(UTC))
