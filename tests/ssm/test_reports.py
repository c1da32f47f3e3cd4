"""The sink of browsers' reports: anybody may speak, little is heard, and one line is written."""

import json
import logging
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from ssm import reports
from ssm.lib.log_lines import LineFormatter

pytestmark = pytest.mark.django_db

OLD = {
    "csp-report": {"document-uri": "http://ssm/devices/?q=mine", "effective-directive": "img-src", "blocked-uri": "x:"}
}
NEW = [{"type": "csp-violation", "body": {"documentURL": "http://ssm/", "effectiveDirective": "img-src"}}]


@pytest.fixture(autouse=True)
def _quiet_minute() -> None:
    cache.delete_many(["csp-reports", "csp-reports:127.0.0.1"])


def send(body: Any, kind: str = "application/csp-report") -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return Client(enforce_csrf_checks=True).post("/csp-report", text, content_type=kind)


@pytest.mark.parametrize(("body", "kind"), [(OLD, "application/csp-report"), (NEW, "application/reports+json")])
def test_report_of_either_format_is_logged_in_one_line(body: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert send(body, kind).status_code == 204

    (record,) = caplog.records
    assert record.getMessage().startswith("content policy violated: directive img-src")
    assert "mine" not in record.getMessage()


def test_report_cannot_write_lines_or_colours_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    send({"csp-report": {"document-uri": "a\nERROR root: \x1b[31mfalse\u202e" + "x" * 5000, "blocked-uri": {"a": 1}}})

    message = caplog.records[0].getMessage()
    assert "\n" not in message and "\x1b" not in message and "\u202e" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{}", "text/html", 415),
        ("{", "application/csp-report", 400),
        ("[" * 9000, "application/csp-report", 400),
        ("7", "application/csp-report", 400),
        (b"\xff\xfe{", "application/csp-report", 400),
        ('{"csp-report": []}', "application/csp-report", 400),
        ("[]", "application/reports+json", 400),
        (" " * (reports.LARGEST + 1), "application/csp-report", 413),
    ],
)
def test_what_is_no_report_is_refused(body: Any, kind: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    assert send(body, kind).status_code == status
    assert not caplog.records


def test_many_reports_are_taken_and_few_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(reports.PER_CLIENT + 5):
        assert send(OLD).status_code == 204

    assert len(caplog.records) == reports.PER_CLIENT


def test_report_reads_no_session(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert send(OLD).status_code == 204


def test_log_record_is_one_line_and_its_traceback_is_indented() -> None:
    formatter = LineFormatter("%(levelname)s %(name)s: %(message)s")
    try:
        raise ValueError("a\nERROR root: false \x1b[31m")
    except ValueError as error:
        made = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "user %s", ("a\r\nERROR root: \x1b[2J\u202e\u2028",), made)

    first, *rest = formatter.format(record).split("\n")

    assert first == r"WARNING x: user a\r\nERROR root: \x1b[2J\u202e\u2028"
    assert rest and all(line.startswith("    ") and "\x1b" not in line and "\r" not in line for line in rest)
