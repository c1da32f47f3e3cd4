"""A container's recipe as text that others run: `docker run` and a compose file (pure).

Every word is quoted for a POSIX shell: names, labels and arguments come from whoever started the container.
"""

import shlex
from collections.abc import Iterator
from typing import Any, Final

import yaml

from containers.rules.limits import size_text
from containers.rules.recipe import Place, Publication, Recipe

_FLAGS: Final = {
    "tty": "--tty",
    "stdin_open": "--interactive",
    "privileged": "--privileged",
    "read_only": "--read-only",
    "init": "--init",
    "auto_remove": "--rm",
}
_LISTS: Final = {
    "cap_add": "--cap-add",
    "cap_drop": "--cap-drop",
    "security_opt": "--security-opt",
    "group_add": "--group-add",
    "dns": "--dns",
    "dns_search": "--dns-search",
    "extra_hosts": "--add-host",
    "devices": "--device",
}
_VALUES: Final = {
    "hostname": "--hostname",
    "domainname": "--domainname",
    "user": "--user",
    "working_dir": "--workdir",
    "stop_signal": "--stop-signal",
    "stop_grace_period": "--stop-timeout",
    "pid": "--pid",
    "ipc": "--ipc",
    "userns_mode": "--userns",
    "runtime": "--runtime",
    "cpu_shares": "--cpu-shares",
    "cpuset": "--cpuset-cpus",
    "pids_limit": "--pids-limit",
    "oom_score_adj": "--oom-score-adj",
}
_SIZES: Final = {
    "mem_limit": "--memory",
    "mem_reservation": "--memory-reservation",
    "memswap_limit": "--memory-swap",
    "shm_size": "--shm-size",
}


def docker_run(recipe: Recipe) -> str:
    """A `docker run` command that makes such a container, one option a line; further networks join after it."""
    first, *further = recipe.networks or (None,)
    words = [("docker", "run", "--detach"), *_options(recipe, first)]
    lines = [" ".join(shlex.quote(word) for word in option) for option in words]
    lines.append(" ".join(shlex.quote(word) for word in (recipe.image, *_arguments(recipe))))
    commands = [" \\\n  ".join(lines)]
    for place in further:
        if place is not None:
            words_of = ["docker", "network", "connect", *_place(place, alias="--alias", address="--ip")]
            commands.append(" ".join(shlex.quote(word) for word in [*words_of, place.name, recipe.name]))
    return "\n".join(commands) + "\n"


def _options(recipe: Recipe, network: Place | None) -> Iterator[tuple[str, ...]]:
    if recipe.name:
        yield "--name", recipe.name
    if recipe.restart:
        yield "--restart", recipe.restart
    for name, value in recipe.variables:
        yield "--env", f"{name}={value}"
    for port in recipe.ports:
        yield "--publish", _published(port)
    for port_text in recipe.exposed:
        yield "--expose", port_text
    for source, destination, options in recipe.volumes:
        yield "--volume", ":".join(part for part in (source, destination, options) if part)
    for path, options in recipe.tmpfs:
        yield "--tmpfs", f"{path}:{options}" if options else path
    if recipe.network_mode:
        yield "--network", recipe.network_mode
    elif network is not None:
        yield "--network", network.name
        place = _place(network, alias="--network-alias", address="--ip")
        yield from zip(place[::2], place[1::2], strict=True)
    yield from _further(recipe)
    for name, value in recipe.labels:
        yield "--label", f"{name}={value}"
    if recipe.entrypoint:
        yield "--entrypoint", recipe.entrypoint[0]


