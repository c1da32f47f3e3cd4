"""What pages add, change and remove is in the record, with what was before and after, and no secret."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from containers.models import BackupPlan
from devices.models import Credential, Device, HostKey, HostKeyRule, TlsIdentity
from registries.models import Registry
from ssm.accounts.models import AuditEntry
from tests.devices.certificates import Authority
from tests.devices.test_host_keys import OTHER, OURS
from tests.devices.test_views_devices import typed as device_typed
from tests.factories import CredentialFactory, DeviceFactory, VolumeFactory
from tests.people import People
from tests.registries.test_forms import typed as registry_typed

pytestmark = pytest.mark.django_db
SECRET = "secret-of-the-audit-1"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is added, changed and removed on its pages, and what the record calls it."""

    name: str
    post: Callable[[Client, str], Any]
    changed: str
    verbs: tuple[str, ...] = ("add", "change", "remove")


def _device(client: Client, act: str) -> Any:
    if act == "add":
        return client.post("/devices/add/", device_typed(password=SECRET))
    device = Device.objects.get()
    if act == "change":
        kept = {"login": "existing", "credential": str(device.credential_id), "password": ""}
        return client.post(f"/devices/{device.pk}/edit/", device_typed(name="renamed", **kept))
    return client.post(f"/devices/{device.pk}/delete/", {"confirmation": device.name})


def _login(client: Client, act: str) -> Any:
    data = {"name": "fleet", "username": "op", "key_source": "keep", "password": SECRET}
    if act == "add":
        return client.post("/devices/logins/add/", data)
    pk = Credential.objects.get().pk
    if act == "change":
        return client.post(f"/devices/logins/{pk}/edit/", {**data, "name": "renamed", "password": f"{SECRET}-new"})
    return client.post(f"/devices/logins/{pk}/delete/")


def _group(client: Client, act: str) -> Any:
    credential = Credential.objects.first() or CredentialFactory(name="default")
    chosen = "" if act == "remove" else str(credential.pk)
    return client.post("/devices/groups/", {"name": "shop", "credential": chosen})


def _tls(client: Client, act: str) -> Any:
    if act == "add":
        authority = Authority()
        pair = authority.client()
        texts = {"ca_pem": authority.pem, "certificate_pem": pair.certificate, "private_key": pair.key}
        return client.post(reverse("devices:tls-add"), {"name": "engines", **texts})
    pk = TlsIdentity.objects.get().pk
    if act == "change":
        return client.post(reverse("devices:tls-edit", args=[pk]), {"name": "renamed"})
    return client.post(reverse("devices:tls-delete", args=[pk]))


def _host_key(client: Client, act: str) -> Any:
    device = Device.objects.first() or DeviceFactory()
    if act == "remove":
        return client.post(reverse("devices:host-key-forget", args=[HostKey.objects.get().pk]))
    key = OURS if act == "accept" else OTHER
    data = {"host_key_type": key.key_type, "host_key_base64": key.key_base64}
    return client.post(reverse("devices:host-key", args=[device.pk]), data)


def _known_hosts(client: Client, act: str) -> Any:
    device = Device.objects.first() or DeviceFactory(address="web.example.com", port=22)
    text = f"{device.address} ssh-ed25519 {OURS.key_base64}"
    return client.post(reverse("devices:host-keys-import"), {"text": text})


def _rule(client: Client, act: str) -> Any:
    if act == "remove":
        return client.post(reverse("devices:host-key-rule-remove", args=[HostKeyRule.objects.get().pk]))
    data = {"kind": "revoked", "patterns": "*.example.com", "key": f"ssh-ed25519 {OURS.key_base64}"}
    return client.post(reverse("devices:host-key-rule-add"), data)


def _rule_of_a_file(client: Client, act: str) -> Any:
    text = f"@cert-authority *.example.com ssh-ed25519 {OTHER.key_base64}"
    return client.post(reverse("devices:host-keys-import"), {"text": text})


def _registry(client: Client, act: str) -> Any:
    place = {"address": "registry.example.com"}
    if act == "add":
        data = registry_typed("custom", "login+password", place, login="reader", password=SECRET)
        return client.post("/registries/add/?provider=custom", data)
    pk = Registry.objects.get().pk
    if act == "change":
        data = registry_typed("custom", "login+password", place, login="reader", password="")
        return client.post(f"/registries/{pk}/edit/", {**data, "name": "renamed"})
    return client.post(f"/registries/{pk}/delete/")


def _plan(client: Client, act: str) -> Any:
    plan = BackupPlan.objects.first()
    volume = VolumeFactory() if plan is None else plan.device.volumes.get()
    numbers = {"keep_daily": "0", "keep_weekly": "0", "keep_monthly": "0"}
    data = {"schedule": "30 2 * * *", "consistency": "paused", "keep_last": "3", "is_enabled": "on", **numbers}
    if act == "change":
        data["keep_last"] = "5"
    return client.post(
        reverse("volumes:plan", args=[volume.pk]), {"act": "remove", **data} if act == "remove" else data
    )


KINDS = (
    Kind("device", _device, "name"),
    Kind("credential", _login, "password"),
    Kind("devicegroup", _group, "credential", ("change", "change")),
    Kind("tls", _tls, "name"),
    Kind("hostkey", _host_key, "host_keys", ("accept", "accept", "remove")),
    Kind("hostkey", _known_hosts, "host_keys", ("import",)),
    Kind("hostkeyrule", _rule, "patterns", ("add", "remove")),
    Kind("hostkeyrule", _rule_of_a_file, "", ("add",)),
    Kind("registry", _registry, "name"),
    Kind("backupplan", _plan, "keep_last"),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.post.__name__.strip("_"))
def test_change_by_a_page_is_in_the_record(kind: Kind, people: People) -> None:
    client = people.client("administrator")
    acts = list(kind.verbs)
    if kind.name == "devicegroup":
        acts = ["change", "remove"]
    elif kind.post is _host_key:
        acts = ["accept", "again", "remove"]

    for act, verb in zip(acts, kind.verbs, strict=True):
        seen = AuditEntry.objects.filter(action=f"{kind.name}.{verb}").count()

        answer = kind.post(client, act)

        assert answer.status_code in (200, 302), answer.content.decode()[:2000]
        entries = AuditEntry.objects.filter(action=f"{kind.name}.{verb}")
        assert entries.count() == seen + 1, f"{act} is not in the record, or twice"
        entry = entries[0]
        assert (entry.user_name, entry.door, entry.outcome, entry.address) == ("administrator", "page", "", "127.0.0.1")
        assert entry.object_name
        if kind.changed:
            expected = {"add": (False, True), "import": (False, True), "remove": (True, False)}.get(verb, (True, True))
            # What is removed of a device's keys is a row of its own.
            column = "fingerprint" if (kind.name, verb) == ("hostkey", "remove") else kind.changed
            assert (column in entry.before, column in entry.after) == expected, act
        assert SECRET not in f"{entry.before} {entry.after} {entry.object_name}"
        assert "PRIVATE KEY" not in f"{entry.before} {entry.after}"


def test_log_in_that_is_entered_with_a_device_is_in_the_record(people: People) -> None:
    _device(people.client("administrator"), "add")

    entry = AuditEntry.objects.get(action="credential.add")
    assert (entry.object_name, entry.after["password"]) == ("op@new-host", "stored")
