"""Endless answers: logs and events, as raw body bytes in pieces as large as they come."""

from collections.abc import Callable, Iterator

from devices.docker.exchange import READ_BYTES
from devices.docker.routes import Channel
from devices.errors import DeviceError
from devices.rules.http import ChunkedDecoder, HttpError, ResponseHead


class EngineStream(Iterator[bytes]):
    """Iterates the body of one answer. One reader; `close` may be called from any thread and ends it at once.

    ``read_timeout_s`` is the longest silence allowed (None: any). Iteration raises ConnectionLost when the
    connection or the engine went away before the end, EngineTimeout on silence, NotDocker on garbage.
    """

    def __init__(
        self,
        channel: Channel,
        head: ResponseHead,
        rest: bytes,
        read_timeout_s: float | None,
        fail: Callable[[Exception | None], DeviceError],
        on_close: Callable[[], None],
    ) -> None:
        self.status = head.status
        self.headers = head.headers
        self._channel = channel
        self._decoder = ChunkedDecoder() if head.is_chunked else None
        self._left = head.content_length if head.has_body else 0
        self._rest = rest
        self._fail = fail
        self._on_close = on_close
        self._is_closed = False
        channel.settimeout(read_timeout_s)

    def __iter__(self) -> "EngineStream":
        return self

    def __next__(self) -> bytes:
        while not self._is_closed and not self._is_at_end:
            data = self._rest or self._receive()
            self._rest = b""
            if not data:
                if self._is_closed or (self._decoder is None and self._left is None):
                    break
                raise self._broken(None)
            piece = self._decode(data)
            if piece:
                return piece
        self.close()
        raise StopIteration

    def __enter__(self) -> "EngineStream":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; the reader's next step is StopIteration. May be called again."""
        self._is_closed = True
        release, self._on_close = self._on_close, _nothing
        self._channel.close()
        release()

    @property
    def _is_at_end(self) -> bool:
        return self._decoder.is_done if self._decoder else self._left == 0

    def _receive(self) -> bytes:
        try:
            return self._channel.recv(READ_BYTES)
        except TimeoutError as exc:
            raise self._broken(exc) from exc

    def _decode(self, data: bytes) -> bytes:
        if self._decoder:
            try:
                return self._decoder.feed(data)
            except HttpError as exc:
                raise self._broken(exc) from exc
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def _broken(self, exc: Exception | None) -> DeviceError:
        self.close()
        return self._fail(exc)


def _nothing() -> None:
    """What is left to do once a stream was closed."""
