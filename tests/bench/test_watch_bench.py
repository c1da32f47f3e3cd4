"""The benchmarks of the watcher run to their end and print what CI reads, in small."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run_small(name: str) -> dict[str, float]:
    """The figures of a benchmark with 5 devices, on servers of its own."""
    if shutil.which("sshd", path=PROGRAMS) is None:
        pytest.skip("needs OpenSSH's server (apt-get install openssh-server)")
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}", "--small"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_idle_benchmark_in_small_follows_all_at_little_cost() -> None:
    figures = run_small("idle")

    assert figures["devices"] == 5
    assert 0 < figures["rss_mb"] < 200
    # The figure of a loaded machine: what counts is that nothing spins.
    assert figures["cpu_percent"] < 20


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_resync_benchmark_in_small_reads_all() -> None:
    figures = run_small("resync")

    assert (figures["devices"], figures["containers"]) == (5, 4)
    assert 0 < figures["seconds"] < 90
