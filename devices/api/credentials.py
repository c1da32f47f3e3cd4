"""Stored log-ins, default log-ins of groups, and TLS identities. Secrets go in and are never told again."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from django.db.models import Count, F, Func, Q, TextField
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Path, Query, Router, Schema, Status
from pydantic import ConfigDict, Field, SecretStr

from devices.api.schemas import GroupName, Named, named
from devices.forms.logins import GENERATED, KEEP, MOST_ANSWERS, PASTE, CredentialForm, is_stored
from devices.group_defaults import choose_default
from devices.models import Credential, Device, DeviceGroup
from devices.rules.key_lines import authorized_keys_line
from devices.services import devices_using, note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.api.access import needs
from ssm.lib.api.errors import Conflict, FieldProblem, answers
from ssm.lib.api.forms import Text, problems_of, values_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["credentials"])
group_router = Router(tags=["devices"])

_SORTS: Final = {"name": ("name",), "user": ("username", "name"), "changed": ("-updated_at", "name")}
_AUDITED: Final = ("answers",)
_SECRETS: Final = ("private_key", "passphrase", "password")


class CredentialFilter(Schema):
    """Which log-ins."""

    q: Text = Field("", description="Part of the name, user name or fingerprint.", max_length=200)
    sort: Literal["name", "-name", "user", "-user", "changed", "-changed"] = "name"


class CredentialEntry(Schema):
    """A stored log-in. What is secret of it is told only as being there."""

    id: uuid.UUID
    name: str = Field(examples=["deploy"])
    username: str = Field(examples=["deploy"])
    has_private_key: bool
    has_password: bool
    key_fingerprint: str
    public_key: str = Field(description="The line for authorized_keys.")
    certificate: str
    use_agent: bool
    agent_key: str
    passwordless: bool
    use_sudo: bool
    questions: list[str] = Field(description="Questions of servers for which an answer is stored.")
    updated_at: datetime

    @classmethod
    def of(cls, row: Credential) -> "CredentialEntry":
        """From its row with its answers."""
        copied = ("name", "username", "key_fingerprint", "certificate", "use_agent", "agent_key", "passwordless")
        return cls(
            id=row.pk,
            **{name: getattr(row, name) for name in copied},
            has_private_key=is_stored(row.private_key),
            has_password=is_stored(row.password),
            public_key=authorized_keys_line(row.public_key, row.name) if row.public_key else "",
            use_sudo=row.use_sudo,
            questions=[answer.prompt for answer in row.answers.all()],
            updated_at=row.updated_at,
        )


class CredentialPage(Schema):
    """Some log-ins, and where the next page begins."""

    items: list[CredentialEntry]
    next: str


class NewAnswer(Schema):
    """What to say to a question of a server. Without an answer the stored one stays."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(max_length=200, description="A part of it; * stands for anything.", examples=["*code*"])
    answer: SecretStr = SecretStr("")


class CredentialChange(Schema):
    """What to change of a log-in; what is left out stays. An empty secret stays too: `forget` removes it."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=100, examples=["deploy"])
    username: str | None = Field(None, max_length=64, examples=["deploy"])
    private_key: SecretStr | None = Field(None, description="OpenSSH, PEM or PKCS #8 text.")
    passphrase: SecretStr | None = Field(None, description="Of the private key.")
    password: SecretStr | None = None
    certificate: str | None = Field(None, description="The line of the -cert.pub file.")
    generate: Literal["ed25519", "ecdsa", "rsa"] | None = Field(
        None, description="Make a new key pair in place of any key: its public half is in the answer."
    )
    forget: list[Literal["private_key", "password"]] = Field([], max_length=2)
    use_agent: bool | None = None
    agent_key: str | None = Field(None, max_length=80)
    passwordless: bool | None = None
    use_sudo: bool | None = None
    answers: list[NewAnswer] | None = Field(None, max_length=MOST_ANSWERS)


class NewCredential(CredentialChange):
    """A log-in to store."""

    name: str = Field(max_length=100, examples=["deploy"])
    username: str = Field(max_length=64, examples=["deploy"])


class GroupEntry(Schema):
    """A group of devices, with the log-in that its devices use when they have none of their own."""

    name: str = Field(examples=["production"])
    device_count: int
    credential: Named | None = Field(description="Also null where you may not see it.")


class GroupDefault(Schema):
    """Which log-in is the default of a group; null: none."""

    credential: uuid.UUID | None


@router.get("", response=answers(CredentialPage), operation_id="credentials_list")
@needs(Right.MANAGE_DEVICES)
def credentials_list(request: HttpRequest, filters: Query[CredentialFilter], paging: Query[Paging]) -> Any:
    """The stored log-ins that the caller may use."""
    rows = Credential.objects.visible_to(request.user).prefetch_related("answers")
    if q := filters.q:
        rows = rows.filter(Q(name__icontains=q) | Q(username__icontains=q) | Q(key_fingerprint__icontains=q))
    return page(rows, _SORTS, filters.sort, paging).shown(CredentialEntry.of)


@router.post("", response=answers(CredentialEntry, 201), operation_id="credentials_create")
@needs(Right.MANAGE_DEVICES)
def credentials_create(request: HttpRequest, order: NewCredential) -> Any:
    """Store a log-in, or have a key pair made for one (`generate`)."""
    return Status(201, _store(request, order, None))


@router.get("/{uuid:pk}", response=answers(CredentialEntry), operation_id="credentials_get")
@needs(Right.MANAGE_DEVICES)
def credentials_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One log-in, without its secrets."""
    return CredentialEntry.of(_find(request, pk))


