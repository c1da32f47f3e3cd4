"""Accounts at registries. Credentials go in and are never told again."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final, Literal

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field, SecretStr

from registries.forms import RegistryForm, RegistryTestForm, field_name, provider_or_none
from registries.models import Registry, RepositoryKnowledge
from registries.providers import PROVIDERS, Provider
from registries.services import (
    Accounts,
    RegistryEntry,
    access_of,
    account_changed,
    check_now,
    entries,
    known_repository,
)
from registries.services.testing import Step, Test, Verdict, note_verdict
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.forms import Text, problems_of, values_of
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right

router = Router(tags=["registries"])
_SORTS: Final = {"host": ("host", "path_prefix", "name"), "name": ("name",), "added": ("-created_at", "name")}
_SECRETS: Final = ("client_key",)


class RegistryFilter(Schema):
    """Which accounts; all that are given must hold."""

    q: Text = Field("", description="Part of the name or host.", max_length=200)
    provider: Text = Field("", max_length=20, examples=["ghcr"])
    sort: Literal["host", "-host", "name", "-name", "added", "-added"] = "host"


class Quota(Schema):
    """Pulls that the registry grants."""

    limit: int | None
    remaining: int | None
    window_s: int | None
    seen_at: datetime | None


class Account(Schema):
    """An account, and how its registry stands. Of credentials the public part."""

    id: uuid.UUID
    name: str = Field(examples=["GitHub"])
    provider: str = Field(examples=["ghcr"])
    host: str = Field(examples=["ghcr.io"])
    path_prefix: str = Field(description="Only for images below this path.")
    is_enabled: bool
    kind: str = Field(description="Names of the fields that it logs in with; empty: anonymous.")
    public_values: dict[str, Any]
    poll_schedule: str
    auth_host: str
    allow_http: bool
    insecure_tls: bool
    ca_pem: str
    client_certificate: str
    state: str = Field(description="In a word: answers, failing, sleeping, tested …", examples=["answers"])
    repositories: int
    failing: int = Field(description="Of these, those that cannot be read.")
    quota: Quota | None
    sleeping_until: datetime | None
    last_poll_at: datetime | None
    last_error: str
    last_error_fix: str
    tested_at: datetime | None
    test_passed: bool | None
    test_message: str
    test_fix: str

    @classmethod
    def of(cls, entry: RegistryEntry) -> "Account":
        """From an account's line."""
        row, origin = entry.account, entry.origin
        assert row is not None  # noqa: S101 - only accounts are asked for
        own = {"state", "repositories", "failing", "quota", "sleeping_until", "last_poll_at", "last_error"}
        copied = [name for name in cls.model_fields if name not in own | {"last_error_fix"}]
        quota = None
        if origin.quota_limit is not None:
            quota = Quota(
                limit=origin.quota_limit,
                remaining=origin.quota_remaining,
                window_s=origin.quota_window_s,
                seen_at=origin.quota_seen_at,
            )
        return cls(
            **{name: getattr(row, name) for name in copied},
            state=entry.sign.word,
            repositories=entry.repositories,
            failing=entry.failing,
            quota=quota,
            sleeping_until=origin.sleeping_until,
            last_poll_at=origin.last_poll_at,
            last_error=origin.last_error_message,
            last_error_fix=origin.last_error_fix,
        )


class AccountPage(Schema):
    """Some accounts, and where the next page begins."""

    items: list[Account]
    next: str


class ProviderField(Schema):
    """Something that an account of this provider may hold."""

    name: str
    label: str
    help: str
    is_secret: bool


class ProviderEntry(Schema):
    """A kind of registry, and what its accounts may log in with."""

    id: str = Field(examples=["ghcr"])
    label: str
    takes_address: bool
    default_host: str
    allows_anonymous: bool
    fields: list[ProviderField]
    combinations: list[list[str]] = Field(description="Fields that together log in.")


