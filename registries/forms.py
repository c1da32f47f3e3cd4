"""The form of an account: the fields of its provider, checked together. Secrets go in and never come out again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.db import transaction
from django.forms import BoundField

from registries.models import Registry, now
from registries.providers import PROVIDERS, Access, Field, Provider, check_values, provider_of
from registries.rules.addresses import AddressError, check_prefix, parse_registry_address, parse_trusted_host
from registries.rules.certificates import CertificateError, check_certificates, check_pair
from registries.rules.schedules import ScheduleError, next_poll
from registries.services import access_of, account_changed

MAX_SECRET: Final = 64 * 1024
# Of these the address decides alone; the others may stand anywhere, with certificates of their own.
_CLOUDS: Final = frozenset({"ecr", "gcr", "acr"})
_ADDRESS_FIELDS: Final = ("auth_host", "allow_http", "insecure_tls", "ca_pem", "client_certificate", "client_key")


class WriteOnlyTextarea(forms.Textarea):
    """A text area that never shows a value, not even the one just typed."""

    def format_value(self, value: Any) -> str | None:
        """Nothing, whatever is given."""
        return None


@dataclass(frozen=True, slots=True)
class Way:
    """One way to log in: the value of its radio button, and its fields."""

    kind: str
    label: str
    is_chosen: bool
    fields: tuple[BoundField, ...]


class RegistryForm(forms.ModelForm[Registry]):
    """An account of one provider. The provider is chosen before and does not change."""

    kind = forms.ChoiceField(required=False, widget=forms.RadioSelect, label="Log in with")
    address = forms.CharField(required=False, max_length=300)
    ca_pem = forms.CharField(
        required=False,
        max_length=MAX_SECRET,
        label="Certificate authority",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="PEM text. Trusted beside the system's own, for this registry alone.",
    )
    client_certificate = forms.CharField(
        required=False,
        max_length=MAX_SECRET,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="PEM text, for registries that ask clients for one.",
    )
    client_key = forms.CharField(
        required=False,
        max_length=MAX_SECRET,
        label="Key of the client certificate",
        widget=WriteOnlyTextarea(attrs={"rows": 4, "spellcheck": "false", "hx-preserve": "true"}),
    )

    class Meta:
        model = Registry
        fields = (
            "name",
            "path_prefix",
            "is_enabled",
            "poll_schedule",
            "auth_host",
            "allow_http",
            "insecure_tls",
            "ca_pem",
            "client_certificate",
            "client_key",
        )
        labels = {
            "path_prefix": "Only below this path",
            "poll_schedule": "Own schedule",
            "auth_host": "Token server",
            "allow_http": "Talk plain HTTP to it",
            "insecure_tls": "Accept any certificate",
        }
        help_texts = {
            "path_prefix": "For a further account at the same registry, such as team or team/project. "
            "The longest that fits an image counts.",
            "poll_schedule": "Cron expression in UTC, beside the schedules of the devices. Empty: none.",
            "auth_host": "Host that may receive the credentials for tokens, if it is not the registry itself.",
            "allow_http": "Credentials and answers can be read and changed on the way.",
            "insecure_tls": "Anybody on the way can pose as the registry. Better give its certificate authority.",
        }
        error_messages = {"name": {"unique": "Another account has this name."}}

    def __init__(self, *args: Any, provider: Provider, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.provider = provider
        self.is_new = self.instance._state.adding
        self.instance.provider = provider.id
        self._stored = {} if self.is_new else self.instance.secret_values()
        self._stored_key = "" if self.is_new else self.instance.client_key
        self._before = {} if self.is_new else self._place(self.instance)
        self.initial.pop("client_key", None)
        if self.is_new:
            self.initial.setdefault("name", _free_name(provider.label))
        self._add_address()
        self._add_ways()

    # ---- the fields of the provider ---------------------------------------------------------------------

    def _add_address(self) -> None:
        if not self.provider.takes_url:
            del self.fields["address"]
        else:
            field = self.fields["address"]
            field.label = "Registry host" if self.provider.id in _CLOUDS else "Address"
            example = self.provider.hosts[0] if self.provider.hosts else "registry.example.com:5000"
            field.help_text = f"As in the names of its images: {example}"
            if self.provider.default_host:
                field.help_text = f"Your own instance, if it is not {self.provider.default_host}."
                self.initial.setdefault("address", self.provider.default_host)
            field.required = not self.provider.default_host
            if not self.is_new:
                is_plain = self.instance.base_url in ("", f"https://{self.instance.host}")
                self.initial["address"] = self.instance.host if is_plain else self.instance.base_url
        if not self.has_connection:
            for name in _ADDRESS_FIELDS:
                del self.fields[name]
        elif self._stored_key:
            self.fields["client_key"].help_text = "Stored. Leave it empty to keep it."

    @property
    def has_connection(self) -> bool:
        """Whether it may stand anywhere, so that certificates and plain HTTP are this account's business."""
        return self.provider.takes_url and self.provider.id not in _CLOUDS

    @property
    def opens_connection(self) -> bool:
        """Whether something in that part of the form needs to be seen."""
        return any(name in self.errors or self[name].value() for name in _ADDRESS_FIELDS if name in self.fields)

    @property
    def opens_use(self) -> bool:
        """Whether something in that part of the form needs to be seen."""
        names = ("path_prefix", "poll_schedule")
        return any(name in self.errors or self[name].value() for name in names) or not self["is_enabled"].value()

    def _add_ways(self) -> None:
        kinds: list[tuple[str, str]] = []
        if self.provider.allows_anonymous:
            kinds.append(("", "Nothing (anonymous)"))
        for combination in self.provider.combinations:
            kind = self._kind_of(combination)
            needed = [field for field in self.provider.fields if field.name in combination]
            kinds.append((kind, " and ".join(_in_sentence(field.label, at) for at, field in enumerate(needed))))
            for field in self._fields_of(kind):
                self.fields[field_name(kind, field.name)] = self._form_field(kind, field)
        self.fields["kind"].choices = kinds  # type: ignore[attr-defined]
        stored = self.instance.kind if not self.is_new else self._kind_of(self.provider.combinations[0])
        self.initial["kind"] = stored if stored in dict(kinds) else kinds[0][0]

    def _kind_of(self, combination: frozenset[str]) -> str:
        return "+".join(field.name for field in self.provider.fields if field.name in combination)

    def _fields_of(self, kind: str) -> list[Field]:
        names = {*kind.split("+"), *self.provider.optional}
        return [field for field in self.provider.fields if field.name in names]

    def _form_field(self, kind: str, field: Field) -> forms.CharField:
        hint, attributes = field.help, {"spellcheck": "false", "autocomplete": "off"}
        is_stored = field.is_secret and self.instance.kind == kind and bool(self._stored.get(field.name))
        if is_stored:
            hint = f"Stored. Leave it empty to keep it. {hint}".strip()
        if field.is_secret:
            # What was typed stays in the browser when a faulty form comes back: it is never sent back from here.
            attributes["hx-preserve"] = "true"
        widget: forms.Widget = forms.TextInput(attributes)
        if field.is_multiline:
            widget = WriteOnlyTextarea({**attributes, "rows": 5})
        elif field.is_secret:
            widget = forms.PasswordInput(attributes)
        made = forms.CharField(
            required=False, strip=not field.is_secret, max_length=MAX_SECRET, label=field.label, widget=widget
        )
        made.help_text = hint
        if not field.is_secret:
            made.initial = self.instance.public_values.get(field.name, "")
        if is_stored and field.name in self.provider.optional:
            self.fields[f"forget_{field.name}"] = forms.BooleanField(
                required=False, label=f"Remove the stored {field.label.lower()}"
            )
        return made

    def ways(self) -> Iterator[Way]:
        """The ways to log in with their fields, for the template."""
        chosen = self["kind"].value() or ""
        for kind, label in self.fields["kind"].choices:  # type: ignore[attr-defined]
            names = [field_name(kind, field.name) for field in self._fields_of(kind)] if kind else []
            if kind == self.instance.kind:
                names += [name for name in self.fields if name.startswith("forget_")]
            yield Way(kind, label, kind == chosen, tuple(self[name] for name in names))

    # ---- one field --------------------------------------------------------------------------------------

    def clean_path_prefix(self) -> str:
        """In normal form."""
        return _checked(check_prefix, self.cleaned_data["path_prefix"])

    def clean_auth_host(self) -> str:
        """A host, with a port if it has one."""
        return _checked(parse_trusted_host, self.cleaned_data["auth_host"])

    def clean_poll_schedule(self) -> str:
        """Empty, or a cron expression that fires."""
        expression: str = self.cleaned_data["poll_schedule"].strip()
        if expression:
            try:
                next_poll(expression, now())
            except ScheduleError as exc:
                raise forms.ValidationError(str(exc)) from exc
        return expression

    def clean_ca_pem(self) -> str:
        """Certificates, or nothing."""
        return _checked_certificates(self.cleaned_data["ca_pem"])

    def clean_client_certificate(self) -> str:
        """Certificates, or nothing."""
        return _checked_certificates(self.cleaned_data["client_certificate"])

    # ---- all together -----------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        """Where it is, what logs in there, and whether another account counts for the same images."""
        data = super().clean() or self.cleaned_data
        self._clean_place(data)
        self._clean_client_key(data)
        self._clean_credentials(data)
        self._clean_rivals(data)
        return data

    def _clean_place(self, data: dict[str, Any]) -> None:
        self.instance.host, self.instance.base_url = self.provider.default_host, ""
        typed = data.get("address") or ""
        if not typed or "address" in self.errors:
            return
        try:
            address = parse_registry_address(typed)
        except AddressError as exc:
            self.add_error("address", str(exc))
            return
        if problem := self._wrong_provider(address.host):
            self.add_error("address", problem)
        if address.path and not data.get("path_prefix"):
            data["path_prefix"] = address.path
        if address.scheme == "http":
            if not self.has_connection:
                self.add_error("address", f"{self.provider.label} is only spoken to over https.")
            elif not data.get("allow_http"):
                self.add_error("allow_http", "The address is plain HTTP: tick this to allow it, or write https.")
        is_usual = address.host == self.provider.default_host and address.scheme == "https"
        self.instance.host = address.host
        self.instance.base_url = "" if is_usual or not self.has_connection else address.base_url

    def _wrong_provider(self, host: str) -> str:
        owner = provider_of(host)
        if self.provider.id in _CLOUDS and owner.id != self.provider.id:
            return f"This is no host of {self.provider.label}: they look like {', '.join(self.provider.hosts)}."
        if owner.id not in ("custom", self.provider.id):
            return f"This host belongs to {owner.label}: add the account as such."
        return ""

    def _clean_client_key(self, data: dict[str, Any]) -> None:
        if not self.has_connection or "client_certificate" in self.errors:
            return
        certificate = data.get("client_certificate") or ""
        kept = self._stored_key if certificate == self.instance_before("client_certificate") else ""
        key = (data.get("client_key") or kept) if certificate else data.get("client_key") or ""
        data["client_key"] = key
        if key and not certificate:
            self.add_error("client_certificate", "The key needs its certificate.")
        elif certificate and not key:
            self.add_error("client_key", "The certificate needs its key.")
        elif certificate:
            try:
                check_pair(certificate, key)
            except CertificateError as exc:
                self.add_error("client_key", str(exc))

    def instance_before(self, name: str) -> Any:
        """What a column held before this form; nothing for a new account."""
        return "" if self.is_new else self._before.get(name, "")

    def _clean_credentials(self, data: dict[str, Any]) -> None:
        kind = data.get("kind") or ""
        if "kind" in self.errors:
            return
        fields = self._fields_of(kind) if kind else []
        values = {field.name: data.get(field_name(kind, field.name)) or "" for field in fields}
        self._keep_secrets(kind, values, data)
        # Nothing at all would count as anonymous, but that was not chosen.
        missing = [name for name in kind.split("+") if kind and not values[name].strip()]
        for name in missing:
            if field_name(kind, name) not in self.errors:
                self.add_error(field_name(kind, name), "This is needed to log in this way.")
        for problem in [] if missing else check_values(self.provider, values):
            where = field_name(kind, problem.field)
            self.add_error(where if where in self.fields else "kind", problem.message)
        self._check_amazon(kind, values)
        secret = {field.name for field in self.provider.fields if field.is_secret}
        self.instance.kind = kind
        self.instance.public_values = {
            name: value.strip() for name, value in values.items() if name not in secret and value.strip()
        }
        self.instance.set_secrets({name: value.strip() for name, value in values.items() if name in secret})

    def _keep_secrets(self, kind: str, values: dict[str, str], data: dict[str, Any]) -> None:
        """Fill in stored secrets where nothing was typed, unless they would go to another place than before."""
        if self.is_new or kind != self.instance.kind or not kind:
            return
        forgotten = {name.removeprefix("forget_") for name in data if name.startswith("forget_") and data[name]}
        blank = [name for name in self._stored if not values.get(name) and name not in forgotten and name in values]
        if blank and not self.errors and self._place(self.instance, data, values) != self._before:
            for name in blank:
                if name not in self.provider.optional:
                    self.add_error(
                        field_name(kind, name),
                        "The account would send the stored secret to another place: type it again.",
                    )
            return
        values.update({name: self._stored[name] for name in blank})

    @staticmethod
    def _place(
        registry: Registry, data: dict[str, Any] | None = None, values: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """All that decides where secrets go and who could read them on the way."""
        names = ("auth_host", "allow_http", "insecure_tls", "ca_pem", "client_certificate")
        place = {name: (data or {}).get(name, getattr(registry, name)) for name in names}
        authority = (values if values is not None else registry.public_values).get("authurl", "")
        return {**place, "host": registry.host, "base_url": registry.base_url, "authurl": authority}

    def _check_amazon(self, kind: str, values: dict[str, str]) -> None:
        if self.provider.id != "ecr" or not kind or "address" in self.errors:
            return
        parts = self.instance.host.split(".")
        if values.get("region") and values["region"].strip() not in parts:
            self.add_error(field_name(kind, "region"), f"The registry {self.instance.host} is in another region.")
        if values.get("accountid") and values["accountid"].strip() != parts[0]:
            self.add_error(field_name(kind, "accountid"), f"The registry is that of account {parts[0]}.")

    def _clean_rivals(self, data: dict[str, Any]) -> None:
        if not data.get("is_enabled") or "path_prefix" in self.errors:
            return
        prefix = data.get("path_prefix", "")
        rivals = Registry.objects.enabled().filter(host=self.instance.host, path_prefix=prefix)
        rival = rivals.exclude(pk=self.instance.pk).first()
        if rival is not None:
            self.add_error(
                "path_prefix",
                f"{rival.name} counts for {rival.covers} already: give a path that only this account is for, "
                "or turn one of them off.",
            )

    # ---- what to do with it -----------------------------------------------------------------------------

    def access(self) -> Access:
        """How the valid form would talk to the registry, to be tested before it is stored."""
        self._fill()
        return access_of(self.instance)

    def store(self) -> Registry:
        """Write the account, and let it count at once for what failed before."""
        self._fill()
        with transaction.atomic():
            self.instance.tested_at = self.instance.test_passed = None
            self.instance.test_message = self.instance.test_fix = ""
            self.instance.save()
            account_changed(self.instance, host_before=self._before.get("host", ""))
        return self.instance

    def _fill(self) -> None:
        self.instance.path_prefix = self.cleaned_data["path_prefix"]
        if self.has_connection:
            self.instance.client_key = self.cleaned_data["client_key"]


class RegistryTestForm(RegistryForm):
    """The same fields for a test before saving: the name may be missing or taken, and so may the place."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False

    def validate_unique(self) -> None:
        """A test stores nothing."""

    def _clean_rivals(self, data: dict[str, Any]) -> None:
        """Nor does it take anything away from another account."""


def field_name(kind: str, name: str) -> str:
    """The form's name for a provider's field: a field of two ways to log in is two fields of the form."""
    return f"{kind.replace('+', '_')}-{name}" if kind else name


def provider_or_none(identity: str) -> Provider | None:
    """The provider with that id."""
    return PROVIDERS.get(identity)


def _in_sentence(label: str, position: int) -> str:
    return label if position == 0 or label[:2].isupper() else label[:1].lower() + label[1:]


def _checked(check: Any, text: str) -> str:
    try:
        return str(check(text))
    except AddressError as exc:
        raise forms.ValidationError(str(exc)) from exc


def _checked_certificates(text: str) -> str:
    try:
        return check_certificates(text) if text.strip() else ""
    except CertificateError as exc:
        raise forms.ValidationError(str(exc)) from exc


def _free_name(label: str) -> str:
    taken = set(Registry.objects.filter(name__startswith=label).values_list("name", flat=True))
    names = [label, *(f"{label} ({number})" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
