"""The last lines that a container printed, for those who want to know why it ended."""

from collections.abc import Mapping
from typing import Any, Final

from containers.rules.logframes import FrameDecoder, LogFormatError, LogStreamError, RawDecoder
from containers.rules.masking import clean_text, mask_text
from devices.connections import Engine

LINES: Final = 20
_LONGEST: Final = 500
_MOST_BYTES: Final = 256 * 1024


def last_lines(engine: Engine, inspect: Mapping[str, Any], count: int = LINES) -> list[str]:
    """At most ``count`` lines of both streams in the Engine's order, each cut, telling values masked. DeviceError."""
    config = inspect.get("Config")
    is_terminal = isinstance(config, dict) and config.get("Tty") is True
    decoder = RawDecoder() if is_terminal else FrameDecoder()
    parameters = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(count)}
    records, size = b"", 0
    with engine.stream(f"/containers/{inspect['Id']}/logs", parameters, read_timeout_s=10) as stream:
        try:
            for piece in stream:
                size += len(piece)
                records += decoder.feed(piece).data
                if size > _MOST_BYTES:
                    break
        except (LogFormatError, LogStreamError) as exc:
            records += decoder.finish().data
            return [*_texts(records, count - 1), clean_text(str(exc), _LONGEST)]
        records += decoder.finish().data
    return _texts(records, count)


def _texts(records: bytes, count: int) -> list[str]:
    """The texts of records, without mark and time."""
    lines = records.split(b"\n")[:-1][-count:]
    texts = (line.partition(b" ")[2].decode("utf-8", "replace") for line in lines)
    return [clean_text(mask_text(text), _LONGEST) for text in texts]
