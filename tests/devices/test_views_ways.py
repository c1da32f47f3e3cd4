"""The part of a device's form that tells the way there."""

import pytest
from django.test import Client

from devices.errors import JumpHostsLoop, NoLogin
from devices.models import Device, DeviceGroup, Jump, JumpKey
from devices.rules.targets import Proxy
from devices.services import connection_target, devices_using
from tests.devices.test_views_devices import typed
from tests.factories import CredentialFactory, DeviceFactory, HostKeyFactory
from tests.people import People

pytestmark = pytest.mark.django_db
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFB3pRzXJq0sO0GJ0m0nH0bq7q9r3n1mYx8W2Vd5uQ2L"


@pytest.fixture
def admin(people: People) -> Client:
    """An administrator's browser."""
    return people.client("administrator")


def test_whole_way_is_stored_and_becomes_the_target(admin: Client) -> None:
    bastion, proxy, docker, inner = (CredentialFactory(username=name) for name in ("jump", "me", "root", "inner"))
    via = DeviceFactory(name="gate", address="10.0.0.9", port=22, credential=bastion)
    key = HostKeyFactory(device=via)
    way = {
        "jumps-0-via": str(via.pk),
        "jumps-1-address": "10.1.0.1",
        "jumps-1-port": "2200",
        "jumps-1-credential": str(inner.pk),
        "hop_keys": f"1 {KEY_LINE}\r\n",
        "proxy_kind": "socks5",
        "proxy_address": "proxy.example.com",
        "proxy_credential": str(proxy.pk),
        "address_family": "ipv4",
        "become": "sudo",
        "become_user": "podman",
        "docker_credential": str(docker.pk),
        "forced_channel_kind": "dial-stdio-sudo",
        "docker_socket": "/run/user/{uid}/docker.sock",
        "keepalive_s": "0",
        "compression": "on",
        "legacy_algorithms": "on",
    }

    assert admin.post("/devices/add/", typed(**way)).status_code == 302

    device = Device.objects.get(name="new-host")
    target = connection_target(device)
    assert [(hop.address, hop.port, hop.authentication.username) for hop in target.hops] == [
        ("10.0.0.9", 22, "jump"),
        ("10.1.0.1", 2200, "inner"),
    ]
    assert target.hops[0].pinned_keys[0].key_base64 == key.key_base64
    assert f"{target.hops[1].pinned_keys[0].key_type} {target.hops[1].pinned_keys[0].key_base64}" == KEY_LINE
    assert target.proxy == Proxy("socks5", "proxy.example.com", 1080, "me", proxy.password)
    assert (target.address_family, target.keepalive_s, target.compression) == ("ipv4", 0, True)
    assert (target.elevation, target.become_user, target.elevation_password) == ("sudo", "podman", docker.password)
    assert (target.forced_channel_kind, target.legacy_algorithms) == ("dial-stdio-sudo", True)
    assert device in devices_using(inner)
    page = admin.get(device.get_absolute_url()).content.decode()
    assert "outdated ones allowed" in page
    assert "gate" in page


def test_jump_host_that_stays_keeps_its_key_when_others_change(admin: Client) -> None:
    device = DeviceFactory()
    kept = Jump.objects.create(device=device, position=0, address="10.1.0.1", port=22)
    JumpKey.objects.create(jump=kept, key_type="ssh-ed25519", key_base64="AAAA", fingerprint="SHA256:x")
    Jump.objects.create(device=device, position=1, address="10.1.0.2", port=22)
    data = typed(name=device.name, login="existing", credential=str(device.credential_id))
    rows = {"jumps-0-address": "10.1.0.3", "jumps-1-address": "10.1.0.1", "jumps-1-port": "22"}

    assert admin.post(f"/devices/{device.pk}/edit/", data | rows).status_code == 302

    jumps = list(device.jumps.all())
    assert [jump.address for jump in jumps] == ["10.1.0.3", "10.1.0.1"]
    assert jumps[1].pk == kept.pk
    assert jumps[1].host_keys.count() == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"proxy_kind": "http"}, "Give the address of the proxy"),
        ({"proxy_address": "no host"}, "not a valid host name"),
        ({"jumps-0-address": "no host"}, "Correct the marked jump hosts"),
        ({"become_user": "-x"}, "This is no user name"),
        ({"hop_keys": "0 ssh-ed25519 nonsense"}, "damaged"),
        ({"hop_keys": "99 x y"}, "damaged"),
        ({"transport": "tcp"}, "Confirm this"),
        ({"login": "group", "groups": "berlin"}, "None of these groups has a default log-in"),
        ({"keepalive_s": "99999"}, "less than or equal"),
        ({"private_key": "x", "password": ""}, "not a private key"),
    ],
)
def test_faulty_way_answers_422(admin: Client, changes: dict[str, str], words: str) -> None:
    answer = admin.post("/devices/add/", typed(**changes))

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Device.objects.exists()


def test_group_default_and_transports_need_no_log_in_of_their_own(admin: Client) -> None:
    DeviceGroup.objects.create(name="berlin", credential=CredentialFactory(username="shared"))

    admin.post("/devices/add/", typed(name="a", login="group", groups="berlin", username="", password=""))
    admin.post("/devices/add/", typed(name="b", transport="tcp", accept_plain="on", username="", password=""))
    admin.post("/devices/add/", typed(name="c", transport="local", address="", username="", password=""))

    a, b, c = Device.objects.order_by("name")
    assert connection_target(a).authentication.username == "shared"
    assert (b.transport, b.port, b.credential) == ("tcp", 2375, None)
    assert (c.transport, c.address) == ("local", "localhost")
    assert connection_target(c).transport == "local"


def test_way_in_a_circle_is_refused(admin: Client) -> None:
    one, two = DeviceFactory(), DeviceFactory()
    Jump.objects.create(device=one, position=0, via=two)

    data = typed(name=two.name, login="existing", credential=str(two.credential_id))
    answer = admin.post(f"/devices/{two.pk}/edit/", data | {"jumps-0-via": str(one.pk)})

    assert answer.status_code == 422
    assert "cannot be a jump host here" in answer.content.decode()
    Jump.objects.create(device=two, position=0, via=one)
    with pytest.raises(JumpHostsLoop):
        connection_target(one)


def test_device_without_a_log_in_says_so() -> None:
    with pytest.raises(NoLogin, match="no log-in is chosen"):
        connection_target(DeviceFactory(credential=None, groups=["berlin"]))


def test_device_that_others_are_reached_through_is_not_deleted(admin: Client) -> None:
    gate = DeviceFactory(name="gate")
    Jump.objects.create(device=DeviceFactory(name="inner"), position=0, via=gate)

    answer = admin.post(f"/devices/{gate.pk}/delete/", {"confirmation": "gate"})

    assert answer.status_code == 422
    assert "Other devices are reached through it" in answer.content.decode()
    assert Device.objects.filter(pk=gate.pk).exists()


def test_key_of_a_jump_host_is_accepted_for_it_alone(admin: Client) -> None:
    device = DeviceFactory()
    jump = Jump.objects.create(device=device, position=0, address="10.1.0.1")
    key_type, key_base64 = KEY_LINE.split()
    data = {"host_key_type": key_type, "host_key_base64": key_base64}

    accepted = admin.post(f"/devices/{device.pk}/host-key/", data | {"hop": "0"})
    unknown = admin.post(f"/devices/{device.pk}/host-key/", data | {"hop": "5"})

    assert (accepted.status_code, unknown.status_code) == (302, 400)
    assert jump.host_keys.count() == 1
    assert not device.host_keys.exists()
