"""Ask for containers to be made, or made anew with changes. Database only.

The form goes along, encrypted, so that it can be tried again with another value.
"""

from typing import Any

from containers.models import Container, Operation
from containers.operation_requests import request_device_operation, request_operation
from containers.rules.drafts import ROWS, Draft
from devices.models import Device
from ssm.lib.roles import SomeUser


def request_create(
    user: SomeUser,
    device: Device,
    draft: Draft,
    changes: dict[str, Any],
    *,
    source: Container | None = None,
    pulls: bool,
    starts: bool,
) -> Operation:
    """A new container, as a checked form (containers.rules.creation) wants it. OperationRefused.

    ``source``: the container whose copy with changes it is.
    """
    parameters: dict[str, Any] = {"pulls": pulls, "starts": starts}
    if source is not None:
        parameters["source"] = {"device": str(source.device_id), "engine_id": source.engine_id, "row": str(source.pk)}
    name = draft.text("name").removeprefix("/")
    return request_device_operation(
        user,
        device,
        Operation.Kind.CREATE,
        object_kind=Operation.ObjectKind.CONTAINER,
        target_name=name,
        lock=f"container:{device.pk}:{name}",
        parameters=parameters,
        sealed=_sealed(draft, changes),
    )


def request_recreate(
    user: SomeUser, container: Container, draft: Draft, changes: dict[str, Any], *, pulls: bool
) -> Operation:
    """A container in place of this one, with the changes of a checked form. OperationRefused."""
    sealed = _sealed(draft, changes)
    return request_operation(user, container, Operation.Kind.RECREATE, {"pulls": pulls}, sealed=sealed)


def _sealed(draft: Draft, changes: dict[str, Any]) -> dict[str, Any]:
    tried = {"fields": dict(draft.fields), "rows": {kind: [dict(row) for row in draft.of(kind)] for kind in ROWS}}
    return {"changes": changes, "draft": tried}
