"""What a person may say beside the kind of an act: a signal, a time-out, what goes along with a removal (pure)."""

import re
from collections.abc import Mapping
from typing import Any, Final

# Those that people send to containers, the most frequent first.
SIGNALS: Final = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGABRT")
LONGEST_STOP_S: Final = 3600
_SIGNAL: Final = re.compile(r"SIG[A-Z]{2,6}[0-9]{0,2}(?:[+-][0-9]{1,2})?")
# containers/create: moby/moby, daemon/names/names.go.
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")


class ParameterError(ValueError):
    """A parameter that cannot be used; ``field`` is its name, the text says why."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def read_parameters(kind: str, form: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an act from a form's texts; what the kind does not know is left out. Raises ParameterError."""
    if kind == "kill":
        return _signal(str(form.get("signal", "")))
    if kind in ("stop", "restart"):
        return _timeout(str(form.get("timeout_s", "")))
    if kind == "remove":
        return {name: True for name in ("force", "volumes") if str(form.get(name, "")) in ("on", "1", "true")}
    if kind == "rename":
        return {"name": read_name(str(form.get("name", "")))}
    return {}


def read_name(text: str) -> str:
    """A container's name as the Engine allows it. Raises ParameterError."""
    name = text.strip().removeprefix("/")
    if not _NAME.fullmatch(name):
        raise ParameterError(
            "name",
            "A name has 2 to 128 letters, digits, dots, hyphens or underscores and begins with a letter or digit.",
        )
    return name


def _signal(text: str) -> dict[str, Any]:
    signal = text.strip().upper()
    if not signal or signal == "SIGKILL":
        return {}
    signal = signal if signal.startswith("SIG") else f"SIG{signal}"
    if not _SIGNAL.fullmatch(signal):
        raise ParameterError("signal", f"“{text[:20]}” is not the name of a signal: write SIGTERM, SIGHUP or the like.")
    return {"signal": signal}


def _timeout(text: str) -> dict[str, Any]:
    text = text.strip()
    if not text:
        return {}
    if not text.isascii() or not text.isdigit() or int(text[:6]) > LONGEST_STOP_S:
        raise ParameterError("timeout_s", f"Give the time-out in whole seconds, from 0 to {LONGEST_STOP_S}.")
    return {"timeout_s": int(text)}
