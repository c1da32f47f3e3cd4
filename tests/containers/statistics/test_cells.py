"""Figures for people, small lines, bars, and why there is nothing to show."""

import re

import pytest

from containers.models import ContainerUsage, HostUsage
from containers.templatetags.statistics import bar, figure, share, sparkline
from containers.templatetags.usage import container_bar_cell, container_cell, device_cell, device_meter
from devices.models import now
from tests.factories import ContainerFactory, DeviceFactory

MIB = 1024**2


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "percent", "–"),
        (0.0, "percent", "0.0%"),
        (12.345, "percent", "12.3%"),
        (1234.5, "percent", "1,234%"),
        (None, "bytes", "–"),
        (48 * MIB, "bytes", "48.0 MiB"),
        (None, "rate", "–"),
        (999, "rate", "999 B/s"),
        (999.7, "rate", "1.0 kB/s"),
        (123_400, "rate", "123 kB/s"),
        (2.5e9, "rate", "2.5 GB/s"),
        (9e18, "rate", "9000000 TB/s"),
        (None, "number", "–"),
        (7.0, "number", "7"),
        (0.25, "number", "0.25"),
        (2048, "number", "2,048"),
    ],
)
def test_figure_in_each_unit_is_short_and_never_a_false_zero(value, unit, text):
    assert figure(value, unit) == text


def test_share_of_nothing_is_not_available():
    assert share(1, 4) == 25
    assert share(1, 0) is share(None, 4) is share(1, None) is None


def test_sparkline_draws_gaps_as_gaps_and_says_its_numbers():
    html = sparkline([1.0, 2.0, None, 4.0, 4.0], "percent", "CPU of <web>")

    (path,) = re.findall(r' d="([^"]+)"', html)
    assert path == "M0 72 1 50M3 5 4 5"
    assert "CPU of &lt;web&gt;, last 5 readings: lowest 1.0%, highest 4.0%" in html
    assert "style" not in html


def test_sparkline_of_too_little_is_nothing():
    for values in (None, [], [1.0], [None, 3.0, None]):
        assert sparkline(values, "percent", "CPU") == ""


def test_sparkline_of_next_to_nothing_is_flat():
    assert "M0 95 1 94" in sparkline([0.0, 0.01], "percent", "CPU")


@pytest.mark.parametrize(("value", "tone"), [(10, None), (85, "bar--busy"), (95, "bar--bad"), (250, "bar--bad")])
def test_bar_changes_its_tone_when_nearly_full_and_never_leaves_its_ground(value, tone):
    html = bar(value, "Disk", warns=True)

    assert (tone or "bar ") in html
    assert float(re.findall(r'fill" width="([\d.]+)"', html)[0]) <= 100
    assert "bar--" not in bar(value, "CPU")
    assert bar(None, "CPU") == ""


# ---- cells


def used(container, **figures):
    usage = ContainerUsage(container=container, sampled_at=now(), **figures)
    usage.save()
    container.usage = usage
    return container


FULL = {
    "cpu_percent": 12.34,
    "memory_bytes": 48 * MIB,
    "memory_limit_bytes": 64 * MIB,
    "network_received_bytes_per_s": 1500.0,
    "network_sent_bytes_per_s": 0.0,
    "block_read_bytes_per_s": None,
    "block_written_bytes_per_s": 2e6,
    "pids": 3,
    "recent_cpu": [1.0, 2.0],
    "recent_memory": [1.0 * MIB, 2.0 * MIB],
}


@pytest.mark.django_db
def test_cells_of_a_container_show_percent_and_mebibytes():
    container = used(ContainerFactory(device__cpus=4), **FULL)

    cells = {part: container_cell(container, part) for part in ("cpu", "memory", "network", "block", "pids")}

    assert "12.3%" in cells["cpu"]
    assert "spark" in cells["cpu"]
    assert 'title="12.3% of one CPU; the host has 4"' in cells["cpu"]
    assert "48.0 MiB" in cells["memory"]
    assert "75.0%" in cells["memory"]
    assert "↓ 1.5 kB/s" in cells["network"]
    assert "↑ 0 B/s" in cells["network"]
    assert "R –" in cells["block"]
    assert "W 2.0 MB/s" in cells["block"]
    assert ">3<" in cells["pids"]
    for part, cell in cells.items():
        assert cell.startswith(f'<td id="container-{container.pk}-{part}"')
    bars = [container_bar_cell(container, part) for part in ("cpu", "memory")]
    assert 'width="3.1"' in bars[0]
    assert 'width="75.0"' in bars[1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("container", "figures", "reason"),
    [
        ({"state": "exited"}, FULL, "it is exited"),
        ({"removed_at": now()}, None, "it is removed"),
        ({"device__statistics_enabled": False}, None, "statistics are turned off for"),
        ({}, None, "not read yet"),
        ({}, {}, "its host gave no figures at the last reading"),
        ({}, {"pids": 3}, "the engine does not tell"),
    ],
)
def test_cells_without_a_figure_say_why_and_show_no_zero(container, figures, reason):
    made = ContainerFactory(**container)
    if figures is not None:
        used(made, **figures)

    for part in ("cpu", "memory", "network", "block"):
        cell = container_cell(made, part)
        assert reason in cell
        assert "–" in cell
        assert ">0" not in cell


@pytest.mark.django_db
def test_cells_of_a_host_show_how_full_it_is():
    device = DeviceFactory(name="h1", cpus=2)
    HostUsage.objects.create(
        device=device,
        sampled_at=now(),
        cpu_percent=7.25,
        memory_used_bytes=6 * MIB,
        memory_total_bytes=8 * MIB,
        disk_used_bytes=None,
        disk_total_bytes=None,
        reason="The key may not run commands.",
    )

    assert "7%" in device_cell(device, "usecpu")
    assert "2 CPUs" in device_meter(device, "usecpu")
    assert 'title="6.0 MiB of 8.0 MiB"' in device_cell(device, "usememory")
    assert "75%" in device_meter(device, "usememory")
    assert "Not available: The key may not run commands." in device_cell(device, "usedisk")


@pytest.mark.django_db
def test_cells_of_a_host_that_was_never_read_say_so():
    assert "not read yet" in device_cell(DeviceFactory(), "usecpu")
    assert "turned off" in device_cell(DeviceFactory(statistics_enabled=False), "usedisk")
    assert "does not tell" in device_cell(
        HostUsage.objects.create(device=DeviceFactory(), sampled_at=now()).device, "usedisk"
    )
