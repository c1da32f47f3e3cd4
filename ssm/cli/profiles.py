"""Where SSM is and who calls: kept in a file for its owner alone, or told by the environment."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ssm.cli.errors import CommandFailed, Exit

DEFAULT: Final = "default"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Profile:
    """An installation of SSM, and a token for it."""

    url: str
    token: str
    ca_file: str = ""


def path() -> Path:
    """The file of the profiles: `ssm/cli.json` in the configuration directory of the user."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "ssm" / "cli.json"


def find(name: str) -> Profile:
    """The profile to use: SSM_URL with SSM_TOKEN, else the one kept under the name. Raises CommandFailed."""
    url, token = os.environ.get("SSM_URL", "").strip(), _token()
    ca_file = os.environ.get("SSM_CA_FILE", "").strip()
    if url and token:
        return Profile(address(url), token, ca_file)
    kept = _read().get(name)
    if not isinstance(kept, dict) or not kept.get("url") or not kept.get("token"):
        raise CommandFailed(
            "You are not logged in." if name == DEFAULT else f"There is no profile {name!r}.",
            fix="Run: ssm login https://ssm.example.com (or set SSM_URL and SSM_TOKEN).",
            code=Exit.REFUSED,
        )
    return Profile(
        address(url or str(kept["url"])), token or str(kept["token"]), ca_file or str(kept.get("ca_file", ""))
    )


def keep(name: str, profile: Profile) -> Path:
    """Write the profile; the file is readable for its owner alone from its first byte on."""
    profiles = _read()
    profiles[name] = {"url": profile.url, "token": profile.token, "ca_file": profile.ca_file}
    return _write(profiles)


def forget(name: str) -> bool:
    """Remove a profile; whether it was there."""
    profiles = _read()
    if profiles.pop(name, None) is None:
        return False
    _write(profiles)
    return True


def address(text: str) -> str:
    """The beginning of SSM's URLs, without a slash at its end. Raises CommandFailed."""
    told = text.strip()
    told = (told if "://" in told else f"https://{told}").rstrip("/")
    try:
        parts = urlsplit(told)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        is_fine, parts = False, urlsplit("")
    if not is_fine:
        raise CommandFailed(
            f"{text[:200]!r} is no address of SSM.", fix="Such as https://ssm.example.com", code=Exit.USAGE
        )
    if parts.username or parts.password:
        raise CommandFailed("A user name in the address is of no use: SSM takes tokens.", code=Exit.USAGE)
    return told


def is_open(url: str) -> bool:
    """Whether the token would travel where others can read it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def _token() -> str:
    told = os.environ.get("SSM_TOKEN", "").strip()
    file = os.environ.get("SSM_TOKEN_FILE", "").strip()
    if told or not file:
        return told
    try:
        return Path(file).read_text().strip()
    except OSError as exc:
        raise CommandFailed(f"SSM_TOKEN_FILE cannot be read: {exc.strerror}.", code=Exit.USAGE) from exc


def _read() -> dict[str, Any]:
    file = path()
    try:
        mode = file.stat().st_mode
        if mode & 0o077:
            raise CommandFailed(
                f"{file} can be read by others.", fix=f"chmod 600 {file}, and use a new token.", code=Exit.REFUSED
            )
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise CommandFailed(f"{file} cannot be read.", fix="Remove it and log in anew.", code=Exit.USAGE) from exc
    return found if isinstance(found, dict) else {}


def _write(profiles: dict[str, Any]) -> Path:
    file = path()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it with mode 0600; the name takes effect at once, so that no half file is ever read.
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".cli-")
        with os.fdopen(handle, "w") as stream:
            json.dump(profiles, stream, indent=2)
        Path(temporary).replace(file)
    except OSError as exc:
        raise CommandFailed(f"{file} cannot be written: {exc.strerror}.", code=Exit.FAILED) from exc
    return file
