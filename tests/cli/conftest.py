"""A terminal of somebody who is not logged in, and one with a token at a web process as it is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.caller import token_of
from tests.cli.stage import Terminal
from tests.containers.logstage import database_url, web_process
from tests.people import People

LogIn = Callable[..., Terminal]


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """Nobody is logged in; the configuration is in a folder of the test."""
    for name in ("SSM_URL", "SSM_TOKEN", "SSM_TOKEN_FILE", "SSM_PROFILE", "SSM_CA_FILE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return Terminal(capsys)


@pytest.fixture(scope="module")
def web(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The address of a web process on the test's database."""
    with django_db_blocker.unblock():
        url = database_url()
    with web_process(url) as (port, _pid):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def log_in(web: str, terminal: Terminal, transactional_db: None, people: People, monkeypatch: Any) -> LogIn:
    """Function that gives a terminal with a token of the person of a role."""

    def make(role: str = "operator", **token: Any) -> Terminal:
        monkeypatch.setenv("SSM_URL", web)
        monkeypatch.setenv("SSM_TOKEN", token_of(getattr(people, role), **token))
        return terminal

    return make
