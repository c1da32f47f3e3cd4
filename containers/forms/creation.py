"""What is known when a form makes a container: how another one is set up, what speaks against values, what to offer.

All of it comes from our store, as no page waits for a host.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final

from django.db.models import Q

from containers.models import Container, Image, Network, Volume
from containers.rules.creation_rows import port_entries
from containers.rules.drafts import Draft, draft_of
from containers.rules.endpoints import Place, check_endpoint, used_addresses, why_not_connectable
from containers.rules.networks import NetworkFieldError
from containers.rules.specification import specification_of
from devices.models import Device
from registries.models import RepositoryKnowledge
from registries.rules.references import ImageId, InvalidReferenceError, parse_reference
from ssm.lib.roles import Right, SomeUser

OFFERED: Final = 60
_MOST_TAGS: Final = 40
_RUNNING: Final = ("running", "paused", "restarting")


def sees_values_of(user: SomeUser, container: Container) -> bool:
    """Whether the user may see values of the container's variables. One query."""
    return Container.objects.permitted(user, Right.INSPECT_ENVIRONMENT).filter(pk=container.pk).exists()


def shown_of(container: Container, *, sees_values: bool, is_successor: bool) -> Draft:
    """The form for a container as it is stored (``inspect`` and ``environment`` loaded). One query."""
    image = Image.objects.filter(device=container.device, engine_id=container.image_id).first()
    inspect = {**container.inspect, "Config": dict(container.inspect.get("Config") or {})}
    if sees_values:
        inspect["Config"]["Env"] = [f"{name}={value}" for name, value in container.variables]
    told = _as_told(image) if image is not None else {}
    if not sees_values:
        told = _without_values(told, inspect["Config"].get("Env") or [])
    found = specification_of(inspect, told, keeps_anonymous_volumes=is_successor)
    return draft_of(found, sees_values=sees_values)


def _as_told(image: Image) -> dict[str, Any]:
    """An image's answer out of its row, as far as it is kept: what a container has from there is not its own."""
    config: dict[str, Any] = image.config or {}
    return {
        "Config": {
            "Entrypoint": config.get("entrypoint"),
            "Cmd": config.get("command"),
            "WorkingDir": config.get("working_dir"),
            "User": config.get("user"),
            "StopSignal": config.get("stop_signal"),
            "ExposedPorts": {port: {} for port in config.get("ports") or ()},
            "Volumes": {path: {} for path in config.get("volumes") or ()},
            "Env": [f"{name}={value}" for name, value in config.get("variables") or ()],
            "Labels": dict(image.labels or {}),
        }
    }


def _without_values(image: Mapping[str, Any], hidden: Iterable[str]) -> dict[str, Any]:
    """Where values are hidden, the names alone have to tell which variables are the image's."""
    config = dict(image.get("Config") or {})
    names = {str(entry).partition("=")[0] for entry in config.get("Env") or ()}
    config["Env"] = [entry for entry in hidden if str(entry).partition("=")[0] in names]
    return {**image, "Config": config}


def defaults_of(user: SomeUser, device: Device | None, reference: str) -> dict[str, str]:
    """What the image says where a field is left empty, by field, if a host of ours has it. One query."""
    image = _image(user, device, reference)
    if image is None:
        return {}
    config: dict[str, Any] = image.config or {}
    found = {
        "command": " ".join(config.get("command") or ()),
        "entrypoint": " ".join(config.get("entrypoint") or ()),
        "working_dir": config.get("working_dir") or "",
        "user": config.get("user") or "",
        "stop_signal": config.get("stop_signal") or "",
        "health_command": config.get("health_check") or "",
    }
    return {name: str(value)[:200] for name, value in found.items() if value}


