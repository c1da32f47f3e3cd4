"""Making text of hosts harmless before people see it (pure)."""

import unicodedata

TEXT_LIMIT = 500


def clean_text(raw: str | bytes, limit: int = TEXT_LIMIT) -> str:
    """One printable line of at most ``limit`` characters out of whatever a host sent.

    Bytes are read as UTF-8 (bad ones become U+FFFD). Control, format and private characters, among them
    escape sequences' ESC and bidirectional overrides, turn into spaces; runs of white space become one space.
    Hosts, their banners and engine messages are not trusted: this bounds what reaches logs and pages.
    """
    if isinstance(raw, bytes):
        raw = raw[: limit * 8].decode("utf-8", "replace")
    raw = raw[: limit * 8]
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in raw)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
