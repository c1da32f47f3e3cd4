"""Host keys as people deal with them: imports, decisions, rules, and what the watcher notes."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from devices.errors import HostKeyChanged
from devices.host_keys import import_known_hosts
from devices.models import Device, HostKey, HostKeyRule, ShownKey
from devices.rules.host_keys import PinnedKey, fingerprint
from devices.rules.known_hosts import parse_known_hosts
from devices.services import connection_target, note_online, note_unreachable, replace_host_keys, trust_host_key
from ssm.accounts.models import AuditEntry
from tests.factories import DeviceFactory, HostKeyRuleFactory, ShownKeyFactory
from tests.people import People

OURS = PinnedKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIOt4HYdnSEJ9ZuCGI0++42C6yHkw1Lm5vSzV3tWRlXhU")
OTHER = PinnedKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIFB3pRzXJq0sO0GJ0m0nH0bq7q9r3n1mYx8W2Vd5uQ2L")

pytestmark = pytest.mark.django_db


def _changed(device: Device, shown: PinnedKey) -> HostKeyChanged:
    details = {"key_type": shown.key_type, "key_base64": shown.key_base64, "fingerprint": shown.fingerprint}
    return HostKeyChanged(f"{device.name}: the host's key has changed.", details=details)


def test_refused_key_waits_for_a_person_until_it_is_accepted_or_the_host_is_well(people: People) -> None:
    device = DeviceFactory()
    trust_host_key(device, OURS, None)

    note_unreachable(device, _changed(device, OTHER), None)
    page = people.client("administrator").get(reverse("devices:host-keys")).content.decode()
    compare = people.client("administrator").get(reverse("devices:host-key-decide", args=[device.pk]))

    assert OTHER.fingerprint in page
    assert OURS.fingerprint in compare.content.decode()
    assert OTHER.fingerprint in compare.content.decode()
    assert connection_target(device).pinned_keys == (OURS,), "seeing it accepts nothing"

    note_unreachable(device, _changed(device, OTHER), None)
    assert ShownKey.objects.get().last_shown_at > ShownKey.objects.get().first_shown_at
    note_online(device, engine={}, channel_kind="streamlocal")
    assert not ShownKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_accepting_replaces_the_key_and_settles_the_doubt(people: People) -> None:
    device = DeviceFactory()
    trust_host_key(device, OURS, None)
    ShownKeyFactory(device=device, key_base64=OTHER.key_base64, fingerprint=OTHER.fingerprint)

    replace_host_keys(device, OTHER, people.administrator)

    assert [key.key_base64 for key in device.host_keys.all()] == [OTHER.key_base64]
    assert not ShownKey.objects.exists()


def test_import_accepts_what_is_new_and_leaves_what_differs(people: People) -> None:
    new = DeviceFactory(address="new.example.com", port=22)
    known = DeviceFactory(address="known.example.com", port=2222)
    different = DeviceFactory(address="different.example.com", port=22)
    trust_host_key(known, OURS, None)
    trust_host_key(different, OTHER, None)
    text = f"""new.example.com,10.0.0.9 ssh-ed25519 {OURS.key_base64}
[known.example.com]:2222 ssh-ed25519 {OURS.key_base64}
different.example.com ssh-ed25519 {OURS.key_base64}
stranger.example.com ssh-ed25519 {OURS.key_base64}
@cert-authority *.example.com ssh-ed25519 {OTHER.key_base64}
rubbish"""

    response = people.client("administrator").post(reverse("devices:host-keys-import"), {"text": text})
    body = response.content.decode()

    assert response.status_code == 200
    assert [(key.key_base64, key.source) for key in new.host_keys.all()] == [(OURS.key_base64, "known_hosts")]
    assert [key.key_base64 for key in different.host_keys.all()] == [OTHER.key_base64]
    assert HostKeyRule.objects.get().patterns == "*.example.com"
    assert connection_target(new).authorities == (OTHER,)
    for words in ("accepted", "known already", "differ from what is accepted", "none of your devices", "made a rule"):
        assert words in body
    assert AuditEntry.objects.filter(action="hostkey.import", object_name=new.name).exists()
    again = import_known_hosts(parse_known_hosts(text)[0], Device.objects.prefetch_related("host_keys"), people.viewer)
    assert again.count("added") == 0


def test_rules_reach_the_targets_that_match_alone() -> None:
    HostKeyRuleFactory(patterns="*.example.com,!web.example.com", key_base64=OURS.key_base64)
    HostKeyRuleFactory(kind="revoked", patterns="*", key_base64=OTHER.key_base64, fingerprint=OTHER.fingerprint)
    database = connection_target(DeviceFactory(address="db.example.com", port=22))
    web = connection_target(DeviceFactory(address="web.example.com", port=22))

    assert (database.authorities, database.revoked_keys) == ((OURS,), (OTHER,))
    assert (web.authorities, web.revoked_keys) == ((), (OTHER,))
    assert database.version != web.version


def test_rule_form_takes_a_public_key_and_refuses_anything_else(people: People) -> None:
    url, client = reverse("devices:host-key-rule-add"), people.client("administrator")
    line = f"ssh-ed25519 {OURS.key_base64} ca@example"

    refused = client.post(
        url, {"kind": "cert-authority", "patterns": "*", "key": "-----BEGIN OPENSSH PRIVATE KEY-----"}
    )
    taken = client.post(url, {"kind": "cert-authority", "patterns": " *.example.com , web ", "key": line})
    twice = client.post(url, {"kind": "cert-authority", "patterns": "*.example.com,web", "key": line})

    assert (refused.status_code, taken.status_code, twice.status_code) == (422, 302, 422)
    assert HostKeyRule.objects.get().fingerprint == fingerprint(OURS.key_base64)


def test_forgotten_key_is_trusted_no_longer(people: People) -> None:
    device = DeviceFactory()
    key = trust_host_key(device, OURS, None)

    people.client("administrator").post(reverse("devices:host-key-forget", args=[key.pk]))

    assert not HostKey.objects.exists()
    assert AuditEntry.objects.filter(action="hostkey.remove").exists()


def test_list_takes_as_many_queries_for_thirty_keys_as_for_one(people: People) -> None:
    client = people.client("administrator")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("devices:host-keys")).status_code == 200
        return len(captured)

    trust_host_key(DeviceFactory(), OURS, people.administrator)
    ShownKeyFactory()
    few = queries()
    for _ in range(29):
        trust_host_key(DeviceFactory(), OURS, people.administrator)
        ShownKeyFactory()
    assert queries() == few
