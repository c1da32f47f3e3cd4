"""`manage.py backup_ssm`: the database of SSM as one verified file, while SSM runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from ssm.recovery.archive import Copy
from ssm.recovery.backing_up import back_up, discard_old
from ssm.recovery.errors import RecoveryError

MIB = 1024 * 1024


class Command(BaseCommand):
    """Exit code 0 once the file was written, read back and found whole; 1 with the reason otherwise."""

    help = (
        "Back up SSM's database to one file, verified. The keys of SSM_FIELD_KEYS are not in it: keep them apart, "
        "as without them no stored credential opens. The archives of volumes stay in their store."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to, and what is left out."""
        parser.add_argument(
            "file", nargs="?", type=Path, help="a new file (default: a name with the time in `self/` of SSM_DATA_DIR)"
        )
        parser.add_argument("--without-statistics", action="store_true", help="leave the charts' past out: far smaller")
        parser.add_argument(
            "--keep", type=int, default=0, metavar="N", help="afterwards delete all but the newest N in the usual place"
        )

    def handle(
        self, *_args: Any, file: Path | None, without_statistics: bool, keep: int, verbosity: int, **_options: Any
    ) -> None:
        """Write it."""
        folder = Path(settings.DATA_DIR) / "self"
        path = file or folder / f"ssm-{now():%Y%m%d-%H%M%S}.zip"

        def tell(copy: Copy) -> None:
            if verbosity > 1:
                self.stdout.write(f"{copy.table}: {copy.rows} rows, {copy.size_bytes} bytes")

        try:
            manifest = back_up(path, statistics=not without_statistics, tell=tell)
            gone = discard_old(folder, keep) if keep > 0 and file is None else []
        except RecoveryError as error:
            raise CommandError(f"{error.message} {error.fix}", returncode=1) from error
        self.stdout.write(
            f"{path}: {manifest.rows} rows of {len(manifest.tables)} tables in {path.stat().st_size / MIB:.1f} MiB, "
            f"read back and whole"
        )
        self.stdout.write(
            f"Secrets in it open with the key {manifest.keys[0]} of SSM_FIELD_KEYS, which is not in the file: keep it."
        )
        if count := manifest.volume_backups["count"]:
            self.stdout.write(
                f"{count} backups of volumes ({manifest.volume_backups['bytes'] / MIB:.0f} MiB) are listed in it; "
                "their archives stay in their store, copy that too"
            )
        for old in gone:
            self.stdout.write(f"{old}: deleted, as newer ones are kept")
