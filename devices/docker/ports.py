"""Ask a TCP port of a container, as its host reaches it, whether something sensible answers."""

from typing import Final

from devices.docker.exchange import AnswerCut, AnswerMissing, read_head
from devices.docker.routes import Session
from devices.errors import PortForbidden, PortSilent
from devices.rules.http import HttpError
from devices.ssh.session import ChannelRefused
from devices.ssh.sockets import Deadline

# A proxy of the engine takes every connection and drops those that the container refuses: it is given that long.
_DROPPED_WITHIN_S: Final = 0.3


def ask_port(session: Session, label: str, address: str, port: int, path: str, timeout_s: float) -> int:
    """Connect, and with a ``path`` GET it by HTTP: its status, 0 without a path.

    PortSilent when nothing answers as it should, PortForbidden when the host opens no such channels; the session's
    own errors when the connection to the host breaks.
    """
    deadline = Deadline(timeout_s)
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        channel = session.open_tcp(address, port, max(0.1, deadline.left_s))
    except ChannelRefused as exc:
        if "no ports" in str(exc):
            raise PortForbidden(
                f"{label}: it is reached without SSH, so its containers' ports cannot be asked.",
                fix="Leave the probe out, or let SSM reach the host over SSH.",
            ) from exc
        if "rohibited" in str(exc):
            raise PortForbidden(
                f"{label}: the host opens no connections to ports for this user.",
                fix="Allow it in the host's sshd_config (AllowTcpForwarding, PermitOpen), or leave the probe out.",
            ) from exc
        raise PortSilent(f"{label}: nothing takes connections at {place}.") from exc
    try:
        if path:
            request = f"GET {path} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: ssm\r\nConnection: close\r\n\r\n"
            channel.settimeout(max(0.1, deadline.left_s))
            channel.sendall(request.encode("ascii"))
            return read_head(channel, deadline)[0].status
        channel.settimeout(min(_DROPPED_WITHIN_S, max(0.1, deadline.left_s)))
        try:
            if not channel.recv(1):
                raise PortSilent(f"{label}: what takes connections at {place} drops them at once.")
        except TimeoutError:
            pass  # it waits for us to speak first, as most do
        return 0
    except (OSError, AnswerMissing, AnswerCut, HttpError) as exc:
        if not session.is_open:
            raise session.lost() from exc
        raise PortSilent(f"{label}: what listens at {place} gives no HTTP answer.") from exc
    finally:
        channel.close()
