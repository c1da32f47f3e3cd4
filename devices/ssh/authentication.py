"""Logging in with what the credential holds: keys, certificates, an agent's keys, a password, answers, or several."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import paramiko

from devices.errors import AgentMissing, AuthenticationFailed, ConnectionTimedOut
from devices.rules.prompts import Respondent
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text
from devices.ssh.agents import agent_keys
from devices.ssh.certificates import attach_certificate
from devices.ssh.keys import load_private_key
from devices.ssh.sockets import Deadline
from devices.ssh.transport import Transport

_NAMES = {"publickey": "key", "password": "password", "keyboard-interactive": "keyboard-interactive"}
# Questions of a server beyond a few are a game with us, not a log-in.
_MOST_PROMPTS = 8
_MOST_ROUNDS = 8
_BY_TEXT = frozenset({"password", "keyboard-interactive"})


@dataclass(frozen=True, slots=True)
class _Way:
    """One thing to try: the protocol's method, its name for people, and the call that tries it."""

    method: str
    name: str
    attempt: Callable[[], list[str]]


@dataclass(slots=True)
class _State:
    """What the server said so far. ``allowed`` is empty while unknown."""

    allowed: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    is_partial: bool = False


def log_in(transport: Transport, target: ConnectionTarget, deadline: Deadline) -> None:
    """Authenticate by nothing but what the target's own credential holds or allows.

    Keys go first (certificate, stored key, agent's keys), then answers to questions or the password. A server that
    demands several proofs gets them in the order it asks for. Raises AuthenticationFailed with the methods that the
    server offers and the questions that no answer is stored for, KeyUnreadable, AgentMissing, ConnectionTimedOut, or
    paramiko.SSHException when the connection breaks.
    """
    who = target.authentication
    respondent = Respondent(who.answers, who.password)
    state = _State()
    with _ways(transport, target, respondent) as ways:
        if _try_ways(transport, deadline, list(ways), state):
            return
    _raise_failure(transport, target, deadline, state, respondent)


@contextlib.contextmanager
def _ways(transport: Transport, target: ConnectionTarget, respondent: Respondent) -> Iterator[list[_Way]]:
    """What there is to try, in order; an agent's keys can be used inside the block alone."""
    who = target.authentication
    ways: list[_Way] = []

    def by_key(name: str, key: paramiko.PKey) -> None:
        ways.append(_Way("publickey", name, lambda: transport.auth_publickey(who.username, key)))

    with contextlib.ExitStack() as stack:
        if who.private_key:
            if who.certificate:
                certified = load_private_key(who.private_key, who.passphrase, target.label)
                by_key("certificate", attach_certificate(certified, who.certificate, target.label))
            by_key("key", load_private_key(who.private_key, who.passphrase, target.label))
        if who.agent:
            try:
                keys = stack.enter_context(agent_keys(who.agent_key, target.label))
            except AgentMissing:
                # With something else to try the agent is one way among others.
                if not (ways or who.password is not None or who.answers):
                    raise
                keys = []
            for key in keys:
                by_key("agent's key", key)
        texts = []
        if who.password is not None:
            texts.append(_by_password(transport, who.username, who.password))
        if who.password is not None or who.answers:
            texts.append(_by_prompts(transport, who.username, respondent))
        ways += reversed(texts) if who.answers else texts
        if not ways:
            ways.append(_Way("none", "none", lambda: transport.auth_none(who.username)))
        yield ways


def _by_password(transport: Transport, username: str, password: str) -> _Way:
    return _Way("password", "password", lambda: transport.auth_password(username, password, fallback=False))


