"""Which API version to speak with an engine."""

import re
from typing import Any

from devices.errors import EngineTooOld, NotDocker
from devices.rules.texts import clean_text

OLDEST_API = (1, 41)
NEWEST_API = (1, 51)


def choose_api_version(device: str, answer: Any) -> str:
    """The newest version that both the engine (its ``/version`` answer) and SSM know, such as ``1.45``.

    NotDocker if the answer is none of an engine, EngineTooOld below 1.41 (Docker 20.10).
    """
    offered = _parse(answer.get("ApiVersion")) if isinstance(answer, dict) else None
    if offered is None:
        raise NotDocker(
            f"{device}: what listens on the socket is not a Docker Engine (its version answer names no API version).",
            fix="Correct the socket path of this device; Docker's own is /var/run/docker.sock.",
        )
    if offered < OLDEST_API:
        product = clean_text(str(answer.get("Version", "")), 40)
        raise EngineTooOld(
            f"{device}: the engine {product} speaks API {_text(offered)}; SSM needs {_text(OLDEST_API)}.",
            fix="Update Docker on the host to 20.10 or newer.",
            details={"api_version": _text(offered), "needed": _text(OLDEST_API)},
        )
    least = _parse(answer.get("MinAPIVersion")) or OLDEST_API
    return _text(max(min(offered, NEWEST_API), min(least, offered)))


def _parse(text: Any) -> tuple[int, int] | None:
    match = re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
