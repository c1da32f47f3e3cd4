"""The benchmarks of pages and pushes run to their end and print what CI reads, in small."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def run_small(name: str, **environment: str) -> dict[str, float]:
    """The figures of a benchmark, in a database of its own. Times are those of a loaded machine and judge nothing."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}", "--small"],
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=290,
    )
    last = done.stdout.strip().splitlines()[-1:]
    assert last and last[0].startswith("{"), done.stderr[-3000:]
    figures: dict[str, float] = json.loads(last[0])
    return figures


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_page_benchmark_in_small_keeps_queries_and_weight_within_their_targets() -> None:
    figures = run_small("page", DEVICES="10", ROUNDS="1")

    assert figures["max_queries"] <= 10
    assert figures["page_kb"] < 300
    assert figures["p95_ms"] > 0
    assert figures["growth"] > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_push_benchmark_in_small_brings_every_change_to_every_page_that_shows_it() -> None:
    figures = run_small("push")

    assert (figures["browsers"], figures["missing"]) == (20, 0)
    assert figures["p99_ms"] > 0
    assert figures["mb_per_socket"] < 2
