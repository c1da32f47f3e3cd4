"""What only the host can tell of a container, asked when somebody looks: its processes, and files it has changed.

These are the few questions of a page that wait for a host; each has its time-out, and the page is there before.
"""

from dataclasses import dataclass
from typing import Any, Final

from containers.models import Container
from containers.rules.masking import clean_text, mask_text
from devices.connections import Engine, pool
from devices.services import connection_target

PATIENCE_S: Final = 15.0
MOST_PROCESSES: Final = 2000
MOST_CHANGES: Final = 5000
_PS: Final = "-eo pid,ppid,user,pcpu,rss,etime,args"
# Podman has no ps of the host at hand: it names its own columns, and answers nothing at all to an option.
_PODMAN_PS: Final = "pid,ppid,user,pcpu,etime,args"
_CHANGES: Final = {0: "changed", 1: "added", 2: "deleted"}


@dataclass(frozen=True, slots=True)
class Processes:
    """A table as the host's ps made it: the titles, and a row of as many texts for each process."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path that differs from the image: what is "added", "changed" or "deleted"."""

    what: str
    path: str


@dataclass(frozen=True, slots=True)
class FileChanges:
    """Changed paths in their order; ``is_cut`` when there are more than are shown."""

    changes: tuple[FileChange, ...]
    total: int

    @property
    def is_cut(self) -> bool:
        """Whether not all are shown."""
        return self.total > len(self.changes)


def processes(container: Container, *, masks: bool) -> Processes:
    """The processes in the container (Docker Engine API, ContainerTop). Raises DeviceError.

    ``masks`` hides what looks like secrets in command lines, for eyes that may not see them.
    """
    engine = pool.engine(connection_target(container.device))
    arguments = _PODMAN_PS if "podman" in engine.product.lower() else _PS
    answer = _ask(engine, container, "top", {"ps_args": arguments})
    titles = tuple(clean_text(str(title), 40) for title in _list(answer.get("Titles"))[:20])
    shown = mask_text if masks else clean_text
    found = _list(answer.get("Processes"))
    rows = tuple(tuple(shown(str(cell)[:4000]) for cell in _list(row)[: len(titles)]) for row in found[:MOST_PROCESSES])
    return Processes(titles, rows, is_cut=len(found) > MOST_PROCESSES)


def file_changes(container: Container) -> FileChanges:
    """What differs from the image (Docker Engine API, ContainerChanges). Raises DeviceError."""
    engine = pool.engine(connection_target(container.device))
    found = [entry for entry in _list(_ask(engine, container, "changes", None)) if isinstance(entry, dict)]
    changes = tuple(
        FileChange(_CHANGES.get(entry.get("Kind", 0), "changed"), clean_text(str(entry.get("Path", "")), 4000))
        for entry in found[:MOST_CHANGES]
    )
    return FileChanges(changes, total=len(found))


def _ask(engine: Engine, container: Container, what: str, params: dict[str, str] | None) -> Any:
    answer = engine.get_json(f"/containers/{container.engine_id}/{what}", params, timeout_s=PATIENCE_S)
    return answer if answer is not None else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
