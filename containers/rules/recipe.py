"""How a container was made, told from its inspect answer: the values that differ from the Engine's defaults (pure).

Keys are those of the Docker Engine API 1.41 to 1.51 (ContainerInspect: Config, HostConfig, NetworkSettings).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_MOST: Final = 500
_HOST_NAME: Final = re.compile(r"[0-9a-f]{12}")
_DEFAULT_SHM: Final = 64 * 1024**2
_COMPOSE_LABELS: Final = "com.docker.compose."


@dataclass(frozen=True, slots=True)
class Publication:
    """A published port; ``host_port`` is empty for one that the Engine chooses."""

    host_ip: str
    host_port: str
    container_port: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Place:
    """A network with what was asked for there: fixed addresses and further names."""

    name: str
    address: str
    address6: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """A health check; times in nanoseconds, 0 for the default."""

    test: tuple[str, ...]
    interval: int
    timeout: int
    start_period: int
    retries: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What it takes to make the container again; empty and None where the Engine's default holds."""

    name: str
    image: str
    command: tuple[str, ...]
    entrypoint: tuple[str, ...] | None
    variables: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    ports: tuple[Publication, ...]
    exposed: tuple[str, ...]
    volumes: tuple[tuple[str, str, str], ...]
    tmpfs: tuple[tuple[str, str], ...]
    network_mode: str
    networks: tuple[Place, ...]
    restart: str
    check: Check | None
    settings: Mapping[str, Any]


def recipe(answer: Mapping[str, Any], variables: Sequence[tuple[str, str]]) -> Recipe:
    """The recipe of ``GET /containers/{id}/json``, with the environment as given (its values may be masked)."""
    config, host = _dict(answer.get("Config")), _dict(answer.get("HostConfig"))
    mode = _text(host.get("NetworkMode"))
    shares = mode in ("host", "none") or mode.startswith("container:")
    entrypoint = config.get("Entrypoint")
    return Recipe(
        name=_text(answer.get("Name")).lstrip("/"),
        image=_text(config.get("Image")),
        command=_texts(config.get("Cmd")),
        entrypoint=_texts(entrypoint) if entrypoint is not None else None,
        variables=tuple(variables),
        labels=tuple(
            (str(name), _text(value))
            for name, value in sorted(_dict(config.get("Labels")).items())[:_MOST]
            if not str(name).startswith(_COMPOSE_LABELS)
        ),
        ports=_publications(_dict(host.get("PortBindings"))),
        exposed=tuple(sorted(set(_dict(config.get("ExposedPorts"))) - set(_dict(host.get("PortBindings")))))[:_MOST],
        volumes=_volumes(answer),
        tmpfs=tuple((str(path), _text(options)) for path, options in list(_dict(host.get("Tmpfs")).items())[:_MOST]),
        network_mode=mode if shares else "",
        networks=() if shares else _places(answer, config),
        restart=_restart(_dict(host.get("RestartPolicy"))),
        check=_check(_dict(config.get("Healthcheck"))),
        settings=_settings(answer, config, host),
    )