class AccountChange(Schema):
    """What to change of an account; what is left out stays, secrets too."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=100)
    address: str | None = Field(None, max_length=300, description="Where the provider takes one.")
    path_prefix: str | None = Field(None, max_length=255)
    is_enabled: bool | None = None
    credentials: dict[str, SecretStr] | None = Field(
        None,
        max_length=20,
        description="By the provider's field names (`GET /registries/providers`); {} makes it anonymous.",
        examples=[{"username": "bot", "token": "…"}],
    )
    poll_schedule: str | None = Field(None, max_length=100, description="Cron expression; empty: none of its own.")
    auth_host: str | None = Field(None, max_length=255)
    allow_http: bool | None = None
    insecure_tls: bool | None = None
    ca_pem: str | None = None
    client_certificate: str | None = None
    client_key: SecretStr | None = None


class NewAccount(AccountChange):
    """An account to add. Without credentials it is anonymous, where the provider allows that."""

    provider: str = Field(max_length=20, examples=["ghcr"])


class RegistryTestOrder(Schema):
    """A test; with a repository its tags are read too."""

    repository: str = Field("", max_length=255, examples=["team/app"])


class RegistryTestLine(Schema):
    """A line of a test: a step as it changes, or (with `done`) what all of it came to."""

    step: str = Field("", examples=["log_in"])
    title: str = ""
    state: str = Field("", description="running, ok, failed or skipped.")
    message: str = ""
    fix: str = ""
    duration_ms: int | None = None
    done: bool = False
    ok: bool = False


class Polled(Schema):
    """How many repositories are looked up now."""

    repositories: int


@router.get("", response=answers(AccountPage), operation_id="registries_list")
@needs(Right.SEE)
def registries_list(request: HttpRequest, filters: Query[RegistryFilter], paging: Query[Paging]) -> Any:
    """The accounts, and how their registries stand."""
    rows = Registry.objects.visible_to(request.user).defer("secrets", "client_key")
    if q := filters.q:
        rows = rows.filter(Q(name__icontains=q) | Q(host__icontains=q))
    if filters.provider:
        rows = rows.filter(provider=filters.provider)
    found = page(rows, _SORTS, filters.sort, paging)
    told = {entry.account.pk: entry for entry in entries(found.rows, with_defaults=False) if entry.account}
    return found.shown(lambda row: Account.of(told[row.pk]))


@router.get("/providers", response=answers(list[ProviderEntry]), operation_id="registries_providers")
@needs(Right.SEE)
def registries_providers(request: HttpRequest) -> Any:
    """The kinds of registries that SSM knows, and what their accounts log in with."""
    return [
        ProviderEntry(
            id=provider.id,
            label=provider.label,
            takes_address=provider.takes_url,
            default_host=provider.default_host,
            allows_anonymous=provider.allows_anonymous,
            fields=[
                ProviderField(name=field.name, label=field.label, help=field.help, is_secret=field.is_secret)
                for field in provider.fields
            ],
            combinations=[sorted(names) for names in provider.combinations],
        )
        for provider in PROVIDERS.values()
    ]


@router.post("", response=answers(Account, 201), operation_id="registries_create")
@needs(Right.MANAGE_REGISTRIES)
def registries_create(request: HttpRequest, order: NewAccount) -> Any:
    """Add an account: it counts at once for the images that it is for."""
    provider = provider_or_none(order.provider)
    if provider is None:
        raise FieldProblem({"provider": f"Choose one of {', '.join(PROVIDERS)}."})
    return Status(201, _store(request, _filled(RegistryForm, order, provider, None)))


@router.get("/{uuid:pk}", response=answers(Account), operation_id="registries_get")
@needs(Right.SEE)
def registries_get(request: HttpRequest, pk: uuid.UUID) -> Any:
    """One account."""
    return _told(_find(request, pk))


@router.patch("/{uuid:pk}", response=answers(Account), operation_id="registries_change")
@needs(Right.MANAGE_REGISTRIES)
def registries_change(request: HttpRequest, pk: uuid.UUID, order: AccountChange) -> Any:
    """Change what is named of an account. Stored secrets are not sent to another place: give them anew for that."""
    row = _find(request, pk)
    return _store(request, _filled(RegistryForm, order, _provider(row), row))


@router.delete("/{uuid:pk}", response=answers(None, 204), operation_id="registries_remove")
@needs(Right.MANAGE_REGISTRIES)
def registries_remove(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Remove an account with its secrets: its images are asked for anonymously from then on."""
    row = _find(request, pk)
    record_audit(request.user, "registry.remove", row, before=snapshot(row), request=request)
    row.delete()
    account_changed(row)
    return Status(204, None)


@router.post("/test", response=answers(RegistryTestLine), operation_id="registries_test_new")
@needs(Right.MANAGE_REGISTRIES)
def registries_test_new(request: HttpRequest, order: NewAccount) -> Any:
    """Test an account before it is saved, as `application/x-ndjson`: one object of the kind below for each step."""
    provider = provider_or_none(order.provider)
    if provider is None:
        raise FieldProblem({"provider": f"Choose one of {', '.join(PROVIDERS)}."})
    form = _filled(RegistryTestForm, order, provider, None)
    return _stream(Test(form.access()), None)


@router.post("/{uuid:pk}/test", response=answers(RegistryTestLine), operation_id="registries_test")
@needs(Right.MANAGE_REGISTRIES)
def registries_test(request: HttpRequest, pk: uuid.UUID, order: RegistryTestOrder) -> Any:
    """Test an account, as `application/x-ndjson`: one object of the kind below for each step."""
    row = _find(request, pk)
    return _stream(Test(access_of(row), order.repository or known_repository(row)), row)


