"""The filters of the lists of volumes and backups, as their addresses hold them."""

from dataclasses import dataclass
from typing import Any, Final, Self

from django.db.models import F, Q
from django.http import HttpRequest, QueryDict

from containers.filters import LONGEST_LIST, id_of
from containers.models import Backup, Volume
from containers.querysets import BackupQuerySet, VolumeQuerySet
from devices.models import Device
from ssm.lib.tables import Chip, Choice, chips, choice_of, order_by, sort_of, text_of

USES: Final = (
    Choice("used", "Used by a container"),
    Choice("unused", "Unused"),
    Choice("named", "Named"),
    Choice("anonymous", "Anonymous"),
)
SAFETIES: Final = (
    Choice("planned", "Backed up by plan"),
    Choice("some", "Has a backup"),
    Choice("none", "Never backed up"),
)
_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("name", "device__name"),
    "device": ("device__name", "name"),
    "driver": ("driver", "name", "device__name"),
    "size": ("name", "device__name"),
    "age": ("name", "device__name"),
    "backup": ("name", "device__name"),
}
_RANKS: Final = {"size": F("size_bytes"), "age": F("created_at"), "backup": F("backed_up_at")}


@dataclass(frozen=True, slots=True)
class VolumeFilter:
    """What the list shows; empty fields filter nothing. ``device`` is an id, ``group`` a label of devices."""

    q: str
    use: str
    safety: str
    driver: str
    device: str
    group: str
    sort: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            use=choice_of(query, "use", (choice.value for choice in USES)),
            safety=choice_of(query, "safety", (choice.value for choice in SAFETIES)),
            driver=text_of(query, "driver"),
            device=id_of(query, "device"),
            group=text_of(query, "group"),
            sort=sort_of(query, _SORTS, "name"),
        )

    def select(self, volumes: VolumeQuerySet) -> VolumeQuerySet:
        """The volumes that pass, unsorted."""
        if self.q:
            found = Q(name__icontains=self.q) | Q(device__name__icontains=self.q) | Q(driver__icontains=self.q)
            volumes = volumes.filter(found | Q(labels__has_key=self.q))
        if self.device:
            volumes = volumes.filter(device__pk=self.device)
        if self.group:
            volumes = volumes.filter(device__groups__contains=[self.group])
        if self.driver:
            volumes = volumes.filter(driver=self.driver)
        if self.use in ("used", "unused"):
            volumes = volumes.with_use().filter(Q(("is_used", self.use == "used")))
        elif self.use:
            volumes = volumes.filter(is_anonymous=self.use == "anonymous")
        if self.safety:
            volumes = volumes.with_safety()
            volumes = {
                "planned": volumes.filter(Q(("has_plan", True))),
                "some": volumes.filter(Q(("backed_up_at__isnull", False))),
                "none": volumes.filter(Q(("backed_up_at", None))),
            }[self.safety]
        return volumes

    def order(self, volumes: VolumeQuerySet) -> VolumeQuerySet:
        """Sorted; the id last, so that equal rows never swap pages."""
        return volumes.order_by(*order_by(self.sort, _SORTS, _RANKS), "pk")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        active = [
            ("q", "Search", self.q),
            ("use", "Use", _words(USES, self.use)),
            ("safety", "Backups", _words(SAFETIES, self.safety)),
            ("driver", "Driver", self.driver),
            ("device", "Device", device_name if self.device else ""),
            ("group", "Group", self.group),
        ]
        return chips(query, active)


def _words(choices: tuple[Choice, ...], value: str) -> str:
    return next((choice.text for choice in choices if choice.value == value), "")


def volume_lists(request: HttpRequest) -> dict[str, Any]:
    """What the filters offer. Two queries."""
    devices = list(
        Device.objects.visible_to(request.user).order_by("name").values_list("pk", "name", "groups")[:LONGEST_LIST]
    )
    drivers = Volume.objects.visible_to(request.user).order_by("driver").values_list("driver", flat=True).distinct()
    return {
        "uses": USES,
        "safeties": SAFETIES,
        "drivers": [Choice(name, name) for name in drivers[:LONGEST_LIST] if name],
        "device_names": {str(pk): name for pk, name, _groups in devices},
        "devices": [Choice(str(pk), name) for pk, name, _groups in devices],
        "device_groups": [Choice(name, name) for name in sorted({g for _pk, _name, groups in devices for g in groups})],
    }


BACKUP_STATES: Final = (
    Choice("good", "Good"),
    Choice("running", "Being made"),
    Choice("failed", "Failed or damaged"),
)
BACKUP_ORIGINS: Final = (Choice("plan", "By plan"), Choice("hand", "By hand"), Choice("upload", "Uploaded"))
_BACKUP_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "when": ("-created_at",),
    "volume": ("volume_name", "device_name", "-created_at"),
    "device": ("device_name", "volume_name", "-created_at"),
    "size": ("-created_at",),
}
_BACKUP_RANKS: Final = {"size": F("size_bytes")}


@dataclass(frozen=True, slots=True)
class BackupFilter:
    """What the list of backups shows; empty fields filter nothing."""

    q: str
    state: str
    origin: str
    device: str
    volume: str
    sort: str

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From an address; unknown values are left out. No queries."""
        return cls(
            q=text_of(query, "q"),
            state=choice_of(query, "state", (choice.value for choice in BACKUP_STATES)),
            origin=choice_of(query, "origin", (choice.value for choice in BACKUP_ORIGINS)),
            device=id_of(query, "device"),
            volume=text_of(query, "volume"),
            sort=sort_of(query, _BACKUP_SORTS, "when"),
        )

    def select(self, backups: BackupQuerySet) -> BackupQuerySet:
        """The backups that pass, unsorted."""
        if self.q:
            found = Q(volume_name__icontains=self.q) | Q(device_name__icontains=self.q) | Q(note__icontains=self.q)
            backups = backups.filter(found)
        if self.state == "failed":
            backups = backups.filter(state__in=[Backup.State.FAILED, Backup.State.DAMAGED])
        elif self.state:
            backups = backups.filter(state=self.state)
        if self.origin == "upload":
            backups = backups.filter(origin=Backup.Origin.UPLOAD)
        elif self.origin:
            backups = backups.filter(origin=Backup.Origin.BACKUP, plan__isnull=self.origin == "hand")
        if self.device:
            backups = backups.filter(device__pk=self.device)
        if self.volume:
            backups = backups.filter(volume_name=self.volume)
        return backups

    def order(self, backups: BackupQuerySet) -> BackupQuerySet:
        """Sorted; the id last, so that equal rows never swap pages."""
        return backups.order_by(*order_by(self.sort, _BACKUP_SORTS, _BACKUP_RANKS), "pk")

    def chips(self, query: QueryDict, device_name: str) -> list[Chip]:
        """The active filters, each removable."""
        active = [
            ("q", "Search", self.q),
            ("state", "State", _words(BACKUP_STATES, self.state)),
            ("origin", "Made", _words(BACKUP_ORIGINS, self.origin)),
            ("device", "Device", device_name if self.device else ""),
            ("volume", "Volume", self.volume),
        ]
        return chips(query, active)
