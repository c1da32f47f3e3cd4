"""Parts that several forms of devices share: write-only text, and schedules with what they come to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django import forms

from devices.models import now
from devices.rules.addresses import AddressError, parse_host
from devices.rules.schedules import ScheduleError, check_schedule

# The largest RSA keys are some 13 kB of text.
MAX_KEY_BYTES: Final = 64 * 1024
MAX_GROUPS: Final = 20


class WriteOnlyTextarea(forms.Textarea):
    """A text area that never shows a value, not even the one just typed."""

    def format_value(self, value: Any) -> str | None:
        """Nothing, whatever is given."""
        return None


def clean_cron(expression: str) -> str:
    """The expression without blanks around it; ValidationError that says what is wrong with it."""
    expression = expression.strip()
    try:
        check_schedule(expression, now())
    except ScheduleError as exc:
        raise forms.ValidationError(str(exc)) from exc
    return expression


def clean_host(text: str) -> str:
    """A host name or address in its usual form; ValidationError that says what is wrong with it."""
    try:
        return parse_host(text)
    except AddressError as exc:
        raise forms.ValidationError(str(exc)) from exc


def clean_group_names(text: str) -> list[str]:
    """Distinct names in the order typed, out of a text with commas between them."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if len(names) > MAX_GROUPS or any(len(name) > 50 for name in names):
        raise forms.ValidationError(f"At most {MAX_GROUPS} groups of at most 50 characters each.")
    return names


@dataclass(frozen=True, slots=True)
class Preview:
    """What a cron expression comes to: its next three runs (UTC), or what is wrong with it."""

    runs: tuple[datetime, ...] = ()
    error: str = ""


def preview(expression: str) -> Preview:
    """What the expression comes to now; nothing for an empty one."""
    if not expression.strip():
        return Preview()
    try:
        return Preview(runs=tuple(check_schedule(expression.strip(), now())))
    except ScheduleError as exc:
        return Preview(error=str(exc))


@dataclass(frozen=True, slots=True)
class ScheduleField:
    """A field of the form and what its expression comes to."""

    field: forms.BoundField
    preview: Preview


class ScheduleFields:
    """What forms with the three schedules of a device have in common: each is a cron expression that fires."""

    cleaned_data: dict[str, Any]

    def clean_sweep_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["sweep_schedule"])

    def clean_statistics_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["statistics_schedule"])

    def clean_update_schedule(self) -> str:
        """A cron expression that fires."""
        return clean_cron(self.cleaned_data["update_schedule"])
