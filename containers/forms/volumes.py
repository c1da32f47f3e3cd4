"""Forms of volumes and backups: everything that an engine would refuse is found here, in words."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from containers.models import Backup, BackupPlan, Volume
from containers.rules.archives import archive_start
from containers.rules.parameters import ParameterError
from containers.rules.volume_facts import NewVolume, read_driver, read_pairs, read_volume_name
from devices.models import Device
from devices.rules.schedules import ScheduleError, check_schedule

_ROWS = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "code"})


def _device_choices(devices: Sequence[Device]) -> list[tuple[str, str]]:
    return [(str(device.pk), device.name + ("" if device.is_online else " (not connected)")) for device in devices]


class _NamedVolumeForm(forms.Form):
    """Base of the forms that name a new volume."""

    name = forms.CharField(max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}))

    def clean_name(self) -> str:
        """As the engine allows it."""
        return str(self._read("name", read_volume_name))

    def _read(self, field: str, read: Any, *more: Any) -> Any:
        try:
            return read(self.cleaned_data[field], *more)
        except ParameterError as exc:
            raise forms.ValidationError(str(exc)) from exc


class VolumeForm(_NamedVolumeForm):
    """A new volume, on one device or several. ``devices`` are those that may be chosen."""

    devices = forms.MultipleChoiceField(error_messages={"required": "Choose at least one device."})
    driver = forms.CharField(max_length=128, required=False, initial="local")
    options = forms.CharField(
        max_length=20_000,
        required=False,
        widget=_ROWS,
        label="Driver options",
        help_text="One key=value a line, for example type=nfs, o=addr=10.0.0.5,rw and device=:/export. Kept encrypted.",
    )
    labels = forms.CharField(max_length=20_000, required=False, widget=_ROWS, help_text="One key=value a line.")

    def __init__(self, *args: Any, choices: Sequence[Device], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = choices
        self.fields["devices"].choices = _device_choices(choices)  # type: ignore[attr-defined]

    def clean_driver(self) -> str:
        """The Engine's own where nothing is typed."""
        return str(self._read("driver", read_driver))

    def clean_options(self) -> dict[str, str]:
        """As a mapping."""
        pairs: dict[str, str] = self._read("options", read_pairs, "options")
        return pairs

    def clean_labels(self) -> dict[str, str]:
        """As a mapping."""
        pairs: dict[str, str] = self._read("labels", read_pairs, "labels")
        return pairs

    @property
    def volume(self) -> NewVolume:
        """What was asked for."""
        data = self.cleaned_data
        return NewVolume(data["name"], data["driver"], data["options"], data["labels"])

    @property
    def chosen(self) -> list[Device]:
        """The devices that were chosen."""
        return [device for device in self.choices if str(device.pk) in self.cleaned_data["devices"]]


class BackupForm(forms.Form):
    """A backup now."""

    consistency = forms.ChoiceField(choices=BackupPlan.Consistency.choices, initial="running", label="Its containers")
    note = forms.CharField(max_length=200, required=False, help_text="What it is for, to find it again.")


