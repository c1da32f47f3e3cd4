"""Pages of log-ins, of groups with their defaults, and imports of many devices."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.test import Client

from devices.connections.keys import private_key_facts
from devices.models import Credential, CredentialAnswer, Device, DeviceGroup, Jump, now
from devices.services import connection_target
from ssm.accounts.models import AuditEntry
from tests.devices.sshd import private_text
from tests.factories import CredentialFactory, DeviceFactory
from tests.people import People

pytestmark = pytest.mark.django_db
KEY = private_text(ed25519.Ed25519PrivateKey.generate())
LOGIN = {"name": "Fleet", "username": "op", "key_source": "paste"}


@pytest.fixture
def admin(people: People) -> Client:
    """An administrator's browser."""
    return people.client("administrator")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_generated_key_is_stored_and_only_its_public_half_shown(admin: Client, kind: str) -> None:
    answer = admin.post("/devices/logins/add/", LOGIN | {"key_source": kind}, follow=True)

    stored = Credential.objects.get(name="Fleet")
    facts = private_key_facts(stored.private_key, None, "x")
    page = answer.content.decode()
    assert (stored.public_key, stored.key_fingerprint) == (facts.line, facts.fingerprint)
    assert f"{facts.line} ssm:Fleet" in page
    assert "PRIVATE KEY" not in page
    assert stored.private_key.splitlines()[2] not in page


def test_log_in_with_all_it_may_hold_is_stored_and_never_shown(admin: Client) -> None:
    secrets = {"password": "pw-marked-1", "answers-0-answer": "answer-marked-2"}
    data = LOGIN | secrets | {"private_key": KEY, "answers-0-prompt": "*code*", "use_agent": "on"}

    admin.post("/devices/logins/add/", data)

    stored = Credential.objects.get(name="Fleet")
    assert (stored.password, stored.use_agent) == ("pw-marked-1", True)
    assert [(row.prompt, row.answer) for row in stored.answers.all()] == [("*code*", "answer-marked-2")]
    for url in ("/devices/logins/", stored.get_absolute_url(), f"{stored.get_absolute_url()}edit/"):
        page = admin.get(url).content.decode()
        assert "marked" not in page
        assert "PRIVATE KEY" not in page
    assert "marked" not in repr(list(AuditEntry.objects.values_list("before", "after")))


def test_edit_with_empty_secrets_keeps_them(admin: Client) -> None:
    stored = CredentialFactory(private_key=KEY, password="kept")
    answer = CredentialAnswer.objects.create(credential=stored, prompt="a", answer="kept too")
    before = now()
    device = DeviceFactory(credential=stored)
    Device.objects.filter(pk=device.pk).update(configured_at=before)

    data = {"name": "New name", "username": "root", "key_source": "keep"}
    row = {"answers-0-row": answer.pk, "answers-0-prompt": "b", "answers-0-answer": ""}
    admin.post(f"/devices/logins/{stored.pk}/edit/", data | row)

    stored.refresh_from_db()
    answer.refresh_from_db()
    device.refresh_from_db()
    assert (stored.username, stored.password, stored.private_key) == ("root", "kept", KEY)
    assert (answer.prompt, answer.answer) == ("b", "kept too")
    assert device.configured_at > before


def test_edit_can_remove_what_is_stored(admin: Client) -> None:
    stored = CredentialFactory(private_key=KEY, password="gone", certificate="")
    data = {"name": "x", "username": "op", "key_source": "keep", "passwordless": "on"}

    admin.post(f"/devices/logins/{stored.pk}/edit/", data | {"forget_private_key": "on", "forget_password": "on"})

    stored.refresh_from_db()
    assert (stored.private_key, stored.password, stored.public_key, stored.key_fingerprint) == ("", "", "", "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Give a private key or a password"),
        ({"username": "", "password": "x"}, "Give the user name"),
        ({"private_key": "nonsense"}, "not a private key"),
        ({"private_key": KEY, "certificate": "ssh-ed25519 AAAA"}, "not an OpenSSH certificate"),
        ({"password": "x", "certificate": "ssh-ed25519-cert-v01@openssh.com AAAA"}, "needs its private key"),
        ({"password": "x", "agent_key": "MD5:aa"}, "Give the fingerprint"),
        ({"password": "x", "answers-1-prompt": "code"}, "Give the answer"),
        ({"password": "x", "answers-1-answer": "1"}, "Give a part of the question"),
        ({"password": "x", "name": ""}, "required"),
    ],
)
def test_faulty_log_in_answers_422_and_stores_nothing(admin: Client, changes: dict[str, str], words: str) -> None:
    answer = admin.post("/devices/logins/add/", LOGIN | changes)

    assert answer.status_code == 422
    assert words in answer.content.decode().replace("&#x27;", "'")
    assert not Credential.objects.exists()


