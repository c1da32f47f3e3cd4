"""Forms about people."""

import re
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.apps import apps
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from ssm.accounts.models import Account, Role
from ssm.accounts.models.audit import now
from ssm.accounts.people import RoleChange, UserChange
from ssm.accounts.rules.rights import RIGHTS
from ssm.lib.access import signed_in
from ssm.lib.roles import BUILT_IN, WITHOUT_LIMIT, Limit, Right, can, is_limitable

MOST_NAMES: Final = 40
_LABEL: Final = re.compile(r"[^\s=,]{1,200}(=[^,]{0,200})?")


def known_groups() -> list[str]:
    """The groups that devices are in, to choose from. One query."""
    # By its name: this app is below that of devices, and asks nothing else of it.
    device: Any = apps.get_model("devices", "Device")
    found = {group for groups in device.objects.values_list("groups", flat=True) for group in groups}
    return sorted(found)[:200]


class NamesField(forms.CharField):
    """Names, separated by commas or lines."""

    def __init__(self, *, pattern: re.Pattern[str] | None = None, most: int, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=4000, **kwargs)
        self._pattern, self._most = pattern, most

    def prepare_value(self, value: Any) -> Any:
        """As text."""
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> Any:
        """As a list without doubles. Raises ValidationError."""
        text = super().clean(value)
        names = list(dict.fromkeys(name.strip() for name in re.split(r"[,\n]", text) if name.strip()))
        if len(names) > MOST_NAMES:
            raise ValidationError(f"These are {len(names)}; {MOST_NAMES} are the most.")
        for name in names:
            if len(name) > self._most or (self._pattern and not self._pattern.fullmatch(name)):
                raise ValidationError(f"“{name[:60]}” is too long, or no name of this kind.")
        return names


