"""Links to what is in an image: from ``wud.link.template``, or from the OCI labels that its maker wrote. Pure.

A template only has names put into it; it is never evaluated. What comes of it is an http or https address with
everything else percent-encoded, or nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from registries.rules.tags import parse_version

MAX_TEMPLATE: Final = 1024
MAX_LINK: Final = 2048
_PLACEHOLDER: Final = re.compile(r"\$\{([^{}]*)\}")
# Left alone in the text between the placeholders, as the characters of a URL (RFC 3986).
_URL_SAFE: Final = "/:?#[]@!$&'()*+,;=%-._~"
_SOURCE_LABELS: Final = (
    "org.opencontainers.image.source",
    "org.opencontainers.image.url",
    "org.opencontainers.image.documentation",
    "org.label-schema.vcs-url",
    "org.label-schema.url",
)
# Hosts whose repositories have their releases at a known path.
_RELEASES: Final = {"github.com": "/releases", "codeberg.org": "/releases", "gitlab.com": "/-/releases"}
_REPOSITORY_PATH: Final = re.compile(r"/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """An address, empty when there is none; ``warning`` says why a template gave none."""

    url: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What placeholders stand for: the tag as it is and as it was rewritten, the container's name, the repository."""

    tag: str
    transformed: str
    container: str
    repository: str


def link_from_template(template: str, facts: LinkFacts) -> Link:
    """Fill in a template. No template: no link and no warning."""
    template = template.strip()
    if not template:
        return Link("")
    if len(template) > MAX_TEMPLATE:
        return Link("", f"It has {len(template)} characters; {MAX_TEMPLATE} are allowed.")
    values = _values(facts)
    for name in _PLACEHOLDER.findall(template):
        if name.strip() not in values:
            return Link(
                "", f"It has the placeholder “${{{name[:40]}}}”, which is not known. Known: {', '.join(values)}."
            )
    parts: list[str] = []
    position = 0
    for match in _PLACEHOLDER.finditer(template):
        parts += [quote(template[position : match.start()], safe=_URL_SAFE), quote(values[match[1].strip()], safe="")]
        position = match.end()
    return _checked("".join(parts) + quote(template[position:], safe=_URL_SAFE))


def _values(facts: LinkFacts) -> dict[str, str]:
    version = parse_version(facts.transformed)
    numbers = version.numbers if version else ()
    padded = [*numbers, "", "", ""]
    return {
        "original": facts.tag,
        "raw": facts.tag,
        "tag": facts.tag,
        "transformed": facts.transformed,
        "major": padded[0],
        "minor": padded[1],
        "patch": padded[2],
        "prerelease": version.prerelease if version else "",
        "container": facts.container,
        "repo": facts.repository,
    }


def _checked(url: str) -> Link:
    if len(url) > MAX_LINK:
        return Link("", f"It makes an address of more than {MAX_LINK} characters.")
    try:
        split = urlsplit(url)
        host = split.hostname or ""
        _port = split.port
    except ValueError:
        return Link("", "It makes no valid address.")
    if split.scheme not in ("http", "https"):
        return Link("", "Only http and https addresses are shown.")
    if not host or "@" in split.netloc or "%" in split.netloc:
        return Link("", "It makes no address of a plain host.")
    return Link(url)


def safe_url(text: str) -> str:
    """An http or https address that somebody else wrote, percent-encoded; empty for any other text."""
    text = text.strip()
    return "" if len(text) > MAX_LINK or re.search(r"\s", text) else _checked(quote(text, safe=_URL_SAFE)).url


def source_link(labels: Mapping[str, object]) -> str:
    """Where an image comes from by its OCI labels; of well-known hosts the page with the releases. May be empty."""
    for name in _SOURCE_LABELS:
        value = labels.get(name)
        url = safe_url(value) if isinstance(value, str) else ""
        if url:
            return _releases(url)
    return ""


def _releases(url: str) -> str:
    split = urlsplit(url)
    path = split.path.removesuffix("/").removesuffix(".git")
    tail = _RELEASES.get((split.hostname or "").removeprefix("www."))
    if tail and _REPOSITORY_PATH.fullmatch(path) and not split.query:
        return f"https://{split.netloc}{path}{tail}"
    return url
