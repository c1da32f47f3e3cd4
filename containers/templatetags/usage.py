"""The cells of tables that show what a container or a host uses now. No queries; for rows with their usage selected.

Built here and not by templates: a page has hundreds of them, and each is pushed anew with every reading.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from containers.templatetags.statistics import UNKNOWN, bar, figure, percent_text, rate_text, sparkline
from ssm.templatetags.ui import size

if TYPE_CHECKING:
    from containers.models import Container, ContainerUsage, HostUsage
    from devices.models import Device

register = template.Library()

CONTAINER_PARTS: Final = ("cpu", "memory", "network", "block", "pids")
DEVICE_PARTS: Final = ("usecpu", "usememory", "usedisk")
_NAMES: Final = {
    "cpu": "CPU",
    "memory": "Memory",
    "network": "Network",
    "block": "Disk I/O",
    "pids": "Processes",
    "usecpu": "CPU",
    "usememory": "Memory",
    "usedisk": "Disk",
}


@register.simple_tag
def container_cell(container: "Container", part: str) -> SafeString:
    """The table cell of one of `CONTAINER_PARTS`, with a small line where there is one."""
    usage: ContainerUsage | None = getattr(container, "usage", None)
    main, sub, title = _container_texts(container, usage, part)
    line: SafeString | str = ""
    if usage is not None and container.state == "running" and part in ("cpu", "memory"):
        values, unit = (usage.recent_cpu, "percent") if part == "cpu" else (usage.recent_memory, "bytes")
        line = sparkline(values, unit, f"{_NAMES[part]} of {container.title}")
    return _cell("container", container.pk, part, line, main, sub, title)


@register.simple_tag
def container_bar_cell(container: "Container", part: str) -> SafeString:
    """As `container_cell`, for the page that ranks containers: with a bar of the share of its host or of its limit."""
    usage: ContainerUsage | None = getattr(container, "usage", None)
    main, sub, title = _container_texts(container, usage, part)
    line: SafeString | str = ""
    if usage is not None and part == "cpu" and container.device.cpus and usage.cpu_percent is not None:
        line = bar(usage.cpu_percent / container.device.cpus, f"Share of the CPUs of {container.device.name}")
    elif usage is not None and part == "memory":
        line = bar(usage.memory_percent, f"Share of what {container.title} may use", warns=True)
    return _cell("container", container.pk, part, line, main, sub, title)


def _container_texts(container: "Container", usage: "ContainerUsage | None", part: str) -> tuple[str, str, str]:
    """The figure, what stands under it, and what is said on hover (why there is none)."""
    if usage is None or container.state != "running":
        return UNKNOWN, "", _container_reason(container, usage)
    if part == "cpu":
        value = usage.cpu_percent
        title = f"{percent_text(value)} of one CPU" + (f"; the host has {n}" if (n := container.device.cpus) else "")
        return percent_text(value), "", title if value is not None else _container_reason(container, usage)
    if part == "memory":
        if usage.memory_bytes is None:
            return UNKNOWN, "", _container_reason(container, usage)
        share = usage.memory_percent
        title = f"{size(usage.memory_bytes)} of {size(usage.memory_limit_bytes)}" if share is not None else ""
        return size(usage.memory_bytes), percent_text(share) if share is not None else "", title
    if part == "pids":
        reason = _container_reason(container, usage) if usage.pids is None else ""
        return figure(usage.pids, "number"), "", reason
    into, out = (
        (usage.network_received_bytes_per_s, usage.network_sent_bytes_per_s)
        if part == "network"
        else (usage.block_read_bytes_per_s, usage.block_written_bytes_per_s)
    )
    if into is None and out is None:
        return UNKNOWN, "", _container_reason(container, usage)
    words = ("received", "sent") if part == "network" else ("read", "written")
    signs = ("↓", "↑") if part == "network" else ("R", "W")
    title = f"{rate_text(into)} {words[0]}, {rate_text(out)} {words[1]}"
    return f"{signs[0]} {rate_text(into)}", f"{signs[1]} {rate_text(out)}", title


def _container_reason(container: "Container", usage: "ContainerUsage | None") -> str:
    if container.removed_at is not None:
        return "Not available: it is removed"
    if container.state != "running":
        return f"Not available: it is {container.state}"
    if not container.device.statistics_enabled:
        return f"Not available: statistics are turned off for {container.device.name}"
    if usage is None or usage.sampled_at is None:
        return "Not available: not read yet"
    if usage.memory_bytes is None and usage.cpu_percent is None and usage.pids is None:
        return "Not available: its host gave no figures at the last reading"
    return "Not available: the engine does not tell, or the second reading is yet to come"


# ---- hosts ---------------------------------------------------------------------------------------------------


@register.simple_tag
def device_cell(device: "Device", part: str) -> SafeString:
    """The table cell of one of `DEVICE_PARTS`: a figure, and a bar of how much of the host that is."""
    usage: HostUsage | None = getattr(device, "usage", None)
    share, main, title = _device_texts(device, usage, part)
    return _cell("device", device.pk, part, bar(share, f"{_NAMES[part]} of {device.name}", warns=True), main, "", title)


@register.simple_tag
def device_meter(device: "Device", part: str) -> SafeString:
    """Figure and bar of one of `DEVICE_PARTS` for the device's page."""
    usage: HostUsage | None = getattr(device, "usage", None)
    share, main, title = _device_texts(device, usage, part)
    return format_html(
        '<span class="meter" title="{}"><span class="meter__head"><span class="muted">{}</span><b>{}</b></span>'
        '{}<span class="small muted">{}</span></span>',
        title,
        _NAMES[part],
        main,
        bar(share, f"{_NAMES[part]} of {device.name}", warns=True),
        title,
    )


