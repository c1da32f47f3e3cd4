"""The files for containers: nothing runs as root or on a file system that it could change, nothing holds a secret.

They are read here, not run: no registry can be reached from the tests to fetch the base images from.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssm.services.layout import Layout
from ssm.services.processes import WebAddress, programs

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OWN = ("migrate", "web", "worker", "transfers", "beat", "listener")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_image_runs_as_a_user_without_rights() -> None:
    last_stage = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    users = re.findall(r"^USER (\S+)$", last_stage, re.MULTILINE)
    assert users == ["10001:10001"]
    assert "HEALTHCHECK" in last_stage
    assert last_stage.index("USER ") < last_stage.index('CMD ["python", "manage.py", "serve"]')


@pytest.mark.parametrize("name", OWN)
def test_own_service_cannot_change_its_file_system_or_gain_rights(name: str, compose: dict[str, Any]) -> None:
    service = compose["services"][name]

    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["data:/data"]
    assert "privileged" not in service and "ports" not in service


def test_every_process_of_ssm_is_a_service(compose: dict[str, Any], tmp_path: Path) -> None:
    layout = Layout(DEPLOY.parent, tmp_path, tmp_path, None)
    names = {program.name for program in programs(layout, WebAddress("127.0.0.1", 8000), None, 1)}

    assert names <= set(compose["services"])


def test_database_and_redis_are_reached_from_inside_alone(compose: dict[str, Any]) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("database", "redis"):
        assert compose["services"][name]["networks"] == ["inside"]
        assert "ports" not in compose["services"][name]


def test_secrets_come_from_files_that_are_not_in_the_repository(compose: dict[str, Any]) -> None:
    settings = compose["services"]["web"]["environment"]

    assert {name for name in settings if name.endswith("_FILE")} == {
        "SSM_SECRET_KEY_FILE",
        "SSM_FIELD_KEYS_FILE",
        "DATABASE_URL_FILE",
    }
    assert all(entry["file"].startswith("./secrets/") for entry in compose["secrets"].values())
    assert "/deploy/secrets/" in (DEPLOY.parent / ".gitignore").read_text().splitlines()
    assert "deploy/secrets" in (DEPLOY.parent / ".dockerignore").read_text().splitlines()
