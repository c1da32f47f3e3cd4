"""Reading of the Engine's JSON where anything may stand in any place (pure)."""

import signal
from typing import Any


def dict_of(value: Any) -> dict[str, Any]:
    """An object, empty for anything else."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """A list, empty for anything else."""
    return value if isinstance(value, list) else []


def texts_of(value: Any) -> list[str]:
    """The texts of a list; one text stands for a list of it."""
    return [value] if isinstance(value, str) else [entry for entry in list_of(value) if isinstance(entry, str)]


def text_of(value: Any) -> str:
    """A text, empty for anything else."""
    return value if isinstance(value, str) else ""


def path_of(value: Any) -> str:
    """A path without the slash at its end."""
    return text_of(value).rstrip("/") or text_of(value)


def link_of(text: str) -> str:
    """``/db:/web/alias`` of an inspect answer as ``db:alias``, which a create call takes."""
    name, _colon, alias = text.partition(":")
    return f"{name.lstrip('/')}:{alias.rpartition('/')[2] or name.lstrip('/')}"


def signal_of(text: str) -> int | str | None:
    """The number of a signal: docker keeps what was written, podman writes a number."""
    if text.isascii() and text.isdigit():
        return int(text[:4])
    name = "SIG" + text.upper().removeprefix("SIG")
    return signal.Signals[name].value if name in signal.Signals.__members__ else text or None
