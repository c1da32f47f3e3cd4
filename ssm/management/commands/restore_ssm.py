"""`manage.py restore_ssm`: put a backup of SSM back, all of it or nothing."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from ssm.recovery.archive import Copy, Reader
from ssm.recovery.errors import RecoveryError
from ssm.recovery.restoring import check_keys, check_target, check_version, missing_archives, restore, take_own_name

MOST_NAMED = 10


class Command(BaseCommand):
    """Exit code 0 once everything is back and compared; 1 with the reason, and nothing changed, otherwise."""

    help = "Restore SSM from a file of backup_ssm, into an empty database or (with --replace) over what is there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to restore, and how far to go."""
        parser.add_argument("file", type=Path, help="file of backup_ssm")
        parser.add_argument("--check", action="store_true", help="only read the file and tell whether it would do")
        parser.add_argument("--replace", action="store_true", help="give up all that the database holds now")
        parser.add_argument(
            "--without-keys", action="store_true", help="restore though no key opens the stored credentials"
        )
        parser.add_argument("--noinput", action="store_true", help="do not ask before something is given up")

    def handle(self, *_args: Any, file: Path, **options: Any) -> None:
        """Restore it."""
        take_own_name()
        try:
            backup = Reader(file)
            try:
                self._handle(backup, options)
            finally:
                backup.close()
        except RecoveryError as error:
            raise CommandError(f"{error.message} {error.fix}", returncode=1) from error

    def _handle(self, backup: Reader, options: dict[str, Any]) -> None:
        manifest = backup.manifest
        self.stdout.write(
            f"{backup.path}: SSM {manifest.version}, {manifest.created_at}, {manifest.rows} rows of "
            f"{len(manifest.tables)} tables from PostgreSQL {manifest.server}"
        )
        check_version(manifest)
        if not options["without_keys"]:
            check_keys(manifest)
        backup.verify()
        self.stdout.write("The file is whole.")
        if options["check"]:
            return
        check_target(replace=options["replace"])
        if options["replace"] and not options["noinput"]:
            answer = input("Everything that this database holds now is given up. Type 'replace' to go on: ")
            if answer.strip() != "replace":
                raise CommandError("Nothing was changed.", returncode=1)

        def tell(copy: Copy) -> None:
            if options["verbosity"] > 1:
                self.stdout.write(f"{copy.table}: {copy.rows} rows, as in the file")

        done = restore(backup, tell)
        self.stdout.write(f"{done.rows} rows are back and the same as in the file.")
        if done.given_up:
            self.stdout.write(f"{done.given_up} operations that were under way then are marked as lost.")
        call_command("migrate", interactive=False, verbosity=max(0, options["verbosity"] - 1))
        self._tell_of_archives()
        self.stdout.write("Everybody has to log in again. Start SSM's processes now.")

    def _tell_of_archives(self) -> None:
        try:
            count, missing = missing_archives()
        except Exception as exc:  # whatever a store raises: the restore itself is done
            self.stderr.write(f"The store of volume backups could not be looked at: {exc}")
            return
        if missing:
            self.stderr.write(
                f"{len(missing)} of {count} backups of volumes are not in their store: "
                + ", ".join(missing[:MOST_NAMED])
                + (" …" if len(missing) > MOST_NAMED else "")
            )
        elif count:
            self.stdout.write(f"The archives of all {count} backups of volumes are in their store.")
