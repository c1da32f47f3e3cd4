"""From an answer that is not what was asked for to the error that says so."""

from registries.client.exchange import Answer
from registries.errors import BadResponse, Forbidden, NotFound, RegistryError, RegistryUnsupported
from registries.providers import Access
from registries.rules.error_bodies import parse_error

_GONE = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "NAME_INVALID"})


def failure(access: Access, answer: Answer, what: str) -> RegistryError:
    """The error for any status but 200, 401, 429 and 5xx; ``what`` was asked for, as in "the tags of a/b"."""
    message = parse_error(answer.body)
    host = access.host
    quoted = f": {message.text.rstrip('.')}" if message.text else ""
    details = {
        "host": host,
        "path": answer.url.partition("?")[0].partition("://")[2].partition("/")[2],
        "http_status": answer.status,
        "registry_code": message.code,
        "registry_message": message.text,
    }
    who = "without an account" if access.is_anonymous else "with this account"
    if answer.status == 403 or message.code == "DENIED":
        return Forbidden(
            f"{host} does not let us read {what} {who}{quoted}.",
            fix="Check the name; for a private repository, check the account under Registries and its rights.",
            details=details,
        )
    if answer.status == 404 or message.code in _GONE:
        is_registry = message.code or "docker-distribution-api-version" in answer.headers or not answer.body
        fix = "" if is_registry else "Check that this is the address of a registry: the answer is not that of one."
        return NotFound(f"{host} does not have {what}{quoted}.", fix=fix, details=details)
    if answer.status == 400 and b"HTTP request to an HTTPS server" in answer.body:
        return RegistryUnsupported(
            f"{host} speaks HTTPS, and was asked in plain HTTP.",
            fix="Use https:// in the registry's address.",
            details=details,
        )
    return BadResponse(
        f"{host} answers the question for {what} with HTTP status {answer.status}{quoted}.", details=details
    )
