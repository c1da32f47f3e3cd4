"""Hosts out of an OpenSSH client configuration (ssh_config(5)); nothing in it is executed or looked up (pure)."""

import shlex
from dataclasses import dataclass, field

from devices.rules.addresses import AddressError, HostAddress, parse_address, parse_port
from devices.rules.imports import (
    MOST_JUMPS,
    Collector,
    Found,
    ImportedHost,
    check_size,
    located,
    safe_name,
)

_FAMILIES = {"inet": "ipv4", "inet6": "ipv6"}
# What has an equal in SSM, but needs a person: where to say so.
_NOTED = {
    "identityfile": "its key file {value} has to be stored as a log-in",
    "certificatefile": "its certificate {value} has to be stored with a log-in",
    "proxycommand": "its ProxyCommand is not run: choose jump hosts or a proxy instead",
    "identityagent": "its agent {value} is not used",
    "remotecommand": "its RemoteCommand is not run",
    "kexalgorithms": "its KexAlgorithms are not taken over: allow outdated algorithms if it needs them",
    "ciphers": "its Ciphers are not taken over: allow outdated algorithms if it needs them",
    "hostkeyalgorithms": "its HostKeyAlgorithms are not taken over: allow outdated algorithms if it needs them",
}
_MOST_LINES = 20_000
_MOST_BLOCKS = 2000


@dataclass(slots=True)
class _Block:
    """The options below one ``Host`` line, by lower-case keyword; the first value of each counts."""

    patterns: list[str]
    options: dict[str, str] = field(default_factory=dict)


def parse_ssh_config(text: str) -> Found:
    """Each host that a ``Host`` line names without wildcards, with the options that hold for it.

    ``Match`` blocks (but ``Match all``) and ``Include`` are left out and noted.
    """
    check_size(text)
    collector = Collector()
    blocks = _blocks(text, collector)
    aliases = dict.fromkeys(name for block in blocks for name in block.patterns if not set(name) & set("*?!"))
    for alias in aliases:
        collector.add(_host(alias, blocks))
    if not aliases:
        collector.note("No Host line of this text names a host without wildcards.")
    return collector.found()


def _blocks(text: str, collector: Collector) -> list[_Block]:
    blocks = [_Block(["*"])]
    current: _Block | None = blocks[0]
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        words = _words(line)
        if not words:
            continue
        keyword, values = words[0].lower(), words[1:]
        if keyword == "host":
            current = _Block(values[:200])
            blocks.append(current)
        elif keyword == "match":
            current = _Block(["*"]) if [value.lower() for value in values] == ["all"] else None
            if current is None:
                collector.note(f"Line {number}: options below “Match {' '.join(values)}” are left out.")
            else:
                blocks.append(current)
        elif keyword == "include":
            collector.note(f"Line {number}: Include {' '.join(values)} is not followed: paste that file as well.")
        elif current is not None and values:
            current.options.setdefault(keyword, " ".join(values))
        if len(blocks) > _MOST_BLOCKS:
            collector.note(f"Hosts after line {number} are left out: too many blocks.")
            break
    return blocks


def _words(line: str) -> list[str]:
    line = line.strip()
    if not line or line.startswith("#"):
        return []
    keyword = (line.split("=", 1)[0].split(None, 1) or [""])[0]
    rest = line[len(keyword) :].lstrip()
    rest = rest[1:] if rest.startswith("=") else rest
    try:
        return [keyword, *shlex.split(rest, comments=True)]
    except ValueError:
        return [keyword, *rest.split()]


def _options(alias: str, blocks: list[_Block]) -> dict[str, str]:
    options: dict[str, str] = {}
    for block in blocks:
        if _applies(alias, block.patterns):
            for keyword, value in block.options.items():
                options.setdefault(keyword, value)
    return options


def _applies(alias: str, patterns: list[str]) -> bool:
    if any(pattern.startswith("!") and wildcard_matches(pattern[1:], alias) for pattern in patterns):
        return False
    return any(wildcard_matches(pattern, alias) for pattern in patterns if not pattern.startswith("!"))


def wildcard_matches(pattern: str, text: str) -> bool:
    """Whether the pattern with ``*`` and ``?`` stands for ``text``. Takes at most the product of both lengths."""
    at = mark = 0
    star = -1
    while at < len(text):
        if mark < len(pattern) and pattern[mark] == "*":
            star, resume, mark = mark, at, mark + 1
        elif mark < len(pattern) and pattern[mark] in ("?", text[at]):
            at, mark = at + 1, mark + 1
        elif star >= 0:
            resume += 1
            at, mark = resume, star + 1
        else:
            return False
    return not pattern[mark:].strip("*")


def _host(alias: str, blocks: list[_Block]) -> ImportedHost:
    options = _options(alias, blocks)
    notes = [text.format(value=safe_name(options[keyword])) for keyword, text in _NOTED.items() if keyword in options]
    try:
        where = _where(alias, options)
        jumps = _jumps(options.get("proxyjump", ""), blocks)
    except AddressError as exc:
        return ImportedHost(safe_name(alias), safe_name(options.get("hostname", alias)), fault=str(exc))
    return ImportedHost(
        safe_name(alias),
        where.host,
        where.port,
        where.username,
        jumps=jumps,
        address_family=_FAMILIES.get(options.get("addressfamily", "").lower(), "any"),
        connect_timeout_s=_number(options.get("connecttimeout", ""), 1, 120),
        keepalive_s=_number(options.get("serveraliveinterval", ""), 0, 3600),
        compression=options.get("compression", "").lower() == "yes",
        notes=tuple(notes),
    )


def _where(alias: str, options: dict[str, str]) -> HostAddress:
    name = options.get("hostname", alias).replace("%h", alias).replace("%n", alias)
    port = parse_port(options["port"]) if "port" in options else None
    return located(f"[{name}]" if name.count(":") > 1 else name, port=port, username=options.get("user", ""))


def _jumps(text: str, blocks: list[_Block]) -> tuple[HostAddress, ...]:
    if text.strip().lower() in ("", "none"):
        return ()
    found = []
    for part in text.split(",")[: MOST_JUMPS + 1]:
        user, at, rest = part.strip().rpartition("@")
        alias = rest.partition(":")[0]
        options = _options(alias, blocks)
        if rest == alias and ("hostname" in options or "user" in options or "port" in options):
            where = _where(alias, options)
            found.append(HostAddress(where.host, where.port, user if at else where.username))
        else:
            found.append(parse_address(part.strip()))
    if len(found) > MOST_JUMPS:
        raise AddressError(f"More than {MOST_JUMPS} jump hosts.")
    return tuple(found)


def _number(text: str, least: int, most: int) -> int | None:
    if not text.isdecimal() or len(text) > 6:
        return None
    return min(max(int(text), least), most)
