"""The health check of containers: what it takes for well, with a real Redis and a real port."""

import json
import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from ssm.lib import presence

HEALTHY = Path(__file__).resolve().parents[2] / "deploy" / "healthy.py"
_known = runpy.run_path(str(HEALTHY))


def _check(kind: str, url: str, **environment: str) -> int:
    """The exit code of one check."""
    variables = {"PATH": os.environ["PATH"], "REDIS_URL": url, **environment}
    return subprocess.run([sys.executable, str(HEALTHY), kind], env=variables, check=False, timeout=60).returncode


@pytest.fixture
def told() -> Any:
    """Function that has a process of a kind tell of itself so many seconds ago."""
    store = presence.client()

    def tell(kind: str, seconds_ago: float = 0, host: str = socket.gethostname()[:64]) -> None:
        store.delete("ssm:presence")
        store.set("ssm:presence:one", json.dumps({"kind": kind, "host": host}))
        store.zadd("ssm:presence", {"one": time.time() - seconds_ago})

    yield tell
    store.delete("ssm:presence", "ssm:presence:one")


def test_check_looks_where_processes_tell() -> None:
    assert _known["NAMES"] == presence._NAMES
    assert f"{_known['NAMES']}:" == presence._ONE
    assert _known["SILENT_AFTER_S"] == presence.SILENT_AFTER_S


@pytest.mark.parametrize("kind", [kind for kind in _known["KINDS"] if kind != "web"])
def test_process_that_told_of_itself_is_well(kind: str, told: Any) -> None:
    told(kind)

    assert _check(kind, os.environ["REDIS_URL"]) == 0


def test_process_that_is_silent_elsewhere_or_another_is_not_well(told: Any, tmp_path: Path) -> None:
    url = os.environ["REDIS_URL"]
    told("worker", seconds_ago=60)
    assert _check("worker", url) == 1
    told("worker", host="elsewhere")
    assert _check("worker", url) == 1
    told("listener")
    assert _check("worker", url) == 1

    told("worker")
    (tmp_path / "url").write_text(f"{url}\n")
    assert _check("worker", "", REDIS_URL_FILE=str(tmp_path / "url")) == 0


def test_redis_that_is_away_is_no_fault_of_the_process_but_one_that_refuses_is() -> None:
    assert _check("worker", "redis://127.0.0.1:9/0") == 0

    options = redis.connection.parse_url(os.environ["REDIS_URL"])
    place = f"{options.get('host', '127.0.0.1')}:{options.get('port', 6379)}"
    assert _check("worker", f"redis://:not-the-password@{place}/0") == 1


def test_web_process_is_well_when_it_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert _check("web", "", SSM_HTTP_PORT=str(port)) == 1
    assert _check("nobody", "") == 2

    program = (
        "import http.server as h\nclass A(h.BaseHTTPRequestHandler):\n"
        "  def do_GET(self): self.send_response(400); self.end_headers()\n"
        f"h.HTTPServer(('127.0.0.1', {port}), A).handle_request()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 30
        while _check("web", "", SSM_HTTP_PORT=str(port)) != 0:
            assert time.monotonic() < deadline
            assert server.poll() is None
        server.wait(10)