_DEVICE_VALUES: Final[dict[str, Callable[[Any], tuple[float | None, int | None, int | None]]]] = {
    "usecpu": lambda usage: (usage.cpu_percent, None, None),
    "usememory": lambda usage: (usage.memory_percent, usage.memory_used_bytes, usage.memory_total_bytes),
    "usedisk": lambda usage: (usage.disk_percent, usage.disk_used_bytes, usage.disk_total_bytes),
}


def _device_texts(device: "Device", usage: "HostUsage | None", part: str) -> tuple[float | None, str, str]:
    """Percent of the host, its text, and what is said on hover."""
    share, used, total = _DEVICE_VALUES[part](usage) if usage is not None else (None, None, None)
    if share is None:
        return None, UNKNOWN, _device_reason(device, usage)
    if total is not None:
        return share, f"{share:.0f}%", f"{size(used)} of {size(total)}"
    of = f"{device.cpus} CPUs together" if (device.cpus or 0) > 1 else "its CPU"
    return share, f"{share:.0f}%", f"{figure(share, 'percent')} of {of}"


def _device_reason(device: "Device", usage: "HostUsage | None") -> str:
    if not device.statistics_enabled:
        return "Not available: statistics are turned off for this device"
    if usage is None or usage.sampled_at is None:
        return "Not available: not read yet"
    return f"Not available: {usage.reason}" if usage.reason else "Not available: the host does not tell"


def _cell(kind: str, pk: object, part: str, drawing: SafeString | str, main: str, sub: str, title: str) -> SafeString:
    return format_html(
        '<td id="{0}-{1}-{2}" class="number usage-cell{8}" data-label="{3}" data-live{4}>'
        '<div class="usage usage--{2}">{5}<span class="usage__text">{6}{7}</span></div></td>',
        kind,
        pk,
        part,
        _NAMES[part],
        format_html(' title="{}"', title) if title else "",
        drawing,
        format_html('<span class="muted">{}</span>', main) if main == UNKNOWN else main,
        format_html('<span class="usage__sub">{}</span>', sub) if sub else "",
        " wide-only" if part == "pids" else "",
    )
