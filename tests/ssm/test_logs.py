"""What SSM writes to its logs: one line or object a record, with the ids of what it is about, without secrets."""

import asyncio
import inspect
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given, settings, strategies

from ssm.lib import jobs
from ssm.lib.log_context import current_context, log_context
from ssm.lib.log_json import LONGEST_LINE, JsonFormatter
from ssm.lib.log_lines import LineFormatter
from ssm.lib.log_secrets import names_secret, without_secrets
from ssm.lib.process import kind_of
from ssm.lib.request_ids import with_request_ids
from ssm.views import server_error

ROOT = Path(__file__).parents[2]
TOKEN = "ssm_abcd1234_" + "x" * 43


def record(message: str, *args: Any, **extras: Any) -> logging.LogRecord:
    made = logging.LogRecord("ssm.some", logging.WARNING, "file", 1, message, args, None)
    vars(made).update(extras)
    return made


def written(message: str, *args: Any, **extras: Any) -> dict[str, Any]:
    line = JsonFormatter().format(record(message, *args, **extras))
    assert "\n" not in line and line.isascii()
    told: dict[str, Any] = json.loads(line)
    return told


def test_json_record_tells_who_when_where_and_what() -> None:
    told = written("sweep of %s failed", "alpha", device="d-1", attempts=3, reasons=["a", "b"])

    assert told["message"] == "sweep of alpha failed"
    assert (told["level"], told["logger"], told["pid"]) == ("WARNING", "ssm.some", os.getpid())
    assert (told["device"], told["attempts"], told["reasons"]) == ("d-1", 3, ["a", "b"])
    assert told["time"].endswith("+00:00")


def test_json_record_carries_the_ids_around_it_and_prefers_its_own() -> None:
    with log_context(request="r", device="outer"), log_context(operation="o"):
        told = written("x", device="own")
    after = written("x")

    assert (told["request"], told["operation"], told["device"]) == ("r", "o", "own")
    assert "request" not in after and "operation" not in after


def test_line_ends_in_the_ids_that_are_known() -> None:
    formatter = LineFormatter("%(levelname)s %(message)s")
    with log_context(request="r\n1"):
        assert formatter.format(record("x", operation="o-1")) == r"WARNING x [request=r\n1 operation=o-1]"
    assert formatter.format(record("x")) == "WARNING x"


def test_json_extra_cannot_take_the_place_of_a_field() -> None:
    told = written("x", time="never", level="NONE", process="evil")

    assert told["level"] == "WARNING" and told["extra_level"] == "NONE" and told["process"] != "evil"


@settings(max_examples=60, deadline=None)
@given(text=strategies.text(max_size=300), name=strategies.sampled_from(["name", "device", "detail"]))
def test_json_record_stays_one_line_whatever_strangers_wrote(text: str, name: str) -> None:
    told = written("%s", text, **{name: text})
    assert told["level"] == "WARNING"


@pytest.mark.parametrize("text", ["\u2028" * 50_000, "x" * 100_000, "\n" * 100_000, "\U0001f600" * 50_000])
def test_json_record_is_never_longer_than_what_carries_it_takes(text: str) -> None:
    assert len(JsonFormatter().format(record("%s", text, detail=text, more=[text] * 50))) <= LONGEST_LINE


def test_json_keeps_the_end_of_a_long_traceback() -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise ValueError("the reason\nERROR root: forged")

    made = record("failed")
    try:
        deep(200)
    except ValueError:
        made.exc_info = sys.exc_info()
    line = JsonFormatter().format(made)

    assert len(line) <= LONGEST_LINE and "\n" not in line
    assert json.loads(line)["exception"].endswith("the reason\nERROR root: forged")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("connecting to postgres://ssm:hunter22@db/ssm", "hunter22"),
        ("redis://:hunter22@cache:6379/0 does not answer", "hunter22"),
        ("proxy HTTP://user:hunter22@proxy.example", "hunter22"),
        ("sent Authorization: Bearer abcdef0123456789abcdef", "abcdef0123456789abcdef"),
        ("{'Authorization': 'Basic dXNlcjpodW50ZXIyMg=='}", "dXNlcjpodW50ZXIyMg"),
        (f"refused {TOKEN} of anna", "x" * 43),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMIIabc\n-----END OPENSSH PRIVATE KEY-----", "MIIabc"),
        ("cut off: -----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc"),
    ],
)
def test_secret_never_reaches_a_log_by_its_form(text: str, secret: str) -> None:
    assert secret not in without_secrets(text)
    assert secret not in LineFormatter("%(message)s").format(record("%s", text))
    assert secret not in JsonFormatter().format(record("%s", text, detail=text))


