"""Typed readers of environment variables: they fail at start, with a sentence that tells what to write.

An empty value counts as unset: compose files and shells hand on empty strings for variables nobody filled in.
No reader shows the value of a secret or of a URL, since both end up in terminals and logs.
"""

import base64
import os
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from environ import Env

from ssm.lib.errors import SsmError

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
SECRET_FILE_LIMIT_BYTES = 64 * 1024


class ConfigurationError(SsmError):
    """An environment variable, or a file it names, cannot be used as it is."""

    code = "configuration"
    status = 500

    def __init__(self, name: str, problem: str, example: str = "") -> None:
        """`problem` completes the sentence "NAME …"; `example` is a value that would be accepted."""
        fix = f"Set it like this: {name}={example}" if example else f"Set or correct {name}."
        super().__init__(f"{name} {problem}.", fix=fix, details={"variable": name})
        self.name = name


def env_str(name: str, default: str | None = None, *, example: str = "") -> str:
    """Value of the variable without surrounding blanks; `default` when unset or empty.

    Raises ConfigurationError when it is unset and there is no default.
    """
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise ConfigurationError(name, "is not set", example)
    return default


def env_bool(name: str, default: bool | None = None) -> bool:  # noqa: FBT001 - reads like its siblings
    """True for 1/true/yes/on, False for 0/false/no/off, in any case; else ConfigurationError."""
    text = env_str(name, None if default is None else str(default), example="true").lower()
    if text in TRUE_WORDS:
        return True
    if text in FALSE_WORDS:
        return False
    raise ConfigurationError(name, f"must be true or false, not {text[:40]!r}", "true")


def env_choice(name: str, choices: Sequence[str], default: str) -> str:
    """One of the choices, in any case; else ConfigurationError."""
    text = env_str(name, default).lower()
    if text not in choices:
        raise ConfigurationError(name, f"must be one of {', '.join(choices)}, not {text[:40]!r}", choices[0])
    return text


