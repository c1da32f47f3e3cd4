"""Why an answer is as it is: a bounded list of steps that people can read. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict

# However many tags a step dropped, these many are named.
EXAMPLES: Final = 8
_MAX_STEPS: Final = 60
_MAX_TEXT: Final = 400

Outcome = Literal["info", "dropped", "kept", "warning", "result"]


class Step(TypedDict):
    """One step: what was looked at, what came of it; ``count`` tags, of which ``examples`` are named."""

    rule: str
    outcome: Outcome
    text: str
    count: int
    examples: list[str]


@dataclass(slots=True)
class Trace:
    """Steps in the order in which they were taken."""

    steps: list[Step] = field(default_factory=list)

    def note(
        self, rule: str, text: str, *, outcome: Outcome = "info", tags: Iterable[str] = (), count: int = 0
    ) -> None:
        """Add a step; ``count`` counts where not all tags are given."""
        if len(self.steps) >= _MAX_STEPS:
            return
        named = list(tags)
        self.steps.append(
            Step(
                rule=rule,
                outcome=outcome,
                text=text[:_MAX_TEXT],
                count=count or len(named),
                examples=[name[:128] for name in named[:EXAMPLES]],
            )
        )


def lines_of(steps: Iterable[Step]) -> list[str]:
    """The steps as lines of text, for a terminal."""
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        lines.append(f"{number:>3}. {step['text']}")
        if step["examples"]:
            rest = step["count"] - len(step["examples"])
            lines.append("     " + " ".join(step["examples"]) + (f" and {rest} more" if rest > 0 else ""))
    return lines


def steps_from(stored: Any) -> list[Step]:
    """Steps as they were stored; what is not one is left out."""
    if not isinstance(stored, list):
        return []
    return [
        Step(
            rule=str(step.get("rule", "")),
            outcome=step.get("outcome", "info"),
            text=str(step["text"]),
            count=int(step.get("count", 0)),
            examples=[str(name) for name in step.get("examples", [])],
        )
        for step in stored
        if isinstance(step, dict) and "text" in step
    ]
