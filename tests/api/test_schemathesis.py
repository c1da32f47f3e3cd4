"""Generated requests at the real application, with rows in its database: nothing breaks, everything is as described.

What would not end by itself (streams that follow) or would knock at addresses that were made up is left out; the other
tests of this folder try those.
"""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Group, Permission, User
from django.test import TransactionTestCase
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from containers.models import Batch, Operation, UpdateStatus
from devices.models import now
from ssm.accounts.models import ApiToken
from ssm.accounts.people import roles
from ssm.api.entry import api
from ssm.lib.roles import BUILT_IN, Right, permissions_of
from tests.api.caller import token_of
from tests.containers.logstage import database_url, web_process
from tests.emptying import empty
from tests.factories import (
    BackupFactory,
    BackupPlanFactory,
    ContainerFactory,
    CredentialFactory,
    DeviceFactory,
    EventFactory,
    HostKeyFactory,
    HostKeyRuleFactory,
    ImageFactory,
    NetworkFactory,
    OperationFactory,
    RegistryFactory,
    ReplacementFactory,
    RepositoryFactory,
    TlsIdentityFactory,
    VolumeFactory,
)
from tests.people import make_people

pytestmark = pytest.mark.django_db
LEFT_OUT = (
    "containers_logs",
    "operations_follow",
    "events_follow",
    "devices_test_new",
    "registries_test_new",
)
EXAMPLES = 3
# A copy: the library makes strings of its keys.
schema = schemathesis.openapi.from_dict(copy.deepcopy(api.get_openapi_schema())).exclude(operation_id=list(LEFT_OUT))


@dataclass(frozen=True, slots=True)
class Live:
    """The application, a token for everything, and the id of a row by the first part of a path."""

    url: str
    token: str
    rows: dict[str, Any]


def stage() -> tuple[str, dict[str, Any]]:
    """Rows of every kind, on a device where nothing answers."""
    people = make_people()
    device = DeviceFactory(online=True, address="127.0.0.1", port=9, groups=["lab"])
    container = ContainerFactory(device=device)
    UpdateStatus.objects.create(container=container, state="update_available", offered_tag="1.1", tag="1.0")
    volume = VolumeFactory(device=device)
    BackupPlanFactory(device=device, volume_name=volume.name)
    EventFactory(container=container)
    group = Group.objects.create(name="Team A")
    group.permissions.add(*permissions_of([Right.SEE]))
    registry = RegistryFactory(host="127.0.0.1:9", base_url="http://127.0.0.1:9", allow_http=True)
    token = token_of(people.administrator)
    spare = ApiToken.objects.get(user=people.viewer) if token_of(people.viewer) else None
    rows = {
        "devices": device,
        "containers": container,
        "images": ImageFactory(device=device),
        "networks": NetworkFactory(device=device),
        "volumes": volume,
        "backups": BackupFactory(device=device, volume_name=volume.name),
        "operations": OperationFactory(state=Operation.State.SUCCEEDED, container=container, finished_at=now()),
        "batches": Batch.objects.create(title="Several"),
        "replacements": ReplacementFactory(container=container),
        "credentials": CredentialFactory(),
        "tls-identities": TlsIdentityFactory(),
        "host-keys": HostKeyFactory(device=device),
        "host-key-rules": HostKeyRuleFactory(),
        "registries": registry,
        "repositories": RepositoryFactory(),
        "tokens": spare,
        "users": people.viewer,
        "roles": roles().get(group=group),
    }
    return token, {name: row.pk for name, row in rows.items() if row is not None}


@pytest.fixture(scope="module")
def live(django_db_setup: None, django_db_blocker: Any) -> Iterator[Live]:
    """The application as a process of its own, which counts no requests."""
    with django_db_blocker.unblock(), contextlib.ExitStack() as stack:
        token, rows = stage()
        stack.callback(clear)
        server = web_process(
            database_url(), SSM_API_REQUESTS_PER_MINUTE="100000", SSM_DEBUG="false", SSM_LOG_LEVEL="CRITICAL"
        )
        port, _pid = stack.enter_context(server)
        yield Live(f"http://127.0.0.1:{port}", token, rows)


def clear() -> None:
    """Leave the database as other tests expect it."""
    Group.objects.exclude(name__in=BUILT_IN).delete()
    User.objects.all().delete()
    assert Permission.objects.exists()
    empty(TransactionTestCase("run"))


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_endpoint_answers_as_it_is_described(case: schemathesis.Case, live: Live) -> None:
    part = case.path.removeprefix("/api/v1/").partition("/")[0]
    # What was deleted could not be asked for any more.
    if "pk" in (case.path_parameters or {}) and case.method != "DELETE" and part in live.rows:
        case.path_parameters["pk"] = live.rows[part]

    response = case.call(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=60)

    assert response.status_code != 500, response.text
    case.validate_response(
        response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
    )
