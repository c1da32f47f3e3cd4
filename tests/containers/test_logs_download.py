"""Downloading a log: whole, filtered, streamed at the browser's pace, ended when the browser leaves."""

import asyncio
import socket
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from containers.logs.download import DownloadRefused, LogDownload, Selection, parse_selection
from containers.models import Container
from devices.connections import pool
from devices.services import connection_target
from tests.containers.logstage import (
    add_container,
    add_device,
    add_user,
    database_url,
    resident_mb,
    session_cookie,
    web_process,
)
from tests.fleet import Fleet, Host


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"stream": "stdin"}, "stream"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-02-30T00:00:00Z"}, "until"),
        ({"q": "(", "pattern": "1"}, "q"),
        ({"q": "x" * 301}, "q"),
    ],
    ids=["stream", "since", "until", "pattern", "length"],
)
def test_selection_with_a_wrong_value_names_it(query, named):
    with pytest.raises(DownloadRefused, match=f"^{named}: "):
        parse_selection(query)


def test_selection_takes_times_zones_and_streams():
    chosen = parse_selection(
        {"since": "2026-11-24T10:00:00 02:00", "until": "2026-11-24T09:00:00.5Z", "stream": "stderr", "timestamps": "1"}
    )

    assert (chosen.until_ns or 0) - (chosen.since_ns or 0) == 3600 * 10**9 + 5 * 10**8
    assert chosen.stream == "stderr"
    assert chosen.timestamps


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"q": "ERR"}, ["an error"]),
        ({"q": "!err"}, ["all well", "42 done"]),
        ({"q": r"^\d+ ", "pattern": "1"}, ["42 done"]),
        ({"q": r"!\d", "pattern": "1"}, ["an error", "all well"]),
        ({"q": "(a+)+$", "pattern": "1"}, []),
        ({}, ["an error", "all well", "42 done"]),
    ],
    ids=["text", "text left out", "pattern", "pattern left out", "pattern without a match", "none"],
)
def test_selection_filter_keeps_lines(query, kept):
    keeps = parse_selection(query).keeps

    assert [line for line in ("an error", "all well", "42 done") if keeps is None or keeps(line)] == kept


@pytest.mark.parametrize(
    ("name", "expected"),
    [("web", "web-"), ('a"b\r\nSet-Cookie: x', "a-b-Set-Cookie-x-"), ("../..", "container-"), ("ö" * 9, "container-")],
)
def test_file_name_is_safe(name, expected):
    assert LogDownload.file_name(name).startswith(expected)
    assert LogDownload.file_name(name).endswith(".log")


@pytest.mark.django_db
def test_download_by_each_person_is_allowed_or_not(people):
    url = reverse("containers:log_download", args=[uuid.uuid4()])

    answers = {role: people.client(role).get(url).status_code for role in ("viewer", "stranger", "anonymous")}

    assert answers == {"viewer": 404, "stranger": 403, "anonymous": 302}


@pytest.fixture
def container(db, fleet: Fleet, docker_host: Host) -> Container:
    """A container that wrote 2,000 numbered lines, every second one to standard error."""
    device = add_device(fleet.entry(docker_host.number))
    engine_id = docker_host.run("lines", "test/lines", env={"COUNT": "2000", "STREAM": "both"})
    docker_host.wait_for_state(engine_id, "exited")
    return add_container(device, engine_id, "lines")


@pytest.fixture
def viewer(db) -> Client:
    client = Client()
    client.force_login(add_user("viewer-of-files"))
    return client


def body(client: Client, container: Container, **query: str) -> list[str]:
    answer = client.get(f"{reverse('containers:log_download', args=[container.pk])}?{urlencode(query)}")
    assert answer.status_code == 200, answer.content

    async def joined() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return asyncio.run(joined()).decode().splitlines()


@pytest.mark.django_db(transaction=True)
def test_download_holds_every_line_once(container, viewer):
    lines = body(viewer, container)

    assert sorted(lines, key=lambda line: int(line.split()[1])) == [f"line {n}" for n in range(1, 2001)]


@pytest.mark.django_db(transaction=True)
def test_download_can_choose_stream_times_and_text(container, viewer):
    stamped = body(viewer, container, stream="stderr", timestamps="1", q="LINE 19")

    texts = [line.partition(" ")[2] for line in stamped]
    assert texts == [f"line {n}" for n in (190, 192, 194, 196, 198, *range(1900, 2000, 2))]
    middle = stamped[10].partition(" ")[0]
    since = body(viewer, container, stream="stderr", since=middle)
    until = body(viewer, container, stream="stderr", until=middle)
    assert since[0] == until[-1] == texts[10]
    assert len(since) + len(until) == 1001


@pytest.mark.django_db(transaction=True)
def test_download_is_a_file_that_no_browser_shows(container, viewer):
    answer = viewer.get(reverse("containers:log_download", args=[container.pk]))

    assert answer["Content-Disposition"].startswith('attachment; filename="lines-')
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    answer.close()


@pytest.mark.django_db(transaction=True)
def test_download_of_a_container_that_is_gone_is_an_error_with_a_reason(container, viewer):
    container.engine_id = "e" * 64
    container.save()

    answer = viewer.get(reverse("containers:log_download", args=[container.pk]))

    assert answer.status_code == 404
    assert "no longer on its host" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_download_from_a_dead_host_is_an_error_with_a_fix(container, viewer):
    container.device.port = 1
    container.device.save()

    answer = viewer.get(reverse("containers:log_download", args=[container.pk]))

    assert answer.status_code in (502, 504)
    assert container.device.name in answer.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_download_that_is_left_ends_its_stream(container):
    engine = await asyncio.to_thread(lambda: pool.engine(connection_target(container.device)))
    download = LogDownload(str(container.pk), Selection())
    await asyncio.to_thread(download.open)
    assert engine.stream_count == 1

    pieces = download.pieces()
    await anext(pieces)
    await pieces.aclose()

    assert engine.stream_count == 0


@pytest.fixture
def web(transactional_db) -> Iterator[tuple[int, int]]:
    """The real web process on the test's database."""
    with web_process(database_url()) as port_and_pid:
        yield port_and_pid


@pytest.mark.slow
@pytest.mark.fleet
def test_download_by_a_slow_browser_does_not_fill_memory(fleet, docker_host, web):
    port, pid = web
    device = add_device(fleet.entry(docker_host.number))
    wide = 'BEGIN { for (i = 0; i < 1000; i++) s = s "x"; for (i = 1; i <= 40000; i++) print i " " s }'
    engine_id = docker_host.run("wide", "demo/spam:1.0.0", command=["awk", wide])
    docker_host.wait_for_state(engine_id, "exited", 60)
    container = add_container(device, engine_id, "wide")
    cookie = session_cookie(add_user("slow"))
    request = (
        f"GET {reverse('containers:log_download', args=[container.pk])} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Cookie: {cookie}\r\nConnection: close\r\n\r\n"
    )
    before = resident_mb(pid)

    with socket.create_connection(("127.0.0.1", port)) as browser:
        browser.settimeout(30)
        browser.sendall(request.encode())
        assert browser.recv(4096).startswith(b"HTTP/1.1 200")
        # Long enough for the whole 40 MB to arrive if nothing held it back.
        time.sleep(4)
        grown = resident_mb(pid) - before
        rest = 0
        while piece := browser.recv(1 << 20):
            rest += len(piece)

    assert grown < 25
    assert rest > 40_000_000
