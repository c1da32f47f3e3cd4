"""TLS identities: what goes in, what never comes out, and how they reach the connection."""

from typing import Any

import pytest
from django.db import connection as database
from django.urls import reverse

from devices.models import TlsIdentity
from devices.services import connection_target
from ssm.accounts.models import AuditEntry
from tests.devices.certificates import Authority
from tests.factories import DeviceFactory
from tests.people import People

pytestmark = pytest.mark.django_db


def _texts(authority: Authority, **changes: Any) -> dict[str, Any]:
    pair = authority.client()
    texts = {"ca_pem": authority.pem, "certificate_pem": pair.certificate, "private_key": pair.key}
    return {"name": "engines", **texts, **changes}


def test_identity_is_stored_encrypted_and_never_shown_again(people: People) -> None:
    client, authority = people.client("administrator"), Authority("our authority")
    texts = _texts(authority)

    answer = client.post(reverse("devices:tls-add"), texts)
    identity = TlsIdentity.objects.get()
    pages = [
        client.get(reverse("devices:tls")).content.decode(),
        client.get(reverse("devices:tls-edit", args=[identity.pk])).content.decode(),
        client.post(reverse("devices:tls-add"), {**texts, "name": ""}).content.decode(),
        client.get(f"/admin/devices/tlsidentity/{identity.pk}/change/").content.decode(),
        str(list(AuditEntry.objects.values())),
    ]
    with database.cursor() as cursor:
        cursor.execute("SELECT ca_pem || certificate_pem || private_key FROM devices_tlsidentity")
        stored = cursor.fetchone()[0]

    assert answer.status_code == 302
    assert (identity.private_key, identity.ca_pem) == (texts["private_key"].strip(), authority.pem.strip())
    assert "CN=our authority" in pages[0]
    secret = texts["private_key"].splitlines()[1]
    public = [texts[name].splitlines()[1] for name in ("ca_pem", "certificate_pem")]
    for text in (*pages, stored):
        assert not any(part in text for part in (secret, *public))


def test_edit_keeps_what_is_left_empty_and_removes_what_is_ticked(people: People) -> None:
    client, authority = people.client("administrator"), Authority()
    client.post(reverse("devices:tls-add"), _texts(authority))
    identity = TlsIdentity.objects.get()
    url = reverse("devices:tls-edit", args=[identity.pk])

    client.post(url, {"name": "renamed"})
    kept = TlsIdentity.objects.get()
    client.post(url, {"name": "renamed", "forget_certificate": "on"})
    emptied = TlsIdentity.objects.get()

    assert (kept.name, kept.private_key, kept.fingerprint) == ("renamed", identity.private_key, identity.fingerprint)
    assert (emptied.private_key, emptied.certificate_pem, emptied.fingerprint) == ("", "", "")
    assert emptied.ca_pem == identity.ca_pem


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"private_key": ""}, "private_key", "Give the key"),
        ({"certificate_pem": ""}, "certificate_pem", "Give the certificate"),
        ({"private_key": "rubbish"}, "certificate_pem", "can't be read"),
        ({"private_key": Authority().client().key}, "certificate_pem", "does not belong"),
        ({"certificate_pem": "rubbish"}, "certificate_pem", "no certificate in PEM form"),
        ({"ca_pem": Authority().client().key}, "ca_pem", "private key"),
        ({"ca_pem": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"}, "ca_pem", "can't be read"),
    ],
)
def test_texts_that_are_no_good_are_refused_at_their_field(
    people: People, changes: dict[str, str], field: str, words: str
) -> None:
    answer = people.client("administrator").post(reverse("devices:tls-add"), _texts(Authority(), **changes))

    assert answer.status_code == 422
    assert words in answer.context["form"].errors[field][0]
    assert not TlsIdentity.objects.exists()


def test_expired_certificate_is_refused(people: People) -> None:
    authority = Authority()
    old = authority.client(days=-1)
    texts = _texts(authority, certificate_pem=old.certificate, private_key=old.key)

    answer = people.client("administrator").post(reverse("devices:tls-add"), texts)

    assert "ended on" in answer.context["form"].errors["certificate_pem"][0]


def test_devices_over_tls_get_what_is_stored_and_keep_it_from_being_deleted(people: People) -> None:
    client = people.client("administrator")
    client.post(reverse("devices:tls-add"), _texts(Authority()))
    identity = TlsIdentity.objects.get()
    device = DeviceFactory(transport="tls", tls=identity, tls_server_name="engine.test", credential=None, port=2376)

    target = connection_target(device)
    refused = client.post(reverse("devices:tls-delete", args=[identity.pk]))

    assert target.tls is not None
    assert target.tls.private_key == identity.private_key
    assert target.tls.private_key not in repr(target)
    assert target.tls_server_name == "engine.test"
    assert refused.status_code == 409
    assert device.name in refused.content.decode()