def _settings(answer: Mapping[str, Any], config: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """The rest, by the names of compose's keys; only what is not a default."""
    hostname = _text(config.get("Hostname"))
    is_own = hostname and not (_HOST_NAME.fullmatch(hostname) and _text(answer.get("Id")).startswith(hostname))
    log = _dict(host.get("LogConfig"))
    pids = host.get("PidsLimit")
    found: dict[str, Any] = {
        "hostname": hostname if is_own and host.get("NetworkMode") != "host" else "",
        "domainname": _text(config.get("Domainname")),
        "user": _text(config.get("User")),
        "working_dir": _text(config.get("WorkingDir")).removesuffix("/"),
        "tty": config.get("Tty") is True,
        "stdin_open": config.get("OpenStdin") is True,
        "stop_signal": _text(config.get("StopSignal")),
        "stop_grace_period": _positive(config.get("StopTimeout")),
        "privileged": host.get("Privileged") is True,
        "read_only": host.get("ReadonlyRootfs") is True,
        "init": host.get("Init") is True,
        "cap_add": _texts(host.get("CapAdd")),
        "cap_drop": _texts(host.get("CapDrop")),
        "security_opt": _texts(host.get("SecurityOpt")),
        "group_add": _texts(host.get("GroupAdd")),
        "dns": _texts(host.get("Dns")),
        "dns_search": _texts(host.get("DnsSearch")),
        "extra_hosts": _texts(host.get("ExtraHosts")),
        "devices": tuple(_device(_dict(entry)) for entry in _list(host.get("Devices"))),
        "sysctls": {str(key): _text(value) for key, value in _dict(host.get("Sysctls")).items()},
        "ulimits": {
            _text(entry.get("Name")): (entry.get("Soft"), entry.get("Hard"))
            for entry in map(_dict, _list(host.get("Ulimits")))
        },
        "pid": _text(host.get("PidMode")),
        "ipc": _text(host.get("IpcMode")) if _text(host.get("IpcMode")) not in ("private", "shareable") else "",
        "userns_mode": _text(host.get("UsernsMode")),
        "runtime": _text(host.get("Runtime")) if _text(host.get("Runtime")) not in ("runc", "oci") else "",
        "mem_limit": _positive(host.get("Memory")),
        "mem_reservation": _positive(host.get("MemoryReservation")),
        "memswap_limit": -1 if host.get("MemorySwap") == -1 else _positive(host.get("MemorySwap")),
        "nano_cpus": _positive(host.get("NanoCpus")),
        "cpu_shares": _positive(host.get("CpuShares")),
        "cpuset": _text(host.get("CpusetCpus")),
        "pids_limit": _positive(pids),
        "oom_score_adj": host.get("OomScoreAdj") or None,
        "shm_size": _positive(host.get("ShmSize")) if host.get("ShmSize") != _DEFAULT_SHM else None,
        "logging": (_text(log.get("Type")), {str(key): _text(v) for key, v in _dict(log.get("Config")).items()}),
        "auto_remove": host.get("AutoRemove") is True,
    }
    if found["mem_limit"] and found["memswap_limit"] == 2 * found["mem_limit"]:
        found["memswap_limit"] = None  # what the Engine does by itself
    if found["logging"] in (("json-file", {}), ("journald", {}), ("", {})):
        found["logging"] = None
    return {key: value for key, value in found.items() if value not in (None, "", (), {}, False)}


def _publications(bindings: Mapping[str, Any]) -> tuple[Publication, ...]:
    found = []
    for spec, entries in list(bindings.items())[:_MOST]:
        port, _slash, protocol = str(spec).partition("/")
        for entry in map(_dict, _list(entries)):
            found.append(Publication(_text(entry.get("HostIp")), _text(entry.get("HostPort")), port, protocol or "tcp"))
    return tuple(found)


def _volumes(answer: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """(source, destination, options) of bind mounts and volumes; anonymous volumes have an empty source."""
    found = []
    for mount in map(_dict, _list(answer.get("Mounts"))):
        if mount.get("Type") not in ("bind", "volume"):
            continue
        source = _text(mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source"))
        if mount.get("Type") == "volume" and re.fullmatch(r"[0-9a-f]{64}", source):
            source = ""
        options = [] if mount.get("RW") is not False else ["ro"]
        propagation = _text(mount.get("Propagation"))
        if mount.get("Type") == "bind" and propagation not in ("", "rprivate"):
            options.append(propagation)
        found.append((source, _text(mount.get("Destination")), ",".join(options)))
    return tuple(sorted(found, key=lambda entry: entry[1]))


def _places(answer: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Place, ...]:
    own = {_text(answer.get("Id"))[:12], _text(config.get("Hostname")), _text(answer.get("Name")).lstrip("/")}
    found: list[Place] = []
    for name, network in _dict(_dict(answer.get("NetworkSettings")).get("Networks")).items():
        wanted = _dict(_dict(network).get("IPAMConfig"))
        aliases = tuple(alias for alias in _texts(_dict(network).get("Aliases")) if alias not in own)
        place = Place(str(name), _text(wanted.get("IPv4Address")), _text(wanted.get("IPv6Address")), aliases)
        if name not in ("bridge", "podman") or place.address or found:
            found.append(place)
    return tuple(found[:100])


def _restart(policy: Mapping[str, Any]) -> str:
    name = _text(policy.get("Name"))
    tries = _positive(policy.get("MaximumRetryCount"))
    if name in ("", "no"):
        return ""
    return f"{name}:{tries}" if name == "on-failure" and tries else name


def _check(check: Mapping[str, Any]) -> Check | None:
    test = _texts(check.get("Test"))
    if not test:
        return None
    times = [_positive(check.get(key)) or 0 for key in ("Interval", "Timeout", "StartPeriod")]
    return Check(test, times[0], times[1], times[2], _positive(check.get("Retries")) or 0)


def _device(entry: Mapping[str, Any]) -> str:
    inside, permissions = _text(entry.get("PathInContainer")), _text(entry.get("CgroupPermissions"))
    parts = [_text(entry.get("PathOnHost")), inside] + ([permissions] if permissions not in ("", "rwm") else [])
    return ":".join(parts)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(entry for entry in _list(value) if isinstance(entry, str))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None
