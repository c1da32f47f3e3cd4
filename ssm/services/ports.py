"""TCP ports on this machine."""

import socket

from ssm.services.errors import PortInUse, ServiceError

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now. Raises ServiceError when `host` is no address of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections in TIME_WAIT of the last run must not count as "in use".
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as exc:
        raise ServiceError(
            f"SSM_HTTP_HOST: {host} is not an address of this machine.",
            fix="Set SSM_HTTP_HOST=127.0.0.1, or 0.0.0.0 for all addresses.",
        ) from exc
    except PermissionError as exc:
        raise ServiceError(f"Port {port} needs root's rights.", fix="Set SSM_HTTP_PORT to a port above 1023.") from exc
    except OSError as exc:
        if exc.errno is not None and exc.errno == 99:  # EADDRNOTAVAIL
            raise ServiceError(
                f"SSM_HTTP_HOST: {host} is not an address of this machine.",
                fix="Set SSM_HTTP_HOST=127.0.0.1, or 0.0.0.0 for all addresses.",
            ) from exc
        return False
    return True


def free_port() -> int:
    """A port on the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, host: str, variable: str) -> None:
    """Raise PortInUse, naming the variable that chooses the port, when somebody listens there."""
    if not is_free(port, host):
        raise PortInUse(
            f"Port {port} on {host} is in use by another program.",
            fix=f"Stop that program, or choose another port: {variable}={port + 1 if port < 65535 else 8000}",
        )
