"""The root of every error that a user may see."""

from typing import Any


class SsmError(Exception):
    """An error with a sentence for the user and what to do about it.

    ``message`` says what failed, where and why; ``fix`` says what to do next; both are plain text (never
    HTML) and free of secrets. ``details`` holds JSON-safe facts for programs. ``code`` is stable and names
    the kind; ``status`` is the HTTP status that fits when the error ends a request.
    """

    code: str = "error"
    status: int = 500

    def __init__(self, message: str, *, fix: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.details: dict[str, Any] = details or {}

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()
