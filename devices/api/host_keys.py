"""Host keys: accepted ones, those that wait for a decision, rules, and lines of known_hosts to import."""

from datetime import datetime
from typing import Any, Final, Literal

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from devices.api.schemas import KeyEntry, Named, ShownEntry, named
from devices.forms.host_keys import HostKeyRuleForm, KnownHostsForm
from devices.host_keys import take_known_hosts
from devices.models import Device, HostKey, HostKeyRule, ShownKey
from devices.rules.known_hosts import matches
from devices.services import note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import signed_in
from ssm.lib.api.access import needs
from ssm.lib.api.errors import answers
from ssm.lib.api.forms import Text, check
from ssm.lib.api.paging import Paging, page
from ssm.lib.roles import Right, can_everywhere

router = Router(tags=["host keys"])
rule_router = Router(tags=["host keys"])

_SORTS: Final = {
    "device": ("device__name", "key_type"),
    "type": ("key_type", "device__name"),
    "accepted": ("-accepted_at", "device__name"),
}
_MOST_LINES: Final = 1000
# What a request may hold at all, escapes included.
MOST_CHARACTERS: Final = 2_000_000


class KeyFilter(Schema):
    """Which keys; all that are given must hold."""

    q: Text = Field("", description="Part of the device's name or address, or of the fingerprint.", max_length=200)
    source: Literal["", "compared", "known_hosts", "dns"] = ""
    sort: Literal["device", "-device", "type", "-type", "accepted", "-accepted"] = "device"


class KeyPage(Schema):
    """Some keys, and where the next page begins."""

    items: list[KeyEntry]
    next: str


class ShownPage(Schema):
    """Some keys that wait for a decision, and where the next page begins."""

    items: list[ShownEntry]
    next: str


class KnownHosts(Schema):
    """Lines of known_hosts."""

    text: str = Field(max_length=MOST_CHARACTERS, description="Also what ssh-keyscan prints.")


class ImportedEntry(Schema):
    """What became of a line."""

    line: int
    outcome: str = Field(description="added, known, differs, nobody, rule or bad.")
    text: str
    device: Named | None


class RuleEntry(Schema):
    """What holds for all hosts whose name matches."""

    id: int
    kind: str = Field(description="cert-authority (signs host keys) or revoked (never trusted).")
    patterns: str = Field(examples=["*.example.com"])
    key_type: str
    fingerprint: str
    comment: str
    added_by: str
    added_at: datetime

    @classmethod
    def of(cls, rule: HostKeyRule) -> "RuleEntry":
        """From its row with who added it."""
        copied = ("kind", "patterns", "key_type", "fingerprint", "comment", "added_at")
        by = rule.added_by.get_username() if rule.added_by else ""
        return cls(id=rule.pk, added_by=by, **{name: getattr(rule, name) for name in copied})


class NewRule(Schema):
    """A rule to add."""

    model_config = ConfigDict(extra="forbid")

    kind: HostKeyRule.Kind = HostKeyRule.Kind.AUTHORITY
    patterns: str = Field(max_length=1000, examples=["*.example.com,!old.example.com"])
    key: str = Field(max_length=16_384, description="The line of its .pub file.")
    comment: str = Field("", max_length=200)


@router.get("", response=answers(KeyPage), operation_id="host_keys_list")
@needs(Right.MANAGE_DEVICES)
def host_keys_list(request: HttpRequest, filters: Query[KeyFilter], paging: Query[Paging]) -> Any:
    """The keys that were accepted."""
    rows = HostKey.objects.permitted(request.user, Right.MANAGE_DEVICES).select_related("device", "accepted_by")
    if q := filters.q:
        rows = rows.filter(Q(device__name__icontains=q) | Q(device__address__icontains=q) | Q(fingerprint__icontains=q))
    if filters.source:
        rows = rows.filter(source="" if filters.source == "compared" else filters.source)
    return page(rows, _SORTS, filters.sort, paging).shown(KeyEntry.of)


