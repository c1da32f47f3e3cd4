"""Figures of a host itself, which its engine does not tell: one command over the warm SSH connection."""

from devices.docker.engine import Engine
from devices.errors import CommandsRefused, CommandTooSlow, ConnectionLost
from devices.rules.host_figures import HOST_SCRIPT, HostReading, parse_host_reading
from devices.rules.texts import clean_text
from devices.ssh.session import ChannelRefused

# A host that takes longer is in trouble, or its disk is a network's that is away.
HOST_FIGURES_S = 5.0


def read_host_figures(engine: Engine, folder: str, timeout_s: float = HOST_FIGURES_S) -> HostReading:
    """Memory, CPU, load, and the disk of ``folder``. Blocks for ``timeout_s`` seconds at most.

    CommandsRefused tells why the host gives no figures this way, which harms nothing else; ConnectionLost when the
    connection itself is gone.
    """
    label = engine.target.label
    try:
        result = engine.run_program(["sh", "-c", HOST_SCRIPT, "sh", folder or "/"], timeout_s)
    except ChannelRefused as exc:
        raise CommandsRefused(
            f"{label}: the host lets this user run no commands over SSH.",
            fix="Figures of the host need a log-in with a shell, and MaxSessions of 2 or more in its sshd_config.",
        ) from exc
    except ConnectionLost as exc:
        if not engine.is_open:
            raise
        raise CommandTooSlow(
            f"{label}: a command over SSH did not end within {timeout_s:.0f} seconds.",
            fix="The host may be overloaded, or the key or the user be tied to a program that waits (forced command).",
        ) from exc
    reading = parse_host_reading(result.output)
    if reading is not None:
        return reading
    said = clean_text(result.errors or result.output, 200)
    raise CommandsRefused(
        f"{label}: the user cannot run commands over SSH" + (f" (the host said: {said})." if said else "."),
        fix="Figures of the host need a POSIX shell; a key or user that is tied to one program (forced command, "
        "nologin) has none.",
    )
