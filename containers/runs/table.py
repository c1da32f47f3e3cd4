"""Which function performs which kind of long act. Each kind is performed here or by containers.execution."""

from collections.abc import Callable
from typing import Final

from containers.models import Operation
from containers.runs.run import Run

Perform = Callable[[Run], str]
# The function performs and returns how it ended in a sentence, empty when there is nothing to add.
RUNS: Final[dict[str, Perform]] = {}
_KIND = Operation.Kind