def _by_prompts(transport: Transport, username: str, respondent: Respondent) -> _Way:
    rounds = 0

    def answer(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        nonlocal rounds
        rounds += bool(prompts)
        if len(prompts) > _MOST_PROMPTS or rounds > _MOST_ROUNDS:
            raise paramiko.SSHException("too many questions")
        # A question without an answer gets an empty one: the server then says no by itself.
        return [respondent.answer(text, echo=bool(echo)) or "" for text, echo in prompts]

    return _Way("keyboard-interactive", "keyboard-interactive", lambda: transport.auth_interactive(username, answer))


def _try_ways(transport: Transport, deadline: Deadline, ways: list[_Way], state: _State) -> bool:
    """Try one after the other, as far as the server takes them; begin anew with the rest after each proof it took."""
    refused_text = False
    while ways:
        way = next((way for way in ways if not state.allowed or way.method in (*state.allowed, "none")), None)
        if way is None or (refused_text and way.method in _BY_TEXT):
            return False
        ways.remove(way)
        was_offered = not state.allowed or way.method in state.allowed
        outcome = _attempt(transport, deadline, way, state)
        if outcome == "in":
            return True
        if outcome == "not offered" and state.allowed and way.method not in state.allowed:
            ways.append(way)  # it may be asked for after another proof
        if outcome == "refused" and way.method in _BY_TEXT and was_offered:
            # The same password by the other method would be refused alike, and count twice against the account.
            refused_text = True
    return False


def _attempt(transport: Transport, deadline: Deadline, way: _Way, state: _State) -> str:
    """in, partial (a proof was taken, ``state.allowed`` says what comes next), refused, or not offered."""
    transport.auth_timeout = max(0.1, deadline.left_s)
    state.tried.append(way.name)
    try:
        remaining = way.attempt()
    except paramiko.BadAuthenticationType as exc:
        state.allowed = list(exc.allowed_types)
        return "not offered"
    except paramiko.AuthenticationException:
        if not transport.active or deadline.is_over:
            raise
        if not state.is_partial:
            state.allowed = []
        return "refused"
    if remaining:
        state.allowed, state.is_partial = list(remaining), True
        return "partial"
    return "in" if transport.is_authenticated() else "refused"


def _raise_failure(
    transport: Transport, target: ConnectionTarget, deadline: Deadline, state: _State, respondent: Respondent
) -> None:
    who = target.authentication
    if not state.allowed and "none" not in state.tried:
        # A refused password says nothing of what else would be taken; "none" makes the server list it.
        probe = _State()
        with contextlib.suppress(paramiko.SSHException):
            _attempt(transport, deadline, _Way("none", "none", lambda: transport.auth_none(who.username)), probe)
        state.allowed = probe.allowed
    names = [clean_text(_NAMES.get(name, name), 40) for name in state.allowed[:10]]
    tried = list(dict.fromkeys(name for name in state.tried if name != "none"))
    had = " and ".join(tried) or "no key or password"
    user = clean_text(who.username, 60)
    asked = [clean_text(prompt, 100) for prompt in respondent.unanswered[:4]]
    text = f"{target.label}: the server did not let {user} in with {had}"
    if state.is_partial:
        text += f"; it took a part, and wants {' or '.join(names)} after that"
    elif names:
        text += f"; it takes {', '.join(names)}"
    if asked:
        text += f"; it asked {' and '.join(f'“{prompt}”' for prompt in asked)}, which no stored answer fits"
    raise AuthenticationFailed(
        f"{text}.",
        fix=_fix(target, tried, state, asked),
        details={"allowed": names, "tried": tried, "username": user, "asked": asked},
    )


def _fix(target: ConnectionTarget, tried: list[str], state: _State, asked: list[str]) -> str:
    user = clean_text(target.authentication.username, 60)
    has_key = bool({"key", "certificate", "agent's key"} & set(tried))
    takes_password = not state.allowed or bool(_BY_TEXT & set(state.allowed))
    if asked:
        return "Add an answer for this question to the credential: a part of its words, and what to say."
    if "certificate" in tried and "publickey" in state.allowed:
        return (
            f"Check that the server trusts the certificate's authority (TrustedUserCAKeys), that {user} is one of its "
            "principals, and that the clock of the host is right."
        )
    if has_key and "publickey" in state.allowed and not target.authentication.password:
        return f"Put the public key into ~{user}/.ssh/authorized_keys on the host, or check the user name."
    if not has_key and not takes_password:
        return "Add a private key to the credential: this server takes no passwords."
    if has_key and state.allowed and "publickey" not in state.allowed:
        return "Add a password to the credential: this server takes no keys for this user."
    return f"Check the user name {user} and the password, and that this user may log in by SSH."


def timed_out(target: ConnectionTarget, stage: str) -> ConnectionTimedOut:
    """The error for a server that accepts the connection and then does not go on."""
    return ConnectionTimedOut(
        f"{target.label}: {target.address} port {target.port} accepts connections, but {stage} did not come in time.",
        fix="Check that this port is an SSH server and that the host is not overloaded.",
    )
