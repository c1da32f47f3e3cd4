"""The local socket of SSM's own machine, and short programs there."""

import errno
import os
import socket
import subprocess
from pathlib import Path
from typing import Final

from devices.errors import ConnectionLost, ConnectionTimedOut, PermissionDenied, SocketMissing
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text
from devices.ssh.session import OUTPUT_LIMIT, ChannelRefused, ProgramResult

# A path of a Unix socket is at most so long on Linux, its end included.
_MOST_PATH_BYTES: Final = 107


def connect_local(target: ConnectionTarget, timeout_s: float) -> socket.socket:
    """Connect to the socket on this machine. SocketMissing, PermissionDenied, ConnectionTimedOut."""
    path = target.socket_path
    shown = clean_text(path, 120)
    if len(os.fsencode(path)) > _MOST_PATH_BYTES:
        raise SocketMissing(
            f"{target.label}: the path of the socket is longer than {_MOST_PATH_BYTES} characters.",
            fix="Give the engine a socket with a shorter path, or make a symbolic link to it.",
        )
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        raw.settimeout(min(timeout_s, target.connect_timeout_s))
        raw.connect(path)
    except FileNotFoundError as exc:
        raw.close()
        raise SocketMissing(
            f"{target.label}: there is no socket {shown} on the machine that SSM runs on.",
            fix="Check that Docker runs there, or correct the path. If SSM runs in a container, mount the socket into "
            f"it: -v {shown}:{shown}.",
        ) from exc
    except PermissionError as exc:
        raw.close()
        raise PermissionDenied(
            f"{target.label}: SSM's own user (number {os.geteuid()}) may not use the socket {shown}.",
            fix=f"Add that user to the group of the socket ({_group_of(path)}) and start SSM again; in a container: "
            f"--group-add {_group_of(path)}.",
            details={"cause": "no permission"},
        ) from exc
    except ConnectionRefusedError as exc:
        raw.close()
        missing = "" if Path(path).is_socket() else f"{shown} is not a socket."
        raise SocketMissing(
            f"{target.label}: {missing or f'no engine listens on {shown}: it is stopped or starting.'}",
            fix="Start it: sudo systemctl start docker; its log: journalctl -u docker."
            if not missing
            else "Correct the socket path of this device; Docker's own is /var/run/docker.sock.",
        ) from exc
    except OSError as exc:
        raw.close()
        if isinstance(exc, TimeoutError) or exc.errno == errno.EAGAIN:
            raise ConnectionTimedOut(
                f"{target.label}: the engine on {shown} does not accept connections: its queue is full.",
                fix="The engine may hang: see systemctl status docker and journalctl -u docker.",
            ) from exc
        raise SocketMissing(
            f"{target.label}: the socket {shown} can't be used ({clean_text(exc.strerror or str(exc), 100)}).",
            fix="Correct the socket path of this device; Docker's own is /var/run/docker.sock.",
        ) from exc
    return raw


def _group_of(path: str) -> str:
    try:
        return str(Path(path).stat().st_gid)
    except OSError:
        return "docker"


def run_here(target: ConnectionTarget, arguments: list[str], timeout_s: float, stdin: bytes) -> ProgramResult:
    """A short program on this machine, without SSM's own environment, in which its secrets lie."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            arguments, input=stdin, capture_output=True, timeout=timeout_s, env=environment, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise ConnectionLost(f"{target.label}: a command did not end in time.") from exc
    except OSError as exc:
        raise ChannelRefused(str(exc)) from exc
    status = done.returncode if done.returncode >= 0 else None
    return ProgramResult(
        status, clean_text(done.stdout[:OUTPUT_LIMIT], 2000), clean_text(done.stderr[:OUTPUT_LIMIT], 2000)
    )
