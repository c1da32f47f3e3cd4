"""Times between Unix seconds and datetimes (pure)."""

from datetime import UTC, datetime


def from_unix(seconds: float) -> datetime:
    """The UTC time of Unix seconds, kept within what a datetime can hold."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_300_000.0), UTC)
