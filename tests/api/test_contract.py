"""What holds for every endpoint of the API: it takes a right, tells its errors, and is described."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import resolve, reverse
from ninja import Schema
from ninja.operation import Operation

from ssm.api.entry import api
from ssm.lib.roles import Right
from tests.api.caller import Caller, MakeCaller

# What each endpoint takes (None: it is about the caller); a new one that is not here fails the test.
RIGHTS: dict[str, Right | None] = {
    "containers_list": Right.SEE,
    "containers_batch": Right.OPERATE,
    "containers_get": Right.SEE,
    "containers_inspect": Right.SEE,
    "containers_processes": Right.SEE,
    "containers_changes": Right.SEE,
    "containers_rename": Right.OPERATE,
    "containers_limits": Right.OPERATE,
    "containers_act": Right.OPERATE,
    "containers_logs": Right.LOGS,
    "containers_statistics": Right.SEE,
    "devices_statistics": Right.SEE,
    "operations_list": Right.SEE,
    "operations_get": Right.SEE,
    "operations_follow": Right.SEE,
    # What is repeated or called off takes the right of its kind besides.
    "operations_cancel": Right.SEE,
    "operations_repeat": Right.SEE,
    "batches_get": Right.SEE,
    "devices_list": Right.SEE,
    "devices_get": Right.SEE,
    "devices_sweep": Right.OPERATE,
    "images_list": Right.SEE,
    "images_pull": Right.OPERATE,
    "volumes_list": Right.SEE,
    "volumes_remove": Right.MANAGE_VOLUMES,
    "volumes_backup": Right.MANAGE_VOLUMES,
    "backups_list": Right.SEE,
    "networks_list": Right.SEE,
    "events_list": Right.SEE,
    "containers_create": Right.OPERATE,
    "containers_recreate": Right.OPERATE,
    "containers_update_get": Right.SEE,
    "updates_list": Right.SEE,
    "updates_check": Right.OPERATE,
    "updates_check_get": Right.SEE,
    "updates_apply": Right.OPERATE,
    "updates_decide": Right.OPERATE,
    "updates_undecide": Right.OPERATE,
    "replacements_rollback": Right.OPERATE,
    "replacements_discard": Right.OPERATE,
    "replacements_keep": Right.OPERATE,
    "images_prune_preview": Right.OPERATE,
    "images_prune": Right.OPERATE,
    "images_get": Right.SEE,
    "images_tag": Right.OPERATE,
    "images_remove": Right.OPERATE,
    "images_copy": Right.OPERATE,
    "volumes_create": Right.MANAGE_VOLUMES,
    "volumes_measure": Right.MANAGE_VOLUMES,
    "volumes_prune_preview": Right.MANAGE_VOLUMES,
    "volumes_prune": Right.MANAGE_VOLUMES,
    "volumes_get": Right.SEE,
    "volumes_copy": Right.MANAGE_VOLUMES,
    "volumes_plan_get": Right.SEE,
    "volumes_plan_set": Right.MANAGE_VOLUMES,
    "volumes_plan_remove": Right.MANAGE_VOLUMES,
    "backup_plans_list": Right.SEE,
    "backups_upload": Right.MANAGE_VOLUMES,
    "backups_get": Right.SEE,
    "backups_change": Right.MANAGE_VOLUMES,
    "backups_delete": Right.MANAGE_VOLUMES,
    "backups_verify": Right.MANAGE_VOLUMES,
    "backups_restore": Right.MANAGE_VOLUMES,
    "backups_download": Right.MANAGE_VOLUMES,
    "backups_manifest": Right.MANAGE_VOLUMES,
    "networks_create": Right.OPERATE,
    "networks_prune_preview": Right.OPERATE,
    "networks_prune": Right.OPERATE,
    "networks_get": Right.SEE,
    "networks_configure": Right.OPERATE,
    "networks_remove": Right.OPERATE,
    "networks_connect": Right.OPERATE,
    "networks_disconnect": Right.OPERATE,
    "events_follow": Right.SEE,
    "devices_create": Right.MANAGE_DEVICES,
    "devices_test_new": Right.MANAGE_DEVICES,
    "devices_change": Right.MANAGE_DEVICES,
    "devices_remove": Right.MANAGE_DEVICES,
    "devices_test": Right.MANAGE_DEVICES,
    "devices_retry": Right.MANAGE_DEVICES,
    "devices_accept_key": Right.MANAGE_DEVICES,
    "devices_access": Right.MANAGE_DEVICES,
    "devices_run": Right.OPERATE,
    "devices_import": Right.MANAGE_DEVICES,
    "device_groups_list": Right.SEE,
    "device_groups_set": Right.MANAGE_DEVICES,
    "credentials_list": Right.MANAGE_DEVICES,
    "credentials_create": Right.MANAGE_DEVICES,
    "credentials_get": Right.MANAGE_DEVICES,
    "credentials_change": Right.MANAGE_DEVICES,
    "credentials_remove": Right.MANAGE_DEVICES,
    "tls_identities_list": Right.MANAGE_DEVICES,
    "tls_identities_create": Right.MANAGE_DEVICES,
    "tls_identities_get": Right.MANAGE_DEVICES,
    "tls_identities_change": Right.MANAGE_DEVICES,
    "tls_identities_remove": Right.MANAGE_DEVICES,
    "host_keys_list": Right.MANAGE_DEVICES,
    "host_keys_waiting": Right.MANAGE_DEVICES,
    "host_keys_import": Right.MANAGE_DEVICES,
    "host_keys_forget": Right.MANAGE_DEVICES,
    "host_key_rules_list": Right.MANAGE_DEVICES,
    "host_key_rules_create": Right.MANAGE_DEVICES,
    "host_key_rules_remove": Right.MANAGE_DEVICES,
    "registries_list": Right.SEE,
    "registries_providers": Right.SEE,
    "registries_get": Right.SEE,
    "registries_poll": Right.OPERATE,
    "registries_create": Right.MANAGE_REGISTRIES,
    "registries_change": Right.MANAGE_REGISTRIES,
    "registries_remove": Right.MANAGE_REGISTRIES,
    "registries_test_new": Right.MANAGE_REGISTRIES,
    "registries_test": Right.MANAGE_REGISTRIES,
    "repositories_list": Right.SEE,
    "repositories_get": Right.SEE,
    "repositories_tags": Right.SEE,
    "repositories_check": Right.OPERATE,
    "me": None,
    "tokens_list": None,
    "tokens_revoke": None,
    "users_list": Right.MANAGE_USERS,
    "users_create": Right.MANAGE_USERS,
    "users_get": Right.MANAGE_USERS,
    "users_change": Right.MANAGE_USERS,
    "users_remove": Right.MANAGE_USERS,
    "users_act": Right.MANAGE_USERS,
    "roles_list": Right.MANAGE_USERS,
    "roles_create": Right.MANAGE_USERS,
    "roles_get": Right.MANAGE_USERS,
    "roles_change": Right.MANAGE_USERS,
    "roles_remove": Right.MANAGE_USERS,
    "audit_list": Right.MANAGE_USERS,
}


def endpoints() -> Iterator[Operation]:
    for _prefix, router in api._routers:
        for view in router.path_operations.values():
            yield from view.operations


def test_every_endpoint_takes_the_right_in_the_table() -> None:
    found = {str(each.operation_id): getattr(each.view_func, "needed_right", "forgotten") for each in endpoints()}

    assert found == RIGHTS


def test_every_endpoint_is_described_with_its_errors() -> None:
    description: dict[str, Any] = api.get_openapi_schema()

    for path, methods in description["paths"].items():
        for method, entry in methods.items():
            assert entry.get("description"), (method, path)
            assert entry.get("tags"), (method, path)
            assert {401, 403, 404, 409, 422, 429} <= set(entry["responses"]), (method, path)
            assert all(parameter["schema"] for parameter in entry.get("parameters", [])), (method, path)


@pytest.mark.django_db
def test_description_is_for_those_who_may_call(caller: MakeCaller) -> None:
    assert Caller().get("/openapi.json").status == 200
    assert reverse("api:openapi-json") == "/api/v1/openapi.json"


@pytest.mark.django_db
def test_path_that_is_none_is_told_as_json_would_be(caller: MakeCaller) -> None:
    missing, wrong = caller().get("/nothing-there"), caller().post("/networks/unused", {})

    assert (missing.status, missing.body["code"]) == (404, "not_found")
    assert (wrong.status, wrong.body["code"], wrong.headers["Allow"]) == (405, "method_not_allowed", "GET")


def test_every_path_leads_to_its_own_endpoint() -> None:
    description: dict[str, Any] = api.get_openapi_schema()
    values = {"{pk}": str(uuid.UUID(int=7)), "{kind}": "stop", "{name}": "lab"}

    for path, methods in description["paths"].items():
        address = path
        for placeholder, value in values.items():
            if placeholder == "{pk}" and methods_take_int(methods):
                value = "7"
            address = address.replace(placeholder, value)
        assert resolve(address).url_name in {entry["operationId"] for entry in methods.values()}, path


def methods_take_int(methods: dict[str, Any]) -> bool:
    parameters = next(iter(methods.values())).get("parameters", [])
    return any(each["name"] == "pk" and each["schema"].get("type") == "integer" for each in parameters)


@pytest.mark.django_db
def test_stranger_gets_nothing_from_any_endpoint(caller: MakeCaller) -> None:
    program, nobody = caller("stranger"), Caller()
    description: dict[str, Any] = api.get_openapi_schema()

    for path, methods in description["paths"].items():
        pk = "7" if methods_take_int(methods) else str(uuid.UUID(int=7))
        address = path.removeprefix("/api/v1").replace("{pk}", pk).replace("{kind}", "stop").replace("{name}", "lab")
        for method, entry in methods.items():
            for who, refusals in ((program, {403, 422}), (nobody, {401})):
                call: Any = {"get": who.get, "delete": who.delete}.get(method)
                answer = call(address) if call else getattr(who, method)(address, {})
                if who is program and RIGHTS[entry["operationId"]] is None:
                    assert answer.status in (200, 404), (method, path)
                else:
                    # What does not fit its description is told before it is looked at who asks.
                    assert answer.status in refusals, (method, path, answer)


def test_shapes_of_one_name_are_one_shape() -> None:
    shapes: dict[str, set[str]] = {}
    waiting: list[type[Schema]] = [Schema]
    while waiting:
        for shape in waiting.pop().__subclasses__():
            waiting.append(shape)
            # The framework makes further ones for each endpoint.
            if shape.__module__.startswith(("ssm.", "devices.", "registries.", "containers.")):
                shapes.setdefault(shape.__name__, set()).add(json.dumps(shape.model_json_schema(), sort_keys=True))

    assert {name for name, forms in shapes.items() if len(forms) > 1} == set()
