"""Pages of host keys: accepted ones, those that wait for a decision, imports, and rules."""

import uuid
from typing import Final

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from devices.forms.host_keys import HostKeyRuleForm, KnownHostsForm
from devices.host_keys import take_known_hosts
from devices.models import Device, HostKey, HostKeyRule, ShownKey
from devices.rules.known_hosts import matches
from devices.services import note_configured
from ssm.accounts.audit import record_audit, snapshot
from ssm.lib.access import allowed, signed_in
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, can_administer, can_everywhere
from ssm.lib.tables import Choice, chips, choice_of, order_by, page_of, sort_of, text_of

_SORTS: Final[dict[str, tuple[str, ...]]] = {
    "device": ("device__name", "key_type"),
    "type": ("key_type", "device__name"),
    "accepted": ("-accepted_at", "device__name"),
}
_SOURCES: Final = tuple(Choice(value or "compared", label.capitalize()) for value, label in HostKey.Source.choices)
_WAITING_SHOWN: Final = 50
_LINES_SHOWN: Final = 500


@require_GET
@allowed(can_administer)
def key_list(request: HttpRequest) -> HttpResponse:
    """The accepted keys that pass the filters; above them those that wait for a decision; below, the rules."""
    query = request.GET
    q = text_of(query, "q")
    source = choice_of(query, "source", [choice.value for choice in _SOURCES])
    sort = sort_of(query, _SORTS, "device")
    rows = HostKey.objects.permitted(request.user, Right.MANAGE_DEVICES).select_related("device", "accepted_by")
    if q:
        rows = rows.filter(Q(device__name__icontains=q) | Q(device__address__icontains=q) | Q(fingerprint__icontains=q))
    if source:
        rows = rows.filter(source="" if source == "compared" else source)
    waiting = (
        ShownKey.objects.permitted(request.user, Right.MANAGE_DEVICES)
        .select_related("device")
        .prefetch_related("device__host_keys")
    )
    context = {
        "page": page_of(request, rows.order_by(*order_by(sort, _SORTS, {}), "pk")),
        "q": q,
        "source": source,
        "sources": _SOURCES,
        "sort": sort,
        "waiting": waiting.order_by("device__name")[:_WAITING_SHOWN],
        "rules": HostKeyRule.objects.visible_to(request.user).select_related("added_by"),
        "may_change_rules": may_change_rules(request),
        "chips": chips(query, [("q", "Search", q), ("source", "Known by", dict(_pairs()).get(source, ""))]),
    }
    return render_page(request, "devices/host_keys.html", "devices/partials/host_key_results.html", context)


def _pairs() -> list[tuple[str, str]]:
    return [(choice.value, choice.text) for choice in _SOURCES]


def may_change_rules(request: HttpRequest) -> bool:
    """Rules count for all devices, so only whoever manages all of them may change them."""
    return can_everywhere(request.user, Right.MANAGE_DEVICES)


@require_GET
@allowed(can_administer)
def decide(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The key that a device was refused for beside those that are accepted, for a person to decide."""
    shown = get_object_or_404(
        ShownKey.objects.permitted(request.user, Right.MANAGE_DEVICES).select_related("device"), device=pk
    )
    context = {"device": shown.device, "shown": shown, "accepted": shown.device.host_keys.select_related("accepted_by")}
    return render(request, "devices/host_key_decision.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def forget(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then no longer trust one accepted key: the device is connected to anew, and may be unknown then."""
    key = get_object_or_404(
        HostKey.objects.permitted(request.user, Right.MANAGE_DEVICES).select_related("device"), pk=pk
    )
    if request.method == "POST":
        record_audit(request.user, "hostkey.remove", key, before=snapshot(key), request=request)
        device = key.device
        key.delete()
        note_configured(Device.objects.filter(pk=device.pk))
        messages.success(request, f"The key {key.fingerprint} of {device.name} is trusted no longer.")
        return redirect("devices:host-keys")
    return render(request, "devices/host_key_forget.html", {"key": key, "others": key.device.host_keys.count() - 1})


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def import_file(request: HttpRequest) -> HttpResponse:
    """Paste or upload known_hosts; then what became of each line."""
    form = KnownHostsForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "devices/host_keys_import.html", {"form": form}, status=status)
    done = take_known_hosts(request, form.lines)
    context = {
        "form": KnownHostsForm(),
        "done": done,
        "counts": [
            (word, done.count(outcome))
            for outcome, word in (
                ("added", "accepted"),
                ("rule", "made a rule"),
                ("known", "known already"),
                ("differs", "differ from what is accepted"),
                ("nobody", "about none of your devices"),
            )
        ],
        "lines": [line for line in done.lines if line.outcome != "nobody"][:_LINES_SHOWN],
        "bad": [*form.bad[:_LINES_SHOWN]],
        "left_out": done.left_out,
    }
    return render(request, "devices/host_keys_import.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(can_administer)
def rule_add(request: HttpRequest) -> HttpResponse:
    """The form of a rule for all hosts that match."""
    if not may_change_rules(request):
        return render(request, "403.html", status=403)
    form = HostKeyRuleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        rule = form.save(commit=False)
        rule.added_by = signed_in(request)
        rule.save()
        record_audit(request.user, "hostkeyrule.add", rule, after=snapshot(rule), request=request)
        _connect_anew(rule)
        messages.success(request, "The rule counts from the next connection on.")
        return redirect("devices:host-keys")
    status = 422 if form.is_bound else 200
    return render(request, "devices/host_key_rule_form.html", {"form": form}, status=status)


@require_POST
@allowed(can_administer)
def rule_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a rule."""
    if not may_change_rules(request):
        return render(request, "403.html", status=403)
    rule = get_object_or_404(HostKeyRule.objects.visible_to(request.user), pk=pk)
    record_audit(request.user, "hostkeyrule.remove", rule, before=snapshot(rule), request=request)
    rule.delete()
    _connect_anew(rule)
    messages.success(request, f"The rule for {rule.patterns} is removed.")
    return redirect("devices:host-keys")


def _connect_anew(rule: HostKeyRule) -> None:
    """Have devices whose way depends on the rule connected to anew."""
    places = Device.objects.filter(transport=Device.Transport.SSH).values_list("pk", "address", "port")
    note_configured(
        Device.objects.filter(pk__in=[pk for pk, host, port in places if matches(rule.patterns, host, port)])
    )
