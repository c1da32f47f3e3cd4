"""Logging in with what the credential holds: key, password, keyboard-interactive, or key and password both."""

import paramiko

from devices.errors import AuthenticationFailed, ConnectionTimedOut
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text
from devices.ssh.keys import load_private_key
from devices.ssh.sockets import Deadline
from devices.ssh.transport import Transport

_NAMES = {"publickey": "key", "password": "password", "keyboard-interactive": "keyboard-interactive"}
# Prompts of a server beyond a few are a game with us, not a log-in.
_MOST_PROMPTS = 4


def log_in(transport: Transport, target: ConnectionTarget, deadline: Deadline) -> None:
    """Authenticate, using nothing but the target's own credential (no agent, no files of this machine).

    The key goes first; a server that wants more after it, or takes no keys, gets the password. Raises
    AuthenticationFailed with the methods that the server offers, KeyUnreadable, ConnectionTimedOut, or
    paramiko.SSHException when the connection breaks.
    """
    who = target.authentication
    tried: list[str] = []
    allowed: list[str] = []
    if who.private_key:
        key = load_private_key(who.private_key, who.passphrase, target.label)
        if _attempt(transport, deadline, tried, "key", allowed, lambda: transport.auth_publickey(who.username, key)):
            return
    if who.password is not None and (not allowed or {"password", "keyboard-interactive"} & set(allowed)):
        if _log_in_by_password(transport, target, deadline, tried, allowed):
            return
    elif not tried and _attempt(transport, deadline, tried, "none", allowed, lambda: transport.auth_none(who.username)):
        return
    _raise_failure(transport, target, deadline, tried, allowed)


def _log_in_by_password(
    transport: Transport, target: ConnectionTarget, deadline: Deadline, tried: list[str], allowed: list[str]
) -> bool:
    who = target.authentication
    password = who.password or ""

    def answer(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        if len(prompts) > _MOST_PROMPTS:
            raise paramiko.SSHException("too many prompts")
        # Only the hidden prompt is for the password; an echoed one asks for something we do not have.
        return [password if not echo else "" for _text, echo in prompts]

    def by_password() -> list[str]:
        return transport.auth_password(who.username, password, fallback=False)

    def by_prompts() -> list[str]:
        return transport.auth_interactive(who.username, answer)

    # After a partial success the list of what comes next is known, else the first refusal tells it.
    if not allowed or "password" in allowed:
        if _attempt(transport, deadline, tried, "password", allowed, by_password):
            return True
        if "password" in allowed or "keyboard-interactive" not in allowed:
            return False
    return _attempt(transport, deadline, tried, "keyboard-interactive", allowed, by_prompts)


def _attempt(transport: Transport, deadline: Deadline, tried: list[str], name: str, allowed: list[str], method) -> bool:  # type: ignore[no-untyped-def]
    """Try one method. True when logged in; else ``allowed`` holds what the server said it takes, as far as it did."""
    transport.auth_timeout = max(0.1, deadline.left_s)
    tried.append(name)
    try:
        remaining = method()
    except paramiko.BadAuthenticationType as exc:
        allowed[:] = exc.allowed_types
        return False
    except paramiko.AuthenticationException:
        if not transport.active or deadline.is_over:
            raise
        allowed.clear()
        return False
    if remaining:
        allowed[:] = remaining
        return False
    return bool(transport.is_authenticated())


def _raise_failure(
    transport: Transport, target: ConnectionTarget, deadline: Deadline, tried: list[str], allowed: list[str]
) -> None:
    who = target.authentication
    if not allowed and "none" not in tried:
        # A refused password says nothing of what else would be taken; "none" makes the server list it.
        try:
            _attempt(transport, deadline, [], "none", allowed, lambda: transport.auth_none(who.username))
        except paramiko.SSHException:
            allowed = []
    names = [clean_text(_NAMES.get(name, name), 40) for name in allowed[:10]]
    had = " and ".join(name for name in tried if name != "none") or "no key or password"
    user = clean_text(who.username, 60)
    raise AuthenticationFailed(
        f"{target.label}: the server did not let {user} in with {had}"
        + (f"; it takes {', '.join(names)}." if names else "."),
        fix=_fix(target, tried, allowed),
        details={"allowed": names, "tried": [name for name in tried if name != "none"], "username": user},
    )


def _fix(target: ConnectionTarget, tried: list[str], allowed: list[str]) -> str:
    user = clean_text(target.authentication.username, 60)
    takes_password = not allowed or {"password", "keyboard-interactive"} & set(allowed)
    if "key" in tried and "publickey" in allowed and not target.authentication.password:
        return f"Put the public key into ~{user}/.ssh/authorized_keys on the host, or check the user name."
    if "key" not in tried and not takes_password:
        return "Add a private key to the credential: this server takes no passwords."
    if "key" in tried and allowed and "publickey" not in allowed:
        return "Add a password to the credential: this server takes no keys for this user."
    return f"Check the user name {user} and the password, and that this user may log in by SSH."


def timed_out(target: ConnectionTarget, stage: str) -> ConnectionTimedOut:
    """The error for a server that accepts the connection and then does not go on."""
    return ConnectionTimedOut(
        f"{target.label}: {target.address} port {target.port} accepts connections, but {stage} did not come in time.",
        fix="Check that this port is an SSH server and that the host is not overloaded.",
    )
