"""Making texts of registries harmless before people see them (pure)."""

import unicodedata

# Longer bodies of errors are cut: what a registry says is shown, not archived.
TEXT_LIMIT = 300


def clean_text(raw: str | bytes, limit: int = TEXT_LIMIT) -> str:
    """One printable line of at most ``limit`` characters out of whatever a registry sent.

    Bytes are read as UTF-8 (bad ones become U+FFFD); control, format and private characters turn into spaces.
    """
    if isinstance(raw, bytes):
        raw = raw[: limit * 8].decode("utf-8", "replace")
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in raw[: limit * 8])
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