@pytest.mark.parametrize("text", ["http://host:5000/path", "user@host:/path", "12:30 bearer of news", "key a/b:c"])
def test_usual_text_is_left_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "name", ["password", "SSH_PASSPHRASE", "api_token", "client_secret", "Authorization", "cookie"]
)
def test_extra_of_a_secret_name_is_hidden(name: str) -> None:
    assert names_secret(name) and written("x", **{name: "hunter22"})[name] == "[hidden]"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ("manage.py serve --port 80", "web"),
        ("/x/daphne ssm.asgi:application", "web"),
        ("/x/celery --quiet -A ssm worker -P threads -n worker@%h", "worker"),
        ("/x/celery -A ssm worker -Q transfers -c 8", "transfers"),
        ("/x/celery -A ssm worker --queues=transfers", "transfers"),
        ("/x/celery -A ssm worker -Q celery,transfers", "worker"),
        ("/x/celery/__main__.py -A ssm beat -s /x", "scheduler"),
        ("manage.py watch_hosts", "listener"),
        ("manage.py migrate", "migrate"),
        ("/x/pytest", "other"),
        ("", "other"),
    ],
)
def test_process_is_told_by_its_arguments(arguments: str, kind: str) -> None:
    assert kind_of(arguments.split()) == kind


async def _asked(scope: dict[str, Any], *, status: int = 200) -> tuple[list[Any], dict[str, str]]:
    sent: list[Any] = []
    inside: dict[str, str] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        inside.update(current_context())
        await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"four"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await with_request_ids(application)({"type": "http", "method": "GET", "path": "/x", **scope}, receive, send)
    return sent, inside


@pytest.mark.parametrize(
    ("peer", "told", "is_taken"),
    [
        ("10.0.0.1", b"proxy-made-0001", True),
        ("192.0.2.7", b"proxy-made-0001", False),
        ("10.0.0.1", b"evil\r\nX: y", False),
        ("10.0.0.1", b"short", False),
        ("10.0.0.1", b"x" * 65, False),
    ],
)
def test_request_id_is_a_trusted_proxys_or_our_own(settings: Any, peer: str, told: bytes, is_taken: bool) -> None:
    settings.SSM_TRUSTED_PROXIES = ["10.0.0.0/8"]

    sent, inside = asyncio.run(_asked({"client": [peer, 1], "headers": [(b"x-request-id", told)]}))

    given_id = dict(sent[0]["headers"])[b"x-request-id"]
    assert (given_id == told) is is_taken
    assert inside["request"].encode() == given_id and len(given_id) >= 15
    assert not current_context()


@pytest.mark.parametrize(
    ("path", "status", "is_told"), [("/devices/", 200, True), ("/healthz", 200, False), ("/readyz", 503, True)]
)
def test_request_is_logged_once_without_its_query(
    settings: Any, caplog: pytest.LogCaptureFixture, path: str, status: int, is_told: bool
) -> None:
    settings.SSM_LOG_REQUESTS = True
    caplog.set_level(logging.INFO, logger="ssm.requests")

    asyncio.run(_asked({"path": path, "query_string": b"token=hunter22", "client": ["192.0.2.7", 1]}, status=status))

    assert len(caplog.records) == is_told
    for told in map(vars, caplog.records):
        assert (told["path"], told["status"], told["bytes"], told["address"]) == (path, status, 4, "192.0.2.7")
        assert "hunter22" not in str(told)


def test_requests_are_not_logged_unless_wished(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.SSM_LOG_REQUESTS = False
    caplog.set_level(logging.INFO, logger="ssm.requests")
    asyncio.run(_asked({}))
    assert not caplog.records


@pytest.mark.parametrize(
    ("parameter", "name"), [("device_id", "device"), ("operation_id", "operation"), ("backup_id", None)]
)
def test_work_is_logged_with_its_request_and_subject(parameter: str, name: str | None) -> None:
    class Work:
        request = SimpleNamespace(ssm_request="r-1")

        @staticmethod
        def run(**_: Any) -> None: ...

    Work.run.__signature__ = inspect.Signature([inspect.Parameter(parameter, inspect.Parameter.POSITIONAL_OR_KEYWORD)])
    jobs._begins(task_id="t-1", task=Work(), args=("id-1",))
    try:
        found = dict(current_context())
    finally:
        jobs._ends(task_id="t-1")

    assert found == {"task": "t-1", "request": "r-1", **({name: "id-1"} if name else {})}
    assert not current_context()


_WORKER = """
import logging, os, threading, warnings
import django
from ssm.celery import app
django.setup()
app.log.setup(loglevel="INFO")
if os.environ["SSM_LOG_FORMAT"] == "json":
    warnings.warn("old\\nthing")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
for name in ("celery.task", "celery.worker", "ssm.some"):
    logging.getLogger(name).warning("name %s", "a\\n{\\"level\\":\\"FORGED\\"}\\x1b[2J")
"""


@pytest.mark.parametrize("form", ["json", "line"])
def test_worker_logs_as_all_processes_do(form: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", _WORKER],
        cwd=ROOT,
        env={**os.environ, "SSM_LOG_FORMAT": form},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = result.stderr.splitlines()

    assert "\x1b" not in result.stderr
    if form == "json":
        loggers = [json.loads(line)["logger"] for line in lines]
        assert loggers == ["py.warnings", "ssm.threads", "celery.task", "celery.worker", "ssm.some"]
    else:
        assert len(lines) == 3, result.stderr
        assert all(line.startswith("WARNING ") for line in lines)


def test_page_of_a_fault_names_its_request() -> None:
    with log_context(request="r-17"):
        response = server_error(RequestFactory().get("/"))
    assert response.status_code == 500 and b"at request=r-17." in response.content
    assert b"request=" not in server_error(RequestFactory().get("/")).content