class LimitedForm(forms.Form):
    """What roles and tokens share: rights, and the part of the fleet they are for."""

    rights = forms.MultipleChoiceField(
        choices=[(name, text.title) for name, text in RIGHTS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    device_groups = NamesField(most=50, help_text="Devices of one of these groups. Empty: all devices.")
    labels = NamesField(
        most=255,
        pattern=_LABEL,
        help_text="Objects with one of these labels, as name=value, or name for any value. Empty: all.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = known_groups()

    @property
    def right_rows(self) -> list[dict[str, Any]]:
        """The rights with their words, for the page."""
        chosen = set(self["rights"].value() or ())
        return [
            {"name": name, "title": text.title, "text": text.text, "is_chosen": name in chosen}
            for name, text in RIGHTS.items()
        ]

    @property
    def limit(self) -> Limit:
        """The part of the fleet, of valid data."""
        return Limit(tuple(self.cleaned_data["device_groups"]), tuple(self.cleaned_data["labels"]))

    def _check_rights(self, data: dict[str, Any]) -> None:
        rights = {Right(name) for name in data.get("rights", ())} | {Right.SEE}
        data["rights"] = sorted(rights)
        limit = Limit(tuple(data.get("device_groups") or ()), tuple(data.get("labels") or ()))
        senseless = [RIGHTS[right].title for right in sorted(rights) if not is_limitable(right, limit)]
        if senseless:
            why = "cannot be limited" if rights & WITHOUT_LIMIT else "cannot be limited by labels"
            self.add_error("rights", f"{', '.join(senseless)}: {why}. Take it out, or the limit.")


class RoleForm(LimitedForm):
    """A role."""

    name = forms.CharField(max_length=100)
    description = forms.CharField(max_length=255, required=False)
    demands_second_factor = forms.BooleanField(
        required=False,
        label="Demand a second factor",
        help_text="Who has this role gets no further than setting one up.",
    )

    def __init__(self, *args: Any, role: Role | None = None, pattern: Role | None = None, **kwargs: Any) -> None:
        source = role or pattern
        initial = dict(kwargs.pop("initial", None) or {})
        if source is not None:
            initial |= {
                "name": source.name if role else f"{source.name} (copy)",
                "description": source.description,
                "rights": sorted(source.rights),
                "device_groups": source.device_groups,
                "labels": source.labels,
                "demands_second_factor": source.demands_second_factor,
            }
        super().__init__(*args, initial=initial, **kwargs)
        self.role = role
        if self.is_fixed:
            for name in ("name", "description", "rights", "device_groups", "labels"):
                self.fields[name].disabled = True

    @property
    def is_fixed(self) -> bool:
        """Whether the role comes with SSM."""
        return self.role is not None and self.role.is_built_in

    def clean_name(self) -> str:
        """A name that no other role has."""
        name = " ".join(str(self.cleaned_data["name"]).split())
        if not self.is_fixed:
            others = Group.objects.filter(name__iexact=name)
            if self.role is not None:
                others = others.exclude(pk=self.role.pk)
            if others.exists() or name in BUILT_IN:
                raise ValidationError("There is a role of this name.")
        return name

    def clean(self) -> dict[str, Any]:
        """Rights that make sense within the limit."""
        data = super().clean() or self.cleaned_data
        if not self.is_fixed:
            self._check_rights(data)
        return data

    @property
    def change(self) -> RoleChange:
        """What the valid form says."""
        data = self.cleaned_data
        return RoleChange(
            name=data["name"],
            description=data["description"],
            rights=frozenset(Right(name) for name in data["rights"]),
            device_groups=tuple(data["device_groups"]),
            labels=tuple(data["labels"]),
            demands_second_factor=data["demands_second_factor"],
        )


class UserForm(forms.ModelForm[User]):
    """A user, as those see it who manage users."""

    roles = forms.ModelMultipleChoiceField(Role.objects.none(), required=False, widget=forms.CheckboxSelectMultiple)
    new_password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput,
        help_text="To be handed over: it has to be changed at the first log-in.",
    )
    demands_second_factor = forms.BooleanField(
        required=False, label="Demand a second factor", help_text="Whatever the roles say."
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "is_active", "is_staff")
        field_classes = {"username": UsernameField}
        labels = {"is_active": "May log in", "is_staff": "May open the Django administration"}
        help_texts = {
            "username": "Letters, digits and @ . + - _",
            "is_active": "Without it every session and token of theirs ends.",
            "is_staff": "Raw tables, for those who manage everything; their rights hold there too.",
        }

    def __init__(self, *args: Any, roles: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["roles"]
        field.queryset = roles
        # ModelForm would fill it from the model's own column of that name, which there is none of.
        if self.instance.pk:
            field.initial = list(self.instance.groups.values_list("pk", flat=True))
            account = Account.objects.filter(user=self.instance).first()
            self.fields["demands_second_factor"].initial = bool(account and account.demands_second_factor)
            self.fields["new_password"].label = "New password"
            self.fields[
                "new_password"
            ].help_text = "Leave empty to keep the one there is. A new one has to be changed at the next log-in."
        self.password_rules = password_validators_help_texts()

    def clean_new_password(self) -> str:
        """One that keeps the rules; a new user needs one."""
        password = str(self.cleaned_data["new_password"])
        if password:
            validate_password(password, self.instance)
        elif self.instance._state.adding:
            raise ValidationError("Give a password to begin with.")
        return password

    @property
    def change(self) -> UserChange:
        """What the valid form says."""
        data = self.cleaned_data
        return UserChange(
            **{name: data[name] for name in self.Meta.fields},
            demands_second_factor=data["demands_second_factor"],
            roles=tuple(data["roles"]),
            password=data["new_password"],
        )

    def _post_clean(self) -> None:
        """Check the row without writing into the one that was read: the service compares with that."""
        kept = {name: getattr(self.instance, name) for name in self.Meta.fields}
        super()._post_clean()  # type: ignore[misc]
        for name, value in kept.items():
            setattr(self.instance, name, value)


class TokenForm(LimitedForm):
    """A token of one's own."""

    name = forms.CharField(max_length=100, help_text="What it is for.")
    days = forms.TypedChoiceField(label="Valid for", coerce=int, choices=())

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = settings.SSM_TOKEN_DAYS
        days = sorted({day for day in (7, 30, 90, 365) if day < most} | {most})
        field: Any = self.fields["days"]
        field.choices = [(day, f"{day} days") for day in days]
        field.initial = 30 if 30 in days else days[0]
        rights: Any = self.fields["rights"]
        rights.choices = [(name, text.title) for name, text in RIGHTS.items() if can(user, Right(name))]

    @property
    def right_rows(self) -> list[dict[str, Any]]:
        """Only what the user holds can be given to a token."""
        field: Any = self.fields["rights"]
        held = {name for name, _title in field.choices}
        return [row for row in super().right_rows if row["name"] in held]

    def clean(self) -> dict[str, Any]:
        """Rights that make sense within the limit."""
        data = super().clean() or self.cleaned_data
        self._check_rights(data)
        return data

    @property
    def expires_at(self) -> Any:
        """When it is over, of valid data."""
        return now() + timedelta(days=self.cleaned_data["days"])


class CodeForm(forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(max_length=40)


class OwnPasswordForm(forms.Form):
    """A new password of one's own, by who knows the old one."""

    old_password = forms.CharField(label="Password now", strip=False, max_length=1000, widget=forms.PasswordInput)
    new_password = forms.CharField(label="New password", strip=False, max_length=1000, widget=forms.PasswordInput)
    repeated = forms.CharField(label="New password again", strip=False, max_length=1000, widget=forms.PasswordInput)

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request
        self.rules = password_validators_help_texts()

    def clean_old_password(self) -> str:
        """The right one."""
        password = str(self.cleaned_data["old_password"])
        # As at the log-in, so that guessing is counted and stopped alike.
        if authenticate(self._request, username=self._request.user.get_username(), password=password) is None:
            raise ValidationError("This is not your password, or too many were tried.")
        return password

    def clean_new_password(self) -> str:
        """One that keeps the rules, and another one."""
        password = str(self.cleaned_data["new_password"])
        validate_password(password, signed_in(self._request))
        if self._request.user.check_password(password):
            raise ValidationError("This is the password that you have.")
        return password

    def clean(self) -> dict[str, Any]:
        """Typed alike twice."""
        data = super().clean() or self.cleaned_data
        if data.get("new_password") and data.get("repeated") and data["new_password"] != data["repeated"]:
            self.add_error("repeated", "This is not the same.")
        return data
