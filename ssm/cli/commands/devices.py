"""`ssm devices`."""

from typing import Any

import click

from ssm.cli import names
from ssm.cli.errors import CommandFailed
from ssm.cli.output import BAD, GOOD, QUIET, WARN, Output, age, local, size
from ssm.cli.session import Session, command, completing
from ssm.cli.text import plain

_DEVICE = click.argument("name", metavar="DEVICE", shell_complete=completing("device"))
_MARKS = {"ok": ("ok", GOOD), "failed": ("failed", BAD), "needs_decision": ("?", WARN), "skipped": ("skipped", QUIET)}


def add_to(cli: click.Group) -> None:
    """Add the commands."""

    @cli.group()
    def devices() -> None:
        """The servers."""

    @command(devices, "list")
    @click.argument("text", required=False, default="")
    @click.option("--group", default="", help="Of this group of devices.")
    @click.option(
        "--state", type=click.Choice(["unknown", "connecting", "online", "unreachable", "disabled"]), default=None
    )
    def list_devices(session: Session, text: str, group: str, state: str | None) -> None:
        """List devices; TEXT is part of the name, address or system."""
        rows = session.client.pages("/devices", {"q": text, "group": group, "state": state})
        if session.output.as_json:
            session.output.json(list(rows))
            return
        titles = ("NAME", "STATE", "ADDRESS", "ENGINE", "SYSTEM", "GROUPS", "SEEN")
        session.output.table(
            titles,
            (
                (
                    row["name"],
                    row["state"],
                    row["address"],
                    f"{row['engine_product']} {row['engine_version']}".strip(),
                    row["operating_system"],
                    ",".join(row["groups"]),
                    age(row["last_seen_at"]),
                )
                for row in rows
            ),
            flexible=4,
        )

    @command(devices)
    @_DEVICE
    def show(session: Session, name: str) -> None:
        """One device: its engine, and how the connection stands."""
        found = session.client.get(f"/devices/{names.device(session.client, name)['id']}")
        if session.output.as_json:
            session.output.json(found)
            return
        _show(session.output, found)

    @command(devices)
    @_DEVICE
    def test(session: Session, name: str) -> None:
        """Test the connection, step by step. Exit code 1 when it does not work."""
        device = names.device(session.client, name)
        last: dict[str, Any] = {}
        for line in session.client.lines(f"/devices/{device['id']}/test", method="POST", timeout_s=180):
            last = line
            if session.output.as_json:
                session.output.object_line(line)
            elif not line.get("done") and line.get("state") != "running":
                _show_step(session.output, line)
        if not last.get("ok"):
            raise CommandFailed(
                str(last.get("message") or f"The connection to {name} does not work."), fix=str(last.get("fix") or "")
            )

    @command(devices)
    @_DEVICE
    def sweep(session: Session, name: str) -> None:
        """Have all of a device read anew now."""
        device = names.device(session.client, name)
        answer = session.client.post(f"/devices/{device['id']}/sweep")
        if session.output.as_json:
            session.output.json(answer)
        else:
            session.output.say(f"{plain(device['name'])} is being read.")

    @command(devices)
    @_DEVICE
    def retry(session: Session, name: str) -> None:
        """Try an unreachable device now instead of at its next turn."""
        device = names.device(session.client, name)
        answer = session.client.post(f"/devices/{device['id']}/retry")
        if session.output.as_json:
            session.output.json(answer)
        else:
            session.output.say(f"{plain(device['name'])} is being tried.")


def _show(output: Output, found: dict[str, Any]) -> None:
    output.pairs(
        [
            ("name", found["name"]),
            ("id", found["id"]),
            ("state", found["state"]),
            ("why", found["state_message"]),
            ("to do", found["state_fix"]),
            ("address", f"{found['address']} port {found['port']} by {found['transport']}"),
            ("groups", found["groups"]),
            ("engine", f"{found['engine_product']} {found['engine_version']} (API {found['api_version']})"),
            ("system", f"{found['operating_system']} {found['architecture']}"),
            ("cpus", found["cpus"]),
            ("memory", size(found["memory_bytes"])),
            ("seen", found["last_seen_at"] and local(found["last_seen_at"])),
            ("read", found["last_sweep_at"] and local(found["last_sweep_at"])),
            ("reading failed", found["last_sweep_error"]),
        ]
    )


def _show_step(output: Output, line: dict[str, Any]) -> None:
    word, colour = _MARKS.get(str(line.get("state")), (plain(line.get("state"), 20), ""))
    took = f" ({line['duration_ms']} ms)" if line.get("duration_ms") is not None else ""
    detail = f": {plain(line['detail'])}" if line.get("detail") else ""
    output.line(f"{output.paint(f'{word:<8}', colour)} {plain(line.get('title'))}{detail}{took}")
    if line.get("fingerprint"):
        output.line(f"         {plain(line['fingerprint'])}")
    output.flush()
