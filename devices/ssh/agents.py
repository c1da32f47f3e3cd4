"""Keys of the SSH agent that runs on SSM's own machine."""

import contextlib
import os
import socket
from collections.abc import Iterator

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from devices.errors import AgentMissing
from devices.rules.host_keys import PinnedKey
from devices.rules.texts import clean_text

# Servers end the connection after a few refused keys (MaxAuthTries, 6 by default).
MOST_KEYS = 5
# A locked or hanging agent must not hold up a log-in for ever.
AGENT_S = 5.0


@contextlib.contextmanager
def agent_keys(wanted: str, owner: str) -> Iterator[list[AgentKey]]:
    """The keys to try, the one with the fingerprint ``wanted`` alone if that is given; usable inside the block.

    AgentMissing if no agent can be asked or it has no such key.
    """
    path = os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise _missing(owner, "there is no SSH agent beside SSM (SSH_AUTH_SOCK is not set)")
    with socket.socket(socket.AF_UNIX) as raw:
        try:
            raw.settimeout(AGENT_S)
            raw.connect(path)
            agent = AgentSSH()
            agent._connect(raw)  # type: ignore[attr-defined]  # the library's own way in knows no time-out
            keys = [key for key in agent.get_keys() if not wanted or fingerprint_of(key) == wanted]
        except (OSError, paramiko.SSHException) as exc:
            raise _missing(owner, "the SSH agent did not answer") from exc
        if not keys:
            what = f"no key {clean_text(wanted, 80)}" if wanted else "no keys"
            raise _missing(owner, f"the SSH agent holds {what}")
        yield keys[:MOST_KEYS]


def fingerprint_of(key: paramiko.PKey) -> str:
    """Its public half's fingerprint, as ``ssh-add -l`` prints it."""
    return PinnedKey(key.get_name(), key.get_base64()).fingerprint


def _missing(owner: str, why: str) -> AgentMissing:
    return AgentMissing(
        f"{owner}: {why}.",
        fix="Start ssh-agent where SSM's processes run, add the key (ssh-add), and give each process SSH_AUTH_SOCK.",
    )
