"""`ssm images`, `ssm volumes`, `ssm backups`, `ssm networks`."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import click

from ssm.cli import names, waiting
from ssm.cli.errors import CommandFailed
from ssm.cli.output import age, local, name_of, size
from ssm.cli.session import Session, command, completing
from ssm.cli.text import plain

_DEVICE = click.option("--device", default=None, help="On this device.", shell_complete=completing("device"))
_TEXT = click.argument("text", required=False, default="")


def add_to(cli: click.Group) -> None:
    """Add the commands."""
    _add_images(cli)
    _add_volumes(cli)
    _add_backups(cli)
    _add_networks(cli)


def _add_images(cli: click.Group) -> None:
    @cli.group()
    def images() -> None:
        """Images on all devices."""

    @command(images, "list")
    @_TEXT
    @_DEVICE
    @click.option("--use", type=click.Choice(["used", "unused", "running", "dangling"]), default=None)
    @click.option("--sort", default="name", show_default=True, help="name, device, size, created; - turns.")
    def list_images(session: Session, text: str, device: str | None, use: str | None, sort: str) -> None:
        """List images; TEXT is part of the name."""
        query = {"q": text, "device": session.device_id(device), "use": use, "sort": sort}
        rows = session.client.pages("/images", query)
        if session.output.as_json:
            session.output.json(list(rows))
            return
        titles = ("DEVICE", "NAME", "ID", "SIZE", "MADE", "USED BY")
        session.output.table(titles, map(_image, rows), flexible=1)

    @command(images)
    @click.argument("reference")
    @click.option("--device", required=True, help="The device that pulls it.", shell_complete=completing("device"))
    @click.option("--platform", default="", help="Such as linux/arm64; the host's own unless told.")
    @click.option("--no-wait", is_flag=True, help="Only ask for it, and print the operation.")
    def pull(session: Session, reference: str, device: str, platform: str, no_wait: bool) -> None:  # noqa: FBT001
        """Pull an image on a device, with the credentials of its registry's account."""
        order = {"reference": reference, "device": session.device_id(device), "platform": platform}
        answer = session.client.post("/images/pull", order)
        waiting.finish(session.client, session.output, waiting.asked(session.client, answer), waits=not no_wait)


def _add_volumes(cli: click.Group) -> None:
    @cli.group()
    def volumes() -> None:
        """Volumes on all devices."""

    @command(volumes, "list")
    @_TEXT
    @_DEVICE
    @click.option("--use", type=click.Choice(["used", "unused", "anonymous", "named"]), default=None)
    @click.option("--backups", type=click.Choice(["planned", "some", "none"]), default=None)
    @click.option("--sort", default="name", show_default=True, help="name, device, size, created; - turns.")
    def list_volumes(
        session: Session, text: str, device: str | None, use: str | None, backups: str | None, sort: str
    ) -> None:
        """List volumes; TEXT is part of the name."""
        query = {"q": text, "device": session.device_id(device), "use": use, "backups": backups, "sort": sort}
        rows = session.client.pages("/volumes", query)
        if session.output.as_json:
            session.output.json(list(rows))
            return
        titles = ("NAME", "DRIVER", "SIZE", "USED", "BACKED UP", "PLAN")
        session.output.table(titles, map(_volume, rows), flexible=0)

    @command(volumes)
    @click.argument("name", metavar="VOLUME", shell_complete=completing("volume"))
    @click.option(
        "--consistency",
        type=click.Choice(["running", "paused", "stopped"]),
        default="running",
        show_default=True,
        help="What its containers do meanwhile.",
    )
    @click.option("--note", default="", help="Why it is made.")
    @click.option("--no-wait", is_flag=True, help="Only ask for it, and print the operation.")
    def backup(session: Session, name: str, consistency: str, note: str, no_wait: bool) -> None:  # noqa: FBT001
        """Back a volume up now."""
        found = names.one(session.client, names.VOLUME, name)
        answer = session.client.post(f"/volumes/{found['id']}/backup", {"consistency": consistency, "note": note})
        waiting.finish(session.client, session.output, waiting.asked(session.client, answer), waits=not no_wait)


