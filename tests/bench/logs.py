"""Log throughput: one container's lines, host to WebSocket client, against `docker -H ssh://host logs`.

python -m tests.bench.logs [--small] [--lines N] [--viewers N] [--rounds N]

Starts what it needs: a fleet host, PostgreSQL and Redis (unless DATABASE_URL and REDIS_URL are set), the real web
process, and the client in a process of its own. The last line is one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fleet import DEVELOPER_NET, Fleet, Host, net_from_environment
from tests.services import start_servers

PROJECT = Path(__file__).resolve().parents[2]
_COUNT = 'BEGIN { for (i = 1; i <= n; i++) print "line " i }'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.logs")
    parser.add_argument("--small", action="store_true", help="60,000 lines, 10 viewers, one round")
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--viewers", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0)
    chosen = parser.parse_args()
    lines = chosen.lines or (60_000 if chosen.small else 600_000)
    viewers = chosen.viewers or (10 if chosen.small else 50)
    rounds = chosen.rounds or (1 if chosen.small else 5)
    shared_lines = max(lines // 10, 20_000)

    start_servers()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with _host() as (host, key_file):
        figures = _measure(host, key_file, lines, rounds)
        figures |= _measure_shared(host, viewers, shared_lines)
    print(json.dumps(figures))


@contextmanager
def _host() -> Iterator[tuple[Host, str]]:
    fleet = Fleet(net_from_environment(DEVELOPER_NET))
    was_up = bool(fleet.hosts)
    fleet.up(["26"], registry=False, bare=True)
    host = fleet.host(1, label=f"bench-{os.getpid()}")
    try:
        yield host, fleet.entry(1).key_file
    finally:
        host.remove_runs()
        if not was_up:
            fleet.down()


def _measure(host: Host, key_file: str, lines: int, rounds: int) -> dict[str, Any]:
    """One viewer reads a finished log from its beginning; rounds alternate with the CLI's."""
    from tests.containers.logstage import cpu_seconds, resident_mb, web_process

    engine_id = host.run(f"bench-{lines}", "demo/spam:1.0.0", command=["awk", "-v", f"n={lines}", _COUNT])
    host.wait_for_state(engine_id, "exited", 120)
    container_id, cookie = _rows(host, engine_id)
    ours: list[float] = []
    cli: list[float] = []
    lost = doubled = 0
    growth: list[float] = []
    # A log is closed when its viewer leaves, so that each round reads it from the host.
    with web_process(SSM_LOG_LINGER_SECONDS="0") as (port, pid):
        _view(port, container_id, cookie, min(lines, 20_000), 1, min(lines, 20_000) // 2)
        base = resident_mb(pid)
        for number in range(rounds):
            if number % 2:
                cli.append(_cli(host, key_file, engine_id, lines))
            cpu = cpu_seconds(pid)
            with _peak(pid) as peak:
                result = _view(port, container_id, cookie, lines, 1, "all")
            used = cpu_seconds(pid) - cpu
            ours.append(result["seconds"])
            lost += result["viewers"][0]["lost"] + result["viewers"][0]["skipped"]
            doubled += result["viewers"][0]["doubled"] + result["viewers"][0]["disordered"]
            growth.append(peak() - base)
            if not number % 2:
                cli.append(_cli(host, key_file, engine_id, lines))
            print(
                f"round {number + 1}: {lines} lines in {ours[-1]:.2f} s ({lines / ours[-1]:,.0f}/s; web process "
                f"{used:.2f} s of CPU, peak +{growth[-1]:.1f} MiB, "
                f"{result['viewers'][0]['messages']} messages); docker CLI {cli[-1]:.2f} s ({lines / cli[-1]:,.0f}/s)"
            )
    seconds, cli_seconds = statistics.median(ours), statistics.median(cli)
    return {
        "lines": lines,
        "seconds": round(seconds, 3),
        "cli_seconds": round(cli_seconds, 3),
        "ratio_to_cli": round(cli_seconds / seconds, 3),
        "lost": lost,
        "doubled": doubled,
        "rss_growth_mb": round(max(growth), 1),
        "rounds": rounds,
    }


def _measure_shared(host: Host, viewers: int, lines: int) -> dict[str, Any]:
    """Many viewers follow one container that starts to write once all of them look."""
    from tests.containers.logstage import cpu_seconds, resident_mb, web_process

    gate = 'until [ -e /go ]; do sleep 0.05; done; exec awk -v n=$0 "$1"'
    engine_id = host.run("bench-shared", "demo/spam:1.0.0", command=["sh", "-c", gate, str(lines), _COUNT])
    container_id, cookie = _rows(host, engine_id)
    with web_process(SSM_LOG_LINGER_SECONDS="0") as (port, pid):
        process = _client(port, container_id, cookie, lines, viewers, 0)
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise RuntimeError("the viewers did not connect")
        watched = _log_streams(host)
        base, cpu = resident_mb(pid), cpu_seconds(pid)
        with _peak(pid) as peak:
            host.exec(["docker", "exec", engine_id, "touch", "/go"])
            result = json.loads(process.communicate()[0])
            seconds = result["seconds"]
        # What stays open is the connection's idle channels for requests.
        streams = watched - _settled(lambda: _log_streams(host))
        used = cpu_seconds(pid) - cpu
    each = result["viewers"]
    print(
        f"{viewers} viewers: {lines} lines each in {seconds:.2f} s ({viewers * lines / seconds:,.0f} lines/s in all; "
        f"web process {used:.2f} s of CPU, peak +{peak() - base:.1f} MiB); {streams} stream on the host"
    )
    return {
        "viewers": viewers,
        "viewers_lines": lines,
        "viewers_seconds": round(seconds, 3),
        "viewers_lines_per_s": round(viewers * lines / seconds),
        "viewers_upstreams": streams,
        "viewers_skipped": sum(viewer["skipped"] for viewer in each),
        "viewers_lost": sum(viewer["lost"] for viewer in each),
        "viewers_doubled": sum(viewer["doubled"] + viewer["disordered"] for viewer in each),
        "viewers_rss_growth_mb": round(peak() - base, 1),
    }


def _rows(host: Host, engine_id: str) -> tuple[str, str]:
    from tests.containers.logstage import add_container, add_device, add_user, session_cookie

    name = f"bench-{engine_id[:12]}"
    fleet = Fleet(net_from_environment(DEVELOPER_NET))
    container = add_container(add_device(fleet.entry(host.number), name), engine_id, name)
    return str(container.pk), session_cookie(add_user(name))


def _client(
    port: int, container_id: str, cookie: str, lines: int, viewers: int, tail: int | str
) -> "subprocess.Popen[bytes]":
    url = f"ws://127.0.0.1:{port}/ws/containers/{container_id}/logs/"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.bench.log_client",
            url,
            f"http://127.0.0.1:{port}",
            str(lines),
            str(viewers),
            str(tail),
        ],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(cookie.encode() + b"\n")
    process.stdin.flush()
    return process