@router.patch("/{uuid:pk}", response=answers(CredentialEntry), operation_id="credentials_change")
@needs(Right.MANAGE_DEVICES)
def credentials_change(request: HttpRequest, pk: uuid.UUID, order: CredentialChange) -> Any:
    """Change what is named of a log-in; its devices are connected to anew."""
    return _store(request, order, _find(request, pk))


@router.delete("/{uuid:pk}", response=answers(None, 204), operation_id="credentials_remove")
@needs(Right.MANAGE_DEVICES)
def credentials_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Delete a log-in that nothing uses."""
    row = _find(request, pk)
    if devices_using(row).exists() or row.device_groups.exists():
        raise Conflict(f"{row.name} is in use.", fix="Give the devices and groups that use it another log-in first.")
    record_audit(request.user, "credential.remove", row, before=snapshot(row, *_AUDITED), request=request)
    row.delete()
    return Status(204, None)


def _find(request: HttpRequest, pk: uuid.UUID) -> Credential:
    return get_object_or_404(Credential.objects.visible_to(request.user).prefetch_related("answers"), pk=pk)


def _store(request: HttpRequest, order: CredentialChange, row: Credential | None) -> CredentialEntry:
    options = {} if row is None else {"instance": row}
    before = None if row is None else snapshot(row, *_AUDITED)
    empty = CredentialForm(**options)
    data = values_of(empty)
    for answer in empty.answers:
        data |= values_of(answer)
    given = order.model_dump(exclude_none=True, exclude={"answers", "generate", "forget", *_SECRETS})
    data |= given | {name: _plain(getattr(order, name)) for name in _SECRETS}
    key = _plain(order.private_key)
    data["key_source"] = order.generate or (PASTE if key or row is None else KEEP)
    assert data["key_source"] in (KEEP, PASTE, *GENERATED)  # noqa: S101 - as the schema has it
    data |= {f"forget_{name}": name in order.forget for name in ("private_key", "password")}
    if order.answers is not None:
        _fill_answers(data, order.answers, empty)
    form = CredentialForm(data, {}, **options)
    if not form.is_valid():
        told = problems_of(form, {"private_key_file": "private_key", "key_source": "generate"})
        for number, answer in enumerate(form.answers):
            told |= problems_of(answer, {"prompt": "question"}, prefix=f"answers.{number}.")
        raise FieldProblem(told)
    stored = form.store()
    note_configured(devices_using(stored))
    fresh = _find(request, stored.pk) if row is not None else stored
    action, after = "credential.add" if row is None else "credential.change", snapshot(fresh, *_AUDITED)
    record_audit(request.user, action, fresh, before=before, after=after, request=request)
    return CredentialEntry.of(fresh)


def _plain(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _fill_answers(data: dict[str, Any], wanted: list[NewAnswer], empty: CredentialForm) -> None:
    """The answers in place of those there are; one to the same question keeps its row, and so what it holds."""
    rows = {form.stored.prompt: form.stored.pk for form in empty.answers if form.stored is not None}
    for number in range(MOST_ANSWERS):
        each = wanted[number] if number < len(wanted) else None
        prompt = each.question if each is not None else ""
        data |= {
            f"answers-{number}-row": rows.get(prompt, ""),
            f"answers-{number}-prompt": prompt,
            f"answers-{number}-answer": each.answer.get_secret_value() if each is not None else "",
        }


# ---- groups


@group_router.get("", response=answers(list[GroupEntry]), operation_id="device_groups_list")
@needs(Right.SEE)
def device_groups_list(request: HttpRequest) -> Any:
    """The groups of the devices that the caller may see."""
    unnested = Func(F("groups"), function="unnest", output_field=TextField())
    names = Device.objects.visible_to(request.user).order_by().annotate(group=unnested).values("group")
    counts = {row["group"]: row["count"] for row in names.annotate(count=Count("pk"))}
    defaults = {
        row.name: row.credential
        for row in DeviceGroup.objects.visible_to(request.user).select_related("credential")
        if row.credential is not None
    }
    return [
        GroupEntry(name=name, device_count=counts.get(name, 0), credential=named(defaults.get(name)))
        for name in sorted({*counts, *defaults}, key=str.casefold)
    ]


@group_router.put("/{name}", response=answers(GroupEntry), operation_id="device_groups_set")
@needs(Right.MANAGE_DEVICES)
def device_groups_set(request: HttpRequest, name: Annotated[GroupName, Path()], order: GroupDefault) -> Any:
    """Choose the log-in of those devices of a group that have none of their own."""
    credential = None
    if order.credential is not None:
        credential = get_object_or_404(Credential.objects.visible_to(request.user), pk=order.credential)
    choose_default(request, name, credential)
    count = Device.objects.visible_to(request.user).filter(groups__contains=[name]).count()
    return GroupEntry(name=name, device_count=count, credential=named(credential))
