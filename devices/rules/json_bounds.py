"""Reading JSON of a peer that is not trusted (pure)."""

import json
from typing import Any, Final

# A value takes up to 200 bytes in memory, however short it was written: an answer within its limit of bytes could
# become gigabytes. The list of a thousand containers has a tenth of this.
MOST_VALUES: Final = 1_000_000


class JsonError(ValueError):
    """The text is no JSON, or more than is taken; its text says which."""


def decode_json(data: bytes, most_values: int = MOST_VALUES) -> Any:
    """The value of a JSON text. JsonError when it is none, nested too deeply, or of too many values."""
    # Commas in texts count too: that errs on the side of refusing.
    if data.count(b",") + data.count(b"[") + data.count(b"{") > most_values:
        raise JsonError("JSON of more values than SSM takes")
    try:
        return json.loads(data)
    except RecursionError as exc:
        raise JsonError("JSON that is nested too deeply") from exc
    except ValueError as exc:
        raise JsonError("an answer that is not JSON") from exc
