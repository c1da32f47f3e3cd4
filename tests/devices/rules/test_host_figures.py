"""What the host's command prints → figures."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.rules.host_figures import HOST_SCRIPT, HostReading, host_cpu_percent, is_folder, parse_host_reading
from devices.rules.texts import clean_text

OUTPUT = (
    "ssm-begin load 0.15 0.58 1.45 2/512 4711 cpu 100 20 30 800 50 5 5 10 7 0 "
    "MemTotal: 24684092 kB MemFree: 1000 kB MemAvailable: 23084092 "
    "Filesystem 1024-blocks Used Available Capacity Mounted on "
    "/dev/mapper/my disk 264212084 26251979 224499105 11% /var/lib/docker ssm-end"
)


def read(output: str) -> HostReading:
    reading = parse_host_reading(output)
    assert reading is not None
    return reading


def test_parse_gives_every_figure():
    assert parse_host_reading(OUTPUT) == HostReading(
        cpu_busy_ticks=170,
        cpu_total_ticks=1020,
        memory_used_bytes=1600000 * 1024,
        memory_total_bytes=24684092 * 1024,
        load_1=0.15,
        load_5=0.58,
        load_15=1.45,
        disk_used_bytes=26251979 * 1024,
        disk_total_bytes=264212084 * 1024,
    )


def test_parse_on_an_old_kernel_adds_up_what_can_be_given_back():
    told = "MemTotal: 1000 MemFree: 100 Buffers: 50 Cached: 200 SReclaimable: 50"

    assert read(f"ssm-begin {told} ssm-end").memory_used_bytes == 600 * 1024


@pytest.mark.parametrize(
    "output", ["", "This account is currently not available.", "ssm-begin load 1.0 1.0 1.0", "ssm-end ssm-begin "]
)
def test_parse_of_another_program_is_none(output):
    assert parse_host_reading(output) is None


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("ssm-begin load 99999999.0 1.0 1.0 x ssm-end", id="load beyond all machines"),
        pytest.param("ssm-begin cpu 1 2 3 ssm-end", id="too few times"),
        pytest.param("ssm-begin MemTotal: 9999999999999999999 ssm-end", id="memory beyond all machines"),
        pytest.param("ssm-begin MemTotal: 5 MemAvailable: 9 ssm-end", id="more available than there is"),
        pytest.param("ssm-begin x 99999999999999999999 1 1 1% / ssm-end", id="disk beyond all machines"),
    ],
)
def test_parse_of_impossible_figures_is_not_available(output):
    reading = read(output)

    assert (reading.load_1, reading.cpu_total_ticks, reading.disk_total_bytes) == (None, None, None)
    assert reading.memory_used_bytes is None


@given(st.text(max_size=300))
def test_parse_of_hostile_text_never_fails(text):
    parse_host_reading(text)
    parse_host_reading(f"ssm-begin {text} ssm-end")


@given(st.lists(st.sampled_from([*OUTPUT.split(), "99999999999999999999999", "-1", "cpu", "load"]), max_size=60))
def test_parse_of_shuffled_words_gives_figures_or_none(words):
    reading = parse_host_reading(f"ssm-begin {' '.join(words)} ssm-end")

    for name in HostReading.__slots__:
        figure = getattr(reading, name)
        assert figure is None or figure >= 0


@pytest.mark.parametrize(
    ("before", "expected"),
    [((100, 1000), 50.0), (None, None), ((300, 1000), None), ((100, 1200), None), ((100, 1300), None)],
)
def test_host_cpu_percent_is_the_busy_share_between_two_readings(before, expected):
    after = HostReading(cpu_busy_ticks=200, cpu_total_ticks=1200)

    assert host_cpu_percent(before, after) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/var/lib/docker", True), ("relative", False), ("", False), (None, False), ("/a\nb", False), ("/" * 1001, False)],
)
def test_is_folder_takes_plain_absolute_paths_alone(path, expected):
    assert is_folder(path) is expected


def test_script_on_this_machine_tells_all():
    done = subprocess.run(["sh", "-c", HOST_SCRIPT, "sh", "/"], capture_output=True, check=True)

    reading = read(clean_text(done.stdout, 2000))

    assert None not in [getattr(reading, name) for name in HostReading.__slots__]


def test_script_with_a_folder_that_is_not_there_tells_the_rest():
    done = subprocess.run(["sh", "-c", HOST_SCRIPT, "sh", "/no/such; echo x"], capture_output=True, check=True)

    reading = read(clean_text(done.stdout, 2000))

    assert reading.disk_total_bytes is None
    assert reading.load_1 is not None
