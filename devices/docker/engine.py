"""One device's engine in this process: many threads, few channels, every failure a DeviceError."""

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from devices.docker.channels import ChannelSet
from devices.docker.exchange import (
    Answer,
    AnswerCut,
    AnswerMissing,
    perform,
    read_body,
    read_head,
    request_bytes,
    send_pieces,
)
from devices.docker.ports import ask_port
from devices.docker.routes import Channel, Route, Session
from devices.docker.streams import EngineStream
from devices.docker.versions import choose_api_version
from devices.errors import ConnectionLost, DeviceError, EngineTimeout, NotDocker, engine_error
from devices.rules.http import HttpError
from devices.rules.json_bounds import JsonError, decode_json
from devices.rules.targets import ConnectionTarget
from devices.rules.texts import clean_text
from devices.ssh.session import ChannelRefused, ProgramResult
from devices.ssh.sockets import Deadline

if TYPE_CHECKING:
    import docker

ERROR_BODY_LIMIT = 1024 * 1024


class Engine:
    """Client of one engine, over SSH or without. Thread-safe; blocking, so never call it on an event loop.

    ``version`` is the engine's own answer to ``/version``, ``api_version`` the one that requests use,
    ``channel_kind`` the way that works (streamlocal, dial-stdio, dial-stdio-sudo, or tls, tcp, local without SSH),
    ``end_reason`` why it was given up.
    """

    def __init__(self, target: ConnectionTarget, session: Session, route: Route) -> None:
        """Ask the engine for its version; NotDocker, EngineTooOld or why it can't be reached.

        The session belongs to the engine from here on, except when this raises.
        """
        self.target = target
        self.channel_kind = route.kind
        self.host_key = session.host_key
        self.host_key_fingerprint = session.host_key.fingerprint if session.host_key is not None else ""
        self._session = session
        self._route = route
        self._channels = ChannelSet(route)
        self._lock = threading.Lock()
        self._streams: set[Channel] = set()
        self._is_broken = False
        self._owns_session = False
        self.end_reason: DeviceError | None = None
        self._api: docker.APIClient | None = None
        self.api_version = ""
        self.version: dict[str, Any] = {}
        try:
            answer = self.get_json("/version")
            self.api_version = choose_api_version(target.label, answer)
        except BaseException:
            self._channels.close()
            raise
        self.version = answer
        self._owns_session = True

    @property
    def product(self) -> str:
        """What the engine is, for people: ``Docker 28.5.2`` or ``Podman 4.3.1``."""
        components = self.version.get("Components")
        first = components[0] if isinstance(components, list) and components else {}
        name = str(first.get("Name", "")) if isinstance(first, dict) else ""
        kind = "Podman" if "podman" in name.lower() else "Docker"
        return f"{kind} {clean_text(str(self.version.get('Version', '')), 40)}".rstrip()

    @property
    def is_open(self) -> bool:
        """False once the connection was closed, lost, or its engine went away."""
        return self._session.is_open and not self._is_broken

    @property
    def fell_silent(self) -> bool:
        """True when the connection ended because the host was not heard any more, not because the host closed it."""
        return self._session.fell_silent

    @property
    def channel_count(self) -> int:
        """Channels open now, for requests and streams."""
        return self._channels.open_count + len(self._streams)

    @property
    def is_busy(self) -> bool:
        """True while a request or a stream is under way."""
        return bool(self._streams) or self._channels.busy_count > 0

    @property
    def stream_count(self) -> int:
        """Streams open now."""
        return len(self._streams)

    @property
    def api(self) -> "docker.APIClient":
        """docker-py's low-level client over the same channels. Its calls raise docker's and requests' errors."""
        with self._lock:
            if self._api is None:
                # Only here: 20 MB that processes which never ask for it, the listener for one, can do without.
                from devices.docker.adapter import make_api_client

                self._api = make_api_client(self, self.api_version, self.target.request_timeout_s)
            return self._api

    def get_json(self, path: str, params: Mapping[str, Any] | None = None, timeout_s: float | None = None) -> Any:
        """GET and decode JSON. The whole takes at most ``timeout_s`` (default the device's request time-out).

        EngineNotFound, EngineConflict, EngineError; EngineTimeout; ConnectionLost; NotDocker. Tried once more on a
        new channel when a kept one turned out dead.
        """
        return self._json(self._request("GET", path, params, None, timeout_s))

    def post(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        body: Any | None = None,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """POST JSON; status and decoded answer (None if empty). 304 (already so) is no error. Never repeated.

        Errors as `get_json`. After ConnectionLost or EngineTimeout nobody knows whether the engine acted.
        """
        answer = self._request("POST", path, params, body, timeout_s, headers)
        return answer.status, self._json(answer) if answer.body.strip() else None

    def delete(self, path: str, params: Mapping[str, Any] | None = None, timeout_s: float | None = None) -> int:
        """DELETE; the status. Errors as `post`."""
        return self._request("DELETE", path, params, None, timeout_s).status

    def ping(self, timeout_s: float = 5.0) -> None:
        """Prove that connection and engine are alive. Errors as `get_json`."""
        self._request("GET", "/_ping", None, None, timeout_s)

    def stream(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        read_timeout_s: float | None,
        method: str = "GET",
        body: Any | None = None,
        headers: Mapping[str, str] | None = None,
        head_timeout_s: float | None = None,
    ) -> EngineStream:
        """Ask for an answer of any length, on a channel of its own. Close it, or use it in a ``with``.

        The head must come within ``head_timeout_s`` (default the device's request time-out): an engine sends none
        before the first piece of a pull's progress is there. Errors as `get_json`; EngineTimeout also when the
        device has too many streams open in this process.
        """
        request = request_bytes(method, path, params, body, self.api_version, headers)
        return self._stream(request, None, read_timeout_s, head_timeout_s)

    def upload(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        pieces: Iterable[bytes],
        *,
        content_type: str = "application/x-tar",
        read_timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> EngineStream:
        """Send a body of any length, piece by piece as fast as the engine takes it, and hand on its answer.

        No single piece may take longer than ``read_timeout_s`` to be taken, nor the answer's head after the last.
        What ``pieces`` raises ends the request; the engine has then seen a body without its end. Errors as `post`.
        """
        more = {**(headers or {}), "Content-Type": content_type, "Transfer-Encoding": "chunked"}
        request = request_bytes(method, path, params, None, self.api_version, more)
        return self._stream(request, pieces, read_timeout_s, read_timeout_s)

    def _stream(
        self, request: bytes, pieces: Iterable[bytes] | None, read_timeout_s: float | None, head_timeout_s: float | None
    ) -> EngineStream:
        deadline = Deadline(self.target.request_timeout_s)
        channel = self._open_stream_channel(deadline)
        if head_timeout_s is not None:
            deadline = Deadline(head_timeout_s)
        try:
            channel.settimeout(deadline.left_s)
            channel.sendall(request)
            if pieces is not None and head_timeout_s is not None:
                send_pieces(channel, pieces, head_timeout_s)
                deadline = Deadline(head_timeout_s)
            head, rest = read_head(channel, deadline, self._session.ask_for_life)
            if head.status >= 400:
                body = read_body(channel, head, rest, deadline, limit=ERROR_BODY_LIMIT)
                raise self._answer_error(head.status, body)
        except (OSError, AnswerMissing, AnswerCut, HttpError) as exc:
            error = self._failure(exc, channel, deadline)
            self._end_stream(channel)
            raise error from exc
        except BaseException:
            self._end_stream(channel)
            raise
        return EngineStream(
            channel, head, rest, read_timeout_s, self._stream_failure, lambda: self._end_stream(channel)
        )

    def run_program(self, arguments: list[str], timeout_s: float) -> ProgramResult:
        """Run one short program on the host itself, past the engine; its output comes as one cleaned line each.

        ChannelRefused where commands are not allowed; ConnectionLost when it does not end in time.
        """
        return self._session.run(arguments, timeout_s)

    def ask_port(self, address: str, port: int, path: str = "", timeout_s: float = 5.0) -> int:
        """Connect to a TCP port as the host reaches it; with a path, the status of a GET. See `ports.ask_port`."""
        return ask_port(self._session, self.target.label, address, port, path, timeout_s)

    def lease(self, deadline: Deadline) -> Channel:
        """A channel for docker-py's requests; `give_back` or `discard` it. DeviceError."""
        return self._lease(deadline)[0]

    def give_back(self, channel: Channel) -> None:
        """Return a leased channel whose answer was read whole."""
        self._channels.give_back(channel)

    def discard(self, channel: Channel) -> None:
        """Return a leased channel that is in no known state."""
        self._channels.discard(channel)

    def tidy(self) -> None:
        """Close channels that were idle for long."""
        self._channels.trim()

    def close(self) -> None:
        """Close the connection: waiting requests and streams fail with ConnectionLost."""
        self._is_broken = True
        self._channels.close()
        # While the way to the engine is still sought, the session is needed for the next try.
        if self._owns_session:
            self._session.close()

    # ---- requests

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any | None,
        timeout_s: float | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        deadline = Deadline(self.target.request_timeout_s if timeout_s is None else timeout_s)
        request = request_bytes(method, path, params, body, self.api_version, headers)
        channel, is_reused = self._lease(deadline)
        try:
            answer = self._exchange(channel, request, deadline, may_repeat=is_reused and method == "GET")
        except AnswerMissing:
            channel, _reused = self._lease(deadline, fresh=True)
            answer = self._exchange(channel, request, deadline, may_repeat=False)
        if answer.status >= 400:
            raise self._answer_error(answer.status, answer.body)
        return answer

    def _exchange(self, channel: Channel, request: bytes, deadline: Deadline, *, may_repeat: bool) -> Answer:
        """One exchange on a leased channel, which is given back or discarded.

        DeviceError; AnswerMissing if ``may_repeat`` and the engine can't have seen the request.
        """
        try:
            answer = perform(channel, request, deadline, self._session.ask_for_life)
        except (OSError, AnswerMissing, AnswerCut, HttpError) as exc:
            try:
                if may_repeat and isinstance(exc, AnswerMissing) and self._session.is_open:
                    raise
                # Before the channel is closed: what its program printed tells why.
                error = self._failure(exc, channel, deadline)
            finally:
                self._channels.discard(channel)
            raise error from exc
        except BaseException:
            self._channels.discard(channel)
            raise
        if answer.keeps_alive:
            self._channels.give_back(channel)
        else:
            self._channels.discard(channel)
        return answer

    def _lease(self, deadline: Deadline, *, fresh: bool = False) -> tuple[Channel, bool]:
        try:
            return self._channels.lease(deadline, fresh=fresh)
        except TimeoutError as exc:
            raise self._timeout("every channel to it is busy") from exc
        except ChannelRefused as exc:
            raise self._refused() from exc

    def _json(self, answer: Answer) -> Any:
        try:
            return decode_json(answer.body)
        except JsonError as exc:
            raise self._not_docker(str(exc)) from exc

    # ---- streams

    def _open_stream_channel(self, deadline: Deadline) -> Channel:
        with self._lock:
            # A place is taken before the host is asked, so that threads do not pass the limit together.
            if len(self._streams) >= self._route.most_streams:
                raise self._timeout(f"{self._route.most_streams} logs and event streams are open on it already")
            place: Any = object()
            self._streams.add(place)
        try:
            channel = self._route.open(deadline.left_s)
        except ChannelRefused as exc:
            raise (self._refused() if not self._channels.open_count else self._no_session()) from exc
        finally:
            with self._lock:
                self._streams.discard(place)
        with self._lock:
            self._streams.add(channel)
        return channel

    def _end_stream(self, channel: Channel) -> None:
        with self._lock:
            self._streams.discard(channel)
        channel.close()

    def _stream_failure(self, exc: Exception | None) -> DeviceError:
        if isinstance(exc, TimeoutError):
            return self._timeout("nothing came for the time that the reader allows")
        if isinstance(exc, HttpError):
            return self._not_docker(str(exc))
        return self._lost()

    # ---- failures

    def _failure(self, exc: Exception, channel: Channel, deadline: Deadline) -> DeviceError:
        """The DeviceError for an exchange that failed; closes what can't be trusted any more."""
        if not self._session.is_open:
            return self._session.lost()
        if isinstance(exc, TimeoutError):
            if deadline.is_over and not self._session.has_signs_of_life:
                self.close()
                return self._session.lost()
            return self._timeout("")
        if isinstance(exc, HttpError):
            return self._not_docker(str(exc))
        if isinstance(exc, AnswerMissing):
            error = self._route.explain(channel)
            if not isinstance(error, ConnectionLost):
                self.end_reason = error
                self.close()
            return error
        return self._lost()

    def _refused(self) -> DeviceError:
        """The host opens no channel to the engine any more: find out why, and give this connection up."""
        error = self._session.lost() if not self._session.is_open else self._route.explain(None)
        self.end_reason = error
        self.close()
        return error

    def _no_session(self) -> DeviceError:
        return EngineTimeout(
            f"{self.target.label}: the host allows no further SSH session on this connection.",
            fix="Raise MaxSessions in the host's sshd_config, or let the user open the socket itself (group docker).",
        )

    def _lost(self) -> DeviceError:
        if not self._session.is_open:
            return self._session.lost()
        return ConnectionLost(
            f"{self.target.label}: the engine closed the connection before its answer was complete.",
            fix="The engine may be restarting: try again in a moment, and see its log (journalctl -u docker).",
        )

    def _timeout(self, why: str) -> DeviceError:
        because = f": {why}" if why else ""
        return EngineTimeout(
            f"{self.target.label}: the engine did not answer in time{because}.",
            fix="The host may be overloaded, or the engine hang: see its load and journalctl -u docker.",
        )

    def _not_docker(self, what: str) -> DeviceError:
        return NotDocker(
            f"{self.target.label}: what listens on {self.target.socket_path} is not a Docker Engine (it sent {what}).",
            fix="Correct the socket path of this device; Docker's own is /var/run/docker.sock.",
        )

    def _answer_error(self, status: int, body: bytes) -> DeviceError:
        message: Any = None
        with suppress(ValueError):
            message = decode_json(body)
        if isinstance(message, dict):
            message = message.get("message") or message.get("cause")
        text = message if isinstance(message, str) else body[:2000].decode("utf-8", "replace")
        return engine_error(self.target.label, status, text)
