"""Helpers: containers that SSM makes on a host for a moment, and never starts, to reach what a volume holds (pure)."""

from typing import Any, Final

# Its value is the id of the operation that made it.
LABEL: Final = "ssm.helper"


def is_helper(labels: Any) -> bool:
    """Whether a container with these labels is a helper: none of the user's, and not to be shown among them."""
    return isinstance(labels, dict) and LABEL in labels
