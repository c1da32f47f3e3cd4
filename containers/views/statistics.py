"""Statistics over time: the pages of a container and of a device, and the figures that their charts draw."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from containers.models import Container, ContainerUsage, HostUsage
from containers.rules.limits import limits_of
from containers.rules.marks import Mark
from containers.rules.series import Series
from containers.rules.summaries import CONTAINER_MEASURES, DEVICE_MEASURES, summaries
from containers.statistics.happenings import container_marks, device_marks
from containers.statistics.reading import container_series, device_series
from containers.views.pages import find_container
from containers.views.spans import SPANS, Window
from devices.models import Device
from ssm.lib.access import allowed, is_about
from ssm.lib.roles import can_view

# What a browser draws; the rest of a series stays here.
_CONTAINER_DRAWN: Final = (*(measure.column for measure in CONTAINER_MEASURES), "memory_limit_bytes")
_DEVICE_DRAWN: Final = (
    *(measure.column for measure in DEVICE_MEASURES),
    *("memory_total_bytes", "disk_total_bytes", "containers_pids"),
)
_PEAKS: Final = ("cpu_percent_max", "memory_bytes_max", "memory_used_bytes_max")
_LISTED: Final = 12


@require_GET
@allowed(can_view)
def container_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Charts of one container, with the figures in a table that needs no script."""
    container = find_container(request, pk, unread=("environment",))
    window = Window.read(request.GET)
    series = container_series(container, window.start, window.end)
    context = {
        "container": container,
        "tab": "statistics",
        "usage": ContainerUsage.objects.filter(container=container).first(),
        "limits": _container_limits(container),
        **_shown(window, summaries(series, CONTAINER_MEASURES, window.bounds[1])),
        "marks": _listed(container_marks(request.user, container, window.start, window.end)),
    }
    return render(request, "containers/statistics.html", context)


@require_GET
@allowed(can_view)
def container_data(request: HttpRequest, pk: uuid.UUID) -> JsonResponse:
    """What the charts of a container draw, as JSON. Parameters: `Window.read`."""
    container = get_object_or_404(
        Container.objects.visible_to(request.user).select_related("device").defer("environment"), pk=pk
    )
    window = Window.read(request.GET)
    series = container_series(container, window.start, window.end)
    marks = container_marks(request.user, container, window.start, window.end)
    return _data(window, series, _CONTAINER_DRAWN, marks, _container_limits(container))


@require_GET
@allowed(can_view)
def device_page(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Charts of one host and of what its containers use together."""
    devices = Device.objects.visible_to(request.user).select_related("credential")
    device = is_about(request, get_object_or_404(devices, pk=pk))
    window = Window.read(request.GET)
    series = device_series(device, window.start, window.end)
    context = {
        "device": device,
        "section": "devices",
        "usage": HostUsage.objects.filter(device=device).first(),
        "limits": _device_limits(device),
        **_shown(window, summaries(series, DEVICE_MEASURES, window.bounds[1])),
        "marks": _listed(device_marks(request.user, device, window.start, window.end)),
    }
    return render(request, "statistics/device.html", context)


@require_GET
@allowed(can_view)
def device_data(request: HttpRequest, pk: uuid.UUID) -> JsonResponse:
    """What the charts of a device draw, as JSON. Parameters: `Window.read`."""
    device = get_object_or_404(Device.objects.visible_to(request.user), pk=pk)
    window = Window.read(request.GET)
    series = device_series(device, window.start, window.end)
    marks = device_marks(request.user, device, window.start, window.end)
    return _data(window, series, _DEVICE_DRAWN, marks, _device_limits(device))


def _shown(window: Window, rows: list[Any]) -> dict[str, Any]:
    return {"window": window, "spans": SPANS, "summaries": rows, "bounds": window.bounds}


def _listed(marks: Sequence[Mark]) -> list[Mark]:
    """The newest, newest first."""
    return list(reversed(marks[-_LISTED:]))


def _container_limits(container: Container) -> dict[str, float | None]:
    """What bounds a container by its own settings (percent of one CPU, bytes, processes); None for no limit."""
    host = container.inspect.get("HostConfig") if isinstance(container.inspect, dict) else None
    limits = limits_of(host if isinstance(host, dict) else {})
    return {
        "cpu_percent": limits.nano_cpus / 1e7 if limits.nano_cpus else None,
        "memory_bytes": limits.memory,
        "pids": limits.pids,
        "cpus": container.device.cpus,
        "host_memory_bytes": container.device.memory_bytes,
    }


def _device_limits(device: Device) -> dict[str, float | None]:
    return {"cpus": device.cpus, "host_memory_bytes": device.memory_bytes}


def _data(
    window: Window, series: Series, drawn: Iterable[str], marks: Sequence[Mark], limits: dict[str, float | None]
) -> JsonResponse:
    start, end = window.bounds
    columns = {
        name: [_short(value) for value in series.columns[name]] for name in (*drawn, *_PEAKS) if name in series.columns
    }
    answer = JsonResponse(
        {
            "start": start,
            "end": end,
            "step_s": series.step_s,
            "times": series.times,
            "columns": columns,
            "limits": limits,
            "marks": [{"time": round(mark.time, 1), "kind": mark.kind, "text": mark.text} for mark in marks],
        },
        json_dumps_params={"separators": (",", ":")},
    )
    answer["Cache-Control"] = "no-store"
    return answer


def _short(value: float | None) -> float | None:
    """Three digits after the point up to a thousand, then none: as much as a chart can show."""
    if value is None:
        return None
    return round(value, 3) if abs(value) < 1000 else round(value)
