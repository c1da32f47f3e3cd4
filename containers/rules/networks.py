"""Networks: the engine's answers as facts, and what is asked of it to make one (pure).

Shapes are those of the Docker Engine API 1.41 to 1.51 (NetworkInspect, NetworkCreate); podman's answers are the same
with less in them. Every value of an answer is attacker-controlled: typed, cut, cleaned.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypedDict

from containers.rules.inspection import is_engine_id, time_from_ns, time_ns
from containers.rules.labels import compose
from containers.rules.masking import clean_text, masked, scalar_text
from containers.rules.subnets import CheckedPool, Subnet, SubnetError, Taken, parse_subnet

MOST_POOLS: Final = 64
_MOST_PAIRS: Final = 500
LONGEST_PAIRS: Final = 20_000
# What Docker itself takes for names of containers; for networks some versions take more, which URLs then stumble over.
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_DRIVER: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.:/@-]{0,119}")
_FORBIDDEN_NAMES: Final = frozenset({"bridge", "host", "none", "nat", "podman", "default"})
# The id of podman's default network on every host: podman takes the SHA-256 of names.
_PODMAN_DEFAULT: Final = hashlib.sha256(b"podman").hexdigest()
DRIVERS: Final = ("bridge", "macvlan", "ipvlan", "overlay")
# The options that people set most, with what they do.
KNOWN_OPTIONS: Final[tuple[tuple[str, str], ...]] = (
    ("com.docker.network.bridge.name", "name of the bridge on the host"),
    ("com.docker.network.bridge.enable_icc", "false: containers on it do not reach each other"),
    ("com.docker.network.bridge.enable_ip_masquerade", "false: containers go out with their own addresses"),
    ("com.docker.network.bridge.host_binding_ipv4", "address of the host that published ports are bound to"),
    ("com.docker.network.driver.mtu", "largest packet, in bytes"),
    ("parent", "interface of the host (macvlan, ipvlan)"),
    ("macvlan_mode", "bridge, private, vepa or passthru"),
    ("ipvlan_mode", "l2, l3 or l3s"),
    ("encrypted", "encrypts the traffic between hosts (overlay)"),
)


class Pool(TypedDict):
    """A subnet of a network; the other texts are empty and the mapping too where there is no such thing."""

    subnet: str
    gateway: str
    ip_range: str
    auxiliary: dict[str, str]


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """All that a network's row holds."""

    engine_id: str
    name: str
    driver: str
    scope: str
    pools: list[Pool]
    ipam_driver: str
    ipam_options: dict[str, str]
    internal: bool
    attachable: bool
    ingress: bool
    ipv4_enabled: bool
    ipv6_enabled: bool
    config_only: bool
    config_from: str
    options: dict[str, str]
    labels: dict[str, str]
    compose_project: str
    created_at: datetime | None


class NetworkFieldError(ValueError):
    """A field of a form about networks that cannot be used; ``field`` is its name, the text says why."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What is asked of an engine to make a network."""

    name: str
    driver: str = "bridge"
    pools: tuple[Pool, ...] = ()
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    config_only: bool = False
    config_from: str = ""


def network_facts(answer: Mapping[str, Any], *, masks: bool = True) -> NetworkFacts | None:
    """Facts from an entry of ``GET /networks`` or from ``GET /networks/{id}``; None without a usable id.

    Odd values become empty ones. ``masks`` False keeps what may be secret in labels and options, to make it again.
    """
    engine_id = answer.get("Id") or answer.get("ID")
    if not isinstance(engine_id, str) or not is_engine_id(engine_id):
        return None
    # Podman lists its default network by Docker's name for it, and tells containers its own.
    answer = {**answer, "Name": "podman"} if engine_id == _PODMAN_DEFAULT else answer
    ipam = _dict(answer.get("IPAM"))
    labels = _texts(answer.get("Labels"), masks=masks)
    pools = [_pool(entry) for entry in _list(ipam.get("Config")) if isinstance(entry, dict)]
    return NetworkFacts(
        engine_id=engine_id,
        name=_exact(answer.get("Name"), 255) or engine_id[:12],
        driver=_exact(answer.get("Driver"), 120),
        scope=_exact(answer.get("Scope"), 20),
        pools=[pool for pool in pools if pool["subnet"]],
        ipam_driver=_exact(ipam.get("Driver"), 120),
        ipam_options=_texts(ipam.get("Options"), masks=masks),
        internal=answer.get("Internal") is True,
        attachable=answer.get("Attachable") is True,
        ingress=answer.get("Ingress") is True,
        # Only told by Engine 28 and later; those before have it always.
        ipv4_enabled=answer.get("EnableIPv4") is not False,
        ipv6_enabled=answer.get("EnableIPv6") is True,
        config_only=answer.get("ConfigOnly") is True,
        config_from=_exact(_dict(answer.get("ConfigFrom")).get("Network"), 255),
        options=_texts(answer.get("Options"), masks=masks),
        labels=labels,
        compose_project=compose(labels).project,
        created_at=time_from_ns(time_ns(answer.get("Created"))),
    )


