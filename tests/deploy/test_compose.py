"""The image is built and the compose file's services run, on an Engine that can reach no registry: then they are used.

Base images are made of Debian's packages (`base_images`), all else is what deploy/ says, as it is.
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import websockets.sync.client
from websockets.typing import Origin

from tests.deploy.stack import NAME, Stack, build, prepare, start
from tests.fleet import Fleet, Host
from tests.fleet.fixtures import require_root
from tests.fleet.layout import DEPLOY_NET

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(900)]
OWN = ("web", "worker", "transfers", "beat", "listener")
# What SSM and its packages add to Python's image.
MOST_ADDED_BYTES = 240 * 1000 * 1000
PASSWORD = "a long password of the test"
_MAKE_TOKEN = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils.timezone import now
from ssm.accounts.tokens import make_token
from ssm.lib.roles import Limit, Right
user = User.objects.get(username="root")
print(make_token(user, "test", list(Right), Limit(), now() + timedelta(hours=1))[1])
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A Docker host of its own, gone afterwards. FLEET_KEEP=1 keeps it; then DEPLOY_BUILT=1 uses what was built."""
    require_root()
    fleet = Fleet(int(os.environ.get("DEPLOY_NET") or DEPLOY_NET))
    fleet.up(["26"], registry=False, bare=True)
    try:
        if not os.environ.get("DEPLOY_BUILT"):
            prepare(fleet)
            build(fleet, fleet.host(1))
        yield fleet.host(1)
    finally:
        if os.environ.get("FLEET_KEEP", "") in ("", "0"):
            fleet.down()


@pytest.fixture(scope="module")
def stack(host: Host) -> Iterator[Stack]:
    """The services, healthy."""
    stack = start(host)
    yield stack
    if not os.environ.get("DEPLOY_BUILT"):
        stack.compose("down -v -t 15", timeout_s=120)


def test_image_holds_what_runs_and_nothing_else(host: Host) -> None:
    sizes = {tag: image["Size"] for image in host.api("GET", "/images/json") for tag in image.get("RepoTags") or []}
    found = host.exec(
        "docker run --rm --network none --entrypoint sh ssm -c '"
        'id -u; python -c "import re2, cryptography, psycopg, zstandard, paramiko, botocore.session"; ls /srv/ssm;'
        ' ls .venv/bin; find /srv -path "*/.venv" -prune -o \\( -name tests -o -name "*.pem" -o -name "*.key"'
        ' -o -name ".git*" -o -name ".env*" -o -name secrets \\) -print; find /srv -writable -not -type l;'
        " test -s /srv/static/staticfiles.json && echo collected'"
    )

    assert sizes["ssm:latest"] - sizes["python:3.11-slim-bookworm"] < MOST_ADDED_BYTES
    lines = found.splitlines()
    assert lines[0] == "10001"
    assert "collected" in lines
    for name in ("tests", "docs", "scripts", "requirements", "node_modules", "uv", "secrets", "Makefile"):
        assert name not in lines, name
    # Nothing that its user could change: /data and /tmp are mounted when it runs.
    assert not [line for line in lines if line.startswith("/srv/")]


def test_nginx_takes_its_file(host: Host) -> None:
    said = host.exec(
        "cd /var/tmp/context/deploy/proxy;"
        " docker run --rm --network none -v $PWD/nginx.conf:/etc/nginx/conf.d/ssm.conf:ro caddy:2 sh -c '"
        "openssl req -x509 -newkey ed25519 -nodes -keyout /etc/ssl/private/ssm.key -out /etc/ssl/certs/ssm.pem"
        " -subj /CN=ssm -days 2 2>/dev/null;"
        ' echo "events {} http { include /etc/nginx/conf.d/ssm.conf; }" >/tmp/n.conf; nginx -t -c /tmp/n.conf 2>&1\''
    )

    assert "test is successful" in said


def test_every_service_is_healthy_and_runs_without_rights(stack: Stack) -> None:
    services = stack.services()

    assert set(services) == {"database", "redis", "migrate", "proxy", *OWN}
    assert services["migrate"]["ExitCode"] == 0
    for name in OWN:
        assert services[name]["Health"] == "healthy", name
        told = stack.inspect(name)
        assert told["RestartCount"] == 0, name
        assert told["HostConfig"]["ReadonlyRootfs"] is True
        status = stack.run(name, "cat", "/proc/1/status", "/proc/self/status")
        assert re.findall(r"^Uid:\s+(\d+)", status, re.MULTILINE) == ["10001", "10001"]
        assert set(re.findall(r"^Cap(?:Eff|Bnd):\s+(\w+)", status, re.MULTILINE)) == {"0000000000000000"}