@router.post("/{uuid:pk}/poll", response=answers(Polled, 202), operation_id="registries_poll")
@needs(Right.OPERATE)
def registries_poll(request: HttpRequest, pk: uuid.UUID) -> Any:
    """Have all repositories of an account looked up now."""
    row = _find(request, pk)
    accounts = Accounts(Registry.objects.enabled().filter(host=row.host).defer("secrets", "client_key"))
    longer = accounts.longer_prefixes(row.host, row.path_prefix)
    count = check_now(RepositoryKnowledge.objects.below(row.host, row.path_prefix, longer))
    return Status(202, Polled(repositories=count))


def _find(request: HttpRequest, pk: uuid.UUID) -> Registry:
    return get_object_or_404(Registry.objects.visible_to(request.user), pk=pk)


def _provider(row: Registry) -> Provider:
    provider = provider_or_none(row.provider)
    if provider is None:
        raise FieldProblem({"provider": f"This version of SSM knows no provider “{row.provider}”."})
    return provider


def _told(row: Registry) -> Account:
    [entry] = entries([row], with_defaults=False)
    return Account.of(entry)


def _filled(kind: type[RegistryForm], order: AccountChange, provider: Provider, row: Registry | None) -> RegistryForm:
    """The form with what the request names. FieldProblem when not valid."""
    options: dict[str, Any] = {"provider": provider} | ({"instance": row} if row is not None else {})
    data = values_of(kind(**options))
    given = order.model_dump(exclude_none=True, exclude={"credentials", "provider", *_SECRETS})
    strangers = [name for name in given if name not in data]
    if strangers:
        raise FieldProblem({name: f"{provider.label} has no such field." for name in strangers})
    data |= given | {name: "" for name in _SECRETS}
    if order.client_key is not None:
        data["client_key"] = order.client_key.get_secret_value()
    if order.credentials is not None or row is None:
        _fill_credentials(data, provider, order.credentials or {})
    form = kind(data, **options)
    if not form.is_valid():
        told = problems_of(form)
        raise FieldProblem({_name_of(name, str(data.get("kind") or "")): text for name, text in told.items()})
    return form


def _fill_credentials(data: dict[str, Any], provider: Provider, given: dict[str, SecretStr]) -> None:
    """The way to log in is told by the names of what was given."""
    known = {field.name: field for field in provider.fields}
    if strangers := [name for name in given if name not in known]:
        raise FieldProblem({f"credentials.{name[:60]}": f"{provider.label} has no such field." for name in strangers})
    needed = set(given) - provider.optional
    combination = next((names for names in provider.combinations if names == needed), None)
    if given and combination is None:
        ways = "; ".join(", ".join(sorted(names)) for names in provider.combinations)
        raise FieldProblem({"credentials": f"These do not log in together. Give one of: {ways}."})
    if not given and not provider.allows_anonymous:
        raise FieldProblem({"credentials": f"{provider.label} gives nothing to anonymous users."})
    way = "+".join(field.name for field in provider.fields if combination is not None and field.name in combination)
    data["kind"] = way
    data |= {field_name(way, name): value.get_secret_value() for name, value in given.items()}


def _name_of(name: str, way: str) -> str:
    """A field of a way to log in as the request calls it."""
    own = name.removeprefix(field_name(way, "")) if way and name.startswith(field_name(way, "")) else ""
    return f"credentials.{own}" if own else {"kind": "credentials"}.get(name, name)


def _store(request: HttpRequest, form: RegistryForm) -> Account:
    is_new = form.instance._state.adding
    # Read anew: the form has written into the row that it was made of.
    before = None if is_new else snapshot(Registry.objects.get(pk=form.instance.pk))
    row = form.store()
    action = "registry.add" if is_new else "registry.change"
    record_audit(request.user, action, row, before=before, after=snapshot(row), request=request)
    return _told(row)


def _stream(test: Test, row: Registry | None) -> StreamingHttpResponse:
    response = StreamingHttpResponse(_lines(test, row), content_type="application/x-ndjson")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _lines(test: Test, row: Registry | None) -> AsyncIterator[bytes]:
    async for step in test.run():
        yield _line(_step(step))
    verdict: Verdict = test.verdict()
    if row is not None:
        await sync_to_async(note_verdict)(row, verdict)
    yield _line({"done": True, "ok": verdict.passed, "message": verdict.message, "fix": verdict.fix})


def _step(step: Step) -> dict[str, object]:
    told: dict[str, object] = {"step": step.key, "title": step.title, "state": step.state}
    told |= {"message": step.message, "fix": step.fix}
    return told if step.duration_ms is None else told | {"duration_ms": step.duration_ms}


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
