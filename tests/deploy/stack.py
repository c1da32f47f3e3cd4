"""The compose file's services on a Docker host of the fleet, and a browser's way to them through their proxy."""

import json
import shlex
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.base_images import PYTHON, PYTHON_BUILD_BASE, SERVERS, bring, download_wheels, python_with_wheels
from tests.fleet import Fleet, Host
from tests.fleet.packages import COMPOSE, PYTHON_SYSTEM, SERVER_SYSTEM
from tests.fleet.shell import run

PROJECT = Path(__file__).resolve().parents[2]
# Caddy makes a certificate of its own authority for such a name, and asks nobody.
NAME = "ssm.localhost"
_BUILD_S = 420
_HEALTHY_S = 400
_CONTEXT = "/var/tmp/context"
_COMPOSE = "/var/tmp/docker-compose"


@dataclass(frozen=True, slots=True)
class Stack:
    """The services, on `host`."""

    host: Host

    def compose(self, words: str, *, check: bool = True, timeout_s: float = 60) -> str:
        """Run docker compose on the host; `words` are the rest of its command line."""
        command = f"cd {_CONTEXT} && SSM_HOST={NAME} {_COMPOSE} -f deploy/compose.yaml {words}"
        return self.host.exec(command, check=check, timeout_s=timeout_s)

    def run(self, service: str, *words: str, timeout_s: float = 60) -> str:
        """Run a program in the container of a service."""
        return self.compose(f"exec -T {service} {shlex.join(words)} 2>&1", timeout_s=timeout_s)

    def python(self, text: str) -> str:
        """Run a line of Python in the web container, with Django set up."""
        return self.run("web", "python", "manage.py", "shell", "-v", "0", "-c", text).strip()

    def services(self) -> dict[str, dict[str, Any]]:
        """How each service stands, by name."""
        lines = self.compose("ps -a --format json").splitlines()
        return {one["Service"]: one for one in map(json.loads, lines)}

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine tells of a service's container."""
        found: dict[str, Any] = self.host.api("GET", f"/containers/{self.services()[service]['ID']}/json")
        return found

    def are_well(self) -> bool:
        """Whether every service with a health check is healthy."""
        return all(one.get("Health") in ("", "healthy") for one in self.services().values())

    def authority(self) -> ssl.SSLContext:
        """Trust in the proxy's own authority, and in no other."""
        text = self.run("proxy", "cat", "/data/caddy/pki/authorities/local/root.crt")
        return ssl.create_default_context(cadata=text)

    @contextmanager
    def browser(self, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Client]:
        """A client whose requests go to the proxy under the public name."""
        extensions = {"sni_hostname": NAME}
        with httpx.Client(
            base_url=f"https://{self.host.address}",
            verify=self.authority(),
            headers={"Host": NAME, "Referer": f"https://{NAME}/", **(headers or {})},
            timeout=30,
            transport=_Named(self.authority(), extensions),
        ) as client:
            yield client


class _Named(httpx.HTTPTransport):
    """Asks for the certificate of the public name, as the address is what is connected to."""

    def __init__(self, trusted: ssl.SSLContext, extensions: dict[str, Any]) -> None:
        super().__init__(verify=trusted)
        self._extensions = extensions

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, **self._extensions}
        return super().handle_request(request)


def prepare(fleet: Fleet) -> None:
    """Have everything that is downloaded: Debian's packages, compose, and the locked Python packages."""
    with ThreadPoolExecutor() as executor:
        wheels = executor.submit(_wheels, fleet)
        for what in (COMPOSE, PYTHON_SYSTEM, SERVER_SYSTEM):
            fleet.packages.fetch(what)
        wheels.result()


def build(fleet: Fleet, host: Host) -> None:
    """Have the image `ssm` on a host, built from the Dockerfile and what git knows of this checkout."""
    bring(host, fleet.packages, PYTHON)
    bring(host, fleet.packages, python_with_wheels(_wheels(fleet)))
    bring(host, fleet.packages, SERVERS)
    context = host.directory / _CONTEXT.removeprefix("/")
    host.exec(["rm", "-rf", _CONTEXT])
    context.mkdir(parents=True)
    # The browser's files as `make assets` laid them out: the image's build takes them when they are the right ones.
    names = _listed("-co", "--exclude-standard") + _listed("-o", "-i", "--exclude-standard", "static/vendor")
    listed = "".join(f"{name}\0" for name in names if (PROJECT / name).is_file())
    archive = host.directory / "var/tmp/context.tar"
    run("tar", "-C", PROJECT, "--null", "-cf", archive, "--no-recursion", "-T", "-", text=listed)
    run("tar", "-C", context, "-xf", archive)
    archive.unlink()
    compose = fleet.packages.usr(COMPOSE) / "libexec/docker/cli-plugins/docker-compose"
    run("install", "-m", "755", compose, host.directory / _COMPOSE.removeprefix("/"))
    arguments = f"--build-arg BUILD_BASE={PYTHON_BUILD_BASE} --build-arg VERSION=test"
    host.exec(
        f"cd {_CONTEXT} && DOCKER_BUILDKIT=0 docker build -q -f deploy/Dockerfile {arguments} -t ssm . 2>&1"
        " | tee /var/tmp/build.log | tail -n 40 >&2; docker image inspect ssm >/dev/null",
        timeout_s=_BUILD_S,
    )


def start(host: Host) -> Stack:
    """Have the services up and healthy, as somebody does who follows the compose file's head."""
    stack = Stack(host)
    host.exec(f"sh {_CONTEXT}/deploy/secrets.sh")
    # Each look is a program of its own that takes a third of a second of CPU.
    deadline = time.monotonic() + _HEALTHY_S
    while True:
        # On a busy machine it gives up on what is slow to start; said again, it goes on where it was.
        stack.compose("up -d --no-build --pull never --quiet-pull", check=False, timeout_s=300)
        services = stack.services()
        if "running" in services.get("proxy", {}).get("State", "") and stack.are_well():
            return stack
        assert time.monotonic() < deadline, f"not healthy: {services}"
        time.sleep(2)


def _wheels(fleet: Fleet) -> Path:
    files = (PROJECT / "requirements" / "installer.txt", PROJECT / "requirements" / "base.txt")
    return download_wheels(files, fleet.packages.directory / "wheels", sys.executable)


def _listed(*options: str) -> list[str]:
    command = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z", *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]
