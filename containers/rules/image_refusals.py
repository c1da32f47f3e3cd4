"""What to do about what engines say when they refuse to pull, load or remove an image. Pure."""

import re
from typing import Final

# The first that fits counts; patterns are of engines 20.10 to 28, of containerd's store, and of podman 4.
_PULL: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), fix)
    for pattern, fix in (
        (
            r"toomanyrequests|rate limit|too many requests",
            "The registry limits how often images are pulled. Wait, or add an account for {registry} under"
            " Registries, whose pulls are counted by themselves.",
        ),
        (
            r"no matching manifest|no image found in (?:manifest list|image index)|not match the specified platform",
            "The image is not built for that platform. Choose a platform that it has, or another tag.",
        ),
        (
            r"manifest unknown|manifest for .* not found|not found: manifest|: not found\.?$|name unknown|404 \(",
            "{registry} has no such tag or digest. Look for the tags of the repository under Registries.",
        ),
        (
            r"no space left|disk quota exceeded|not enough space",
            "The host's disk is full. Remove unused images there first (Images, Prune).",
        ),
        (
            r"unauthorized|authentication required|denied|no basic auth credentials|forbidden|incorrect username",
            "Check the name. If the repository is private, add an account for {registry} under Registries that may"
            " pull it.",
        ),
        (
            r"server gave HTTP response to HTTPS client",
            "{registry} does not speak HTTPS. Name it under insecure-registries in /etc/docker/daemon.json on the host,"
            " or copy the image from a host that has it.",
        ),
        (
            r"x509|certificate|tls:",
            "The host does not trust the certificate of {registry}: put its CA into"
            " /etc/docker/certs.d/{registry}/ca.crt on the host.",
        ),
        (
            r"no such host|server misbehaving|name resolution|lookup ",
            "The host finds no address for {registry}: check its DNS, or copy the image from a host that has it.",
        ),
        (
            r"connection refused|i/o timeout|no route to host|network is unreachable|deadline exceeded|client\.timeout|"
            r"request canceled while waiting",
            "The host does not reach {registry}. If it has no way there, copy the image from a host that has it.",
        ),
        (
            r"context canceled|unexpected EOF|connection reset",
            "The transfer was interrupted: try again. What was fetched completely is not fetched twice.",
        ),
    )
)
_LOAD: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), fix)
    for pattern, fix in (
        (
            r"no space left|disk quota exceeded|not enough space",
            "The disk is full: for a while the archive and its layers both need room. Remove unused images first.",
        ),
        (
            r"unexpected EOF|invalid tar|archive/tar|does not exist|no such file",
            "The archive did not arrive whole: try again.",
        ),
    )
)


def pull_fix(message: str, registry: str) -> str:
    """What a person can do after an engine refused to pull from a registry; empty when nothing is known of it."""
    return _fix(_PULL, message).format(registry="Docker Hub" if registry == "docker.io" else registry)


def load_fix(message: str) -> str:
    """What a person can do after an engine refused an archive."""
    return _fix(_LOAD, message)


def _fix(table: tuple[tuple[re.Pattern[str], str], ...], message: str) -> str:
    return next((fix for pattern, fix in table if pattern.search(message[:4000])), "")
