"""Many devices at once: a list, ~/.ssh/config or an Ansible inventory, with what becomes of each host."""

import uuid
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from devices.api.schemas import GroupName, Named, named
from devices.forms.importing import ImportForm
from devices.importing import add, plan
from devices.models import Credential
from devices.rules.imports import MOST_BYTES
from ssm.lib.api.access import needs
from ssm.lib.api.errors import FieldProblem, answers
from ssm.lib.api.forms import check
from ssm.lib.roles import Right

router = Router(tags=["devices"])


class ImportOrder(Schema):
    """The text, and what to do with what it names."""

    model_config = ConfigDict(extra="forbid")

    source: Literal["list", "ssh-config", "inventory"] = "list"
    text: str = Field(max_length=MOST_BYTES, examples=["web-1.example.com\ndeploy@web-2.example.com:2222"])
    groups: list[GroupName] = Field([], max_length=20, description="For all of them, besides those of the text.")
    credentials: dict[str, uuid.UUID] = Field(
        {}, description="Which log-in a user name of the text means; others use the default of their groups."
    )
    dry_run: bool = Field(True, description="Only tell what would become of each host.")


class ImportedDevice(Schema):
    """What becomes of one host of the text."""

    name: str
    address: str
    port: int
    outcome: str = Field(description="new, known or faulty; when it was done: added, skipped or failed.")
    message: str
    device: Named | None


class ImportAnswer(Schema):
    """What becomes of each host, and what is to be said of the text."""

    items: list[ImportedDevice]
    notes: list[str]


@router.post("/import", response=answers(ImportAnswer), operation_id="devices_import")
@needs(Right.MANAGE_DEVICES)
def devices_import(request: HttpRequest, order: ImportOrder) -> Any:
    """Add the devices that a text names, or tell what would become of them (`dry_run`, which is the default)."""
    form = ImportForm({"source": order.source, "text": order.text, "groups": ", ".join(order.groups)})
    check(form)
    planned = plan(form.found.hosts, request.user)
    notes = list(form.found.notes)
    if order.dry_run:
        rows = [(row.name, row.host, row.state, row.reason, row.device) for row in planned]
    else:
        results = add(planned, set(range(len(planned))), _credentials(request, order), order.groups, request.user)
        rows = [
            (result.name, row.host, result.outcome, result.message, result.device)
            for row, result in zip(planned, results, strict=True)
        ]
    items = [
        ImportedDevice(
            name=name, address=host.address, port=host.port, outcome=outcome, message=message, device=named(device)
        )
        for name, host, outcome, message, device in rows
    ]
    return ImportAnswer(items=items, notes=notes)


def _credentials(request: HttpRequest, order: ImportOrder) -> dict[str, Credential | None]:
    known = {
        row.pk: row for row in Credential.objects.visible_to(request.user).filter(pk__in=order.credentials.values())
    }
    unknown = [username for username, pk in order.credentials.items() if pk not in known]
    if unknown:
        raise FieldProblem({f"credentials.{unknown[0]}": "There is no such log-in, or you may not use it."})
    return {username: known[pk] for username, pk in order.credentials.items()}