class CopyForm(_NamedVolumeForm):
    """A copy of a volume as a new one."""

    device = forms.ChoiceField(label="On")
    consistency = forms.ChoiceField(choices=BackupPlan.Consistency.choices, initial="running", label="Its containers")

    def __init__(self, *args: Any, choices: Sequence[Device], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = choices
        self.fields["device"].choices = _device_choices(choices)  # type: ignore[attr-defined]

    @property
    def target(self) -> Device:
        """Where it is made."""
        return next(device for device in self.choices if str(device.pk) == self.cleaned_data["device"])


class RestoreForm(_NamedVolumeForm):
    """Where a backup goes: into a new volume, in place of one, or over what one holds."""

    MODES = (
        ("new", "Into a new volume"),
        ("replace", "In place of an existing volume"),
        ("over", "Over what an existing volume holds"),
    )

    device = forms.ChoiceField(label="On")
    mode = forms.ChoiceField(choices=MODES, initial="new", label="How")
    during = forms.ChoiceField(choices=BackupPlan.Consistency.choices, initial="stopped", label="Its containers")
    safety = forms.BooleanField(required=False, initial=True, label="Back up first what is there")
    confirmation = forms.CharField(max_length=255, required=False, label="Name of the volume that is overwritten")

    def __init__(self, *args: Any, choices: Sequence[Device], backup: Backup, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = choices
        self.backup = backup
        self.fields["device"].choices = _device_choices(choices)  # type: ignore[attr-defined]

    @property
    def target(self) -> Device:
        """Where it goes."""
        return next(device for device in self.choices if str(device.pk) == self.cleaned_data["device"])

    def clean_name(self) -> str:
        """Names of volumes that exist may be any that their drivers allow."""
        if self.data.get("mode", "new") == "new":
            return super().clean_name()
        return str(self.cleaned_data["name"]).strip()

    def clean(self) -> dict[str, Any]:
        """What is overwritten has to be there, and its name typed; what is new must not be there."""
        data = super().clean() or {}
        if self.errors:
            return data
        known = Volume.objects.filter(device=self.target, name=data["name"]).first()
        if data["mode"] == "new":
            if known is not None:
                self.add_error("name", f"{self.target.name} has a volume of that name: choose another name or way.")
            return data
        if known is None:
            self.add_error("name", f"{self.target.name} has no volume of that name.")
        elif data["confirmation"].strip() != known.name:
            self.add_error("confirmation", f"Type {known.name} here: what it holds is overwritten.")
        return data

    @property
    def new_volume(self) -> NewVolume:
        """The new volume bears the labels of the old one, so that compose finds it its own."""
        return NewVolume(self.cleaned_data["name"], "local", {}, dict(self.backup.labels))


class PlanForm(forms.ModelForm[BackupPlan]):
    """When a volume is backed up, how, and how long that is kept."""

    class Meta:
        model = BackupPlan
        fields = ("schedule", "consistency", "keep_last", "keep_daily", "keep_weekly", "keep_monthly", "is_enabled")
        labels = {
            "consistency": "Its containers",
            "keep_last": "Last",
            "keep_daily": "Daily",
            "keep_weekly": "Weekly",
            "keep_monthly": "Monthly",
            "is_enabled": "Make backups by this plan",
        }
        help_texts = {
            "schedule": "Minute, hour, day of month, month, day of week, in UTC: 30 2 * * * is every night at 02:30.",
        }

    def clean_schedule(self) -> str:
        """A cron expression that fires."""
        schedule = str(self.cleaned_data["schedule"]).strip()
        try:
            check_schedule(schedule, datetime.now(UTC))
        except ScheduleError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return schedule

    def clean(self) -> dict[str, Any]:
        """At least one rule keeps something."""
        data = super().clean() or {}
        counts = [data.get(name) for name in ("keep_last", "keep_daily", "keep_weekly", "keep_monthly")]
        if None not in counts and not any(counts):
            self.add_error("keep_last", "At least one of the four has to keep something.")
        return data


class UploadForm(forms.Form):
    """An archive from elsewhere, to be restored like a backup."""

    archive = forms.FileField(label="Archive", help_text="A tar, packed with zstd or gzip or not at all.")
    volume = forms.CharField(max_length=255, label="Name of the volume", help_text="Offered as the name at a restore.")
    note = forms.CharField(max_length=200, required=False)

    def clean_archive(self) -> "UploadedFile[Any]":
        """A tar by its first bytes, and not larger than allowed."""
        file: UploadedFile[Any] = self.cleaned_data["archive"]
        most = settings.SSM_BACKUP_UPLOAD_MIB * 1024 * 1024
        if (file.size or 0) > most:
            raise forms.ValidationError(
                f"It is larger than {settings.SSM_BACKUP_UPLOAD_MIB:,} MiB (the setting allows)."
            )
        file.seek(0)
        packing = archive_start(file.read(512))
        file.seek(0)
        if not packing:
            raise forms.ValidationError("This is no tar archive, nor one packed with zstd or gzip.")
        return file

    def clean_volume(self) -> str:
        """A name that a volume may have."""
        try:
            return read_volume_name(self.cleaned_data["volume"])
        except ParameterError as exc:
            raise forms.ValidationError(str(exc)) from exc
