"""Every way in which a Docker host can fail us, told to the user with what to do about it.

Messages name the device, never hold secrets, and quote hosts only through `clean_text`. The tree is by what the
caller can do: `EngineError` and below are answers of a working engine, `ConnectionLost` and `EngineTimeout` may be
tried again, all others need a person.
"""

from typing import Any

from devices.rules.texts import clean_text
from ssm.lib.errors import SsmError


class DeviceError(SsmError):
    """Base of all: something about one device failed. ``details`` is JSON-safe."""

    code = "device_error"
    status = 502

    @property
    def is_answer(self) -> bool:
        """True when a healthy engine answered, so that the connection itself is fine."""
        return False


class NameNotFound(DeviceError):
    """The host name has no address."""

    code = "name_not_found"


class ConnectionRefused(DeviceError):
    """Nothing listens on that port."""

    code = "refused"


class ConnectionTimedOut(DeviceError):
    """The host did not answer in time, in TCP, in the SSH handshake or in the log-in."""

    code = "timed_out"
    status = 504


class HostUnreachable(DeviceError):
    """The network says that there is no way to the host."""

    code = "host_unreachable"


class NotSsh(DeviceError):
    """What answers is no SSH server, or none with algorithms that SSM accepts."""

    code = "not_ssh"


class HostKeyError(DeviceError):
    """Base of the two host key refusals."""

    status = 409


class HostKeyUnknown(HostKeyError):
    """No key of this host was accepted yet. details: key_type, key_base64, fingerprint."""

    code = "host_key_unknown"


class HostKeyChanged(HostKeyError):
    """The host shows another key than the accepted one. details: as unknown, and expected (fingerprints)."""

    code = "host_key_changed"


class HostKeyRevoked(HostKeyError):
    """The host shows a key that a rule says is never to be trusted. details: as unknown."""

    code = "host_key_revoked"


class AuthenticationFailed(DeviceError):
    """The server refused the log-in. details: allowed (methods it offers), tried."""

    code = "authentication_failed"


class KeyUnreadable(DeviceError):
    """The stored private key can't be used: passphrase missing or wrong, or not a private key."""

    code = "key_unreadable"
    status = 422


class CertificateUnusable(KeyUnreadable):
    """The stored OpenSSH certificate can't be read or does not belong to the key."""

    code = "certificate_unusable"


class AgentMissing(DeviceError):
    """The credential wants the SSH agent of SSM's own machine, and there is none, or not that key in it."""

    code = "agent_missing"
    status = 422


class NoLogin(DeviceError):
    """Neither the device nor one of its groups has a credential."""

    code = "no_login"
    status = 422


class JumpHostsLoop(DeviceError):
    """The jump hosts of devices lead in a circle, or are too many."""

    code = "jump_hosts_loop"
    status = 422


class ProxyRefused(DeviceError):
    """The proxy did not let us through. details: status (of an HTTP proxy) or reply (of SOCKS)."""

    code = "proxy_refused"


class JumpRefused(DeviceError):
    """A jump host let us in, but gave no way to the next server."""

    code = "jump_refused"


class CertificateRefused(DeviceError):
    """The engine's TLS certificate is not accepted. details: cause."""

    code = "certificate_refused"


class ClientCertificateRefused(DeviceError):
    """The engine does not accept the certificate of the TLS identity, or wants one. details: cause."""

    code = "client_certificate_refused"


class NotTls(DeviceError):
    """What answers on that port speaks no TLS."""

    code = "not_tls"


class SocketMissing(DeviceError):
    """There is no engine behind the socket path."""

    code = "socket_missing"


class PermissionDenied(DeviceError):
    """The user may not use the engine's socket."""

    code = "permission_denied"


class CommandsRefused(DeviceError):
    """The host runs no commands for this user; what goes through the engine's socket works all the same."""

    code = "commands_refused"


class CommandTooSlow(CommandsRefused):
    """A command was started on the host, but did not end in time."""

    code = "command_too_slow"


class NotDocker(DeviceError):
    """What answers on the socket is not Docker."""

    code = "not_docker"


class EngineTooOld(DeviceError):
    """The engine's API is older than SSM needs. details: api_version, needed."""

    code = "engine_too_old"


class ConnectionLost(DeviceError):
    """The connection broke; a new one may work at once."""

    code = "connection_lost"
    status = 503


class CircuitOpen(DeviceError):
    """Not tried: the host failed a moment ago. details: retry_at (Unix seconds), failures, cause (code)."""

    code = "circuit_open"
    status = 503


class EngineTimeout(DeviceError):
    """The engine did not answer within the request's deadline."""

    code = "engine_timeout"
    status = 504


class PortSilent(DeviceError):
    """Nothing answers at a container's port as it should; the connection to the host is fine."""

    code = "port_silent"

    @property
    def is_answer(self) -> bool:
        return True


class PortForbidden(PortSilent):
    """The host opens no connections to its ports for this user."""

    code = "port_forbidden"


class EngineError(DeviceError):
    """The engine answered with an error. details: engine_status, engine_message."""

    code = "engine_error"

    def __init__(self, message: str, *, fix: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message, fix=fix, details=details)
        self.engine_status: int = int(self.details.get("engine_status", 0))
        self.engine_message: str = str(self.details.get("engine_message", ""))

    @property
    def is_answer(self) -> bool:
        return True


class EngineNotFound(EngineError):
    """404: the container, image, volume or network is not there."""

    code = "engine_not_found"
    status = 404


class EngineConflict(EngineError):
    """409: the engine refuses in this state, for instance a name that is taken."""

    code = "engine_conflict"
    status = 409


def engine_error(device: str, status: int, engine_message: str) -> EngineError:
    """The error for an engine's answer of 400 or more."""
    text = clean_text(engine_message)
    kind = {404: EngineNotFound, 409: EngineConflict}.get(status, EngineError)
    said = f"{text[:1].upper()}{text[1:]}" if text else f"HTTP status {status}"
    fix = "The engine itself failed: see its log on the host (journalctl -u docker)." if status >= 500 else ""
    details = {"engine_status": status, "engine_message": text}
    return kind(f"The engine on {clean_text(device, 100)} answered: {said.rstrip('.')}.", fix=fix, details=details)
