"""Questions that a server asks while somebody logs in, and the stored answers to them (pure)."""

from collections.abc import Iterable

from devices.rules.targets import Answer

# Longer patterns and questions than these are cut: no real one is, and both come from outside.
MOST_CHARACTERS = 500


def matches(pattern: str, prompt: str) -> bool:
    """Whether the pieces of ``pattern``, between its ``*``, occur in ``prompt`` one after the other, in any case.

    Linear in the prompt's length whatever the pattern. A pattern without anything but ``*`` matches every question.
    """
    text, position = prompt[:MOST_CHARACTERS].casefold(), 0
    for piece in pattern[:MOST_CHARACTERS].casefold().split("*"):
        wanted = piece.strip()
        found = text.find(wanted, position)
        if found < 0:
            return False
        position = found + len(wanted)
    return True


class Respondent:
    """Answers the questions of one log-in out of what the credential holds.

    The first matching answer wins. The password goes to the first hidden question that no answer is for, and again to
    questions of the same words: another hidden question, for a code or a PIN, never gets it.
    """

    def __init__(self, answers: Iterable[Answer], password: str | None) -> None:
        self._answers = tuple(answers)
        self._password = password
        self._password_prompt: str | None = None
        self.unanswered: list[str] = []

    def answer(self, prompt: str, *, echo: bool) -> str | None:
        """What to say, None when there is nothing to say; the question is then among ``unanswered``."""
        for answer in self._answers:
            if matches(answer.prompt, prompt):
                return answer.text
        if self._password is not None and not echo and self._password_prompt in (None, prompt):
            self._password_prompt = prompt
            return self._password
        self.unanswered.append(prompt[:MOST_CHARACTERS])
        return None