def _view(port: int, container_id: str, cookie: str, lines: int, viewers: int, tail: int | str) -> dict[str, Any]:
    if isinstance(tail, int):
        lines = tail
    process = _client(port, container_id, cookie, lines, viewers, tail)
    output = process.communicate()[0].decode()
    if process.returncode:
        raise RuntimeError(f"the client ended with {process.returncode}")
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def _cli(host: Host, key_file: str, engine_id: str, lines: int) -> float:
    """Seconds that `docker -H ssh://` takes for the same log."""
    with tempfile.TemporaryDirectory() as directory:
        # The CLI starts the first `ssh` of the path; this one knows the key, and asks nothing.
        wrapper = Path(directory) / "ssh"
        wrapper.write_text(
            f"#!/bin/sh\nexec /usr/bin/ssh -i {key_file} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            ' -o LogLevel=ERROR "$@"\n'
        )
        wrapper.chmod(0o755)
        started = time.monotonic()
        with subprocess.Popen(
            ["docker", "-H", f"ssh://op@{host.address}", "logs", engine_id],
            env=os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            output = process.stdout.fileno()
            count = sum(chunk.count(b"\n") for chunk in iter(lambda: os.read(output, 1 << 20), b""))
        if process.returncode or count != lines:
            raise RuntimeError(f"docker logs gave {count} lines and ended with {process.returncode}")
        return time.monotonic() - started


def _log_streams(host: Host) -> int:
    """How many connections the host's engine has open on its socket."""
    return int(host.exec("grep -c ' 03 .*/run/docker.sock' /proc/net/unix || true"))


def _settled(read: Callable[[], int]) -> int:
    """The value once it no longer changes within half a second."""
    last = read()
    for _ in range(20):
        time.sleep(0.5)
        now = read()
        if now == last:
            break
        last = now
    return last


@contextmanager
def _peak(pid: int) -> Iterator[Any]:
    """Watch a process's resident memory; the value called afterwards is the highest seen, in MiB."""
    from tests.containers.logstage import resident_mb

    highest = resident_mb(pid)
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.1):
            highest = max(highest, resident_mb(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: highest
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
