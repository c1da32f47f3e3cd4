"""Devices, log-ins, host keys and TLS identities by the API."""

import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from devices.models import Credential, Device, DeviceGroup, HostKey
from ssm.accounts.models import AuditEntry
from ssm.lib.roles import Limit
from tests.api.caller import Caller, MakeCaller
from tests.factories import CredentialFactory, DeviceFactory, HostKeyFactory, ShownKeyFactory

pytestmark = pytest.mark.django_db


def private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_key() -> str:
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.fixture
def admin(caller: MakeCaller) -> Caller:
    """A program of an administrator."""
    return caller("administrator")


def test_device_is_added_with_a_stored_login(admin: Caller) -> None:
    credential = CredentialFactory(name="deploy")

    answer = admin.post(
        "/devices",
        {"name": "web-1", "address": "192.0.2.7", "groups": ["lab"], "credential": str(credential.pk), "port": 2222},
    )

    assert answer.status == 201, answer.body
    device = Device.objects.get()
    assert (device.name, device.port, device.groups, device.credential) == ("web-1", 2222, ["lab"], credential)
    assert answer.body["settings"]["credential"] == {"id": str(credential.pk), "name": "deploy"}
    entry = AuditEntry.objects.get(action="device.add")
    assert (entry.door, entry.object_name) == ("api", "web-1")


def test_device_is_added_with_a_new_login_whose_secrets_are_never_told(admin: Caller) -> None:
    key = private_key()

    answer = admin.post(
        "/devices",
        {"name": "web-1", "address": "192.0.2.7", "login": {"username": "deploy", "private_key": key}},
    )

    assert answer.status == 201, answer.body
    stored = Credential.objects.get()
    assert stored.private_key == key.strip()
    listed = admin.get("/credentials").body["items"]
    assert (listed[0]["has_private_key"], listed[0]["has_password"]) == (True, False)
    assert "PRIVATE KEY" not in str([answer.body, listed])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "address": "not a host!"}, "address"),
        ({"name": "x", "address": "192.0.2.7"}, "groups"),
        ({"name": "x", "address": "192.0.2.7", "credential": str(uuid.uuid4())}, "credential"),
        ({"name": "x", "address": "192.0.2.7", "login": {"username": "a", "private_key": "no"}}, "login.private_key"),
        ({"name": "x", "address": "192.0.2.7", "login": {"username": ""}}, "login.username"),
        ({"name": "x", "address": "192.0.2.7", "transport": "tcp"}, "accept_plain"),
        ({"name": "x", "address": "192.0.2.7", "transport": "carrier pigeon"}, "transport"),
        ({"name": "x", "address": "192.0.2.7", "colour": "red"}, "colour"),
        ({"name": "x", "address": "192.0.2.7", "sweep_schedule": "now"}, "sweep_schedule"),
        ({"name": "x", "address": "192.0.2.7", "host_key": "none"}, "host_key"),
        ({"name": "x", "address": "192.0.2.7", "jumps": [{"address": "no host!"}]}, "jumps.0.address"),
        ({"address": "192.0.2.7"}, "name"),
    ],
)
def test_device_that_cannot_be_added_names_its_fields(body: dict[str, Any], field: str, admin: Caller) -> None:
    answer = admin.post("/devices", body)

    assert (answer.status, answer.body["code"]) == (422, "invalid")
    assert field in answer.body["fields"]
    assert not Device.objects.exists()


def test_change_leaves_what_it_does_not_name(admin: Caller) -> None:
    jump = DeviceFactory(name="gate")
    device = DeviceFactory(name="web-1", groups=["lab"], port=2022, sweep_schedule="*/7 * * * *")
    admin.patch(f"/devices/{device.pk}", {"jumps": [{"via": str(jump.pk)}, {"address": "192.0.2.9", "port": 2200}]})

    answer = admin.patch(f"/devices/{device.pk}", {"name": "web-2", "compression": True})

    assert answer.status == 200, answer.body
    settings = answer.body["settings"]
    assert [(row["via"] and row["via"]["name"], row["address"]) for row in settings["jumps"]] == [
        ("gate", ""),
        (None, "192.0.2.9"),
    ]
    device.refresh_from_db()
    assert (device.name, device.compression, device.port) == ("web-2", True, 2022)
    assert (device.groups, device.sweep_schedule) == (["lab"], "*/7 * * * *")
    assert admin.patch(f"/devices/{device.pk}", {"jumps": []}).body["settings"]["jumps"] == []


def test_device_that_carries_others_is_not_removed(admin: Caller) -> None:
    gate, device = DeviceFactory(name="gate"), DeviceFactory(name="web-1")
    admin.patch(f"/devices/{device.pk}", {"jumps": [{"via": str(gate.pk)}]})

    assert admin.delete(f"/devices/{gate.pk}").status == 409
    assert admin.delete(f"/devices/{device.pk}").status == 204
    assert admin.delete(f"/devices/{gate.pk}").status == 204
    assert not Device.objects.exists()


def test_settings_are_for_those_who_manage_the_device(caller: MakeCaller) -> None:
    device = DeviceFactory(groups=["lab"])
    path = f"/devices/{device.pk}"

    assert caller("viewer").get(path).body["settings"] is None
    assert caller("operator").patch(path, {"name": "mine"}).status == 403
    elsewhere = caller("administrator", limit=Limit(device_groups=("other",)))
    assert elsewhere.patch(path, {"name": "mine"}).status == 404
    assert elsewhere.post("/devices", {"name": "b", "address": "192.0.2.8", "groups": ["lab"]}).status == 422


