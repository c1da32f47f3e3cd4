"""The filters of the list of networks, as its address holds them."""

from dataclasses import dataclass
from typing import Any, Final, Self

from django.db.models import F, Q
from django.http import HttpRequest, QueryDict

from containers.filters import LONGEST_LIST, id_of
from containers.models import Network
from containers.models.networks import PREDEFINED
from containers.querysets import NetworkQuerySet
from devices.models import Device
from ssm.lib.tables import Chip, Choice, chips, choice_of, order_by, sort_of, text_of

USES: Final = (
    Choice("used", "With containers"),
    Choice("unused", "Without containers"),
    Choice("made", "Made by people"),
    Choice("predefined", "Made by the engine"),
    Choice("internal", "Without a way out"),
)
GROUPINGS: Final = (Choice("device", "By device"), Choice("project", "By project"))
_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "device__name"),
    "device": ("device__name", "name"),
    "driver": ("driver", "name", "device__name"),
    "containers": ("name", "device__name"),
    "age": ("name", "device__name"),
}
_RANKS: Final = {"containers": F("container_count"), "age": F("created_at")}
_MADE_BY_ENGINE: Final = Q(name__in=PREDEFINED) & ~Q(scope="swarm") | Q(ingress=True)


@dataclass(frozen=True, slots=True)
class NetworkFilter:
    """What the list shows; empty fields filter nothing. ``device`` is an id, ``group`` a label of devices."""

    q: str
    use: str
    driver: str
    device: str
    group: str
    project: str
    by: str
    sort: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            use=choice_of(query, "use", (choice.value for choice in USES)),
            driver=text_of(query, "driver"),
            device=id_of(query, "device"),
            group=text_of(query, "group"),
            project=text_of(query, "project"),
            by=choice_of(query, "by", (choice.value for choice in GROUPINGS)),
            sort=sort_of(query, _SORTS, "name"),
        )

    def select(self, networks: NetworkQuerySet) -> NetworkQuerySet:
        """The networks that pass, unsorted."""
        if self.q:
            found = Q(name__icontains=self.q) | Q(device__name__icontains=self.q) | Q(driver__iexact=self.q)
            found |= Q(compose_project__icontains=self.q) | Q(engine_id__startswith=self.q.lower())
            networks = networks.filter(found | Q(pools__icontains=self.q))
        if self.device:
            networks = networks.filter(device__pk=self.device)
        if self.group:
            networks = networks.filter(device__groups__contains=[self.group])
        if self.driver:
            networks = networks.filter(driver=self.driver)
        if self.project:
            networks = networks.filter(compose_project=self.project)
        if self.use in ("used", "unused"):
            return networks.used(by_any=self.use == "used")
        if self.use == "internal":
            return networks.filter(internal=True)
        if self.use:
            return networks.filter(_MADE_BY_ENGINE if self.use == "predefined" else ~_MADE_BY_ENGINE)
        return networks

    def order(self, networks: NetworkQuerySet) -> NetworkQuerySet:
        """Sorted, groups first; the id last, so that equal rows never swap pages."""
        first = {"device": ["device__name", "device"], "project": ["compose_project"]}.get(self.by, [])
        return networks.order_by(*first, *order_by(self.sort, _SORTS, _RANKS), "pk")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        words = {choice.value: choice.text for choice in USES}
        active = [
            ("q", "Search", self.q),
            ("use", "Which", words.get(self.use, "")),
            ("driver", "Driver", self.driver),
            ("device", "Device", device_name if self.device else ""),
            ("group", "Group", self.group),
            ("project", "Project", self.project),
        ]
        return chips(query, active)


def network_lists(request: HttpRequest) -> dict[str, Any]:
    """What the filters offer. Three queries."""
    devices = list(
        Device.objects.visible_to(request.user).order_by("name").values_list("pk", "name", "groups")[:LONGEST_LIST]
    )
    visible = Network.objects.visible_to(request.user)
    drivers = visible.exclude(driver="").order_by("driver").values_list("driver", flat=True).distinct()
    of_projects = visible.exclude(compose_project="").order_by("compose_project")
    projects = of_projects.values_list("compose_project", flat=True).distinct()
    return {
        "uses": USES,
        "groupings": GROUPINGS,
        "device_names": {str(pk): name for pk, name, _groups in devices},
        "devices": [Choice(str(pk), name) for pk, name, _groups in devices],
        "device_groups": [Choice(name, name) for name in sorted({g for _pk, _name, groups in devices for g in groups})],
        "drivers": [Choice(name, name) for name in drivers[:LONGEST_LIST]],
        "projects": [Choice(name, name) for name in projects[:LONGEST_LIST]],
    }
