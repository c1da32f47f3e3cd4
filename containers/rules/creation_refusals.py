"""What a person can do about an engine's refusal to create or start a container (pure).

Sentences of moby (daemon, libnetwork, runc) from 20.10 to 28 and of podman 4.
"""

import re
from typing import Final

_FIXES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), fix)
    for pattern, fix in (
        (r"name .{0,300}is already in use", "Choose another name, or remove the container that has it."),
        (
            r"port is already allocated|address already in use.{0,80}(?:bind|listen)|failed to bind host port|"
            r"(?:bind|listen|expose).{0,200}address already in use",
            "Another container or program of the host has the port: choose another host port, or leave it empty.",
        ),
        (
            r"bind source path does not exist|no such file or directory.{0,80}mount|statfs",
            ("The directory is not on the host: correct its path, or add the option “create” to have it made."),
        ),
        (r"duplicate mount point", "Two mounts share a place in the container: the image may declare a volume there."),
        (r"no such image|image not known", "The image is not on the host: pull it, or correct its name."),
        (r"network .{0,300}not found|unable to find network", "Choose a network of the host, or create it first."),
        (
            r"user (?:specified|configured) IP|user configured subnets",
            "Fixed addresses need a network that was created with a subnet: choose one, or leave the address empty.",
        ),
        (
            r"address already in use|address is already|requested IP address .{0,80}(?:already|in use)",
            "Another container on that network has the address: choose another, or leave it empty.",
        ),
        (
            r"no configured subnet|not in the .{0,40}subnet|invalid address",
            "Choose an address within the network's subnet.",
        ),
        (
            r"executable file not found|exec format error|unable to start container process: exec|"
            r"(?:no such file or directory|permission denied): unknown",
            "The command is not in the image, or is not made for this machine: correct the command or the entry point.",
        ),
        (r"network-scoped alias", "Further names need a network of your own: the default one knows none."),
        (r"no matching entries in passwd|unable to find user", "The image has no such user: write its number instead."),
        (r"no space left", "The disk of the host is full: remove unused images, volumes or containers."),
        (r"minimum memory limit", "Give at least 6 MiB of memory."),
        (r"range of cpus", "Choose no more CPUs than the host has."),
        (
            r"could not select device driver|unknown or invalid runtime",
            "The host lacks the driver or runtime asked for.",
        ),
        (r"looking up logging plugin|unknown log opt|log driver", "Correct the log driver and its options."),
        (r"invalid capability|unknown capability", "Correct the names of the capabilities."),
        (r"is not running|non running container", "The container whose network it shares must run first."),
        (r"toomanyrequests|rate limit", "The registry allows no more pulls for now: store an account for it, or wait."),
    )
)


def creation_fix(message: str) -> str:
    """What to do after the engine's sentence; empty when nothing is known of it."""
    return next((fix for pattern, fix in _FIXES if pattern.search(message[:4000])), "")
