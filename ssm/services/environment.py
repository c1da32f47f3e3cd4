"""The environment of this checkout's processes: what the user set, else what was generated once and kept."""

import base64
import os
import re
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from ssm.lib.env import ConfigurationError
from ssm.services.layout import Layout, disk_errors, make_directories
from ssm.services.ports import free_port, is_free
from ssm.services.postgres import PostgresAccess
from ssm.services.redis import RedisAccess

ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def is_given(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the user set the variable, or its *_FILE form."""
    return any(environment.get(key, "").strip() for key in (name, f"{name}_FILE"))


def read_environment_file(path: Path) -> dict[str, str]:
    """NAME=value lines; blank lines and # comments are skipped, one pair of quotes around a value is dropped.

    A missing file is an empty one. Raises ConfigurationError for any other line, naming its number.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(str(path), f"cannot be read: {exc}") from exc
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = ASSIGNMENT.fullmatch(stripped)
        if match is None:
            raise ConfigurationError(str(path), f"line {number} is not of the form NAME=value")
        name, value = match[1], match[2].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name] = value
    return values


def write_environment_file(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step; only its owner can read it."""
    partial = path.with_name(f"{path.name}.new")
    lines = ["# Generated once by SSM. Keep it: the stored credentials cannot be read without it.", ""]
    lines += [f"{name}={value}" for name, value in values.items()]
    with disk_errors(path):
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def load_environment(layout: Layout, environment: MutableMapping[str, str] = os.environ) -> None:
    """Fill in unset variables from `.env` in the checkout, then from what an earlier start generated.

    Writes nothing to disk, so every management command can call it first.
    """
    load_user_environment(layout, environment)
    _export(read_environment_file(layout.environment_file), environment)


def invent_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Fill in what is still unset with values that lead nowhere: for commands that reach no service."""
    invented = {
        "SSM_SECRET_KEY": secrets.token_urlsafe(50),
        "SSM_FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DATABASE_URL": "postgres://ssm@127.0.0.1:9/none",
        "REDIS_URL": "redis://127.0.0.1:9/0",
    }
    for name, value in invented.items():
        if not is_given(name, environment):
            environment[name] = value


def load_user_environment(layout: Layout, environment: MutableMapping[str, str]) -> None:
    """Fill in unset variables from `.env` in the checkout."""
    for name, value in read_environment_file(layout.project / ".env").items():
        if not is_given(name.removesuffix("_FILE"), environment):
            environment[name] = value


def prepare_environment(layout: Layout, environment: MutableMapping[str, str] = os.environ) -> None:
    """Generate what is missing (keys, passwords, ports), keep it in the data directory, and export all of it.

    Call it with the lock held and the servers down: a remembered port that another program took meanwhile is
    replaced. Raises ConfigurationError, DiskFull, ServiceError.
    """
    load_user_environment(layout, environment)
    make_directories(layout)
    stored = read_environment_file(layout.environment_file)
    wanted = dict(stored)
    if not is_given("SSM_SECRET_KEY", environment):
        wanted.setdefault("SSM_SECRET_KEY", secrets.token_urlsafe(48))
    if not is_given("SSM_FIELD_KEYS", environment):
        wanted.setdefault("SSM_FIELD_KEYS", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    if not is_given("DATABASE_URL", environment):
        wanted.setdefault("SSM_POSTGRES_PASSWORD", secrets.token_hex(24))
        wanted.setdefault("SSM_POSTGRES_SUPERUSER_PASSWORD", secrets.token_hex(24))
        wanted["SSM_POSTGRES_PORT"] = _keep_port(wanted.get("SSM_POSTGRES_PORT", ""))
    if not is_given("REDIS_URL", environment):
        wanted.setdefault("SSM_REDIS_PASSWORD", secrets.token_hex(24))
        wanted["SSM_REDIS_PORT"] = _keep_port(wanted.get("SSM_REDIS_PORT", ""))
    if wanted != stored:
        write_environment_file(layout.environment_file, wanted)
    _export(wanted, environment)


def postgres_access(stored: Mapping[str, str]) -> PostgresAccess:
    """The embedded cluster's access data from the generated file. Raises ConfigurationError when incomplete."""
    return PostgresAccess(
        port=_stored_port(stored, "SSM_POSTGRES_PORT"),
        password=_stored(stored, "SSM_POSTGRES_PASSWORD"),
        superuser_password=_stored(stored, "SSM_POSTGRES_SUPERUSER_PASSWORD"),
    )


def redis_access(stored: Mapping[str, str]) -> RedisAccess:
    """The embedded Redis' access data from the generated file. Raises ConfigurationError when incomplete."""
    return RedisAccess(port=_stored_port(stored, "SSM_REDIS_PORT"), password=_stored(stored, "SSM_REDIS_PASSWORD"))


def _export(stored: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
    """Set the generated keys and the URLs of the embedded servers where the user set none."""
    for name in ("SSM_SECRET_KEY", "SSM_FIELD_KEYS"):
        if name in stored and not is_given(name, environment):
            environment[name] = stored[name]
    if "SSM_POSTGRES_PORT" in stored and not is_given("DATABASE_URL", environment):
        environment["DATABASE_URL"] = postgres_access(stored).url
    if "SSM_REDIS_PORT" in stored and not is_given("REDIS_URL", environment):
        environment["REDIS_URL"] = redis_access(stored).url


def _keep_port(text: str) -> str:
    """The remembered port when it is still free, else another one."""
    return text if text.isdigit() and 0 < int(text) < 65536 and is_free(int(text)) else str(free_port())


def _stored(stored: Mapping[str, str], name: str) -> str:
    value = stored.get(name, "")
    if not value:
        raise ConfigurationError(name, "is missing from ssm.env in the data directory")
    return value


def _stored_port(stored: Mapping[str, str], name: str) -> int:
    text = _stored(stored, name)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigurationError(name, "in ssm.env is not a port number")
    return int(text)