def test_log_in_in_use_is_not_deleted(admin: Client) -> None:
    by_group, by_jump, free = CredentialFactory(), CredentialFactory(), CredentialFactory()
    DeviceGroup.objects.create(name="berlin", credential=by_group)
    Jump.objects.create(device=DeviceFactory(), position=0, address="10.0.0.9", credential=by_jump)

    answers = [admin.post(f"/devices/logins/{row.pk}/delete/").status_code for row in (by_group, by_jump, free)]

    assert answers == [409, 409, 302]
    assert not Credential.objects.filter(pk=free.pk).exists()


@pytest.mark.parametrize("rows", [1, 30])
def test_list_of_log_ins_takes_the_same_queries_for_any_number(
    admin: Client, rows: int, django_assert_max_num_queries: object
) -> None:
    for row in CredentialFactory.create_batch(rows):
        DeviceFactory(credential=row)
    admin.get("/devices/logins/")

    with django_assert_max_num_queries(14):  # type: ignore[operator]
        answer = admin.get("/devices/logins/?sort=used")

    assert answer.status_code == 200


# ---- groups


def test_default_of_a_group_opens_its_devices_without_a_log_in(admin: Client) -> None:
    shared = CredentialFactory(username="shared")
    first = DeviceFactory(credential=None, groups=["other", "berlin"])

    admin.post("/devices/groups/", {"name": "berlin", "credential": str(shared.pk)})

    assert connection_target(first).authentication.username == "shared"
    assert "default of its group" in admin.get(first.get_absolute_url()).content.decode()
    admin.post("/devices/groups/", {"name": "berlin", "credential": ""})
    page = admin.get("/devices/groups/").content.decode()
    assert "berlin" in page
    assert not DeviceGroup.objects.filter(credential__isnull=False).exists()


def test_default_of_a_group_must_be_a_log_in(admin: Client) -> None:
    answer = admin.post("/devices/groups/", {"name": "berlin", "credential": "nonsense"})

    assert answer.status_code == 404
    assert not DeviceGroup.objects.exists()


# ---- imports


LIST = "op@10.0.0.1, One, berlin\nroot@10.0.0.2:2222, One\n127.0.0.1:9, Known\nbad host, Bad\n10.0.0.1, Again\n"


def test_import_shows_each_row_before_anything_is_added(admin: Client) -> None:
    DeviceFactory(name="old")
    CredentialFactory(name="Ops", username="op")

    page = admin.post("/devices/import/", {"source": "list", "text": LIST}).content.decode()

    assert "2 of 5 hosts can be added" in page
    assert "One (10.0.0.2)" in page
    assert "It is a device already." in page
    assert "further up" in page
    assert re.search(r'<option value="[^"]+" selected>Ops \(op\)', page)
    assert Device.objects.count() == 1


def test_import_adds_chosen_rows_and_tells_of_each(admin: Client) -> None:
    ops = CredentialFactory(name="Ops", username="op")
    data = {"source": "list", "text": LIST, "step": "add", "row": ["0", "1", "3"], "groups": "new", "login-0": ops.pk}

    page = admin.post("/devices/import/", data).content.decode()

    one, two = Device.objects.order_by("address").exclude(address="127.0.0.1")
    assert (one.name, one.credential, one.groups) == ("One", ops, ["new", "berlin"])
    assert (two.port, two.credential) == (2222, None)
    assert "2 added" in page
    assert "not a valid host name" in page
    assert AuditEntry.objects.filter(action="device.add").count() == 2


def test_import_of_an_ssh_config_links_jump_hosts_that_come_along(admin: Client) -> None:
    text = "Host bastion\n HostName 10.0.0.9\nHost web\n HostName 10.1.0.1\n ProxyJump bastion,me@10.2.0.1:2200\n"

    admin.post("/devices/import/", {"source": "ssh-config", "text": text, "step": "add", "row": ["0", "1"]})

    jumps = list(Device.objects.get(name="web").jumps.all())
    assert jumps[0].via is not None
    assert jumps[0].via.name == "bastion"
    assert (jumps[1].address, jumps[1].port) == ("10.2.0.1", 2200)


@pytest.mark.parametrize("text", ["", "[web]\nw[1:999999]", "all: {<script>alert(1)</script>"])
def test_import_of_what_cannot_be_read_answers_422(admin: Client, text: str) -> None:
    answer = admin.post("/devices/import/", {"source": "inventory", "text": text})

    assert answer.status_code == 422
    assert "<script>alert" not in answer.content.decode()


# ---- admin


def test_admin_keeps_secrets_of_a_log_in_and_shows_none(admin: Client) -> None:
    stored = CredentialFactory(private_key=KEY, password="marked-3")
    CredentialAnswer.objects.create(credential=stored, prompt="code", answer="marked-4")
    url = f"/admin/devices/credential/{stored.pk}/change/"

    page = admin.get(url).content.decode()
    saved = admin.post(url, {"name": "Renamed", "username": "op", "key_source": "keep"})

    stored.refresh_from_db()
    assert "marked" not in page
    assert "PRIVATE KEY" not in page
    assert saved.status_code == 302
    assert (stored.name, stored.password, stored.private_key) == ("Renamed", "marked-3", KEY)
    assert stored.public_key.startswith("ssh-ed25519 ")
    assert stored.answers.count() == 1
