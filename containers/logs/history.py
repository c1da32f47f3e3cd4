"""Parts of a log that nobody follows: a page further back, or the whole for a download. Blocking; for threads."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from containers.logs.limits import LogLimits
from containers.logs.sources import LogSource, look
from containers.rules.logframes import FrameDecoder, LogDecoder, RawDecoder, Records
from containers.rules.logresume import MARGIN_NS, EdgeFinder, engine_time, stamp_ns
from devices.connections import pool
from devices.errors import EngineNotFound
from ssm.lib.errors import SsmError

_READ_TIMEOUT_S = 30.0
_SPARE_LINES = 200
_EDGE_LINES = 16


class LogGone(SsmError):
    """The container is no longer there, so its log is not either."""

    code = "log_gone"
    status = 404


@dataclass(frozen=True, slots=True)
class OlderPage:
    """Records older than those held, in order; ``at_start`` when the log holds nothing before them."""

    count: int
    data: bytes
    at_start: bool


def read_records(
    locate: Callable[[str], LogSource | None], container_id: str, parameters: dict[str, Any]
) -> Generator[Records, None, None]:
    """Read a log once, without following it. Close the iterator to end it early.

    ``parameters`` are the Engine's: tail, since, until, stdout, stderr. Raises DeviceError, LogGone, and the errors
    of `FrameDecoder.feed`.
    """
    source = locate(container_id)
    if source is None:
        raise LogGone("The container is no longer known.", fix="Go back to the list of containers.")
    engine = pool.engine(source.target)
    try:
        seen = look(engine, source.engine_id)
        stream = engine.stream(
            f"/containers/{source.engine_id}/logs",
            {"stdout": 1, "stderr": 1, "timestamps": 1} | parameters,
            read_timeout_s=_READ_TIMEOUT_S,
        )
    except EngineNotFound as exc:
        raise LogGone("The container is no longer on its host.", fix="Its log went with it.") from exc
    decoder: LogDecoder = RawDecoder() if seen.is_tty else FrameDecoder()
    with stream:
        for chunk in stream:
            yield decoder.feed(chunk)
        yield decoder.finish()


def read_older(
    locate: Callable[[str], LogSource | None],
    container_id: str,
    *,
    edge: list[bytes],
    distance: int,
    count: int,
    limits: LogLimits,
) -> OlderPage:
    """Read up to ``count`` records before ``edge``, the oldest ones held as `edge_of` gives them.

    ``distance`` is about how many lines the log has from the edge to its end. The Engine takes the last lines first
    and applies ``until`` to those (seen with 20.10, 26 and 28), so a page is asked for by that number; where it
    gives fewer lines than asked for, more are asked for, as messages of long lines count several times: when that
    gives no more, the log begins there. Raises as `read_records`.
    """
    count = min(count, limits.page_lines)
    edge = edge[:_EDGE_LINES]
    oldest = _time_of(edge[0]) if edge else None
    if oldest is None:
        raise SsmError("These lines carry no time, so the ones before them can't be found.", fix="Download the log.")
    until = oldest + MARGIN_NS
    edge = [each for each in edge if (_time_of(each) or 0) <= until]
    wanted = distance + count + _SPARE_LINES
    lines: list[bytes] = []
    for tail in (wanted, wanted * 8, "all"):
        before = len(lines)
        finder = EdgeFinder(edge, count, limits.page_bytes)
        with closing(read_records(locate, container_id, {"tail": tail, "until": engine_time(until)})) as parts:
            for records in parts:
                if finder.feed(records):
                    break
        lines = finder.records()
        if finder.is_found and (finder.is_cut or len(lines) >= count or len(lines) == before):
            break
    return OlderPage(len(lines), b"".join(line + b"\n" for line in lines), at_start=not finder.is_cut)


def _time_of(edge: bytes) -> int | None:
    return stamp_ns(edge.partition(b" ")[0])
