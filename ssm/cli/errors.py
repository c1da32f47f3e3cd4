"""What ends a command, and with which exit code."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; scripts may rely on them."""

    GOOD = 0
    # What was asked for was tried and did not work out.
    FAILED = 1
    # The command line itself cannot be used (click's own code).
    USAGE = 2
    # SSM does not answer, or not as SSM does.
    UNREACHABLE = 3
    # Not logged in, or not allowed.
    REFUSED = 4
    # There is no such thing, or more than one of that name.
    NOT_FOUND = 5
    # As shells have it for Ctrl-C.
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A sentence for people, what to do about it, and the exit code."""

    def __init__(self, message: str, *, fix: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code


class ApiRefused(CommandFailed):
    """SSM answered with an error: `status` as in HTTP, `kind` its name for programs."""

    def __init__(self, status: int, kind: str, message: str, fix: str) -> None:
        code = Exit.REFUSED if status in (401, 403) else Exit.NOT_FOUND if status == 404 else Exit.FAILED
        super().__init__(message, fix=fix, code=code)
        self.status = status
        self.kind = kind


class Unreachable(CommandFailed):
    """Nobody there, or nobody who speaks as SSM does."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message, fix=fix, code=Exit.UNREACHABLE)
