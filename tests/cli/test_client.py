"""The command line against servers that do not behave, and links that break."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm.cli import profiles
from ssm.cli.client import Client
from ssm.cli.commands.logs import _resumed
from ssm.cli.errors import CommandFailed, Exit, Unreachable
from ssm.cli.profiles import Profile
from tests.cli.stage import Misbehaving, Terminal, chunks, misbehaving, told

TOKEN = "ssm_abcd1234_secret-of-the-test"
ENDED = {"id": "1", "kind": "stop", "state": "succeeded", "is_final": True, "target": "web", "device": {"name": "a"}}


def client(server: Misbehaving) -> Client:
    return Client(Profile(server.url, TOKEN))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    paused: list[float] = []
    monkeypatch.setattr("ssm.cli.client.time.sleep", paused.append)
    yield paused


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_token_is_not_carried_elsewhere(status: int) -> None:
    with misbehaving(told({})) as other, misbehaving((status, {"Location": f"{other.url}/api/v1/me"}, b"")) as server:
        with pytest.raises(Unreachable, match="sends elsewhere"):
            client(server).get("/me")
        assert not other.seen
        assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>hello</html>"),
        (200, {}, b"[" * 100_000),
        (500, {}, b"<html>oops</html>"),
        (404, {}, b'["no problem"]'),
        (200, {"Content-Length": "500"}, b"{"),
        (400, {}, b"\xff\xfe"),
    ],
)
def test_who_is_not_ssm_is_told_apart(answer: Any) -> None:
    with misbehaving(answer) as server, pytest.raises(Unreachable):
        client(server).get("/me")


@pytest.mark.parametrize(
    ("status", "code"), [(401, Exit.REFUSED), (403, Exit.REFUSED), (404, Exit.NOT_FOUND), (409, Exit.FAILED), (422, 1)]
)
def test_refusal_ends_in_its_exit_code(status: int, code: int) -> None:
    problem = {"code": "x", "message": "No.", "fix": "Ask.", "fields": {"tag": "is not one"}}
    with misbehaving(told(problem, status)) as server, pytest.raises(CommandFailed) as refused:
        client(server).get("/me")
    assert (refused.value.code, refused.value.message, refused.value.fix) == (code, "No. tag: is not one", "Ask.")


def test_request_that_got_no_answer_is_sent_again_with_the_same_key(_no_pauses: list[float]) -> None:
    with misbehaving(lambda handler: None, told({}, 503), told({"ok": True})) as server:
        assert client(server).post("/volumes/1/backup", {"note": "x"}) == {"ok": True}
        keys = {seen.headers["Idempotency-Key"] for seen in server.seen}
        assert len(server.seen) == 3 and len(keys) == 1 and len(keys.pop()) == 32
        assert {seen.body for seen in server.seen} == {b'{"note": "x"}'}


def test_deletion_is_never_sent_twice() -> None:
    with misbehaving(told({"code": "x", "message": "Busy."}, 503)) as server:
        with pytest.raises(CommandFailed):
            client(server).call("DELETE", "/tokens/1")
        assert len(server.seen) == 1


def test_pause_that_ssm_asks_for_is_kept_once(_no_pauses: list[float]) -> None:
    busy = told({"code": "rate_limited", "message": "Too many requests."}, 429, Retry_After="7")
    with misbehaving(busy, told({"ok": True})) as server:
        assert client(server).get("/me") == {"ok": True}
    with misbehaving(busy) as server, pytest.raises(CommandFailed, match="Too many"):
        client(server).get("/me")
    assert _no_pauses == [7.0, 7.0]


def test_endless_line_of_a_stream_is_not_gathered() -> None:
    with misbehaving(chunks(b"x" * 5_000_000, whole=True)) as server, pytest.raises(Unreachable):
        list(client(server).lines("/events/follow"))


@pytest.mark.parametrize("pieces", [(b'{"a":1}\n', b'{"a"'), (b'{"a":1}\n',)])
def test_stream_that_is_cut_is_no_end(pieces: tuple[bytes, ...]) -> None:
    found = []
    with misbehaving(chunks(*pieces, whole=False)) as server, pytest.raises(Unreachable):
        for line in client(server).lines("/events/follow"):
            found.append(line)
    assert found == [{"a": 1}]


def test_stream_without_a_length_that_ends_within_a_line_is_no_end() -> None:
    with misbehaving((200, {"Content-Length": "", "Connection": "close"}, b'{"a":1}\n{"a"')) as server:
        stream = client(server).lines("/events/follow")
        assert next(stream) == {"a": 1}
        with pytest.raises(Unreachable):
            next(stream)


def test_waiting_goes_on_after_a_cut(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = {**ENDED, "state": "running", "is_final": False, "progress": "half\x1b[2J"}
    line = json.dumps(queued).encode() + b"\n"
    answers = (told(queued), chunks(line, whole=False), chunks(json.dumps(ENDED).encode() + b"\n", whole=True))
    with misbehaving(*answers) as server:
        monkeypatch.setenv("SSM_URL", server.url)
        monkeypatch.setenv("SSM_TOKEN", TOKEN)
        monkeypatch.setattr("ssm.cli.waiting.time.sleep", lambda _s: None)
        result = terminal.ssm("operations", "wait", "1")
    assert result.code == 0 and result.out == "done  stop web on a\n"
    assert "half\\x1b[2J" in result.err


def test_download_that_is_cut_leaves_no_file(terminal: Terminal, monkeypatch: Any, tmp_path: Path) -> None:
    backup = {"id": "1", "volume": "../../etc/x", "created_at": "2026-01-02T00:00:00Z", "sha256": "0" * 64}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSM_TOKEN", TOKEN)
    for archive in ((200, {"Content-Length": "100"}, b"part"), (200, {}, b"whole but other")):
        with misbehaving(told(backup), archive) as server:
            monkeypatch.setenv("SSM_URL", server.url)
            assert terminal.ssm("backups", "download", "1").code in (1, 3)
        assert not [path for path in tmp_path.iterdir() if path.is_file()]


# ---- logs that are followed


def lines(*stamps: str) -> bytes:
    return b"".join(json.dumps({"time": stamp, "text": "line"}).encode() + b"\n" for stamp in stamps)


@pytest.mark.parametrize(
    ("first", "second", "shown", "gap"),
    [
        (["1", "2", "2"], ["1", "2", "2", "2", "3"], ["1", "2", "2", "2", "3"], False),
        (["1", "2"], ["2", "3"], ["1", "2", "3"], False),
        (["1", "2"], ["4", "5"], ["1", "2", "4", "5"], True),
        (["1"], ["1"], ["1"], False),
        (["2", "1"], ["2", "1", "3"], ["2", "1", "3"], False),
    ],
)
def test_log_over_a_lost_connection_has_each_line_once(
    first: list[str], second: list[str], shown: list[str], gap: bool
) -> None:
    with misbehaving(chunks(lines(*first), whole=False), chunks(lines(*second), whole=True)) as server:
        found = list(_resumed(client(server), "/containers/1/logs", {"q": "x"}, lambda _s: None))
        assert "tail=10000" in server.seen[1].path and "q=x" in server.seen[1].path
    assert [line["time"] for line in found if "time" in line] == shown
    assert any(line.get("event") == "gap" for line in found) is gap


def test_log_lines_cannot_act_on_the_terminal(terminal: Terminal, monkeypatch: Any) -> None:
    row = {"id": "1", "name": "web", "title": "web", "device": {"name": "a"}}
    text = "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;x\x07\ttab \u202e"
    stream = json.dumps({"time": "1", "text": text}).encode() + b'\n{"event":"error","text":"cut\\u001b[2J"}\n'
    answers = (told({"items": [row], "next": ""}), chunks(stream, whole=True))
    monkeypatch.setenv("SSM_TOKEN", TOKEN)
    for option, wanted in (
        ("--color=never", r"red \x1b[2J\x1b]0;x\x07" + "\ttab \\u202e\n"),
        ("--color=always", "\x1b[31mred\x1b[0m " + r"\x1b[2J\x1b]0;x\x07" + "\ttab \\u202e\x1b[0m\n"),
        ("--raw", text + "\n"),
    ):
        with misbehaving(*answers) as server:
            monkeypatch.setenv("SSM_URL", server.url)
            result = terminal.ssm("logs", "a/web", option)
        assert result.out == wanted
        assert result.code == 1 and "\x1b[2J" not in result.err


# ---- who and where


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ssm.example.com", "https://ssm.example.com"),
        ("https://ssm.example.com/", "https://ssm.example.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://example.com/ssm/", "https://example.com/ssm"),
    ],
)
def test_address_is_taken_as_people_write_it(text: str, wanted: str) -> None:
    assert profiles.address(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "https://", "https://a:b@c", "file:///etc/passwd", "http://x:99999", "https://x?y=z"]
)
def test_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed):
        profiles.address(text)


@pytest.mark.parametrize(
    ("url", "is_open"),
    [("http://ssm.example.com", True), ("https://x", False), ("http://127.0.0.1:8000", False), ("http://[::1]", False)],
)
def test_token_without_encryption_is_warned_about(url: str, is_open: bool) -> None:
    assert profiles.is_open(url) is is_open


def test_nobody_there_ends_in_its_exit_code(terminal: Terminal, monkeypatch: Any) -> None:
    monkeypatch.setenv("SSM_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SSM_TOKEN", TOKEN)
    result = terminal.ssm("whoami")
    assert result.code == 3 and TOKEN not in result.err


@pytest.mark.parametrize(
    "words", [["nothing"], ["containers"], ["logs"], ["logs", "-f", "--since", "1h", "x"], ["update", "apply"]]
)
def test_wrong_command_line_ends_in_its_exit_code(terminal: Terminal, words: list[str]) -> None:
    assert terminal.ssm(*words).code == 2


def test_reader_that_has_enough_ends_a_command_in_silence() -> None:
    result = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m ssm.cli completion bash | head -c 1; exit"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == ""


def test_command_line_starts_without_the_servers_libraries() -> None:
    code = "import sys, ssm.cli.main; print([n for n in ('django', 'celery', 'redis', 'pydantic') if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout.strip() == "[]"