def env_int(name: str, default: int | None = None, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number between `minimum` and `maximum`, both included; else ConfigurationError."""
    example = str(default if default is not None else (minimum or 0))
    text = env_str(name, None if default is None else str(default), example=example)
    try:
        number = int(text)
    except ValueError as exc:
        raise ConfigurationError(name, f"must be a whole number, not {text[:40]!r}", example) from exc
    if minimum is not None and number < minimum:
        raise ConfigurationError(name, f"must be at least {minimum}, not {number}", example)
    if maximum is not None and number > maximum:
        raise ConfigurationError(name, f"must be at most {maximum}, not {number}", example)
    return number


def env_port(name: str, default: int | None = None) -> int:
    """A TCP port number, 1 to 65535."""
    return env_int(name, default, minimum=1, maximum=65535)


def env_list(name: str, default: Sequence[str] | None = None, *, example: str = "a,b") -> list[str]:
    """The comma-separated items without blanks and empty items."""
    text = env_str(name, None if default is None else ",".join(default), example=example)
    return [item.strip() for item in text.split(",") if item.strip()]


def env_networks(name: str) -> list[str]:
    """Comma-separated addresses or networks (192.0.2.1, 10.0.0.0/8); else ConfigurationError. Empty without a value."""
    entries = env_list(name, [])
    for entry in entries:
        try:
            ip_network(entry, strict=False)
        except ValueError as exc:
            raise ConfigurationError(
                name, f"holds {entry[:40]!r}, no address or network", "127.0.0.1,10.0.0.0/8"
            ) from exc
    return entries


def env_secret(name: str, default: str | None = None, *, example: str = "") -> str:
    """A secret from NAME, or from the file that NAME_FILE names (one trailing newline is dropped).

    Raises ConfigurationError when both are set, when neither is and there is no default, and when the file
    is missing, unreadable, empty or larger than 64 KiB. The value never appears in a message.
    """
    file_name = os.environ.get(f"{name}_FILE", "").strip()
    if not file_name:
        return env_str(name, default, example=example)
    if os.environ.get(name, "").strip():
        raise ConfigurationError(f"{name}_FILE", f"and {name} are both set; keep one of them")
    try:
        with Path(file_name).open("rb") as file:
            content = file.read(SECRET_FILE_LIMIT_BYTES + 1)
        value = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as exc:
        problem = f"names {file_name}, which cannot be read: {exc.strerror}"
        raise ConfigurationError(f"{name}_FILE", problem, "/run/secrets/" + name.lower()) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{name}_FILE", f"names {file_name}, which is not UTF-8 text") from exc
    if not value.strip():
        raise ConfigurationError(f"{name}_FILE", f"names {file_name}, which is empty")
    if len(content) > SECRET_FILE_LIMIT_BYTES:
        raise ConfigurationError(f"{name}_FILE", f"names {file_name}, which is larger than 64 KiB")
    return value


def env_url(name: str, schemes: Sequence[str], *, example: str, default: str | None = None) -> str:
    """The URL as it was written (from NAME or NAME_FILE), with its scheme, host and port checked.

    `schemes` are the allowed ones, for example ("postgres", "postgresql"). A URL without host is taken only
    when it names a socket directory by `?host=/path`, as PostgreSQL does. Raises ConfigurationError.
    """
    text = env_secret(name, default, example=example)
    try:
        parts = urlsplit(text)
        _ = parts.port  # urllib checks the port only when it is read
    except ValueError as exc:
        raise ConfigurationError(name, f"is not a valid URL ({_without_value(exc)})", example) from exc
    if parts.scheme not in schemes:
        raise ConfigurationError(name, f"must start with {' or '.join(f'{s}://' for s in schemes)}", example)
    if not parts.hostname and not _names_socket(parts):
        raise ConfigurationError(name, "names no host", example)
    return text


def env_database(name: str = "DATABASE_URL") -> dict[str, Any]:
    """Django's settings of one PostgreSQL database, from postgres://user:password@host:port/database.

    Query parameters become connection options; `?host=/path` names a socket directory.
    Raises ConfigurationError when the URL is not one of PostgreSQL or names no database.
    """
    example = "postgres://ssm:password@127.0.0.1:5432/ssm"
    text = env_url(name, ("postgres", "postgresql"), example=example)
    if not urlsplit(text).path.strip("/"):
        raise ConfigurationError(name, "names no database after the host", example)
    return dict(Env.db_url_config(text))


def env_redis_url(name: str = "REDIS_URL") -> str:
    """URL of Redis: redis://:password@host:port/0, or rediss:// for TLS, else ConfigurationError."""
    example = "redis://:password@127.0.0.1:6379/0"
    text = env_url(name, ("redis", "rediss"), example=example)
    number = urlsplit(text).path.strip("/")
    if number and not number.isdigit():
        raise ConfigurationError(name, "must end in a database number, such as /0", example)
    return text


def env_fernet_keys(name: str) -> list[str]:
    """The encryption keys of a comma-separated secret: the first encrypts, all of them decrypt.

    Each is 32 bytes in URL-safe base64 (44 characters). Raises ConfigurationError, which tells the position of
    a bad key and never the key.
    """
    keys = [key.strip() for key in env_secret(name).split(",") if key.strip()]
    for position, key in enumerate(keys, start=1):
        try:
            size = len(base64.urlsafe_b64decode(key.encode()))
        except ValueError:
            size = 0
        if size != 32:
            raise ConfigurationError(
                name,
                f"holds no valid key at position {position}: a key is 32 bytes in URL-safe base64",
                "$(head -c 32 /dev/urandom | base64 | tr +/ -_)",
            )
    if not keys:
        raise ConfigurationError(name, "holds no key")
    return keys


def _names_socket(parts: SplitResult) -> bool:
    """Whether the query names a socket directory: `?host=/run/postgresql`."""
    return any(item.startswith("host=/") for item in parts.query.split("&"))


def _without_value(error: ValueError) -> str:
    """The kind of URL fault, without the text of the URL that urllib puts into some of its messages."""
    return "its port is not a number from 0 to 65535" if "ort" in str(error) else "its brackets do not match"