@router.get("/waiting", response=answers(ShownPage), operation_id="host_keys_waiting")
@needs(Right.MANAGE_DEVICES)
def host_keys_waiting(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Keys that devices were refused for: compare them with the hosts' own, then accept them."""
    rows = ShownKey.objects.permitted(request.user, Right.MANAGE_DEVICES).select_related("device")
    rows = rows.prefetch_related("device__host_keys")
    return page(rows, {"device": ("device__name",)}, "device", paging).shown(ShownEntry.of)


@router.post("/import", response=answers(list[ImportedEntry]), operation_id="host_keys_import")
@needs(Right.MANAGE_DEVICES)
def host_keys_import(request: HttpRequest, order: KnownHosts) -> Any:
    """Accept the keys that lines of known_hosts name for your devices. A key that differs is never replaced.

    Lines with @cert-authority or @revoked become rules, for those who manage all devices.
    """
    form = KnownHostsForm({"text": order.text})
    check(form)
    done = take_known_hosts(request, form.lines)
    told = [
        ImportedEntry(line=line.number, outcome=line.outcome, text=line.text, device=named(line.device))
        for line in done.lines
    ]
    bad = [ImportedEntry(line=line.number, outcome="bad", text=line.why, device=None) for line in form.bad]
    return sorted([*told, *bad], key=lambda entry: entry.line)[:_MOST_LINES]


@router.delete("/{int:pk}", response=answers(None, 204), operation_id="host_keys_forget")
@needs(Right.MANAGE_DEVICES)
def host_keys_forget(request: HttpRequest, pk: int) -> Any:
    """Trust a key no longer: its device is connected to anew, and may be unknown then."""
    keys = HostKey.objects.permitted(request.user, Right.MANAGE_DEVICES).select_related("device")
    key = get_object_or_404(keys, pk=pk)
    record_audit(request.user, "hostkey.remove", key, before=snapshot(key), request=request)
    device = key.device
    key.delete()
    note_configured(Device.objects.filter(pk=device.pk))
    return Status(204, None)


# ---- rules


@rule_router.get("", response=answers(list[RuleEntry]), operation_id="host_key_rules_list")
@needs(Right.MANAGE_DEVICES)
def host_key_rules_list(request: HttpRequest) -> Any:
    """Authorities that sign host keys, and keys that are never trusted."""
    rules = HostKeyRule.objects.visible_to(request.user).select_related("added_by")
    return [RuleEntry.of(rule) for rule in rules[:_MOST_LINES]]


@rule_router.post("", response=answers(RuleEntry, 201), operation_id="host_key_rules_create")
@needs(Right.MANAGE_DEVICES)
def host_key_rules_create(request: HttpRequest, order: NewRule) -> Any:
    """Add a rule: it counts from the next connection on. Takes the right for all devices."""
    _check_everywhere(request)
    form = HostKeyRuleForm(order.model_dump())
    check(form)
    rule = form.save(commit=False)
    rule.added_by = signed_in(request)
    rule.save()
    record_audit(request.user, "hostkeyrule.add", rule, after=snapshot(rule), request=request)
    _connect_anew(rule)
    return Status(201, RuleEntry.of(rule))


@rule_router.delete("/{int:pk}", response=answers(None, 204), operation_id="host_key_rules_remove")
@needs(Right.MANAGE_DEVICES)
def host_key_rules_remove(request: HttpRequest, pk: int) -> Any:
    """Forget a rule. Takes the right for all devices."""
    _check_everywhere(request)
    rule = get_object_or_404(HostKeyRule.objects.visible_to(request.user), pk=pk)
    record_audit(request.user, "hostkeyrule.remove", rule, before=snapshot(rule), request=request)
    rule.delete()
    _connect_anew(rule)
    return Status(204, None)


def _check_everywhere(request: HttpRequest) -> None:
    """Rules count for all devices, so only whoever manages all of them may change them."""
    if not can_everywhere(request.user, Right.MANAGE_DEVICES):
        raise PermissionDenied("It takes the right “manage_devices” for all devices.")


def _connect_anew(rule: HostKeyRule) -> None:
    """Have devices whose way depends on the rule connected to anew."""
    places = Device.objects.filter(transport=Device.Transport.SSH).values_list("pk", "address", "port")
    note_configured(
        Device.objects.filter(pk__in=[pk for pk, host, port in places if matches(rule.patterns, host, port)])
    )
