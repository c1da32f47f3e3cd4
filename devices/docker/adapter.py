"""docker-py over our channels: a requests adapter whose connections borrow channels from the engine."""

import io
from typing import TYPE_CHECKING, Any, Protocol

import docker
import docker.auth
import requests
import requests.adapters
import urllib3
from docker.utils.proxy import ProxyConfig
from urllib3.connection import HTTPConnection

from devices.docker.routes import Channel
from devices.ssh.sockets import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE_URL = "http+docker://ssh"
# Time to get a channel; how long the engine may take is for the request's own time-out.
LEASE_S = 30.0


class ChannelSource(Protocol):
    """Where connections get their channels."""

    def lease(self, deadline: Deadline) -> Channel: ...
    def give_back(self, channel: Channel) -> None: ...
    def discard(self, channel: Channel) -> None: ...


class _ChannelReader(io.RawIOBase):
    """A channel as a raw file; ``_sock`` is what docker-py shuts down to end a stream that somebody reads."""

    def __init__(self, owner: "_ChannelSocket") -> None:
        self._owner = self._sock = owner
        self.channel = owner.channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.channel.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._owner.reader_closed()


class _BufferedChannelReader(io.BufferedReader):
    """As `io.BufferedReader`; ``channel`` is where docker-py looks for the socket of attach and exec."""

    def __init__(self, raw: _ChannelReader) -> None:
        super().__init__(raw, 65536)
        self.channel = raw.channel


class _ChannelSocket:
    """What http.client needs of a socket. The channel goes back when both it and its reader are closed."""

    def __init__(self, source: ChannelSource, channel: Channel) -> None:
        self._source = source
        self.channel = channel
        self._readers = 0
        self._is_closed = False
        self._is_returned = False

    def sendall(self, data: Any) -> None:
        self.channel.sendall(bytes(data))

    def makefile(self, _mode: str = "rb", *_arguments: Any, **_options: Any) -> _BufferedChannelReader:
        self._readers += 1
        return _BufferedChannelReader(_ChannelReader(self))

    def settimeout(self, seconds: float | None) -> None:
        self.channel.settimeout(seconds)

    def shutdown(self, _how: int) -> None:
        """End whoever reads, from any thread."""
        if not self._is_returned:
            self._is_returned = True
            self._source.discard(self.channel)

    def reader_closed(self) -> None:
        self._readers -= 1
        self._discard_if_unused()

    def close(self) -> None:
        self._is_closed = True
        self._discard_if_unused()

    def give_back(self) -> None:
        """The answer was read whole and the channel may be kept."""
        if not self._is_returned:
            self._is_returned = True
            self._source.give_back(self.channel)

    def _discard_if_unused(self) -> None:
        if self._is_closed and self._readers <= 0 and not self._is_returned:
            self._is_returned = True
            self._source.discard(self.channel)


class _Connection(HTTPConnection):
    """A connection for one request: the channels are pooled by the engine, not here."""

    def __init__(self, source: ChannelSource, timeout: Any) -> None:
        super().__init__("docker", timeout=timeout)
        self._source = source

    @property
    def is_connected(self) -> bool:
        # urllib3 would poll a file descriptor, for which the channel would have to make a pipe.
        return self.sock is not None

    def connect(self) -> None:
        channel = self._source.lease(Deadline(LEASE_S))
        wrapped: Any = _ChannelSocket(self._source, channel)
        wrapped.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
        self.sock = wrapped


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, source: ChannelSource) -> None:
        super().__init__("docker", maxsize=1)
        self._source = source

    def _get_conn(self, timeout: float | None = None) -> Any:
        return _Connection(self._source, self.timeout.read_timeout)

    def _put_conn(self, conn: Any) -> None:
        if conn is None:
            return
        if conn.sock is not None:
            conn.sock.give_back()
            conn.sock = None
        conn.close()


class ChannelAdapter(requests.adapters.HTTPAdapter):
    """The requests adapter for ``http+docker://ssh``."""

    def __init__(self, source: ChannelSource) -> None:
        self._pool = _Pool(source)
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: "Mapping[str, str] | None" = None, cert: Any = None
    ) -> Any:
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        return str(request.path_url)

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Client(docker.APIClient):
    """docker-py's client with our adapter, and without the settings of this machine's docker command line."""

    def __init__(self, source: ChannelSource, version: str, timeout_s: float) -> None:
        # The base class would open a connection of its own for any address it knows; this one it takes as it is.
        super().__init__(base_url="http://ssh.invalid:1", version=version, timeout=timeout_s)  # type: ignore[arg-type]
        self._general_configs: dict[str, Any] = {}
        self._proxy_configs = ProxyConfig()
        self._auth_configs = docker.auth.AuthConfig({})
        self.trust_env = False
        self.base_url = BASE_URL
        self.adapters.clear()
        self.mount("http+docker://", ChannelAdapter(source))


def make_api_client(source: ChannelSource, version: str, timeout_s: float) -> docker.APIClient:
    """A docker-py client that borrows its channels from ``source``; ``timeout_s`` bounds each read."""
    return _Client(source, version, timeout_s)
