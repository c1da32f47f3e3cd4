"""The next page that a Link header names (pure; RFC 8288)."""

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from registries.rules.origins import InvalidUrlError, origin_of

_LINK = re.compile(r"<([^<>]*)>((?:[^,<\"]|\"(?:[^\"\\]|\\.)*\")*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,]+))", re.IGNORECASE)
MAX_HEADER = 8192


class UnsafeLinkError(ValueError):
    """The next page is said to be where it can't be; the text says where, to be read after "the next page"."""


def next_page(request_url: str, headers: Iterable[str]) -> str | None:
    """The absolute URL of the page after ``request_url``; None on the last page.

    The target is taken as it is, never decoded: some registries put opaque, percent-encoded marks into it. It must
    have the path of the request. Registries behind a proxy name themselves with the wrong scheme or port, so those
    are taken from the request; another host raises UnsafeLinkError.
    """
    target = _target(headers)
    if not target:
        return None
    asked = urlsplit(request_url)
    try:
        resolved = urljoin(request_url, target)
        origin = origin_of(resolved)
    except (InvalidUrlError, ValueError) as exc:
        raise UnsafeLinkError("is not a URL that can be asked") from exc
    parts = urlsplit(resolved)
    if origin.host != origin_of(request_url).host:
        raise UnsafeLinkError("is on another host")
    if parts.path != asked.path:
        raise UnsafeLinkError("has another path")
    return f"{asked.scheme}://{asked.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _target(headers: Iterable[str]) -> str:
    for header in headers:
        if len(header) > MAX_HEADER:
            continue
        for link in _LINK.finditer(header):
            relation = _REL.search(link[2])
            if relation and "next" in (relation[1] or relation[2] or "").lower().split():
                return link[1].strip()
    return ""