def test_devices_are_sorted_and_filtered(caller: MakeCaller) -> None:
    DeviceFactory(name="a", groups=["lab"], state="online", engine_version="28.0")
    DeviceFactory(name="b", groups=["lab"], state="unreachable", engine_version="20.10")
    DeviceFactory(name="c", state="online", engine_version="26.1")
    program = caller("viewer")

    def names(**query: Any) -> list[str]:
        return [item["name"] for item in program.get("/devices", query).body["items"]]

    assert names(sort="-name") == ["c", "b", "a"]
    assert names(sort="engine") == ["b", "c", "a"]
    assert names(state="online", group="lab") == ["a"]


def test_test_of_a_device_tells_its_steps(admin: Caller) -> None:
    device = DeviceFactory(address="127.0.0.1", port=9)

    lines = admin.lines(f"/devices/{device.pk}/test")

    assert [line["step"] for line in lines if "step" in line][:2] == ["resolve", "resolve"]
    assert lines[-1]["done"] is True
    assert (lines[-1]["ok"], lines[-1]["code"]) == (False, "refused")
    assert all("html" not in line for line in lines)


def test_shown_key_is_accepted_after_it_was_listed(admin: Caller) -> None:
    device = DeviceFactory(name="web-1", state="unreachable")
    kind, _blank, base64 = public_key().partition(" ")
    ShownKeyFactory(device=device, key_type=kind, key_base64=base64)

    waiting = admin.get("/host-keys/waiting").body["items"]
    answer = admin.post(f"/devices/{device.pk}/host-key", {"key": waiting[0]["public_key"]})

    assert waiting[0]["device"]["name"] == "web-1"
    assert [key["source"] for key in answer.body] == [""]
    assert admin.get("/host-keys").body["items"][0]["fingerprint"] == HostKey.objects.get().fingerprint
    assert admin.get("/host-keys/waiting").body["items"] == []
    assert admin.delete(f"/host-keys/{HostKey.objects.get().pk}").status == 204


def test_lines_of_known_hosts_are_imported(admin: Caller) -> None:
    DeviceFactory(name="web-1", address="192.0.2.7", port=22)
    text = f"192.0.2.7 {public_key()}\n@cert-authority *.example.com {public_key()}\nnonsense"

    entries = admin.post("/host-keys/import", {"text": text}).body

    assert [entry["outcome"] for entry in entries] == ["added", "rule", "bad"]
    rules = admin.get("/host-key-rules").body
    assert [rule["patterns"] for rule in rules] == ["*.example.com"]
    assert admin.delete(f"/host-key-rules/{rules[0]['id']}").status == 204


def test_key_pair_is_made_and_its_public_half_told(admin: Caller) -> None:
    answer = admin.post("/credentials", {"name": "made", "username": "deploy", "generate": "ed25519"})

    assert answer.status == 201, answer.body
    assert answer.body["public_key"].startswith("ssh-ed25519 ")
    assert Credential.objects.get().private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_change_of_a_login_keeps_secrets_that_are_not_named(admin: Caller) -> None:
    made = admin.post(
        "/credentials",
        {"name": "one", "username": "a", "password": "pw-1", "answers": [{"question": "PIN", "answer": "1234"}]},
    ).body
    path = f"/credentials/{made['id']}"

    renamed = admin.patch(path, {"name": "two", "answers": [{"question": "PIN"}]})
    row = Credential.objects.get()

    assert renamed.status == 200, renamed.body
    assert (row.name, row.password) == ("two", "pw-1")
    assert [(answer.prompt, answer.answer) for answer in row.answers.all()] == [("PIN", "1234")]
    assert admin.patch(path, {"forget": ["password"], "answers": []}).status == 422  # nothing would be left
    assert admin.delete(path).status == 204


def test_login_in_use_is_not_deleted(admin: Caller) -> None:
    device = DeviceFactory()

    assert admin.delete(f"/credentials/{device.credential_id}").status == 409


def test_default_of_a_group_is_set_within_ones_groups(admin: Caller, caller: MakeCaller) -> None:
    DeviceFactory(groups=["lab"])
    credential = CredentialFactory(name="shared")

    answer = admin.put("/device-groups/lab", {"credential": str(credential.pk)})
    limited = caller("administrator", limit=Limit(device_groups=("other",)))

    assert answer.body == {"name": "lab", "device_count": 1, "credential": {"id": str(credential.pk), "name": "shared"}}
    assert limited.put("/device-groups/lab", {"credential": None}).status == 404
    assert DeviceGroup.objects.get().credential == credential


def test_import_tells_first_and_adds_then(admin: Caller) -> None:
    credential = CredentialFactory(username="deploy")
    body = {"text": "deploy@192.0.2.7\ndeploy@192.0.2.8:2222", "credentials": {"deploy": str(credential.pk)}}

    told = admin.post("/devices/import", body).body["items"]
    assert [row["outcome"] for row in told] == ["new", "new"]
    assert not Device.objects.exists()
    done = admin.post("/devices/import", {**body, "dry_run": False}).body["items"]

    assert [row["outcome"] for row in done] == ["added", "added"]
    assert sorted(Device.objects.values_list("port", flat=True)) == [22, 2222]


def test_switched_off_work_is_refused(caller: MakeCaller) -> None:
    device = DeviceFactory(online=True, statistics_enabled=False)
    HostKeyFactory(device=device)

    assert caller("operator").post(f"/devices/{device.pk}/run", {"kind": "statistics"}).status == 409
    assert caller("operator").post(f"/devices/{device.pk}/run", {"kind": "sweep"}).status == 202