def _further(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    settings = recipe.settings
    for key, value in settings.items():
        if key in _FLAGS:
            yield (_FLAGS[key],)
        elif key in _LISTS:
            for entry in value:
                yield _LISTS[key], entry
        elif key in _SIZES:
            yield _SIZES[key], size_text(value) or "-1" if value > 0 else "-1"
        elif key in _VALUES:
            yield _VALUES[key], str(value)
    if "nano_cpus" in settings:
        yield "--cpus", _cpus(settings["nano_cpus"])
    for name, value in settings.get("sysctls", {}).items():
        yield "--sysctl", f"{name}={value}"
    for name, (soft, hard) in settings.get("ulimits", {}).items():
        yield "--ulimit", f"{name}={soft}:{hard}"
    driver, options = settings.get("logging") or ("", {})
    if driver:
        yield "--log-driver", driver
    for name, value in options.items():
        yield "--log-opt", f"{name}={value}"
    yield from _health(recipe)


def _health(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    check = recipe.check
    if check is None:
        return
    if check.test[0] == "NONE":
        yield ("--no-healthcheck",)
        return
    words = check.test[1:] if check.test[0] in ("CMD", "CMD-SHELL") else check.test
    yield "--health-cmd", words[0] if check.test[0] == "CMD-SHELL" and words else shlex.join(words)
    for option, value in (
        ("--health-interval", check.interval),
        ("--health-timeout", check.timeout),
        ("--health-start-period", check.start_period),
    ):
        if value:
            yield option, _duration(value)
    if check.retries:
        yield "--health-retries", str(check.retries)


def _arguments(recipe: Recipe) -> tuple[str, ...]:
    """What follows the image: the rest of the entry point, of which the option takes one word, and the command."""
    return (*(recipe.entrypoint or ())[1:], *recipe.command)


def _place(place: Place, *, alias: str, address: str) -> list[str]:
    words = []
    for name in place.aliases:
        words += [alias, name]
    if place.address:
        words += [address, place.address]
    if place.address6:
        words += [f"{address}6", place.address6]
    return words


def _published(port: Publication) -> str:
    host_ip = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    outer = f"{host_ip}:{port.host_port}" if host_ip else port.host_port
    inner = port.container_port if port.protocol == "tcp" else f"{port.container_port}/{port.protocol}"
    return f"{outer}:{inner}" if outer else inner


def _duration(nanoseconds: int) -> str:
    """As Go reads it."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}s" if not rest else f"{nanoseconds // 1_000_000}ms"


def _cpus(nano: int) -> str:
    return f"{nano / 1_000_000_000:.9f}".rstrip("0").rstrip(".")


def compose_file(recipe: Recipe, service: str) -> str:
    """A compose file with that one service (Compose Specification); networks and volumes are taken as they are."""
    entry: dict[str, Any] = {"image": recipe.image, "container_name": recipe.name}
    if recipe.entrypoint is not None:
        entry["entrypoint"] = [_escaped(word) for word in recipe.entrypoint]
    if recipe.command:
        entry["command"] = [_escaped(word) for word in recipe.command]
    if recipe.restart:
        entry["restart"] = recipe.restart
    if recipe.variables:
        entry["environment"] = {name: _escaped(value) for name, value in recipe.variables}
    if recipe.ports:
        entry["ports"] = [_published(port) for port in recipe.ports]
    if recipe.exposed:
        entry["expose"] = list(recipe.exposed)
    if recipe.volumes:
        entry["volumes"] = [":".join(part for part in mount if part) for mount in recipe.volumes]
    if recipe.tmpfs:
        entry["tmpfs"] = [f"{path}:{options}" if options else path for path, options in recipe.tmpfs]
    if recipe.network_mode:
        entry["network_mode"] = recipe.network_mode
    if recipe.networks:
        entry["networks"] = {place.name: _compose_place(place) for place in recipe.networks}
    entry |= dict(_compose_settings(recipe))
    if recipe.labels:
        entry["labels"] = {name: _escaped(value) for name, value in recipe.labels}
    whole: dict[str, Any] = {"services": {service or recipe.name or "service": entry}}
    named = sorted({source for source, _target, _options in recipe.volumes if source and not source.startswith("/")})
    if recipe.networks:
        whole["networks"] = {place.name: {"external": True} for place in recipe.networks}
    if named:
        whole["volumes"] = {name: {"external": True} for name in named}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120)


def _compose_place(place: Place) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if place.aliases:
        found["aliases"] = list(place.aliases)
    if place.address:
        found["ipv4_address"] = place.address
    if place.address6:
        found["ipv6_address"] = place.address6
    return found or None


def _compose_settings(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    for key, value in recipe.settings.items():
        if key in _FLAGS and key != "auto_remove":
            yield key, True
        elif key in _LISTS:
            yield key, list(value)
        elif key in _SIZES:
            yield key, size_text(value) if value > 0 else -1
        elif key == "stop_grace_period":
            yield key, f"{value}s"
        elif key in _VALUES:
            yield key, value
        elif key == "nano_cpus":
            yield "cpus", float(_cpus(value))
        elif key == "sysctls":
            yield key, dict(value)
        elif key == "ulimits":
            yield key, {name: {"soft": soft, "hard": hard} for name, (soft, hard) in value.items()}
        elif key == "logging":
            driver, options = value
            yield key, {"driver": driver} | ({"options": dict(options)} if options else {})
    check = recipe.check
    if check is None:
        return
    if check.test[0] == "NONE":
        yield "healthcheck", {"disable": True}
        return
    found: dict[str, Any] = {"test": [_escaped(word) for word in check.test]}
    for name, nanoseconds in (
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start_period", check.start_period),
    ):
        if nanoseconds:
            found[name] = _duration(nanoseconds)
    if check.retries:
        found["retries"] = check.retries
    yield "healthcheck", found


def _escaped(text: str) -> str:
    """Compose reads ``$`` as the beginning of a variable (Compose Specification, Interpolation)."""
    return text.replace("$", "$$")
