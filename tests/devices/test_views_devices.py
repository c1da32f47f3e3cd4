"""Pages of devices: list, detail, form, deletion. Secrets go in and never come out."""

import io

import paramiko
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from devices.models import Credential, Device
from tests.factories import ContainerFactory, CredentialFactory, DeviceFactory, HostKeyFactory
from tests.people import People

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "pass-word-typed-by-hand"
HTMX = {"HTTP_HX_REQUEST": "true"}


def private_key(passphrase: str | None = None) -> str:
    text = io.StringIO()
    paramiko.ECDSAKey.generate().write_private_key(text, password=passphrase)
    return text.getvalue()


def typed(**changes: object) -> dict[str, object]:
    return {
        "name": "new-host",
        "address": "203.0.113.7",
        "port": "22",
        "groups": "",
        "docker_socket": "/var/run/docker.sock",
        "connect_timeout_s": "10",
        "request_timeout_s": "30",
        "watch_enabled": "on",
        "sweep_schedule": "0 * * * *",
        "statistics_schedule": "* * * * *",
        "update_schedule": "0 */6 * * *",
        "login": "new",
        "username": "op",
        "password": PASSWORD,
    } | changes


@pytest.fixture
def administrator(people: People) -> Client:
    return people.client("administrator")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["alpha", "beta"]),
        ("?q=ALPH", ["alpha"]),
        ("?q=10.9", ["beta"]),
        ("?state=unreachable", ["beta"]),
        ("?group=berlin", ["alpha"]),
        ("?sort=-name", ["beta", "alpha"]),
        ("?sort=containers", ["alpha", "beta"]),
        ("?state=nonsense", ["alpha", "beta"]),
    ],
)
def test_list_filtered_by_its_address_shows_the_devices_that_pass(people: People, query: str, found: list[str]) -> None:
    ContainerFactory(device=DeviceFactory(name="alpha", groups=["berlin"], online=True))
    DeviceFactory(name="beta", address="10.9.0.1", unreachable=True)

    page = people.client("viewer").get(f"/devices/{query}").context["page"]

    assert [device.name for device in page] == found


def test_detail_tells_why_a_device_is_unreachable_and_what_to_do(people: People) -> None:
    key = HostKeyFactory(device=DeviceFactory(unreachable=True))

    page = people.client("viewer").get(f"/devices/{key.device_id}/").content.decode()

    assert "It did not answer within 10 seconds." in page
    assert "Check the cable." in page
    assert key.fingerprint in page


def test_add_with_a_password_stores_device_and_log_in(administrator: Client) -> None:
    answer = administrator.post("/devices/add/", typed(groups="berlin, production, berlin"))

    device = Device.objects.get()
    assert answer.headers["Location"] == f"/devices/{device.pk}/"
    assert device.groups == ["berlin", "production"]
    assert device.credential is not None
    assert (device.credential.name, device.credential.password) == ("op@new-host", PASSWORD)


def test_add_by_htmx_sends_the_browser_to_the_device(administrator: Client) -> None:
    answer = administrator.post("/devices/add/", typed(), **HTMX)

    assert answer.headers["HX-Redirect"] == f"/devices/{Device.objects.get().pk}/"


def test_add_with_a_key_file_stores_key_and_fingerprint(administrator: Client) -> None:
    upload = SimpleUploadedFile("id_ecdsa", private_key("open sesame").encode())

    administrator.post("/devices/add/", typed(password="", private_key_file=upload, passphrase="open sesame"))

    credential = Credential.objects.get()
    assert "PRIVATE KEY" in credential.private_key
    assert credential.key_fingerprint.startswith("SHA256:")


def test_add_with_user_and_port_in_the_address_takes_them_apart(administrator: Client) -> None:
    administrator.post("/devices/add/", typed(address="deploy@example.org:2222", username=""))

    device = Device.objects.get()
    assert device.credential is not None
    assert (device.address, device.port, device.credential.username) == ("example.org", 2222, "deploy")


def test_add_with_a_stored_log_in_makes_no_new_one(administrator: Client) -> None:
    credential = CredentialFactory()

    administrator.post(
        "/devices/add/", typed(login="existing", credential=str(credential.pk), username="", password="")
    )

    assert Device.objects.get().credential == credential
    assert Credential.objects.count() == 1


