"""A worker that dies: at a point it does nothing any more, to no host, in no store, in no journal."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from containers import execution, operations
from containers.models import Operation
from containers.runs.run import Run
from devices.connections import pool
from ssm.lib.storage import PrivateFileStorage


class Killed(BaseException):
    """The worker's end: nothing after it runs."""


class _Watched:
    """A real engine that tells what changes the host, and answers the dead nothing."""

    def __init__(self, engine: Any, killer: "Killer") -> None:
        self._engine, self._killer = engine, killer

    def __getattr__(self, name: str) -> Any:
        self._killer.look()
        return getattr(self._engine, name)

    def post(self, path: str, *args: Any, **more: Any) -> Any:
        self._killer.look()
        answer = self._engine.post(path, *args, **more)
        self._killer.happened(path.rpartition("/")[2] if not path.startswith("/volumes") else "create volume")
        return answer

    def delete(self, path: str, *args: Any, **more: Any) -> Any:
        self._killer.look()
        answer = self._engine.delete(path, *args, **more)
        self._killer.happened("remove helper" if path.startswith("/containers") else "remove volume")
        return answer

    def upload(self, method: str, path: str, params: Any, pieces: Iterable[bytes], **more: Any) -> Any:
        self._killer.look()
        answer = self._engine.upload(method, path, params, self._watched(pieces), **more)
        self._killer.happened("written")
        return answer

    def _watched(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece[: len(piece) // 2]
            self._killer.happened("half written")
            yield piece[len(piece) // 2 :]


class Killer:
    """Ends the worker right after the point of that name, the so-manieth time that it comes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points: list[str] = []
        self.is_dead = False
        self._at, self._left = "", 0
        note, engine_of, save, delete = Run.note, Run.engine_of, PrivateFileStorage._save, PrivateFileStorage.delete

        def noting(run: Run, **entries: Any) -> None:
            self.look()
            note(run, **entries)
            self.happened(f"note {'+'.join(sorted(entries))}")

        def saving(storage: PrivateFileStorage, name: str, content: Any) -> str:
            self.look()
            what = "manifest" if name.endswith(".json") else "archive"
            chunks = content.chunks

            def halves(*args: Any) -> Iterator[bytes]:
                for chunk in chunks(*args):
                    yield chunk[: len(chunk) // 2]
                    self.happened(f"half {what}")
                    yield chunk[len(chunk) // 2 :]

            content.chunks = halves
            name = save(storage, name, content)
            self.happened(f"stored {what}")
            return name

        def deleting(storage: PrivateFileStorage, name: str) -> None:
            self.look()
            delete(storage, name)

        monkeypatch.setattr(Run, "note", noting)
        monkeypatch.setattr(Run, "engine_of", staticmethod(lambda device: _Watched(engine_of(device), self)))
        monkeypatch.setattr(PrivateFileStorage, "_save", saving)
        monkeypatch.setattr(PrivateFileStorage, "delete", deleting)

    def arm(self, point: str) -> None:
        """``remove helper#2`` is the second time that a helper was removed."""
        self._at, _number, times = point.partition("#")
        self._left = int(times or 1)

    def happened(self, point: str) -> None:
        self.look()
        self.points.append(point)
        if point == self._at:
            self._left -= 1
            if not self._left:
                self.is_dead = True
        self.look()

    def look(self) -> None:
        """The dead do nothing."""
        if self.is_dead:
            raise Killed(self._at)


class Cutter(Killer):
    """Cuts all connections at the point, once, in place of ending the worker."""

    cuts = 0

    def look(self) -> None:
        """Whoever lives goes on."""
        if self.is_dead:
            self.is_dead = False
            self.cuts += 1
            pool.close_all()


def is_cut_and_goes_on(operation: Operation, cutter: Cutter, point: str) -> Operation:
    """Let the link be cut at the point, and whoever finds the operation left go on; what became of it."""
    cutter.arm(point)
    execution.run(str(operation.pk))
    assert cutter.cuts == 1
    return _followed(operation) if Operation.objects.get(pk=operation.pk).state == "running" else operation


def dies_and_is_followed(operation: Operation, killer: Killer, point: str) -> Operation:
    """Let the worker die after the point, and another one go on; what became of the operation."""
    killer.arm(point)
    with pytest.raises(Killed):
        execution.run(str(operation.pk))
    killer.is_dead = False
    left = Operation.objects.get(pk=operation.pk)
    assert left.state == "running"
    return _followed(operation)


def _followed(operation: Operation) -> Operation:
    silent = datetime.now(UTC) - timedelta(minutes=1)
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=silent, worker="a worker that is gone")
    execution.settle(next(orphan for orphan in operations.orphans() if orphan.pk == operation.pk))
    return Operation.objects.get(pk=operation.pk)