def image_facts_of(user: SomeUser, device: Device | None, reference: str) -> dict[str, Any] | None:
    """Ports, volumes and variables that the image names, and whether the device has it. One query."""
    image = _image(user, device, reference)
    if image is None:
        return None
    config: dict[str, Any] = image.config or {}
    return {
        "is_there": device is not None and image.device_id == device.pk,
        "ports": config.get("ports") or [],
        "volumes": config.get("volumes") or [],
        "variables": [name for name, _value in config.get("variables") or () if name != "PATH"],
    }


def _image(user: SomeUser, device: Device | None, reference: str) -> Image | None:
    name = _normal(reference)
    if not name:
        return None
    images = Image.objects.visible_to(user).filter(repo_tags__overlap=sorted({name, reference.strip()}))
    rows = list(images.only("config", "device_id", "repo_tags")[:20])
    own = [row for row in rows if device is not None and row.device_id == device.pk]
    return next(iter([*own, *rows]), None)


def _normal(reference: str) -> str:
    """As engines list it: ``nginx:latest``."""
    try:
        found = parse_reference(reference)
    except InvalidReferenceError:
        return ""
    return "" if isinstance(found, ImageId) else found.familiar


# ---- what speaks against values ----------------------------------------------------------------------------


def doubts(user: SomeUser, device: Device, draft: Draft, *, successor_of: Container | None = None) -> dict[str, str]:
    """What the last news of the device say against the form, by field. At most four queries.

    The host may have changed since, so these are doubts and no errors: its engine decides.
    """
    others = Container.objects.filter(device=device).present()
    if successor_of is not None:
        others = others.exclude(pk=successor_of.pk)
    rows = list(others.only("name", "state", "port_claims", "networks"))
    found: dict[str, str] = {}
    name = draft.text("name")
    if any(row.name == name for row in rows):
        found["name"] = f"A container on {device.name} is called {name} already: choose another name."
    named = set(Container.objects.visible_to(user).filter(device=device).values_list("pk", flat=True))
    for row in rows:
        # What somebody may not see is in the way all the same, but has no name for him.
        row.display_name = row.name if row.pk in named else "Another container"
    found |= _taken_ports(device, draft, rows)
    mode = draft.text("network_mode") or "networks"
    if mode == "networks":
        found |= _network_doubts(device, draft, rows)
    elif mode == "container" and draft.text("network_container") not in {row.name for row in rows}:
        other = draft.text("network_container")
        # Engines keep it by its id.
        if not others.filter(engine_id__startswith=other[:64]).exists():
            found["network_container"] = f"{device.name} has no container of that name."
    return found


def _taken_ports(device: Device, draft: Draft, rows: Iterable[Container]) -> dict[str, str]:
    claims = [
        (claim, row)
        for row in rows
        if row.state in _RUNNING
        for claim in row.port_claims
        if claim.get("host_port") is not None
    ]
    found: dict[str, str] = {}
    for place, (address, outer, _inner, protocol) in port_entries(draft):
        for claim, row in claims:
            is_same = str(claim["host_port"]) == outer and claim.get("protocol") == protocol
            if is_same and _meet(address, str(claim.get("host_ip") or "")):
                found[f"port:{place}:host"] = (
                    f"{row.display_name} has port {outer} of {device.name}: choose another, or leave it empty for any."
                )
    return found


def _meet(one: str, other: str) -> bool:
    """Whether two addresses of a host are bound in one another's way: the same, or either stands for all."""
    if _stands_for_all(one) or _stands_for_all(other):
        return True
    return one == other


def _stands_for_all(address: str) -> bool:
    try:
        return not address or ip_address(address).is_unspecified
    except ValueError:
        return False


