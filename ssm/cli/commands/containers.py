"""`ssm containers`: listed, looked at, acted on."""

from collections.abc import Sequence
from typing import Any

import click

from ssm.cli import names, waiting
from ssm.cli.output import Output, age, local, name_of, percent, size
from ssm.cli.session import Session, command, completing
from ssm.cli.text import plain

_STATES = ("attention", "running", "restarting", "paused", "failed", "exited", "dead", "created")
_ACTS = {
    "start": "Start containers.",
    "stop": "Stop containers.",
    "restart": "Restart containers.",
    "pause": "Freeze the processes of containers.",
    "unpause": "Let the processes of containers go on.",
    "kill": "Send a signal to containers.",
    "remove": "Remove containers.",
}
_NAMES = click.argument(
    "chosen", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=completing("container")
)
_NAME = click.argument("name", metavar="CONTAINER", shell_complete=completing("container"))


def add_to(cli: click.Group) -> None:
    """Add the commands."""

    @cli.group()
    def containers() -> None:
        """Containers on all devices."""

    @command(containers, "list")
    @click.argument("text", required=False, default="")
    @click.option("--state", type=click.Choice(_STATES), default=None, help="attention: what somebody should look at.")
    @click.option("--health", type=click.Choice(["healthy", "unhealthy", "starting", "none"]), default=None)
    @click.option("--device", default=None, help="On this device.", shell_complete=completing("device"))
    @click.option("--group", default="", help="On devices of this group.")
    @click.option("--project", default="", help="Of this compose project.")
    @click.option(
        "--sort", default="name", show_default=True, help="name, device, state, project, appeared, changed; - turns."
    )
    def list_containers(
        session: Session,
        text: str,
        state: str | None,
        health: str | None,
        device: str | None,
        group: str,
        project: str,
        sort: str,
    ) -> None:
        """List containers; TEXT is part of the name, image, device or project."""
        query = {
            "q": text,
            "state": state,
            "health": health,
            "device": session.device_id(device),
            "group": group,
            "project": project,
            "sort": sort,
        }
        rows = session.client.pages("/containers", query)
        if session.output.as_json:
            session.output.json(list(rows))
            return
        titles = ("NAME", "IMAGE", "STATE", "SINCE", "CPU", "MEMORY", "UPDATE")
        session.output.table(titles, map(_row, rows), flexible=1)

    @command(containers)
    @_NAME
    def show(session: Session, name: str) -> None:
        """All of one container."""
        found = session.client.get(f"/containers/{names.one(session.client, names.CONTAINER, name)['id']}")
        if session.output.as_json:
            session.output.json(found)
        else:
            _show(session.output, found)

    @command(containers)
    @_NAME
    def processes(session: Session, name: str) -> None:
        """The processes in a container, asked of its host."""
        found = names.one(session.client, names.CONTAINER, name)
        table = session.client.get(f"/containers/{found['id']}/processes")
        if session.output.as_json:
            session.output.json(table)
        else:
            session.output.table(table["titles"], table["rows"], flexible=len(table["titles"]) - 1)

    for kind, text in _ACTS.items():
        _add_act(containers, kind, text)


