"""The audit: to be read, filtered and taken away as a file."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from ssm.accounts.audit import record_audit
from ssm.accounts.listing import DOORS, OUTCOMES, AuditFilter, facts, pieces
from ssm.accounts.models import AuditEntry
from ssm.accounts.querysets import AuditQuerySet
from ssm.lib.access import allowed
from ssm.lib.database import database_work
from ssm.lib.htmx import render_page
from ssm.lib.roles import Right, holds
from ssm.lib.tables import Choice, page_of

_FORMATS: Final = {"csv": "text/csv", "json": "application/json"}
_LONGEST_LIST: Final = 500
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@require_GET
@allowed(holds(Right.MANAGE_USERS))
def audit(request: HttpRequest) -> HttpResponse:
    """What people changed, newest first, filtered by the address."""
    chosen = AuditFilter.read(request.GET)
    visible = AuditEntry.objects.visible_to(request.user)
    people = visible.exclude(user_name="").order_by("user_name").values_list("user_name", flat=True).distinct()
    kinds = {name.partition(".")[0] for name in visible.order_by("action").values_list("action", flat=True).distinct()}
    context = {
        "page": page_of(request, chosen.select(visible)),
        "chosen": chosen,
        "chips": chosen.chips(request.GET),
        "people": [Choice(name, name) for name in people[:_LONGEST_LIST]],
        "kinds": [Choice(kind, kind) for kind in sorted(kinds)],
        "doors": DOORS,
        "outcomes": OUTCOMES,
        "section": "activity",
    }
    return render_page(request, "activity/audit.html", "activity/partials/audit.html", context)


@require_GET
@allowed(holds(Right.MANAGE_USERS))
def export(request: HttpRequest) -> HttpResponseBase:
    """The entries that pass the filters of the address as a file (``format``: csv or json), which is recorded too."""
    form = request.GET.get("format", "csv")
    if form not in _FORMATS:
        return HttpResponse("Unknown format: csv or json.\n", status=400, content_type="text/plain")
    record_audit(request.user, "audit.export", "audit", after={"format": form}, request=request)
    entries = AuditFilter.read(request.GET).select(AuditEntry.objects.visible_to(request.user))
    rows = _csv(entries) if form == "csv" else _json(entries)
    response = StreamingHttpResponse(rows, content_type=f"{_FORMATS[form]}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    return response


def _csv(entries: AuditQuerySet) -> Iterator[str]:
    columns = list(facts(AuditEntry()))
    yield _line(columns)
    with database_work():
        for rows in pieces(entries):
            yield "".join(_line([_cell(value) for value in facts(row).values()]) for row in rows)


def _json(entries: AuditQuerySet) -> Iterator[str]:
    """One list, an entry a line."""
    first = True
    yield "["
    with database_work():
        for rows in pieces(entries):
            yield ("\n" if first else ",\n") + ",\n".join(json.dumps(facts(row), ensure_ascii=False) for row in rows)
            first = False
    yield "\n]\n"


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(values: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(values)
    return written.getvalue()
