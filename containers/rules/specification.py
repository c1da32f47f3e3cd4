"""The complete configuration of a container, as it takes to make it anew (pure).

It is read from ``GET /containers/{id}/json``, which mixes three things: what somebody asked for, what came from the
image, and what the Engine made up for this one run. Only the first belongs into a successor: a new image must be free
to bring its own defaults, and an address or an id of the old run would be wrong or refused.

Sources: Docker Engine API 1.41 to 1.51 (ContainerInspect, ContainerCreate); how the daemon merges an image's
configuration into a container's (moby, daemon/commit.go ``merge``); recorded answers of engines 20.10, 26, 28 and
podman 4.
"""

import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from containers.rules.answers import dict_of, link_of, list_of, path_of, signal_of, text_of, texts_of

# Since API 1.44 a create call takes several networks, and a MAC address belongs to a network, not to the container.
_ONE_NETWORK_BEFORE: Final = (1, 44)
_ANNOTATIONS_SINCE: Final = (1, 43)
_KERNEL_MEMORY_UNTIL: Final = (1, 42)

# Taken over as they stand; the rest of Config is merged with the image's and treated one by one.
_PLAIN_CONFIG: Final = ("Domainname", "Tty", "OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr")
# What the Engine writes by itself and does not take, or takes for another purpose.
_NEVER_HOST: Final = frozenset({"ContainerIDFile", "ConsoleSize", "Isolation", "KernelMemoryTCP"})
# Where zero, false or an empty list is a choice and not a default.
_MEANINGFUL_EMPTY: Final = frozenset({"Init", "MemorySwappiness", "MaskedPaths", "ReadonlyPaths"})
# What engines hide by themselves. A list of these alone is left out, so that a newer engine hides what it knows more.
_HIDDEN_BY_DEFAULT: Final = frozenset(
    {
        *("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
        *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
        *("/sys/devices/virtual/powercap", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
    }
)
_DEFAULT_NETWORKS: Final = ("bridge", "podman", "nat")
_PODMAN_VARIABLES: Final = re.compile(r"(?:TERM|HOSTNAME|HOME|container)=")
_CPU_SHARE: Final = re.compile(r"/cpu[0-9]+/thermal_throttle")


class InvalidSpecificationError(ValueError):
    """Stored JSON that is no specification."""


@dataclass(frozen=True, slots=True)
class Specification:
    """All that is asked of the Engine for one container.

    ``config`` is the top level of the create call's body (Image, Cmd, Env, Labels, …), ``host_config`` its HostConfig.
    ``networks`` are (network's name, EndpointConfig with Aliases, IPAMConfig, Links, DriverOpts, MacAddress,
    GwPriority); the first is the one that HostConfig's NetworkMode names. Empty when NetworkMode is host, none or
    another container's.
    """

    name: str
    config: Mapping[str, Any]
    host_config: Mapping[str, Any]
    networks: tuple[tuple[str, Mapping[str, Any]], ...]

    @property
    def image(self) -> str:
        """The image's reference."""
        return str(self.config.get("Image", ""))

    def with_image(self, reference: str) -> "Specification":
        """The same with another image."""
        return replace(self, config={**self.config, "Image": reference})

    def with_networks(self, networks: Iterable[tuple[str, Mapping[str, Any]]]) -> "Specification":
        """The same on other networks, of which the first becomes the NetworkMode; on none at all with none."""
        places = tuple(networks)
        mode = _mode_of(places[0][0]) if places else "none"
        return replace(self, host_config={**self.host_config, "NetworkMode": mode}, networks=places)

    def as_json(self) -> dict[str, Any]:
        """For an encrypted field: environment values are in it."""
        return {
            "name": self.name,
            "config": dict(self.config),
            "host_config": dict(self.host_config),
            "networks": [[name, dict(endpoint)] for name, endpoint in self.networks],
        }

    @classmethod
    def from_json(cls, value: Any) -> "Specification":
        """What `as_json` gave. Raises InvalidSpecificationError."""
        try:
            networks = tuple((name, endpoint) for name, endpoint in value["networks"])
            found = cls(value["name"], value["config"], value["host_config"], networks)
        except (KeyError, TypeError, ValueError) as exc:
            raise InvalidSpecificationError("What was stored is no specification of a container.") from exc
        texts = [found.name, *(name for name, _endpoint in networks)]
        mappings = [found.config, found.host_config, *(endpoint for _name, endpoint in networks)]
        if not all(isinstance(text, str) for text in texts) or not all(isinstance(each, dict) for each in mappings):
            raise InvalidSpecificationError("What was stored is no specification of a container.")
        return found


def specification_of(
    inspect: Mapping[str, Any], image_inspect: Mapping[str, Any], *, keeps_anonymous_volumes: bool = True
) -> Specification:
    """What was asked for when a container was made, from its inspect answer and that of its image.

    Values that only come from the image are left out, so that those of a new image hold; with an empty
    ``image_inspect`` everything counts as asked for. Anonymous volumes are mounted by their names, or, with
    ``keeps_anonymous_volumes`` false, made anew. What a successor must not share is dropped: the own id as host name
    and alias, and addresses that the Engine chose.
    """
    config, host = dict_of(inspect.get("Config")), dict_of(inspect.get("HostConfig"))
    image = dict_of(image_inspect.get("Config"))
    wanted_host = _host_config(host)
    wanted = _config(inspect, config, host, image)
    if keeps_anonymous_volumes:
        _keep_volumes(inspect, wanted, wanted_host)
    networks = _networks(inspect, config, host)
    if networks:
        wanted_host["NetworkMode"] = _mode_of(networks[0][0])
    elif not _shares_network(text_of(host.get("NetworkMode"))):
        # Taken off all its networks: the Engine would put a new one on the network that the mode names.
        wanted_host["NetworkMode"] = "none"
    if text_of(wanted_host.get("NetworkMode")).startswith("container:"):
        wanted.pop("ExposedPorts", None)
    return Specification(text_of(inspect.get("Name")).lstrip("/"), wanted, wanted_host, networks)


def create_body(
    specification: Specification, api_version: str
) -> tuple[dict[str, Any], list[tuple[str, Mapping[str, Any]]]]:
    """The body of the create call for an engine of this API version ("1.45"), and (network, endpoint) to connect then.

    Before API 1.44 an engine takes one network in the call, and a MAC address beside it; keys that a version does not
    know are left out.
    """
    version = parse_version(api_version)
    config, host = dict(specification.config), dict(specification.host_config)
    networks = [(name, dict(endpoint)) for name, endpoint in specification.networks]
    if version < _ANNOTATIONS_SINCE:
        host.pop("Annotations", None)
    if version >= _KERNEL_MEMORY_UNTIL:
        host.pop("KernelMemory", None)
    later: list[tuple[str, Mapping[str, Any]]] = []
    if version < _ONE_NETWORK_BEFORE:
        networks, later = networks[:1], [(name, _without(endpoint, "GwPriority")) for name, endpoint in networks[1:]]
        for _name, endpoint in networks:
            endpoint.pop("GwPriority", None)
            address = endpoint.pop("MacAddress", "")
            if address:
                config["MacAddress"] = address
    body = {**config, "HostConfig": host}
    # The mode alone says it, under the one name that Docker and podman share.
    is_default = len(networks) == 1 and networks[0][0] in _DEFAULT_NETWORKS and not networks[0][1]
    if networks and not is_default:
        body["NetworkingConfig"] = {"EndpointsConfig": dict(networks)}
    return body, later


def differences(
    old_inspect: Mapping[str, Any],
    new_inspect: Mapping[str, Any],
    *,
    old_image: Mapping[str, Any] | None = None,
    new_image: Mapping[str, Any] | None = None,
) -> list[str]:
    """What a successor does not share with the container that it replaces, one sentence each; empty if all is kept.

    What images bring is compared only when both are given. Values of variables and labels are not told.
    """
    old, new = specification_of(old_inspect, old_image or {}), specification_of(new_inspect, new_image or {})
    found = [
        f"{key} differs from the old container's."
        for key in sorted({*old.host_config, *new.host_config} - {"Binds", "Mounts", "Tmpfs"})
        if old.host_config.get(key) != new.host_config.get(key)
    ]
    keys = ["Hostname", "StopTimeout", *_PLAIN_CONFIG]
    if old_image is not None and new_image is not None:
        keys += ["Cmd", "Entrypoint", "User", "WorkingDir", "StopSignal", "Healthcheck", "Shell"]
        for key, what in (("Env", "variable"), ("Labels", "label")):
            lost = _pairs(old.config.get(key)) - _pairs(new.config.get(key))
            found += [f"The {what} {name} is missing or has another value." for name in sorted({n for n, _v in lost})]
    found += [f"{key} differs from the old container's." for key in keys if old.config.get(key) != new.config.get(key)]
    missing = _mounted(old_inspect) - _mounted(new_inspect)
    found += [f"{source or 'Nothing'} is not mounted at {path} as before." for source, path, _rw in sorted(missing)]
    return found + _network_differences(dict(old.networks), dict(new.networks))


def parse_version(text: str) -> tuple[int, int]:
    """An API version such as "1.45" as two numbers. Raises ValueError."""
    major, _dot, minor = text.partition(".")
    return int(major), int(minor)


def _config(
    inspect: Mapping[str, Any], config: Mapping[str, Any], host: Mapping[str, Any], image: Mapping[str, Any]
) -> dict[str, Any]:
    wanted: dict[str, Any] = {"Image": text_of(config.get("Image"))}
    hostname = text_of(config.get("Hostname"))
    mode = text_of(host.get("NetworkMode"))
    # With UTS or network of somebody else the name is theirs, and engines refuse to be told one.
    is_others = host.get("UTSMode") == "host" or mode.startswith("container:")
    if hostname and not is_others and not _is_own_id(inspect, hostname):
        wanted["Hostname"] = hostname
    wanted |= {key: config[key] for key in _PLAIN_CONFIG if config.get(key)}
    if config.get("StopTimeout") is not None:
        wanted["StopTimeout"] = config["StopTimeout"]
    wanted |= _program(config, image)
    for key in ("User", "WorkingDir", "Shell"):
        if config.get(key) and config.get(key) != image.get(key):
            wanted[key] = config[key]
    stop_signal = text_of(config.get("StopSignal"))
    # SIGTERM is what an engine does unasked; old clients wrote it down all the same.
    if signal_of(stop_signal) not in (None, signal.SIGTERM, signal_of(text_of(image.get("StopSignal")))):
        wanted["StopSignal"] = stop_signal
    from_image = set(texts_of(image.get("Env")))
    wanted["Env"] = [entry for entry in _variables(config) if entry not in from_image]
    labels, inherited = dict_of(config.get("Labels")), dict_of(image.get("Labels"))
    wanted["Labels"] = {key: value for key, value in labels.items() if inherited.get(key) != value}
    for key in ("ExposedPorts", "Volumes"):
        wanted[key] = {entry: {} for entry in dict_of(config.get(key)) if entry not in dict_of(image.get(key))}
    check = dict_of(config.get("Healthcheck"))
    ours = {key: value for key, value in check.items() if value and dict_of(image.get("Healthcheck")).get(key) != value}
    wanted["Healthcheck"] = ours
    return {key: value for key, value in wanted.items() if value not in ({}, []) or key in ("Entrypoint", "Cmd")}


def _program(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """Entrypoint and Cmd: an Engine takes the image's command only for a container with the image's entry point."""
    entrypoint, command = texts_of(config.get("Entrypoint")), texts_of(config.get("Cmd"))
    default_entrypoint, default_command = texts_of(image.get("Entrypoint")), texts_of(image.get("Cmd"))
    wanted: dict[str, Any] = {}
    drops_command = not command and bool(default_command)
    if entrypoint != default_entrypoint or drops_command:
        # [""] is how a client says "no entry point, and not the image's either".
        wanted["Entrypoint"] = entrypoint or [""]
        if command:
            wanted["Cmd"] = command
    elif command != default_command:
        wanted["Cmd"] = command
    return wanted


def _host_config(host: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {
        key: value
        for key, value in host.items()
        if key not in _NEVER_HOST and (value or (key in _MEANINGFUL_EMPTY and value is not None))
    }
    for key in ("MaskedPaths", "ReadonlyPaths"):
        paths = texts_of(wanted.get(key))
        if paths and all(path in _HIDDEN_BY_DEFAULT or _CPU_SHARE.search(path) for path in paths):
            del wanted[key]
    if wanted.get("MemorySwappiness") == -1:
        del wanted["MemorySwappiness"]
    # Podman writes both forms, and refuses to be given both.
    if wanted.get("NanoCpus"):
        wanted.pop("CpuPeriod", None)
        wanted.pop("CpuQuota", None)
    for key in ("PidMode", "UTSMode"):
        if wanted.get(key) == "private":
            del wanted[key]
    if wanted.get("Runtime") == "oci":
        del wanted["Runtime"]
    if "Ulimits" in wanted:
        wanted["Ulimits"] = [
            {**limit, "Name": text_of(limit.get("Name")).removeprefix("RLIMIT_").lower()}
            for limit in map(dict_of, list_of(wanted["Ulimits"]))
        ]
    if "Links" in wanted:
        wanted["Links"] = [link_of(text) for text in texts_of(wanted["Links"])]
    if "LogConfig" in wanted:
        log = dict_of(wanted["LogConfig"])
        wanted["LogConfig"] = {"Type": text_of(log.get("Type")), "Config": dict_of(log.get("Config"))}
    return wanted


def _keep_volumes(inspect: Mapping[str, Any], config: dict[str, Any], host: dict[str, Any]) -> None:
    """Mount by its name each volume that nobody named: of the image, of ``-v /path``, of a mount without a source."""
    mounts = [dict(mount) for mount in map(dict_of, list_of(host.get("Mounts")))]
    nameless = {path_of(mount.get("Target")): mount for mount in mounts if not mount.get("Source")}
    binds = texts_of(host.get("Binds"))
    taken = {path_of(bind.split(":")[1]) for bind in binds if ":" in bind}
    taken |= {path_of(mount.get("Target")) for mount in mounts if mount.get("Source")}
    kept = set()
    for mount in map(dict_of, list_of(inspect.get("Mounts"))):
        path, name = path_of(mount.get("Destination")), text_of(mount.get("Name"))
        if mount.get("Type") != "volume" or not name or not path or path in taken:
            continue
        kept.add(path)
        if path in nameless and nameless[path].get("Type") == "volume":
            nameless[path]["Source"] = name
        else:
            binds.append(f"{name}:{path}" + ("" if mount.get("RW") is not False else ":ro"))
    if mounts:
        host["Mounts"] = mounts
    if binds:
        host["Binds"] = binds
    volumes: dict[str, Any] = {path: {} for path in dict_of(config.get("Volumes")) if path_of(path) not in kept | taken}
    config.pop("Volumes", None)
    if volumes:
        config["Volumes"] = volumes


def _networks(
    inspect: Mapping[str, Any], config: Mapping[str, Any], host: Mapping[str, Any]
) -> tuple[tuple[str, dict[str, Any]], ...]:
    mode = text_of(host.get("NetworkMode"))
    if _shares_network(mode):
        return ()
    found = {
        str(name): _endpoint(inspect, config, dict_of(endpoint))
        for name, endpoint in dict_of(dict_of(inspect.get("NetworkSettings")).get("Networks")).items()
    }
    ids = {
        text_of(dict_of(endpoint).get("NetworkID")): str(name)
        for name, endpoint in dict_of(dict_of(inspect.get("NetworkSettings")).get("Networks")).items()
    }
    first = ids.get(mode, mode)
    if first not in found:
        first = next((name for name in _DEFAULT_NETWORKS if name in found), min(found, default=""))
    # All engines tell here, and here only, which address was asked for; the networks show the one in use.
    address = text_of(config.get("MacAddress"))
    if first in found and address:
        found[first]["MacAddress"] = address
    return tuple(sorted(found.items(), key=lambda place: (place[0] != first, place[0])))


def _endpoint(inspect: Mapping[str, Any], config: Mapping[str, Any], endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for on a network. Engines before 25 add the own id and the host name to the aliases."""
    hostname = text_of(config.get("Hostname"))
    aliases = [
        alias for alias in texts_of(endpoint.get("Aliases")) if alias != hostname and not _is_own_id(inspect, alias)
    ]
    wanted: dict[str, Any] = {
        "IPAMConfig": {key: value for key, value in dict_of(endpoint.get("IPAMConfig")).items() if value},
        "Links": [link_of(text) for text in texts_of(endpoint.get("Links"))],
        "Aliases": list(dict.fromkeys(aliases)),
        "DriverOpts": dict_of(endpoint.get("DriverOpts")),
        "GwPriority": endpoint.get("GwPriority"),
    }
    return {key: value for key, value in wanted.items() if value}


def _network_differences(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = [f"It is not on the network {name}." for name in sorted(old.keys() - new.keys())]
    found += [f"It is on the network {name}, the old container was not." for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        lost = set(texts_of(old[name].get("Aliases"))) - set(texts_of(new[name].get("Aliases")))
        found += [f"On the network {name} it lacks the alias {alias}." for alias in sorted(lost)]
        for key, what in (("IPAMConfig", "fixed address"), ("MacAddress", "MAC address"), ("Links", "links")):
            if old[name].get(key) != new[name].get(key):
                found.append(f"On the network {name} its {what} differs.")
    return found


def _mounted(inspect: Mapping[str, Any]) -> set[tuple[str, str, bool]]:
    return {
        (
            text_of(mount.get("Name")) or text_of(mount.get("Source")),
            path_of(mount.get("Destination")),
            mount.get("RW") is True,
        )
        for mount in map(dict_of, list_of(inspect.get("Mounts")))
    }


def _pairs(value: Any) -> set[tuple[str, str]]:
    if isinstance(value, dict):
        return {(str(name), str(content)) for name, content in value.items()}
    return {(name, content) for name, _equals, content in (entry.partition("=") for entry in texts_of(value))}


def _variables(config: Mapping[str, Any]) -> list[str]:
    """The environment without what podman adds to every container."""
    variables = texts_of(config.get("Env"))
    if "container=podman" not in variables:
        return variables
    own = {"TERM=xterm", "container=podman", "HOME=/root", f"HOSTNAME={text_of(config.get('Hostname'))}"}
    return [entry for entry in variables if entry not in own or not _PODMAN_VARIABLES.match(entry)]


def _shares_network(mode: str) -> bool:
    return mode in ("host", "none") or mode.startswith("container:")


def _mode_of(network: str) -> str:
    # Podman knows its default network under another name than its default mode.
    return "bridge" if network == "podman" else network


def _is_own_id(inspect: Mapping[str, Any], text: str) -> bool:
    return len(text) >= 12 and text_of(inspect.get("Id")).startswith(text)


def _without(endpoint: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in endpoint.items() if name != key}
