"""The statistics benchmark runs to its end and prints what CI reads, in small."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_stats_benchmark_in_small_reads_all_and_prints_its_figures() -> None:
    if shutil.which("sshd", path=PROGRAMS) is None:
        pytest.skip("needs OpenSSH's server (apt-get install openssh-server)")
    # Servers of its own: it writes rows, and what it measures is not to be that of other tests.
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}

    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.stats", "--small"],
        cwd=PROJECT,
        env=environment | {"DEVICES": "3", "CONTAINERS": "4"},
        capture_output=True,
        text=True,
        timeout=170,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert figures["samples_per_minute"] == pytest.approx(72, rel=0.3)
    assert figures["cpu_percent"] > 0
    assert figures["bytes_per_sample"] > 0
