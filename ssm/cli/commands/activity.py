"""`ssm operations` and `ssm events`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ssm.cli import names, waiting
from ssm.cli.errors import CommandFailed, Exit, Unreachable
from ssm.cli.output import BAD, QUIET, WARN, Output, age, local, moment, span
from ssm.cli.session import Session, command, completing
from ssm.cli.text import plain, plain_lines

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_to(cli: click.Group) -> None:
    """Add the commands."""
    _add_operations(cli)
    _add_events(cli)


def _add_operations(cli: click.Group) -> None:
    @cli.group()
    def operations() -> None:
        """What was done on the hosts."""

    @command(operations, "list")
    @click.argument("text", required=False, default="")
    @click.option("--state", type=click.Choice(["active", "succeeded", "failed", "cancelled"]), default=None)
    @click.option("--kind", default="", help="Such as restart or image_pull.")
    @click.option("--device", default=None, help="On this device.", shell_complete=completing("device"))
    @click.option("--person", default="", help="User name of who asked for it.")
    @click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
    def list_operations(
        session: Session, text: str, state: str | None, kind: str, device: str | None, person: str, limit: int
    ) -> None:
        """List operations, the newest first; TEXT is part of the name of the object or device."""
        query = {"q": text, "state": state, "kind": kind, "device": session.device_id(device), "person": person}
        rows = session.client.pages("/operations", query, most=limit)
        if session.output.as_json:
            session.output.json(list(rows))
            return
        titles = ("ID", "STATE", "WHAT", "BY", "AGE", "TOOK", "OUTCOME")
        session.output.table(titles, map(_row, rows), flexible=6)

    @command(operations)
    @click.argument("operation_id", metavar="ID")
    def show(session: Session, operation_id: str) -> None:
        """One operation, with what it told."""
        found = session.client.get(f"/operations/{_id(operation_id)}")
        if session.output.as_json:
            session.output.json(found)
        else:
            _show(session.output, found)

    @command(operations)
    @click.argument("ids", metavar="ID...", nargs=-1, required=True)
    def wait(session: Session, ids: tuple[str, ...]) -> None:
        """Wait until operations have ended. Exit code 1 if one did not work out."""
        found = [session.client.get(f"/operations/{_id(one)}") for one in ids]
        waiting.finish(session.client, session.output, found, waits=True)

    @command(operations)
    @click.argument("operation_id", metavar="ID")
    def cancel(session: Session, operation_id: str) -> None:
        """Call one off: at once while it waits, else as soon as its worker can undo what it has begun."""
        found = session.client.post(f"/operations/{_id(operation_id)}/cancel")
        if session.output.as_json:
            session.output.json(found)
        else:
            session.output.line(f"{plain(found['state'])}  {waiting.told(found)}")


def _add_events(cli: click.Group) -> None:
    @command(cli)
    @click.argument("text", required=False, default="")
    @click.option("-f", "--follow", is_flag=True, help="Stay, and show what comes, until Ctrl-C.")
    @click.option("--kind", type=click.Choice(["container", "image", "volume", "network", "daemon"]), default=None)
    @click.option("--severity", type=click.Choice(["good", "bad"]), default=None, help="bad: what should be looked at.")
    @click.option("--device", default=None, help="On this device.", shell_complete=completing("device"))
    @click.option("--container", default=None, help="Of this container.", shell_complete=completing("container"))
    @click.option("--since", default="", help="A time, or a span back from now such as 15m.")
    @click.option("-n", "--limit", type=click.IntRange(0, 10_000), default=50, show_default=True)
    def events(
        session: Session,
        text: str,
        *,
        follow: bool,
        kind: str | None,
        severity: str | None,
        device: str | None,
        container: str | None,
        since: str,
        limit: int,
    ) -> None:
        """Show what the engines tell; TEXT is part of a name, action or device."""
        query: dict[str, Any] = {
            "q": text,
            "kind": kind,
            "severity": severity,
            "device": session.device_id(device),
            "container": names.one(session.client, names.CONTAINER, container)["id"] if container else None,
        }
        past = {**query, "since": _since(since)}
        for row in reversed(list(session.client.pages("/events", past, most=limit))):
            _event(session.output, row)
        session.output.flush()
        if follow:
            _follow(session, query)


def _follow(session: Session, query: dict[str, Any]) -> None:
    """Over lost connections and the hourly end of the stream: what came meanwhile is asked for."""
    since, shown = datetime.now(UTC), set[int]()
    misses = 0
    while True:
        try:
            for row in _missed(session, query, since, misses):
                if row["id"] not in shown:
                    _event(session.output, row)
                shown.add(row["id"])
            for row in session.client.lines("/events/follow", query, timeout_s=120):
                misses = 0
                if row["id"] not in shown:
                    _event(session.output, row)
                    session.output.flush()
                shown.add(row["id"])
                since = moment(row["time"]) or since
            misses += 1
            time.sleep(1)
        except Unreachable as exc:
            misses += 1
            if misses > 10:
                raise
            pause = min(2 ** (misses - 1), 15)
            session.output.say(f"-- {plain(exc.message)} Trying again in {pause} s.")
            time.sleep(pause)


def _missed(session: Session, query: dict[str, Any], since: datetime, misses: int) -> list[dict[str, Any]]:
    if not misses:
        return []
    # Hosts' clocks are not ours: some seconds too many are told apart by their ids.
    after = (since - timedelta(seconds=30)).isoformat()
    return list(reversed(list(session.client.pages("/events", {**query, "since": after}, most=10_000))))


def _event(output: Output, row: dict[str, Any]) -> None:
    if output.as_json:
        output.object_line(row)
        return
    colour = BAD if row["severity"] >= 3 else WARN if row["severity"] == 2 else ""
    where = plain(f"{(row.get('device') or {}).get('name', '')}/{row['name']}", 100)
    output.line(
        f"{output.paint(local(row['time']), QUIET)}  {where:<24}  {output.paint(plain(row['sentence'], 400), colour)}"
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    began, ended = moment(row.get("started_at")), moment(row.get("finished_at"))
    took = span((ended - began).total_seconds()) if began and ended else ""
    outcome = (row.get("error") or {}).get("message") or row["outcome"] or row["progress"]
    return (row["id"], row["state"], waiting.told(row), row["requested_by"], age(row["created_at"]), took, outcome)


def _show(output: Output, found: dict[str, Any]) -> None:
    error = found.get("error") or {}
    output.pairs(
        [
            ("operation", found["id"]),
            ("what", waiting.told(found)),
            ("state", found["state"]),
            ("by", found["requested_by"]),
            ("asked for", local(found["created_at"])),
            ("begun", found["started_at"] and local(found["started_at"])),
            ("ended", found["finished_at"] and local(found["finished_at"])),
            ("progress", found["progress"]),
            ("outcome", found["outcome"]),
            ("error", error.get("message")),
            ("to do", error.get("fix")),
        ]
    )
    if found.get("output"):
        output.line("")
        output.line(plain_lines(found["output"]))


def _id(text: str) -> str:
    if not text.replace("-", "").isalnum():
        raise CommandFailed(f"{plain(text, 100)!r} is no id of an operation.", code=Exit.USAGE)
    return text


def _since(text: str) -> str:
    """A time for the API: a span back from now becomes one."""
    if text and text[:-1].isdigit() and text[-1] in _UNITS:
        return (datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])).isoformat()
    return text
