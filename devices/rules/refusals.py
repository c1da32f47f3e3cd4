"""Why a host gives no way to its engine, from what its programs print (pure)."""

import enum
import re
from dataclasses import dataclass


class Cause(enum.Enum):
    """What stands between the user and the engine."""

    SOCKET_MISSING = "no such socket"
    NOT_A_SOCKET = "not a socket"
    PERMISSION = "no permission"
    ENGINE_DOWN = "nobody listens"
    FORWARDING = "forwarding refused"
    PROGRAM_MISSING = "no docker command"
    SUDO_MISSING = "no sudo"
    SUDO_NEEDS_PASSWORD = "sudo needs a password"  # noqa: S105
    SUDO_WRONG_PASSWORD = "sudo refuses the password"  # noqa: S105
    SUDO_FORBIDDEN = "sudo not allowed"
    NO_SESSIONS = "no programs allowed"
    UNCLEAR = "unclear"


# First match wins. Programs are started with LC_ALL=C, so these are the C locale's texts: sudo 1.9, docker 20.10 to
# 28, podman 4, doas 6.8, dash, bash and busybox.
_PATTERNS: tuple[tuple[str, Cause], ...] = (
    (r"(sudo|doas)'?: ((command )?not found|No such file)|can't execute '(sudo|doas)'", Cause.SUDO_MISSING),
    (r"password is required|terminal is required|no tty present|must have a tty", Cause.SUDO_NEEDS_PASSWORD),
    (r"doas: (authentication|authorization) required|doas: a tty is required", Cause.SUDO_NEEDS_PASSWORD),
    (r"doas: operation not permitted", Cause.SUDO_FORBIDDEN),
    (r"try again|incorrect password|no password was provided", Cause.SUDO_WRONG_PASSWORD),
    (r"not in the sudoers|may not run sudo|is not allowed to (run|execute)", Cause.SUDO_FORBIDDEN),
    (r"command not found|: not found|can't execute|unknown command|unrecognized command", Cause.PROGRAM_MISSING),
    (r"(docker|podman)\S*: No such file or directory", Cause.PROGRAM_MISSING),
    (r"permission denied", Cause.PERMISSION),
    (r"cannot connect to the docker daemon|connection refused|connect: no such file", Cause.ENGINE_DOWN),
    (r"unable to connect to podman|failed to dial", Cause.ENGINE_DOWN),
)


def read_refusal(text: str) -> Cause:
    """The cause that a program's standard error names."""
    for pattern, cause in _PATTERNS:
        if re.search(pattern, text, re.IGNORECASE):
            return cause
    return Cause.UNCLEAR


# Prints "socket|other|missing yes|no yes|no": what is at the path, may the user write, does anybody listen. The
# last is asked of the kernel's list by the file's name, as the engine may have bound it under another spelling of
# the directory (/run for /var/run).
PROBE_SCRIPT = """
if [ -S "$1" ]; then kind=socket; elif [ -e "$1" ]; then kind=other; else kind=missing; fi
if [ -w "$1" ]; then write=yes; else write=no; fi
real=$(readlink -f "$1" || echo "$1")
if grep -q "/${real##*/}\\$" /proc/net/unix 2>/dev/null; then listen=yes; else listen=no; fi
echo "probe $kind $write $listen"
"""


@dataclass(frozen=True, slots=True)
class SocketProbe:
    """What `PROBE_SCRIPT` found."""

    kind: str
    is_writable: bool
    is_listened_to: bool

    @property
    def cause(self) -> Cause:
        """Why a channel to this socket was refused."""
        if self.kind == "missing":
            return Cause.SOCKET_MISSING
        if self.kind == "other":
            return Cause.NOT_A_SOCKET
        if not self.is_writable:
            return Cause.PERMISSION
        return Cause.FORWARDING if self.is_listened_to else Cause.ENGINE_DOWN


def parse_probe(output: str) -> SocketProbe | None:
    """Read the script's line, wherever a log-in shell's own chatter left it; None if it is not there."""
    match = re.search(r"\bprobe (socket|other|missing) (yes|no) (yes|no)\b", output)
    return SocketProbe(match[1], match[2] == "yes", match[3] == "yes") if match else None