def test_add_with_an_accepted_host_key_pins_it(administrator: Client, people: People) -> None:
    key = paramiko.ECDSAKey.generate()

    administrator.post("/devices/add/", typed(host_key_type=key.get_name(), host_key_base64=key.get_base64()))

    host_key = Device.objects.get().host_keys.get()
    assert (host_key.key_base64, host_key.accepted_by) == (key.get_base64(), people.administrator)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"address": "no such host!"}, "address"),
        ({"port": "70000"}, "port"),
        ({"docker_socket": "relative/path"}, "docker_socket"),
        ({"sweep_schedule": "every hour"}, "sweep_schedule"),
        ({"statistics_schedule": "61 * * * *"}, "statistics_schedule"),
        ({"update_schedule": ""}, "update_schedule"),
        ({"groups": ",".join(f"g{number}" for number in range(30))}, "groups"),
        ({"username": ""}, "username"),
        ({"password": ""}, "private_key"),
        ({"private_key": "ssh-ed25519 AAAA this is public"}, "private_key"),
        ({"private_key": private_key("open sesame")}, "passphrase"),
        ({"login": "existing"}, "credential"),
        ({"host_key_type": "ssh-ed25519", "host_key_base64": "nonsense"}, "__all__"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_add_with_a_fault_answers_422_at_the_field_and_stores_nothing(
    administrator: Client, changes: dict[str, str], field: str
) -> None:
    answer = administrator.post("/devices/add/", typed(**changes), **HTMX)

    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Device.objects.exists()
    assert not Credential.objects.exists()


def test_faulty_form_keeps_what_was_typed_but_never_the_secrets(administrator: Client) -> None:
    key = private_key()

    page = administrator.post(
        "/devices/add/", typed(name="kept-name", port="0", private_key=key, passphrase="also secret")
    ).content.decode()

    assert "kept-name" in page
    assert PASSWORD not in page
    assert "also secret" not in page
    assert key.splitlines()[1] not in page


def test_edit_form_shows_no_stored_secret(administrator: Client) -> None:
    device = DeviceFactory(credential=CredentialFactory(password=PASSWORD, private_key="stored-key-text"))

    page = administrator.get(f"/devices/{device.pk}/edit/").content.decode()

    assert PASSWORD not in page
    assert "stored-key-text" not in page


def test_edit_with_another_name_keeps_log_in_and_host_key(administrator: Client) -> None:
    device = HostKeyFactory().device

    administrator.post(
        f"/devices/{device.pk}/edit/", typed(name="renamed", login="existing", credential=str(device.credential_id))
    )

    device.refresh_from_db()
    assert device.name == "renamed"
    assert device.host_keys.count() == 1


def test_accepting_a_host_key_replaces_the_older_ones(administrator: Client) -> None:
    device = HostKeyFactory().device
    key = paramiko.ECDSAKey.generate()

    answer = administrator.post(
        f"/devices/{device.pk}/host-key/", {"host_key_type": key.get_name(), "host_key_base64": key.get_base64()}
    )

    assert answer.status_code == 302
    assert [host_key.key_base64 for host_key in device.host_keys.all()] == [key.get_base64()]


def test_delete_needs_the_devices_name(administrator: Client) -> None:
    device = ContainerFactory().device

    assert administrator.post(f"/devices/{device.pk}/delete/", {"confirmation": "yes"}).status_code == 422
    assert Device.objects.exists()
    administrator.post(f"/devices/{device.pk}/delete/", {"confirmation": device.name})
    assert not Device.objects.exists()


def test_pages_with_hostile_names_show_them_as_text(administrator: Client) -> None:
    hostile = '"><script>alert(1)</script>'
    device = DeviceFactory(
        name=hostile, groups=[hostile], state="unreachable", state_message=hostile, state_fix=hostile
    )

    for url in (
        "/devices/",
        f"/devices/{device.pk}/",
        f"/devices/{device.pk}/edit/",
        f"/devices/{device.pk}/delete/",
        "/",
    ):
        assert "<script>alert" not in administrator.get(url).content.decode()