def _add_act(group: click.Group, kind: str, text: str) -> None:
    def act(
        session: Session, chosen: tuple[str, ...], *, no_wait: bool, yes: bool, stop_on_failure: bool, **given: Any
    ) -> None:
        found = names.some(session.client, names.CONTAINER, chosen)
        asks = kind in ("remove", "kill") or (len(found) > 1 and kind != "start")
        if asks:
            session.confirm(_question(kind, found), is_sure=yes)
        order = {name: value for name, value in given.items() if value not in (None, "", False)}
        if len(found) == 1:
            answer = session.client.post(f"/containers/{found[0]['id']}/{kind}", order)
        else:
            ids = [row["id"] for row in found]
            order |= {"kind": kind, "containers": ids, "stops_on_failure": stop_on_failure}
            answer = session.client.post("/containers/batch", order)
        waiting.finish(session.client, session.output, waiting.asked(session.client, answer), waits=not no_wait)

    act.__doc__ = f"{text}\n\nWaits until that is done, unless told not to; several are asked about first."
    options = [
        _NAMES,
        click.option("--no-wait", is_flag=True, help="Only ask for it, and print the operation."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("--stop-on-failure", is_flag=True, help="Begin nothing more after the first failure."),
    ]
    if kind in ("stop", "restart"):
        options.append(
            click.option(
                "-t", "--timeout", "timeout_s", type=click.IntRange(0, 3600), help="Seconds until it is killed."
            )
        )
    if kind == "kill":
        options.append(click.option("-s", "--signal", default="", help="SIGKILL unless told."))
    if kind == "remove":
        options.append(click.option("-f", "--force", is_flag=True, help="Also while it runs."))
        options.append(click.option("-v", "--volumes", is_flag=True, help="Its anonymous volumes too."))
    decorated: Any = act
    for option in reversed(options):
        decorated = option(decorated)
    command(group, kind)(decorated)


def _question(kind: str, found: Sequence[dict[str, Any]]) -> str:
    shown = ", ".join(plain(name_of(row), 100) for row in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"{kind.capitalize()} {shown}{more}?"


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    usage, offer = row.get("usage") or {}, row.get("update") or {}
    since = row["started_at"] if row["state"] in ("running", "paused") else row["finished_at"] or row["created_at"]
    update = (offer.get("tag") or offer.get("change") or "yes") if offer.get("state") == "update_available" else ""
    return (
        name_of(row),
        row["image"]["reference"],
        state_of(row),
        age(since),
        percent(usage.get("cpu_percent")),
        size(usage.get("memory_bytes")),
        update,
    )


def state_of(row: dict[str, Any]) -> str:
    """The state in words: its health, its exit code, and whether that is still known."""
    state, health = str(row["state"]), str(row.get("health") or "none")
    more = health if state == "running" and health != "none" else ""
    if state in ("exited", "dead") and row.get("exit_code") is not None:
        more = f"{row['exit_code']}, out of memory" if row.get("oom_killed") else str(row["exit_code"])
    if row.get("is_stale"):
        more = f"{more}, stale" if more else "stale"
    return f"{state} ({more})" if more else state


def _show(output: Output, found: dict[str, Any]) -> None:
    usage, offer = found.get("usage") or {}, found.get("update") or {}
    output.pairs(
        [
            ("name", name_of(found)),
            ("id", found["id"]),
            ("engine's id", found["engine_id"]),
            ("state", state_of(found)),
            ("error", found["error"]),
            ("image", found["image"]["reference"]),
            ("digest", found["image"]["digest"]),
            ("command", found["command"]),
            ("project", " / ".join(filter(None, (found["compose_project"], found["compose_service"])))),
            ("made", found["created_at"] and local(found["created_at"])),
            ("started", found["started_at"] and local(found["started_at"])),
            ("restarts", found["restart_count"] or ""),
            ("restart policy", found["restart_policy"]),
            ("cpu", percent(usage.get("cpu_percent"))),
            ("memory", size(usage.get("memory_bytes"))),
            ("update", offer.get("tag") or offer.get("state", "").replace("_", " ")),
        ]
    )
    _listed(output, "ports", [_port(port) for port in found["ports"]])
    _listed(output, "mounts", [_mount(mount) for mount in found["mounts"]])
    _listed(output, "networks", [str(network.get("name", "")) for network in found["networks"]])
    _listed(output, "labels", [f"{name}={value}" for name, value in sorted(found["labels"].items())])
    variables = [
        one["name"] if one["value"] is None else f"{one['name']}={one['value']}" for one in found["environment"]
    ]
    _listed(output, "environment", variables)


def _listed(output: Output, title: str, values: Sequence[str]) -> None:
    if values:
        output.line(f"\n{output.paint(title, '1')}")
        for value in values:
            output.line(f"  {plain(value)}")


def _port(port: dict[str, Any]) -> str:
    inside = f"{port.get('container_port', port.get('port', ''))}/{port.get('protocol', 'tcp')}"
    outside = port.get("host_port")
    return f"{port.get('host_ip') or '*'}:{outside} -> {inside}" if outside else inside


def _mount(mount: dict[str, Any]) -> str:
    source = mount.get("name") or mount.get("source") or mount.get("kind") or ""
    return f"{source} -> {mount.get('destination', mount.get('target', ''))}"