def _add_backups(cli: click.Group) -> None:
    @cli.group()
    def backups() -> None:
        """Backups of volumes."""

    @command(backups, "list")
    @_TEXT
    @_DEVICE
    @click.option("--state", type=click.Choice(["running", "good", "failed", "damaged", "deleting"]), default=None)
    def list_backups(session: Session, text: str, device: str | None, state: str | None) -> None:
        """List backups, the newest first; TEXT is part of the volume's name."""
        rows = session.client.pages("/backups", {"q": text, "device": session.device_id(device), "state": state})
        if session.output.as_json:
            session.output.json(list(rows))
            return
        session.output.table(("ID", "VOLUME", "STATE", "SIZE", "MADE", "NOTE"), map(_backup, rows), flexible=5)

    @command(backups)
    @click.argument("backup_id", metavar="ID")
    @click.option(
        "-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="The file to write."
    )
    def download(session: Session, backup_id: str, target: Path | None) -> None:
        """Fetch the archive of a backup, and compare it with its checksum.

        The file is there once it is whole: a download that was cut leaves nothing that looks like one.
        """
        found = session.client.get(f"/backups/{backup_id}")
        path = target or Path(f"{_safe(found['volume'])}-{str(found['created_at'])[:10]}.tar.zst")
        if path.exists() and target is None:
            raise CommandFailed(f"{path} is there already.", fix="Name another file with -o.")
        count = _download(session, found, path)
        if session.output.as_json:
            session.output.json({"file": str(path), "bytes": count, "sha256": found["sha256"]})
        else:
            session.output.line(f"{path}  {size(count)}")


def _add_networks(cli: click.Group) -> None:
    @cli.group()
    def networks() -> None:
        """Networks on all devices."""

    @command(networks, "list")
    @_TEXT
    @_DEVICE
    def list_networks(session: Session, text: str, device: str | None) -> None:
        """List networks; TEXT is part of the name."""
        rows = session.client.pages("/networks", {"q": text, "device": session.device_id(device)})
        if session.output.as_json:
            session.output.json(list(rows))
            return
        titles = ("NAME", "DRIVER", "SCOPE", "SUBNETS", "PROJECT")
        session.output.table(titles, map(_network, rows), flexible=0)


def _download(session: Session, found: dict[str, Any], path: Path) -> int:
    digest = hashlib.sha256()
    try:
        # Volumes may hold secrets: the file is its owner's alone.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as stream:

                def write(data: bytes) -> None:
                    digest.update(data)
                    stream.write(data)

                count = session.client.download(f"/backups/{found['id']}/archive", write)
            if found["sha256"] and digest.hexdigest() != found["sha256"]:
                raise CommandFailed("The archive does not have its checksum: it was not kept.", fix="ssm backups list")
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise CommandFailed(f"{path} cannot be written: {exc.strerror}.") from exc
    return count


def _safe(name: object) -> str:
    """A volume's name as the beginning of a file's name."""
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in str(name))
    return kept.strip("-")[:100] or "volume"


def _image(row: dict[str, Any]) -> tuple[str, ...]:
    name = ", ".join(row["tags"]) or "<none>"
    short = str(row["engine_id"]).removeprefix("sha256:")[:12]
    made = age(row["created_at"])
    return (row["device"]["name"], name, short, size(row["size_bytes"]), made, str(row["containers"] or ""))


def _volume(row: dict[str, Any]) -> tuple[str, ...]:
    used, plan = ("yes" if row["is_used"] else "no"), ("yes" if row["has_plan"] else "")
    return (name_of(row), row["driver"], size(row["size_bytes"]), used, age(row["backed_up_at"]), plan)


def _backup(row: dict[str, Any]) -> tuple[str, ...]:
    volume = f"{row['device']['name']}/{row['volume']}"
    note = row["error"] or row["note"]
    return (row["id"], volume, row["state"], size(row["size_bytes"]), local(row["created_at"]), plain(note, 200))


def _network(row: dict[str, Any]) -> tuple[str, ...]:
    told = ", ".join(str(pool.get("subnet", "")) for pool in row["pools"])
    return (name_of(row), row["driver"], row["scope"], told, row["compose_project"])
