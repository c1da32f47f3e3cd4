"""What the commands that write and read files of rows share."""

import sys
from argparse import ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from ssm.lib.transfer import FAILED, FORMATS, MOST_BYTES, Planned, Result, TransferFault, read, write


class ExportCommand(BaseCommand):
    """Writes a document to a file or to standard output."""

    def document(self) -> Mapping[str, Any]:
        """What to write."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to, and how it is written."""
        parser.add_argument("file", nargs="?", default="-", help="file to write; - or none: standard output")
        parser.add_argument("--format", choices=list(FORMATS), help="default: by the file's ending, else yaml")

    def handle(self, *_args: Any, file: str, format: str | None, **_options: Any) -> None:  # noqa: A002 - the option
        """Write."""
        ending = Path(file).suffix.removeprefix(".").lower()
        text = write(self.document(), format or (ending if ending in FORMATS else "yaml"))
        if file == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(file).write_text(text, encoding="utf-8")
        except OSError as exc:
            raise CommandError(f"{file} cannot be written: {exc.strerror}.") from exc
        self.stderr.write(f"{file} is written.")


class ImportCommand(BaseCommand):
    """Reads a document, tells what would become of each entry, and does it when it is told to."""

    what = ""
    has_host_keys = False

    def plan(self, document: Mapping[str, Any]) -> list[Planned]:
        """What would become of each entry."""
        raise NotImplementedError

    def apply(self, planned: Sequence[Planned], chosen: Collection[str], user: User, *, trust: bool) -> list[Result]:
        """Do it."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file, and whether to go on after the preview."""
        parser.add_argument("file", help="file of an export; -: standard input")
        parser.add_argument("--apply", action="store_true", help="do it; without this only a preview is shown")
        parser.add_argument("--as", dest="username", required=True, help="the user who is recorded as doing it")
        parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only the entry of this name")
        if self.has_host_keys:
            parser.add_argument("--trust-host-keys", action="store_true", help="accept the host keys of the file")

    def handle(self, *_args: Any, file: str, username: str, **options: Any) -> None:
        """Preview, and then perhaps more. CommandError when an entry failed."""
        user = get_user_model()._default_manager.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user “{username}”.")
        self.check_user(user)
        planned = self._planned(file)
        wanted = set(options["only"])
        chosen = {one.key for one in planned if one.may_be_taken and (not wanted or one.name in wanted)}
        if not options["apply"]:
            self._preview(planned)
            self.stdout.write(f"{len(chosen)} would be taken over: again with --apply to do it.")
            return
        results = self.apply(planned, chosen, user, trust=bool(options.get("trust_host_keys")))
        for result in results:
            self.stdout.write(f"{result.outcome:8} {result.kind:9} {result.name}  {result.message}".rstrip())
        failed = sum(result.outcome == FAILED for result in results)
        if failed:
            raise CommandError(f"{failed} of {len(results)} entries could not be taken over.")

    def check_user(self, user: User) -> None:
        """Whether that user may do this. CommandError."""

    def _planned(self, file: str) -> list[Planned]:
        try:
            text = sys.stdin.read(MOST_BYTES + 1) if file == "-" else Path(file).read_text("utf-8", "replace")
            return self.plan(read(text, self.what))
        except TransferFault as exc:
            raise CommandError(str(exc)) from exc
        except OSError as exc:
            raise CommandError(f"{file} cannot be read: {exc.strerror}.") from exc

    def _preview(self, planned: Sequence[Planned]) -> None:
        for one in planned:
            self.stdout.write(f"{one.state:8} {one.kind:9} {one.name}  {one.fault}".rstrip())
            for note in one.notes:
                self.stdout.write(f"{'':18} {note}")
            for change in one.changes:
                self.stdout.write(f"{'':18} {change.name}: {change.before} -> {change.after}")