def test_proxy_serves_the_log_in_page_over_tls(stack: Stack) -> None:
    with stack.browser() as browser:
        page = browser.get("/login/")
        style = re.search(r'href="(/static/[^"]+\.css)"', page.text)
        assert style is not None
        styled = browser.get(style[1])

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["strict-transport-security"]
    assert styled.status_code == 200
    assert "immutable" in styled.headers["cache-control"]


def test_proxy_refuses_a_large_body_where_none_belongs(stack: Stack) -> None:
    with stack.browser() as browser:
        answer = browser.post("/login/", content=b"x" * (5 * 1024 * 1024))

    assert answer.status_code == 413


def test_device_is_added_over_the_api_and_its_log_is_followed_by_a_socket(stack: Stack, host: Host) -> None:
    if "/deployed-clock" not in [name for one in host.containers() for name in one["Names"]]:
        host.run("deployed-clock", "demo/clock", env={"INTERVAL": "1"})
    stack.python(
        "from django.contrib.auth.models import User;"
        f"User.objects.filter(username='root').exists() or User.objects.create_superuser('root', '', {PASSWORD!r})"
    )
    token = stack.python(_MAKE_TOKEN).splitlines()[-1]
    with stack.browser({"Authorization": f"Bearer {token}"}) as program:
        entry = _entry(host)
        added = program.post(
            "/api/v1/devices",
            json={
                "name": "itself",
                "address": host.address,
                "login": {"username": "op", "password": entry["password"]},
                "host_key": entry["host_key"],
            },
        )
        assert added.status_code == 201, added.text

        wanted = _container(program)

    with stack.browser() as browser:
        form = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": _csrf(browser.get("/login/").text)}
        logged_in = browser.post("/login/", data=form)
        assert logged_in.status_code == 302, logged_in.text[-2000:]
        session = browser.cookies["sessionid"]
        assert browser.get("/containers/").text.count("deployed-clock") > 0

    assert "clock 1.0.0 tick" in _first_line(stack, wanted, session)


def test_backup_of_the_installation_is_made_and_found_whole(stack: Stack) -> None:
    made = stack.run("web", "python", "manage.py", "backup_ssm", timeout_s=120)
    path = made.split(":")[0]
    checked = stack.run("web", "python", "manage.py", "restore_ssm", "--check", path, timeout_s=120)

    assert "read back and whole" in made
    assert "The file is whole." in checked


def test_services_end_in_order_when_they_are_told_to(stack: Stack) -> None:
    began = time.monotonic()

    stack.compose(f"stop -t 30 {' '.join(OWN)}", timeout_s=120)

    codes = {name: stack.services()[name]["ExitCode"] for name in OWN}
    assert codes == dict.fromkeys(OWN, 0)
    assert time.monotonic() - began < 30


def _container(program: httpx.Client) -> str:
    """The id of the container, once it was seen running on the new device."""
    deadline = time.monotonic() + 180
    while True:
        answer = program.get("/api/v1/containers", params={"q": "deployed-clock"})
        rows = answer.json()["items"]
        if rows and rows[0]["state"] == "running":
            return str(rows[0]["id"])
        assert time.monotonic() < deadline, answer.text
        time.sleep(1)


def _entry(host: Host) -> dict[str, str]:
    told = Fleet(int(os.environ.get("DEPLOY_NET") or DEPLOY_NET)).entry(host.number)
    return {"password": told.password, "host_key": told.host_key}


def _csrf(text: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)
    assert found is not None
    return found[1]


def _first_line(stack: Stack, container: str, session: str) -> str:
    """The first line of a log as the socket brings it, through the proxy."""
    with (
        socket.create_connection((stack.host.address, 443), timeout=30) as connection,
        websockets.sync.client.connect(
            f"wss://{NAME}/ws/containers/{container}/logs/",
            sock=connection,
            ssl=stack.authority(),
            server_hostname=NAME,
            origin=Origin(f"https://{NAME}"),
            additional_headers={"Cookie": f"sessionid={session}"},
        ) as stream,
    ):
        stream.send(json.dumps({"type": "open", "tail": 5}))
        while True:
            message = stream.recv(timeout=30)
            if isinstance(message, bytes):
                return message.decode()
