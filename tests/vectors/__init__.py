"""Cases that the rules must satisfy as they stand; the files are data, not to be edited to fit the code."""

import json
from pathlib import Path
from typing import Any


def vectors(kind: str) -> list[dict[str, Any]]:
    """The cases of one kind from updates.json: dicts with id, input, expect, why and source."""
    cases = json.loads(Path(__file__).with_name("updates.json").read_text())
    return [case for case in cases if case["kind"] == kind]