def _network_doubts(device: Device, draft: Draft, rows: Iterable[Container]) -> dict[str, str]:
    known = {row.name: row for row in Network.objects.filter(device=device)}
    if not known:
        return {}
    attachments = [(row.display_name, row.networks) for row in rows]
    found: dict[str, str] = {}
    for place, row in draft.filled("network"):
        name = row["name"].strip()
        network = known.get(name)
        if network is None and name == "bridge":
            continue  # the default one is always there; podman calls it otherwise in its list
        if network is None:
            found[f"network:{place}:name"] = f"{device.name} has no network {name[:60]}: create it first."
            continue
        spot = Place(
            name=name,
            driver=network.driver,
            scope=network.scope,
            attachable=network.attachable,
            is_predefined=network.is_predefined,
            config_only=network.config_only,
            pools=network.pools,
            used=used_addresses(attachments, name),
        )
        if why := why_not_connectable(spot, ()):
            found[f"network:{place}:name"] = why
            continue
        try:
            check_endpoint(spot, row["aliases"], row["ipv4"], row["ipv6"])
        except NetworkFieldError as exc:
            found[f"network:{place}:{exc.field}"] = str(exc)
    return found


# ---- what to offer -----------------------------------------------------------------------------------------


def image_names(user: SomeUser, device: Device | None, text: str) -> list[str]:
    """References of known images and of known repositories that have the text in them, the device's own first.

    With a colon behind a known repository: its tags. At most three queries.
    """
    text = text.replace("\x00", "").strip()[:200]
    images = Image.objects.visible_to(user).exclude(repo_tags=[])
    if text:
        images = images.filter(Q(name__icontains=text) | Q(repo_tags__contains=[text]))
    rows = images.order_by("name", "device_id").values_list("repo_tags", "device_id")[: 5 * OFFERED]
    own: list[str] = []
    others: list[str] = []
    for tags, device_id in rows:
        (own if device is not None and device_id == device.pk else others).extend(
            tag for tag in tags if text.lower() in tag.lower()
        )
    return list(dict.fromkeys([*own, *others, *_known_to_registries(user, text)]))[:OFFERED]


def _known_to_registries(user: SomeUser, text: str) -> list[str]:
    if not text:
        return []
    repositories = RepositoryKnowledge.objects.visible_to(user)
    head, colon, tag = text.rpartition(":")
    if colon and "/" not in tag:
        try:
            reference = parse_reference(head)
        except InvalidReferenceError:
            return []
        if isinstance(reference, ImageId):
            return []
        known = repositories.filter(host=reference.registry, path=reference.repository).first()
        tags = [name for name in known.tags if name.startswith(tag)] if known is not None else []
        # Newer ones have higher numbers; a list by letters alone would bury them.
        return [f"{known.name}:{name}" for name in tags[-_MOST_TAGS:][::-1]] if known is not None else []
    found = repositories.filter(Q(path__icontains=text) | Q(host__icontains=text)).order_by("path")[:OFFERED]
    return [f"{row.name}:{row.tags[-1] if row.tags and 'latest' not in row.tags else 'latest'}" for row in found]


def names_on(user: SomeUser, device: Device | None) -> dict[str, list[str]]:
    """Names of volumes, networks and running containers of a device, to choose from. Three queries."""
    if device is None:
        return {"volumes": [], "networks": [], "containers": []}
    volumes = Volume.objects.visible_to(user).filter(device=device, is_anonymous=False)
    networks = Network.objects.visible_to(user).filter(device=device).exclude(name__in=["host", "none"])
    containers = Container.objects.visible_to(user).present().filter(device=device, state="running")
    return {
        "volumes": list(volumes.order_by("name").values_list("name", flat=True)[:500]),
        "networks": list(networks.order_by("name").values_list("name", flat=True)[:500]),
        "containers": list(containers.order_by("name").values_list("name", flat=True)[:500]),
    }


def copy_of(shown: Draft, names: set[str]) -> Draft:
    """The form for a duplicate: another name, and nothing fixed that only one can have."""
    base = shown.text("name")
    candidates = (f"{base}-copy{number or ''}" for number in range(100))
    free = next((name for name in candidates if name not in names), base)
    networks = tuple({**row, "ipv4": "", "ipv6": ""} for row in shown.of("network"))
    return Draft({**shown.fields, "name": free}, {**shown.rows, "network": networks})
