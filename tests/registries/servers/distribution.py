"""Processes of Debian's docker-registry, and a token server for those that want tokens."""

import base64
import datetime as dt
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from registries.client import Access
from registries.providers import BasicCredentials
from ssm.services.programs import Program, kill_group, spawn
from tests.registries.servers.authority import Authority
from tests.registries.servers.images import Built, Target, build, push
from tests.registries.servers.serving import Asked, Reply, Server

PROGRAM = "docker-registry"
USERNAME, PASSWORD = "reader", "pass+word/~?>with:colon"
SERVICE, ISSUER = "test registry", "test issuer"


def is_installed() -> bool:
    """Whether the program is on this machine."""
    return shutil.which(PROGRAM) is not None


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A registry of its own on a loopback port."""

    host: str
    target: Target
    process: subprocess.Popen[bytes]
    log: Path
    token_server: "TokenServer | None" = None

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.target.url

    def access(self, *, anonymous: bool = False, username: str = USERNAME, password: str = PASSWORD) -> Access:
        """Access as an administrator would have configured it."""
        has_login = bool(self.target.username or self.token_server) and not anonymous
        return Access(
            host=self.host,
            provider="custom",
            base_url=self.url,
            credentials=BasicCredentials(username, password) if has_login else None,
            allow_http=self.url.startswith("http://"),
            ca_pem=self.target.ca_pem,
            is_configured=True,
            account_id="test",
        )

    def push(self, repository: str, tags: Iterable[str], built: Built | None = None) -> Built:
        """Push an image under these tags; what they pointed to before stays, untagged."""
        target = self.target
        if self.token_server is not None:
            token = self.token_server.sign(USERNAME, [(repository, ["pull", "push"])])
            target = Target(target.url, target.ca_pem, token=token)
        return push(target, repository, tags, built or build(repository))

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            kill_group(self.process)
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class TokenServer:
    """Signs tokens as the distribution specification has it: RS256, the key's certificate in the header."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "token signer")])
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .sign(self._key, hashes.SHA256())
        )
        self.requests: list[Asked] = []
        self.public_repositories = {"public/app"}
        self.lifetime_s = 300
        self._server = Server(self._handle)
        self.realm = f"http://127.0.0.1:{self._server.port}/token"

    @property
    def certificate_pem(self) -> str:
        """For the registry's ``rootcertbundle``."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def sign(self, subject: str, access: Iterable[tuple[str, list[str]]], *, lifetime_s: float = 300) -> str:
        """A token that allows these actions on these repositories."""
        now = int(time.time())
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        short = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode().rstrip("=")
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": SERVICE,
            "exp": now + int(lifetime_s),
            "nbf": now - 10,
            "iat": now - 10,
            "jti": hashlib.sha256(str(time.time_ns()).encode()).hexdigest(),
            "access": [{"type": "repository", "name": name, "actions": actions} for name, actions in access],
        }
        key_id = ":".join(short[start : start + 4] for start in range(0, len(short), 4))
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": key_id})

    def _handle(self, asked: Asked) -> Reply:
        self.requests.append(asked)
        subject = ""
        if asked.authorization:
            pair = base64.b64decode(asked.authorization.removeprefix("Basic ")).decode()
            if pair != f"{USERNAME}:{PASSWORD}":
                return Reply.json({"details": "incorrect username or password"}, 401)
            subject = USERNAME
        allowed = []
        for scope in asked.query.get("scope", "").split():
            kind, _, rest = scope.partition(":")
            name, _, _actions = rest.rpartition(":")
            if kind == "repository" and (subject or name in self.public_repositories):
                allowed.append((name, ["pull"]))
        token = self.sign(subject, allowed, lifetime_s=self.lifetime_s)
        return Reply.json({"token": token, "expires_in": self.lifetime_s, "issued_at": "2020-01-01T00:00:00Z"})


def start_registry(
    directory: Path,
    *,
    authority: Authority | None = None,
    htpasswd: bool = False,
    tokens: bool = False,
    bind: str = "127.0.0.1",
    port: int = 0,
) -> RunningRegistry:
    """Start a registry with its storage in ``directory`` and wait until it answers."""
    directory.mkdir(parents=True, exist_ok=True)
    token_server = TokenServer() if tokens else None
    lines = [
        "version: 0.1",
        "log: {level: warn}",
        "storage:",
        f"  filesystem: {{rootdirectory: {json.dumps(str(directory / 'data'))}}}",
        "  delete: {enabled: true}",
        "http:",
        f"  addr: {bind}:{port}",
    ]
    if authority is not None:
        issued = authority.issue("127.0.0.1", "localhost", "registry.test")
        (directory / "server.crt").write_text(issued.certificate)
        (directory / "server.key").write_text(issued.key)
        lines.append(f"  tls: {{certificate: {directory / 'server.crt'}, key: {directory / 'server.key'}}}")
    if htpasswd:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (directory / "htpasswd").write_text(f"{USERNAME}:{hashed}\n")
        lines.append(f"auth: {{htpasswd: {{realm: basic-realm, path: {directory / 'htpasswd'}}}}}")
    if token_server is not None:
        (directory / "signer.crt").write_text(token_server.certificate_pem)
        lines += [
            "auth:",
            "  token:",
            f"    realm: {token_server.realm}",
            f"    service: {SERVICE}",
            f"    issuer: {ISSUER}",
            f"    rootcertbundle: {directory / 'signer.crt'}",
        ]
    return _run(directory, lines, authority, bind, port, token_server, has_login=htpasswd)


def _run(
    directory: Path,
    lines: list[str],
    authority: Authority | None,
    bind: str,
    port: int,
    token_server: TokenServer | None,
    *,
    has_login: bool,
) -> RunningRegistry:
    for _ in range(5):
        chosen = port or _free_port()
        config = directory / "config.yml"
        config.write_text("\n".join(lines).replace(f"addr: {bind}:{port}", f"addr: {bind}:{chosen}") + "\n")
        program = Program(
            name="registry",
            command=("sh", "-c", f'exec {PROGRAM} serve "$0" >"$1" 2>&1', str(config), str(directory / "log.txt")),
            environment={"OTEL_TRACES_EXPORTER": "none"},
        )
        process = spawn(program)
        scheme = "https" if authority else "http"
        target = Target(
            f"{scheme}://{bind}:{chosen}",
            authority.pem if authority else "",
            USERNAME if has_login else "",
            PASSWORD if has_login else "",
        )
        running = RunningRegistry(f"{bind}:{chosen}", target, process, directory / "log.txt", token_server)
        if _answers(running):
            return running
        running.stop()
    raise RuntimeError(f"docker-registry does not start: {(directory / 'log.txt').read_text()[-1000:]}")


def _answers(running: RunningRegistry) -> bool:
    context = ssl.create_default_context(cadata=running.target.ca_pem) if running.target.ca_pem else None
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            urllib.request.urlopen(f"{running.url}/v2/", timeout=5, context=context).close()  # noqa: S310
        except urllib.error.HTTPError as exc:
            return exc.code == 401
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
