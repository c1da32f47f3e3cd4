"""Lines of public keys for people to paste (pure)."""

import re
import shlex

from devices.rules.texts import clean_text


def authorized_keys_line(public_key: str, name: str) -> str:
    """``type base64 comment``, the comment telling which log-in of SSM it is."""
    words = re.sub(r"[^A-Za-z0-9@._-]+", "-", clean_text(name, 60)).strip("-")
    return f"{public_key} ssm:{words}" if words else f"{public_key} ssm"


def install_command(public_key: str, name: str) -> str:
    """A shell command that adds the line to the log-in user's authorized_keys, once, with the modes that sshd wants."""
    line = shlex.quote(authorized_keys_line(public_key, name))
    blob = shlex.quote(public_key.split()[1])
    return (
        "umask 077; mkdir -p ~/.ssh && touch ~/.ssh/authorized_keys && "
        f"{{ grep -qF {blob} ~/.ssh/authorized_keys || echo {line} >> ~/.ssh/authorized_keys; }}"
    )
