"""`ssm update`: what can be updated, checks, applying."""

import time
from typing import Any, Final

import click

from ssm.cli import names, waiting
from ssm.cli.errors import CommandFailed, Exit
from ssm.cli.session import Session, command, completing
from ssm.cli.text import plain

_STATES: Final = ("all", "snoozed", "up_to_date", "unknown", "error", "not_watched")
_KINDS: Final = ("major", "minor", "patch", "revision", "prerelease", "unknown", "digest")
_LOOKED_EVERY_S: Final = 1.0
_LONGEST_CHECK_S: Final = 900.0


def add_to(cli: click.Group) -> None:
    """Add the commands."""

    @cli.group()
    def update() -> None:
        """Newer images: what there is, and applying it."""

    @command(update, "list")
    @click.argument("text", required=False, default="")
    @click.option("--state", type=click.Choice(_STATES), default=None, help="Else those that offer something now.")
    @click.option("--kind", type=click.Choice(_KINDS), default=None, help="Only this kind of change.")
    @click.option("--device", default=None, help="On this device.", shell_complete=completing("device"))
    @click.option("--project", default="", help="Of this compose project.")
    def list_updates(
        session: Session, text: str, state: str | None, kind: str | None, device: str | None, project: str
    ) -> None:
        """List what can be updated to what; TEXT is part of the image, container, device or tag."""
        rows = session.client.pages("/updates", _query(session, text, state, kind, device, project))
        if session.output.as_json:
            session.output.json(list(rows))
            return
        session.output.table(("CONTAINER", "IMAGE", "NOW", "OFFERED", "CHANGE", "WHY"), map(_row, rows), flexible=5)

    @command(update)
    @click.argument("name", metavar="CONTAINER", required=False, shell_complete=completing("container"))
    @click.option("--device", default=None, help="All of this device.", shell_complete=completing("device"))
    @click.option("--no-wait", is_flag=True, help="Only ask for it.")
    def check(session: Session, name: str | None, device: str | None, no_wait: bool) -> None:  # noqa: FBT001
        """Ask the registries now: about a container, a device, or all that you may see."""
        order = {"device": session.device_id(device)}
        if name:
            order = {"container": names.one(session.client, names.CONTAINER, name)["id"]}
        answer = session.client.post("/updates/check", order)
        if not no_wait:
            answer = _finished(session, answer)
        if session.output.as_json:
            session.output.json(answer)
        else:
            failed = f", {answer['failed']} could not be asked" if answer["failed"] else ""
            session.output.line(f"{answer['done']} of {answer['total']} repositories looked up{failed}.")

    @command(update)
    @click.argument("chosen", metavar="CONTAINER...", nargs=-1, shell_complete=completing("container"))
    @click.option("--all", "everything", is_flag=True, help="All that are offered something; --kind, --device choose.")
    @click.option("--kind", type=click.Choice(_KINDS), default=None, help="With --all: only this kind of change.")
    @click.option("--device", default=None, help="With --all: on this device.", shell_complete=completing("device"))
    @click.option("--project", default="", help="With --all: of this compose project.")
    @click.option("--tag", default="", help="For one container: this tag instead of what is offered.")
    @click.option(
        "--stable",
        "stable_s",
        type=click.IntRange(0, 86_400),
        help="Seconds that it has to run before the old one goes.",
    )
    @click.option(
        "--patience", "patience_s", type=click.IntRange(0, 86_400), help="Seconds that it has to become healthy."
    )
    @click.option("--probe", default="", help="What it has to answer: http:80/health or tcp:5432.")
    @click.option(
        "--keep",
        "keep_old_s",
        type=click.Choice(["0", "3600", "86400", "604800", "2592000"]),
        help="Seconds that the old one is kept, stopped.",
    )
    @click.option("--stop-on-failure", is_flag=True, help="Begin nothing more after the first failure.")
    @click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    @click.option("--no-wait", is_flag=True, help="Only ask for it, and print the operations.")
    def apply(
        session: Session,
        chosen: tuple[str, ...],
        *,
        everything: bool,
        kind: str | None,
        device: str | None,
        project: str,
        tag: str,
        stop_on_failure: bool,
        yes: bool,
        no_wait: bool,
        keep_old_s: str | None,
        **given: Any,
    ) -> None:
        """Update containers. A new one is made beside each and watched; if it is not well, the old one runs again."""
        if bool(chosen) == everything:
            raise click.UsageError("Name containers, or say --all.")
        if everything:
            rows = list(session.client.pages("/updates", _query(session, "", None, kind, device, project)))
            if not rows:
                raise CommandFailed("There is nothing to update.", code=Exit.NOT_FOUND)
            ids = [row["container"]["id"] for row in rows]
            shown = [f"{row['device']['name']}/{row['container']['name']} to {_offered(row)}" for row in rows]
        else:
            found = names.some(session.client, names.CONTAINER, chosen)
            ids = [row["id"] for row in found]
            shown = [f"{row['device']['name']}/{row['name']}" for row in found]
        for line in shown[:20] if len(ids) > 1 else ():
            session.output.say(f"  {plain(line, 200)}")
        if len(shown) > 20:
            session.output.say(f"  and {len(shown) - 20} more")
        what = f"{len(ids)} containers" if len(ids) > 1 else plain(shown[0], 200)
        session.confirm(f"Update {what}?", is_sure=yes)
        order: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, "")}
        order |= {"containers": ids, "tag": tag, "stops_on_failure": stop_on_failure}
        if keep_old_s is not None:
            order["keep_old_s"] = int(keep_old_s)
        answer = session.client.post("/updates/apply", order)
        waiting.finish(session.client, session.output, waiting.asked(session.client, answer), waits=not no_wait)


def _query(
    session: Session, text: str, state: str | None, kind: str | None, device: str | None, project: str
) -> dict[str, Any]:
    return {"q": text, "state": state, "kind": kind, "device": session.device_id(device), "project": project}


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    name = f"{row['device']['name']}/{row['container']['name']}"
    image = row["repository"] if row["registry"] == "docker.io" else f"{row['registry']}/{row['repository']}"
    why = row["text"] if row["state"] != "update_available" else ""
    return (name, image.removeprefix("library/"), row["tag"], _offered(row), row["change"], why)


def _offered(row: dict[str, Any]) -> str:
    if row["state"] != "update_available":
        return ""
    return str(row["offered_tag"]) or "rebuilt"


def _finished(session: Session, answer: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + _LONGEST_CHECK_S
    while not answer.get("finished_at"):
        if time.monotonic() > until:
            raise CommandFailed("The check takes long; it goes on without this command.")
        time.sleep(_LOOKED_EVERY_S)
        answer = session.client.get(f"/updates/checks/{answer['id']}")
    return answer
