"""Waiting for operations: how they go while they go, and the exit code at the end."""

import time
from collections.abc import Sequence
from typing import Any, Final

from ssm.cli.client import Client
from ssm.cli.errors import CommandFailed, Unreachable
from ssm.cli.output import BAD, GOOD, Output
from ssm.cli.text import cut, plain

_GIVEN_UP_AFTER: Final = 5


def told(operation: dict[str, Any]) -> str:
    """An operation in words: what, on what, where."""
    kind = plain(operation.get("kind", "")).replace("_", " ")
    device = (operation.get("device") or {}).get("name", "")
    return f"{kind} {plain(operation.get('target', ''), 200)} on {plain(device, 100)}"


def finish(client: Client, output: Output, operations: Sequence[dict[str, Any]], *, waits: bool) -> None:
    """Show what was asked for, wait for its end unless told not to. CommandFailed if one did not work out."""
    if not waits:
        _show(output, operations)
        return
    ended = [follow(client, output, operation) for operation in operations]
    if output.as_json:
        output.json(ended[0] if len(ended) == 1 else ended)
    failed = [operation for operation in ended if operation.get("state") != "succeeded"]
    if failed:
        raise CommandFailed(
            f"{len(failed)} of {len(ended)} did not work out." if len(ended) > 1 else "It did not work out."
        )


def asked(client: Client, answer: Any) -> list[dict[str, Any]]:
    """The operations in an answer: an operation, a batch, or an object with either."""
    if answer.get("operation"):
        return [answer["operation"]]
    batch = answer.get("batch") if isinstance(answer.get("batch"), dict) else answer if "total" in answer else None
    if batch is None:
        return [answer]
    rows = list(client.pages("/operations", {"batch": batch["id"]}))
    return sorted(rows, key=lambda row: str(row.get("created_at")))


def follow(client: Client, output: Output, operation: dict[str, Any]) -> dict[str, Any]:
    """Wait until an operation has ended; what it told at the end. A cut stream is taken up again."""
    line = _ProgressLine(output)
    misses = 0
    while not operation.get("is_final"):
        try:
            for seen in client.lines(f"/operations/{operation['id']}/follow"):
                operation, misses = seen, 0
                line.show(seen)
        except Unreachable:
            misses += 1
            if misses > _GIVEN_UP_AFTER:
                raise
            time.sleep(misses)
    line.end()
    if not output.as_json:
        _told_end(output, operation)
    return operation


def _told_end(output: Output, operation: dict[str, Any]) -> None:
    state = str(operation.get("state", ""))
    mark = output.paint("done", GOOD) if state == "succeeded" else output.paint(plain(state, 20), BAD)
    outcome = plain(operation.get("outcome", ""), 300)
    output.line(f"{mark}  {told(operation)}" + (f": {outcome}" if outcome else ""))
    error = operation.get("error") or {}
    if error:
        output.say(f"      {plain(error.get('message', ''))}")
        if error.get("fix"):
            output.say(f"      {plain(error['fix'])}")


def _show(output: Output, operations: Sequence[dict[str, Any]]) -> None:
    if output.as_json:
        output.json(operations[0] if len(operations) == 1 else list(operations))
        return
    for operation in operations:
        output.line(f"{plain(operation['id'])}  {told(operation)}")


class _ProgressLine:
    """The last word of an operation, written over itself at a terminal, else a line for each."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._is_live = output.err.isatty()
        self._last = ""

    def show(self, operation: dict[str, Any]) -> None:
        text = plain(operation.get("progress") or "", 200)
        parts = [part for part in operation.get("parts") or [] if isinstance(part, dict)]
        totals = [part for part in parts if isinstance(part.get("total"), int) and part["total"]]
        if totals:
            done = sum(min(part.get("current") or 0, part["total"]) for part in totals)
            text = f"{text} {100 * done // sum(part['total'] for part in totals)} %".strip()
        if not text or text == self._last or operation.get("is_final"):
            return
        self._last = text
        if self._is_live:
            self._output.err.write("\r\x1b[K" + cut(f"{told(operation)}: {text}", 110))
            self._output.err.flush()
        elif not self._output.as_json:
            self._output.say(f"{told(operation)}: {text}")

    def end(self) -> None:
        if self._is_live and self._last:
            self._output.err.write("\r\x1b[K")
            self._output.err.flush()