def _pool(entry: Mapping[str, Any]) -> Pool:
    auxiliary = _texts(entry.get("AuxiliaryAddresses") or entry.get("AuxAddress"))
    return Pool(
        subnet=_exact(entry.get("Subnet"), 64),
        gateway=_exact(entry.get("Gateway"), 64),
        ip_range=_exact(entry.get("IPRange"), 64),
        auxiliary={name: address[:64] for name, address in auxiliary.items()},
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value[:MOST_POOLS] if isinstance(value, list) else []


def _exact(value: Any, limit: int) -> str:
    return clean_text(value[:limit], limit) if isinstance(value, str) else ""


def _texts(value: Any, *, masks: bool = True) -> dict[str, str]:
    pairs = list(_dict(value).items())[:_MOST_PAIRS]
    found = {clean_text(str(key), 512): clean_text(scalar_text(item), 4096) for key, item in pairs}
    return {str(key): str(item) for key, item in masked(found).items()} if masks else found


# ---- what a form says ---------------------------------------------------------------------------------------------


def read_name(text: str) -> str:
    """A name for a new network. Raises NetworkFieldError."""
    name = text.strip()
    if not name:
        raise NetworkFieldError("name", "Give it a name.")
    if not _NAME.fullmatch(name):
        raise NetworkFieldError(
            "name", "A name has up to 128 letters, digits, dots, hyphens or underscores, a letter or digit first."
        )
    if name in _FORBIDDEN_NAMES:
        raise NetworkFieldError("name", f"“{name}” is a name that engines keep for themselves.")
    return name


def read_driver(text: str) -> str:
    """The name of a driver: built in, or of a plugin. Raises NetworkFieldError."""
    driver = text.strip() or "bridge"
    if driver in ("host", "null", "none"):
        raise NetworkFieldError("driver", f"There is one network of the driver “{driver}” on each host, and no second.")
    if not _DRIVER.fullmatch(driver):
        raise NetworkFieldError("driver", f"“{driver[:40]}” is not the name of a driver.")
    return driver


def read_pairs(text: str, field_name: str) -> dict[str, str]:
    """Lines of ``name=value`` (``name`` alone: an empty value) as a mapping. Raises NetworkFieldError."""
    if len(text) > LONGEST_PAIRS:
        raise NetworkFieldError(field_name, f"This is longer than {LONGEST_PAIRS:,} characters.")
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, _equals, value = line.strip().partition("=")
        name = name.strip()
        if not name or any(letter.isspace() for letter in name):
            raise NetworkFieldError(field_name, f"Line {number}: write name=value; a name holds no blanks.")
        if name in found:
            raise NetworkFieldError(field_name, f"Line {number}: “{name[:60]}” is there twice.")
        found[name] = value.strip()
    if len(found) > _MOST_PAIRS:
        raise NetworkFieldError(field_name, f"More than {_MOST_PAIRS} lines.")
    return found


def pool_of(checked: CheckedPool) -> Pool:
    """The texts of a checked subnet, in their shortest form."""
    return Pool(
        subnet=str(checked.subnet),
        gateway=str(checked.gateway) if checked.gateway else "",
        ip_range=str(checked.ip_range) if checked.ip_range else "",
        auxiliary={name: str(address) for name, address in checked.auxiliary},
    )


def check_together(spec: NetworkSpec, pools: Sequence[Subnet], api_version: str) -> None:
    """What only shows when the fields are seen together. Raises NetworkFieldError; no overlaps with others here."""
    for place, subnet in enumerate(pools):
        for other in pools[:place]:
            if subnet.version == other.version and subnet.overlaps(other):
                raise NetworkFieldError("pools", f"{subnet} and {other} overlap: a network needs apart ones.")
    versions = [subnet.version for subnet in pools]
    if spec.driver == "bridge" and versions.count(4) > 1:
        raise NetworkFieldError("pools", "The driver bridge takes one IPv4 subnet only.")
    if not spec.ipv4 and 4 in versions:
        raise NetworkFieldError("ipv4", "There is an IPv4 subnet below, so IPv4 cannot be off.")
    if not spec.ipv4 and not spec.ipv6:
        raise NetworkFieldError("ipv4", "Without IPv4 and without IPv6 nothing is left.")
    if not spec.ipv4 and is_older(api_version, (1, 48)):
        raise NetworkFieldError("ipv4", "Networks without IPv4 need Docker Engine 28 or later on the host.")
    if spec.ipv6 and 6 not in versions and is_older(api_version, (1, 46)):
        raise NetworkFieldError(
            "ipv6", "The engine on the host hands out no IPv6 subnets by itself (27 and later do): add one below."
        )
    if spec.driver in ("macvlan", "ipvlan") and not versions and spec.options.get("parent"):
        raise NetworkFieldError(
            "pools", f"On {spec.options['parent'][:40]} others have addresses too: give the subnet that is used there."
        )
    if spec.config_from and (pools or spec.options):
        raise NetworkFieldError("pools", f"Subnets and options come from {spec.config_from}: leave them empty here.")


def is_older(api_version: str, than: tuple[int, int]) -> bool:
    """Whether an API version ("1.41") is older; an unknown one counts as new, since the engine decides in the end."""
    match = re.match(r"(\d{1,3})\.(\d{1,3})", api_version, re.ASCII)
    return match is not None and (int(match[1]), int(match[2])) < than


def create_body(spec: NetworkSpec, api_version: str) -> dict[str, Any]:
    """The body of ``POST /networks/create``."""
    config = [_pool_body(pool) for pool in spec.pools]
    body: dict[str, Any] = {
        "Name": spec.name,
        "Driver": spec.driver,
        # Before API 1.44 two of one name were made unless this asked not to.
        "CheckDuplicate": True,
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "EnableIPv6": spec.ipv6,
        "Options": dict(spec.options),
        "Labels": dict(spec.labels),
    }
    if config or spec.ipam_driver not in ("", "default") or spec.ipam_options:
        body["IPAM"] = {
            "Driver": spec.ipam_driver or "default",
            "Config": config,
            **({"Options": dict(spec.ipam_options)} if spec.ipam_options else {}),
        }
    if not is_older(api_version, (1, 48)):
        body["EnableIPv4"] = spec.ipv4
    if spec.config_only:
        body["ConfigOnly"] = True
    if spec.config_from:
        body["ConfigFrom"] = {"Network": spec.config_from}
    return body


def _pool_body(pool: Pool) -> dict[str, Any]:
    names = {"Subnet": pool["subnet"], "Gateway": pool["gateway"], "IPRange": pool["ip_range"]}
    body: dict[str, Any] = {name: text for name, text in names.items() if text}
    if pool["auxiliary"]:
        body["AuxiliaryAddresses"] = dict(pool["auxiliary"])
    return body


def spec_of(facts: NetworkFacts) -> NetworkSpec:
    """What makes a network again as it is, its addresses included."""
    return NetworkSpec(
        name=facts.name,
        driver=facts.driver,
        pools=() if facts.config_from else tuple(facts.pools),
        ipv4=facts.ipv4_enabled,
        ipv6=facts.ipv6_enabled,
        internal=facts.internal,
        attachable=facts.attachable,
        ipam_driver="" if facts.ipam_driver == "default" else facts.ipam_driver,
        ipam_options=facts.ipam_options,
        options={} if facts.config_from else facts.options,
        labels=facts.labels,
        config_only=facts.config_only,
        config_from=facts.config_from,
    )


def taken_of(name: str, pools: Sequence[Mapping[str, Any]]) -> list[Taken]:
    """The subnets of a network as others see them; odd ones are left out."""
    found = []
    for pool in pools:
        try:
            found.append(Taken(parse_subnet(str(pool.get("subnet", ""))), f"the network {name}"))
        except SubnetError:
            continue
    return found


# ---- what an engine says ------------------------------------------------------------------------------------------

_FIXES: Final[tuple[tuple[str, str], ...]] = (
    (
        r"could not find an available.*pool",
        "The engine has handed out all subnets of its default pools: give a subnet yourself.",
    ),
    (
        r"pool overlaps|overlaps with other one|conflicts with network|networks have overlapping",
        "Something on the host has some of these addresses already; networks of the host itself are listed by "
        "“ip route” there. Choose another subnet.",
    ),
    (r"not a swarm manager|swarm mode|not part of a swarm", "The driver overlay needs a swarm on that host."),
    (r"already exists", "Choose another name."),
    (r"has active endpoints|has active containers|being used", "Disconnect its containers first."),
    (
        r"user configured subnets|user-configured subnet",
        "The engine chose this network's subnet by itself: fixed addresses need a network that was made with a subnet.",
    ),
    (r"address already in use|ip address.* already allocated", "Another container has this address: choose another."),
    (r"no configured subnet|not within|no available .*address|not in the subnet", "Choose an address of its subnet."),
    (r"not manually attachable", "Only swarm services may use it: make one that is attachable."),
    (
        r"plugin.*not found|could not find plugin|unable to find plugin|unsupported.*driver",
        "The host has no such driver.",
    ),
    (r"invalid subinterface|parent interface|device not found|invalid parent", "Name an interface that the host has."),
    (r"predefined", "The engine made this network for itself; it cannot be changed or removed."),
)


def fix_of(engine_message: str) -> str:
    """What to do about an engine's refusal that concerns networks; empty for one that is not known."""
    text = engine_message[:2000].lower()
    return next((fix for pattern, fix in _FIXES if re.search(pattern, text)), "")
