"""Carry what a form asks for over to a specification (pure). Shapes of changes: containers.rules.creation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from containers.rules.specification import Specification

EMPTY: Final = Specification("", {}, {}, ())
# An option of ours for a directory of the host: make it if it is missing.
CREATE: Final = "create"
# What only the older form of a bind mount knows: SELinux labels, and to make what is missing.
_BOUND_ONLY: Final = frozenset({"z", "Z", CREATE})
_PROPAGATIONS: Final = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})


def apply_changes(base: Specification, changes: Mapping[str, Any]) -> Specification:
    """The specification with the changes made, everything else as it was."""
    config, host = dict(base.config), dict(base.host_config)
    for target, key in ((config, "config"), (host, "host")):
        for name, value in changes.get(key, {}).items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = value
    if "image" in changes:
        config["Image"] = changes["image"]
    # Swap counts together with memory; the Engine takes twice the memory by itself.
    if "Memory" in changes.get("host", {}) and host.get("MemorySwap") != -1:
        host.pop("MemorySwap", None)
    # Either of the two forms, or the Engine refuses both.
    if "NanoCpus" in changes.get("host", {}):
        host.pop("CpuQuota", None)
        host.pop("CpuPeriod", None)
    if "env" in changes:
        config["Env"] = _variables(config.get("Env") or [], changes["env"])
    if "label" in changes:
        kept = {
            key: value for key, value in (config.get("Labels") or {}).items() if key not in changes["label"]["drop"]
        }
        config["Labels"] = kept | changes["label"]["set"]
    if "ports" in changes:
        _publish(config, host, changes["ports"])
    if "mounts" in changes:
        _mount(config, host, changes["mounts"])
    found = replace(base, name=changes.get("name", base.name), config=config, host_config=host)
    return _connect(found, changes["networks"]) if "networks" in changes else found


def _variables(now: list[str], changes: Mapping[str, Any]) -> list[str]:
    """In the order that they had, new ones last."""
    entries = {entry.partition("=")[0]: entry for entry in now}
    for name in changes["drop"]:
        entries.pop(name, None)
    return list((entries | {name: f"{name}={value}" for name, value in changes["set"].items()}).values())


def _publish(config: dict[str, Any], host: dict[str, Any], ports: list[list[str]]) -> None:
    bindings: dict[str, list[dict[str, str]]] = {}
    for address, outer, inner, protocol in ports:
        bindings.setdefault(f"{inner}/{protocol}", []).append({"HostIp": address, "HostPort": outer})
    before = host.get("PortBindings") or {}
    exposed: dict[str, Any] = {port: {} for port in config.get("ExposedPorts") or {} if port not in before}
    host["PortBindings"] = bindings
    config["ExposedPorts"] = exposed | {port: {} for port in bindings}


def _mount(config: dict[str, Any], host: dict[str, Any], mounts: list[list[str]]) -> None:
    """Binds, Mounts and Tmpfs anew; a mount that was there keeps what the form does not show of it."""
    known = {_path(mount.get("Target")): mount for mount in host.get("Mounts") or ()}
    bound = {tuple(bind.split(":")[:2]) for bind in host.get("Binds") or ()}
    binds: list[str] = []
    others: list[dict[str, Any]] = []
    tmpfs: dict[str, str] = {}
    volumes: dict[str, Any] = {}
    for kind, source, target, options in mounts:
        before = known.get(_path(target))
        if before is not None and before.get("Type") == kind:
            others.append(_as_before(before, source, options))
        elif kind == "tmpfs":
            tmpfs[target] = options
        elif kind == "bind" and (source, target) not in bound and not _BOUND_ONLY & set(options.split(",")):
            others.append(_bind(source, target, options))
        elif source:
            words = [word for word in options.split(",") if word and word != CREATE]
            binds.append(":".join(part for part in (source, target, ",".join(words)) if part))
        else:
            volumes[target] = {}
    for key, value in (("Binds", binds), ("Mounts", others), ("Tmpfs", tmpfs)):
        host.pop(key, None)
        if value:
            host[key] = value
    config.pop("Volumes", None)
    if volumes:
        config["Volumes"] = volumes


def _bind(source: str, target: str, options: str) -> dict[str, Any]:
    """In the form that the Engine refuses when the source is missing; the other one makes an empty directory of it."""
    words = set(options.split(",")) & _PROPAGATIONS
    mount: dict[str, Any] = {"Type": "bind", "Source": source, "Target": target}
    if "ro" in options.split(","):
        mount["ReadOnly"] = True
    if words:
        mount["BindOptions"] = {"Propagation": words.pop()}
    return mount


def _as_before(mount: Mapping[str, Any], source: str, options: str) -> dict[str, Any]:
    found = {key: value for key, value in mount.items() if key not in ("Source", "ReadOnly")}
    if source:
        found["Source"] = source
    words = options.split(",")
    if "ro" in words:
        found["ReadOnly"] = True
    size = next((word.removeprefix("size=") for word in words if word.startswith("size=")), "")
    if size.isascii() and size.isdigit():
        found["TmpfsOptions"] = {**(mount.get("TmpfsOptions") or {}), "SizeBytes": int(size[:18])}
    return found


def _connect(specification: Specification, wanted: Mapping[str, Any]) -> Specification:
    """On the networks of the form; of those it was on already, links, driver options and MAC address stay."""
    if wanted["mode"] != "networks":
        config = dict(specification.config)
        if wanted["mode"].startswith("container:"):
            for key in ("Hostname", "Domainname", "ExposedPorts"):
                config.pop(key, None)
        host = {**specification.host_config, "NetworkMode": wanted["mode"]}
        return replace(specification, config=config, host_config=host, networks=())
    before = dict(specification.networks)
    places = []
    for name, aliases, ipv4, ipv6 in wanted["rows"]:
        endpoint = dict(before.get(name, {}))
        endpoint["Aliases"] = aliases
        addresses = {**(endpoint.get("IPAMConfig") or {}), "IPv4Address": ipv4, "IPv6Address": ipv6}
        endpoint["IPAMConfig"] = {key: value for key, value in addresses.items() if value}
        places.append((name, {key: value for key, value in endpoint.items() if value}))
    return specification.with_networks(places)


def _path(value: Any) -> str:
    text = str(value or "")
    return text.rstrip("/") or text
