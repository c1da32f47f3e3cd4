"""What can go wrong while SSM is backed up or restored; each is shown as one line and what to do."""

from ssm.lib.errors import SsmError


class RecoveryError(SsmError):
    """A backup of SSM could not be made, or not be restored; nothing was changed."""

    code = "recovery"


class BackupDamaged(RecoveryError):
    """The file is no backup of SSM, or not all of one."""

    code = "backup_damaged"


class BackupTooNew(RecoveryError):
    """A newer SSM made the file."""

    code = "backup_too_new"


class KeysMissing(RecoveryError):
    """None of the configured keys opens the secrets of the backup."""

    code = "keys_missing"


class DatabaseInUse(RecoveryError):
    """The database holds an installation, or processes of SSM still work with it."""

    code = "database_in_use"
