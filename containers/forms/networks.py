"""The form that makes or changes a network: everything that an engine would refuse is found here, in words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from django import forms

from containers.models import Container, Network
from containers.network_rows import attached_to
from containers.rules.endpoints import addresses_outside
from containers.rules.networks import (
    DRIVERS,
    NetworkFieldError,
    NetworkSpec,
    Pool,
    check_together,
    create_body,
    pool_of,
    read_driver,
    read_name,
    read_pairs,
    taken_of,
)
from containers.rules.subnets import (
    CheckedPool,
    Subnet,
    SubnetError,
    Taken,
    check_pool,
    overlap_text,
    overlaps,
    suggest_subnet,
)
from devices.models import Device

POOL_ROWS: Final = 4
_PARTS: Final = ("subnet", "gateway", "ip_range", "auxiliary")
MTU: Final = "com.docker.network.driver.mtu"
# Other drivers may stand in a network that is there already, the host's own included.
_OWN_ADDRESSES: Final = frozenset({"bridge", "overlay"})


@dataclass(frozen=True, slots=True)
class PoolFields:
    """The fields of one subnet, for the page."""

    number: int
    subnet: forms.BoundField
    gateway: forms.BoundField
    ip_range: forms.BoundField
    auxiliary: forms.BoundField

    @property
    def is_used(self) -> bool:
        """Whether something stands in one of them."""
        return any(field.value() for field in (self.subnet, self.gateway, self.ip_range, self.auxiliary))


class NetworkForm(forms.Form):
    """Name, driver, subnets and switches of a network on one or several devices.

    ``devices`` are those that may be chosen, ``network`` is one to be changed (its device is the only one then).
    """

    devices = forms.MultipleChoiceField(required=False, label="Devices")
    name = forms.CharField(max_length=128, required=False)
    driver = forms.CharField(max_length=120, required=False, initial="bridge")
    parent = forms.CharField(max_length=64, required=False)
    mtu = forms.IntegerField(min_value=68, max_value=65535, required=False)
    internal = forms.BooleanField(required=False)
    attachable = forms.BooleanField(required=False)
    ipv4 = forms.BooleanField(required=False, initial=True)
    ipv6 = forms.BooleanField(required=False)
    options = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 4}))
    labels = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 4}))
    # What is odd but possible has to be agreed to, and fixed addresses that do not fit any more to be given up.
    accepts_warnings = forms.BooleanField(required=False)
    drops_addresses = forms.BooleanField(required=False)

    def __init__(self, *args: Any, choices: Sequence[Device], network: Network | None = None, **kwargs: Any) -> None:
        if network is not None and "initial" not in kwargs:
            kwargs["initial"] = _initial(network)
        super().__init__(*args, **kwargs)
        self.network = network
        self.choices = {str(device.pk): device for device in choices}
        self.warnings: list[str] = []
        self.misfits: list[str] = []
        self.spec: NetworkSpec | None = None
        field: Any = self.fields["devices"]
        field.choices = [(key, device.name) for key, device in self.choices.items()]
        for number in range(POOL_ROWS):
            for part in _PARTS:
                self.fields[f"pool{number}_{part}"] = forms.CharField(required=False, max_length=2000)

    @property
    def pools(self) -> list[PoolFields]:
        """The rows of subnets."""
        return [PoolFields(number, *(self[f"pool{number}_{part}"] for part in _PARTS)) for number in range(POOL_ROWS)]

    @property
    def chosen(self) -> list[Device]:
        """The devices that were chosen: of a network to be changed its own."""
        if self.network is not None:
            return [self.network.device]
        return [self.choices[key] for key in self.cleaned_data.get("devices", []) if key in self.choices]

    def clean(self) -> dict[str, Any]:
        """Look at all fields, each problem at its field; then at what they mean on each device."""
        data = super().clean() or self.cleaned_data
        if not self.chosen:
            self.add_error("devices", "Choose at least one device.")
        name = self._read("name", lambda: read_name(data.get("name", "")))
        driver = self._read("driver", lambda: read_driver(data.get("driver", "")))
        labels = self._read("labels", lambda: read_pairs(data.get("labels", ""), "labels"))
        options = self._read("options", lambda: read_pairs(data.get("options", ""), "options"))
        checked = list(self._read_pools(data))
        if self.errors or name is None or driver is None or labels is None or options is None:
            return data
        if data.get("parent"):
            options["parent"] = data["parent"].strip()
        if data.get("mtu"):
            options[MTU] = str(data["mtu"])
        old = self.network
        self.spec = NetworkSpec(
            name=name,
            driver=driver,
            pools=tuple(pool_of(pool) for pool in checked),
            ipv4=bool(data.get("ipv4")),
            ipv6=bool(data.get("ipv6")) or any(pool.subnet.version == 6 for pool in checked),
            internal=bool(data.get("internal")),
            attachable=bool(data.get("attachable")),
            ipam_driver=old.ipam_driver if old is not None and old.ipam_driver != "default" else "",
            ipam_options=old.ipam_options if old is not None else {},
            options=options,
            labels=labels,
            config_only=old.config_only if old is not None else False,
            config_from=old.config_from if old is not None else "",
        )
        self.warnings = [warning for pool in checked for warning in pool.warnings]
        self._check_devices(self.spec, checked)
        if old is not None:
            self._check_addresses(old, [pool.subnet for pool in checked])
        if self.warnings and not data.get("accepts_warnings"):
            self.add_error("accepts_warnings", "Read the warnings, and tick the box if that is what you want.")
        return data

    def _read(self, field: str, read: Any) -> Any:
        try:
            return read()
        except NetworkFieldError as exc:
            self.add_error(field, str(exc))
            return None

    def _read_pools(self, data: dict[str, Any]) -> Iterator[CheckedPool]:
        for number in range(POOL_ROWS):
            texts = [(data.get(f"pool{number}_{part}") or "").strip() for part in _PARTS]
            if not any(texts):
                continue
            if not texts[0]:
                self.add_error(f"pool{number}_subnet", "Gateway, range and kept addresses need their subnet.")
                continue
            try:
                yield check_pool(*texts)
            except SubnetError as exc:
                self.add_error(f"pool{number}_{exc.field}", str(exc))

    def _check_devices(self, spec: NetworkSpec, checked: list[CheckedPool]) -> None:
        """What holds on single devices: names and subnets that are taken, versions that cannot do it. One query."""
        known = networks_of(self.chosen, other_than=self.network)
        for device in self.chosen:
            where = f"On {device.name}: " if len(self.chosen) > 1 else ""
            try:
                check_together(spec, [pool.subnet for pool in checked], device.api_version)
            except NetworkFieldError as exc:
                self.add_error("pool0_subnet" if exc.field == "pools" else exc.field, where + str(exc))
                continue
            if any(network.name == spec.name for network in known if network.device_id == device.pk):
                self.add_error("name", f"{device.name} has a network {spec.name} already: choose another name.")
            taken = taken_on(device, known, driver=spec.driver)
            for pool in checked:
                found = overlaps(pool.subnet, taken)
                if found:
                    free = suggest_subnet(
                        self._taken_everywhere(spec, known), pool.subnet.prefixlen, pool.subnet.version
                    )
                    self.add_error(self._field_of(pool), where + overlap_text(pool.subnet, found, free))

    def _taken_everywhere(self, spec: NetworkSpec, known: Iterable[Network]) -> list[Taken]:
        return [entry for device in self.chosen for entry in taken_on(device, known, driver=spec.driver)]

    def _field_of(self, pool: CheckedPool) -> str:
        """The row in which this subnet was typed."""
        for number in range(POOL_ROWS):
            if (self.cleaned_data.get(f"pool{number}_subnet") or "").strip() == str(pool.subnet):
                return f"pool{number}_subnet"
        return "pool0_subnet"

    def _check_addresses(self, network: Network, subnets: list[Subnet]) -> None:
        """Fixed addresses of its containers that the new subnets do not have."""
        for container, attachment in attached_to(network):
            asked = {"IPv4Address": attachment["fixed"], "IPv6Address": attachment["fixed6"]}
            outside = addresses_outside({"IPAMConfig": asked}, subnets)
            self.misfits += [f"{container.name} has the fixed address {address}" for address in outside]
        if self.misfits and not self.cleaned_data.get("drops_addresses"):
            self.add_error(
                "drops_addresses",
                "These addresses are not in the new subnets. Keep a subnet that has them, or let them go.",
            )

    @property
    def bodies(self) -> Iterator[tuple[Device, dict[str, Any]]]:
        """What each engine is to be asked for; after a valid clean."""
        assert self.spec is not None  # noqa: S101  (a valid form has one)
        for device in self.chosen:
            yield device, create_body(self.spec, device.api_version)


def networks_of(devices: Iterable[Device], *, other_than: Network | None = None) -> list[Network]:
    """The networks of these devices but the one. One query."""
    rows = Network.objects.filter(device__in=[device.pk for device in devices])
    rows = rows.exclude(pk=other_than.pk) if other_than is not None else rows
    return list(rows.only("name", "device_id", "driver", "scope", "pools", "config_only"))


def taken_on(device: Device, known: Iterable[Network], *, driver: str) -> list[Taken]:
    """The subnets that a new network of that driver must not overlap with on a device.

    Overlay networks have a space of addresses of their own; the way to the host itself matters to those that make one.
    """
    found: list[Taken] = []
    for network in known:
        is_elsewhere = (network.scope == "swarm") != (driver == "overlay")
        if network.device_id == device.pk and not is_elsewhere and not network.config_only:
            found += taken_of(network.name, network.pools)
    if driver in _OWN_ADDRESSES:
        found += _way_to(device)
    return found


def _way_to(device: Device) -> list[Taken]:
    try:
        address = ip_address(device.address)
    except ValueError:
        return []
    if address.is_loopback:
        return []
    subnet = taken_of("", [{"subnet": f"{address}/{address.max_prefixlen}"}])
    return [Taken(entry.subnet, f"the address by which SSM reaches {device.name}") for entry in subnet]


def suggestion(devices: Sequence[Device], *, version: int = 4) -> Subnet | None:
    """A subnet that is free on all of these devices, as far as we know. One query."""
    known = networks_of(devices)
    taken = [entry for device in devices for entry in taken_on(device, known, driver="bridge")]
    return suggest_subnet(taken, 24 if version == 4 else 64, version)


def _initial(network: Network) -> dict[str, Any]:
    options = dict(network.options)
    values: dict[str, Any] = {
        "name": network.name,
        "driver": network.driver,
        "internal": network.internal,
        "attachable": network.attachable,
        "ipv4": network.ipv4_enabled,
        "ipv6": network.ipv6_enabled,
        "parent": options.pop("parent", ""),
        "mtu": options.pop(MTU, ""),
        "options": _lines(options),
        "labels": _lines(network.labels),
    }
    pools: list[Pool] = network.pools[:POOL_ROWS]
    for number, pool in enumerate(pools):
        values |= {
            f"pool{number}_subnet": pool["subnet"],
            f"pool{number}_gateway": pool["gateway"],
            f"pool{number}_ip_range": pool["ip_range"],
            f"pool{number}_auxiliary": ", ".join(f"{name}={address}" for name, address in pool["auxiliary"].items()),
        }
    return values


def _lines(pairs: dict[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(pairs.items()))


def driver_choices() -> tuple[str, ...]:
    """The drivers that are offered; any other one may be typed."""
    return DRIVERS


def containers_to_connect(network: Network, rows: Any) -> list[Container]:
    """Of these containers those of the network's device that are not on it yet, by name. One query."""
    there = {container.pk for container, _attachment in attached_to(network)}
    chosen = rows.present().filter(device=network.device).order_by("name").defer("inspect", "environment")
    return [container for container in chosen[:2000] if container.pk not in there]
