"""What a replacement has planned and done so far, and the ways in which it ends."""

from typing import Any, Final

from containers.runs.run import Run
from ssm.lib.errors import SsmError

_JOURNAL: Final = "replace"


class ReplacementRefused(SsmError):
    """The container cannot be replaced as it stands; nothing was done."""

    code = "replacement_refused"
    status = 409


class ReplacementFailed(SsmError):
    """The successor was given up; the old container is as it was before. details: cause (code)."""

    code = "replacement_failed"


class RollbackFailed(SsmError):
    """The successor was given up, and the old container could not be brought back; a person has to look."""

    code = "rollback_failed"


class Interrupted(SsmError):
    """The way forward was broken off by the loss of a worker or of the host."""

    code = "interrupted"


class State:
    """A part of the run's journal, so that it survives; what was not noted is None.

    Planned: old, old_name, name, passing, kept, keep_until, starts, policy, stop_s, is_adopted, successor,
    successor_policy, old_image, old_image_id, old_digests, shared_by. Done: new_image, new_image_id, touched, stopping,
    stopped, starting, started_before, committed; on the way back failure, told, restarted_from.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def entries(self) -> dict[str, Any]:
        """All that was noted."""
        found = self._run.journal.get(_JOURNAL)
        return dict(found) if isinstance(found, dict) else {}

    @property
    def is_planned(self) -> bool:
        """Whether an attempt has begun."""
        return bool(self.entries)

    def __getitem__(self, name: str) -> Any:
        return self.entries.get(name)

    def note(self, **entries: Any) -> None:
        """Keep entries durably."""
        self._run.note(**{_JOURNAL: {**self.entries, **entries}})
