"""From the fields of an account, as people fill them in, to credentials: checks and conversions without I/O."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from registries.errors import CredentialsInvalid
from registries.providers.access import AwsCredentials, BasicCredentials, Credentials, EntraCredentials
from registries.providers.table import Provider

# An entry of htpasswd instead of base64: what people paste into "auth" most often.
_HTPASSWD_MARKS = ("$2a$", "$2b$", "$2y$", "$apr1$", "{SHA}")
_MAX_SECRET = 65_536


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """Why one field can't stay as it is; ``field`` is empty when it concerns the combination."""

    field: str
    message: str


def check_values(provider: Provider, values: Mapping[str, str]) -> list[FieldProblem]:
    """What is wrong with these fields of an account; an empty list when they can be used together.

    Blank values count as not given. No values at all mean anonymous access.
    """
    given = _given(values)
    known = {field.name for field in provider.fields}
    problems = [FieldProblem(name, "This registry has no such field.") for name in sorted(set(given) - known)]
    needed = set(given) - provider.optional
    if not given:
        if not provider.allows_anonymous:
            problems.append(
                FieldProblem("", f"{provider.label} gives nothing to anonymous users: {_wanted(provider)}.")
            )
        return problems
    if not problems and needed not in provider.combinations:
        problems += _combination_problems(provider, needed)
    problems += [
        FieldProblem(name, "This is too long to be a credential.")
        for name, value in given.items()
        if len(value) > _MAX_SECRET
    ]
    if not problems:
        problems += _value_problems(given)
    return problems


def credentials_from(provider: Provider, values: Mapping[str, str]) -> Credentials | None:
    """The credentials that the fields of an account stand for; None for anonymous access.

    Raises CredentialsInvalid with the first problem that `check_values` finds.
    """
    if problems := check_values(provider, values):
        first = problems[0]
        where = f"{provider.field_named(first.field).label}: " if _has(provider, first.field) else ""
        raise CredentialsInvalid(f"{where}{first.message}", fix="Correct the account under Registries.")
    given = _given(values)
    if not given:
        return None
    match provider.id:
        case "ecr" | "ecr-public":
            return AwsCredentials(
                access_key_id=given["accesskeyid"],
                secret_access_key=given["secretaccesskey"],
                session_token=given.get("sessiontoken", ""),
                region=given.get("region", ""),
                account=given.get("accountid", ""),
            )
        case "gcr":
            return _google(given)
        case "acr":
            if given.get("tenant"):
                return EntraCredentials(given["tenant"], given["clientid"], given["clientsecret"])
            return BasicCredentials(given["clientid"], given["clientsecret"])
        case "gitlab":
            # A personal access token goes with any name, but engines refuse an empty one.
            return BasicCredentials(given.get("username", "oauth2"), given["token"])
        case "quay":
            return BasicCredentials(f"{given['namespace']}+{given['account']}", given["token"])
        case "ghcr" | "lscr" | "trueforge":
            return BasicCredentials(given["username"], given["token"])
    if "auth" in given:
        return decode_auth(given["auth"])
    return BasicCredentials(given["login"], given.get("password") or given["token"])


def decode_auth(text: str) -> BasicCredentials:
    """User and secret out of base64 of ``user:secret`` (with or without padding). Raises CredentialsInvalid."""
    if any(mark in text for mark in _HTPASSWD_MARKS):
        raise CredentialsInvalid(
            "This is a line of an htpasswd file, which holds only a hash of the password.",
            fix="Give user name and password, or the base64 text of user:password.",
        )
    compact = "".join(text.split())
    try:
        raw = base64.b64decode(compact + "=" * (-len(compact) % 4), altchars=None, validate=True).decode()
    except (binascii.Error, ValueError) as exc:
        raise CredentialsInvalid("This is not base64 text of user:secret.") from _without_text(exc)
    username, colon, secret = raw.partition(":")
    if not colon or not username or not secret:
        raise CredentialsInvalid("The decoded text is not of the form user:secret.")
    return BasicCredentials(username, secret)


def _google(given: Mapping[str, str]) -> BasicCredentials:
    if "accesstoken" in given:
        return BasicCredentials("oauth2accesstoken", given["accesstoken"])
    if "jsonkey" in given:
        if key := _json_key(given["jsonkey"]):
            return BasicCredentials("_json_key", key)
        return BasicCredentials("_json_key_base64", "".join(given["jsonkey"].split()))
    # Copied out of the key file, the line ends of the key are often still written as \n.
    key = given["privatekey"].replace("\\n", "\n")
    return BasicCredentials(
        "_json_key",
        json.dumps({"type": "service_account", "client_email": given["clientemail"], "private_key": key}),
    )


def _json_key(text: str) -> str:
    """The key file if it is one, else an empty text."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return text if isinstance(parsed, dict) and parsed.get("private_key") and parsed.get("client_email") else ""


def _value_problems(given: Mapping[str, str]) -> list[FieldProblem]:
    problems = []
    if "auth" in given:
        try:
            decode_auth(given["auth"])
        except CredentialsInvalid as exc:
            problems.append(FieldProblem("auth", str(exc)))
    if (key := given.get("jsonkey")) and not _json_key(key) and not _json_key(_decoded(key)):
        problems.append(
            FieldProblem("jsonkey", "This is not a key file of a Google service account (JSON, or base64 of it).")
        )
    if given.get("accountid") and not (given["accountid"].isdigit() and len(given["accountid"]) == 12):
        problems.append(FieldProblem("accountid", "An AWS account number has twelve digits."))
    names = ("login", "username", "clientid", "namespace", "account")
    problems += [
        FieldProblem(name, "A user name can not contain a colon: HTTP ends the name there.")
        for name in names
        if ":" in given.get(name, "")
    ]
    problems += [
        FieldProblem(name, "This contains a line break or another control character.")
        for name, value in given.items()
        if name not in ("jsonkey", "privatekey", "auth") and any(ord(char) < 32 or ord(char) == 127 for char in value)
    ]
    return problems


def _combination_problems(provider: Provider, needed: set[str]) -> list[FieldProblem]:
    """Point at the missing or the surplus fields of the nearest allowed combination."""
    nearest = min(provider.combinations, key=lambda fields: len(fields ^ needed))
    if surplus := sorted(needed - nearest):
        names = ", ".join(provider.field_named(name).label for name in sorted(nearest))
        return [FieldProblem(name, f"This can not be combined with {names}: leave one empty.") for name in surplus]
    missing = [field.name for field in provider.fields if field.name in nearest - needed]
    return [FieldProblem(name, f"This is needed too: {_wanted(provider)}.") for name in missing]


def _wanted(provider: Provider) -> str:
    """The allowed combinations in words: "give Docker ID and Password, or …"."""
    return "give " + ", or ".join(
        " and ".join(field.label for field in provider.fields if field.name in fields)
        for fields in provider.combinations
    )


def _given(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def _has(provider: Provider, name: str) -> bool:
    return any(field.name == name for field in provider.fields)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _without_text(exc: Exception) -> Exception:
    """The same kind of error without its arguments: UnicodeDecodeError carries the secret itself."""
    return ValueError(type(exc).__name__)
