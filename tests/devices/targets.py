"""Targets for the fleet's hosts, as the product would make them from its rows."""

from dataclasses import replace
from typing import Any

from devices.rules.host_keys import parse_host_key
from devices.rules.targets import Authentication, ConnectionTarget
from tests.fleet import Fleet, Host


def by_key(fleet: Fleet, username: str = "op", **changes: Any) -> Authentication:
    """Log-in with the fleet's key."""
    return replace(Authentication(username, private_key=fleet.layout.key_file.read_text()), **changes)


def by_password(fleet: Fleet, host: Host, username: str = "op", **changes: Any) -> Authentication:
    """Log-in with that user's password."""
    password = fleet.entry(host.number).users[username].password
    return replace(Authentication(username, password=password), **changes)


def target_of(
    fleet: Fleet, host: Host, authentication: Authentication | None = None, **changes: Any
) -> ConnectionTarget:
    """The host as a saved device, by default with user op (group docker) and the fleet's key."""
    entry = fleet.entry(host.number)
    target = ConnectionTarget(
        device_id=f"device-{host.number}",
        name=f"host {host.name}",
        address=entry.address,
        port=entry.port,
        authentication=authentication or by_key(fleet),
        pinned_keys=(parse_host_key(entry.host_key),),
        socket_path=entry.socket,
        connect_timeout_s=8,
        request_timeout_s=15,
    )
    return replace(target, **changes)
