"""The page of a device's access: what it has now, and the kit for what it should have."""

import pytest
from django.urls import reverse

from devices.connections.access import Access
from devices.models import Device
from devices.rules.grades import ABILITIES
from devices.services import note_access
from tests.factories import CredentialFactory, DeviceFactory
from tests.people import People

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("grade", "words"),
    [
        ("", "PermitOpen [/run/ssm-docker/docker.sock]:*"),
        ("watch", "http-request deny"),
        ("operate", "start|stop|restart"),
        ("everything", "system dial-stdio"),
        ("rubbish", "acl reading"),
    ],
)
def test_page_shows_the_kit_of_the_wished_grade(people: People, grade: str, words: str) -> None:
    device = DeviceFactory(credential=CredentialFactory(username="deploy", public_key="ssh-ed25519 AAAAexample"))

    page = people.client("administrator").get(reverse("devices:access", args=[device.pk]), {"grade": grade})
    text = page.content.decode()

    assert page.status_code == 200
    assert words in text
    assert "restrict,port-forwarding ssh-ed25519 AAAAexample ssm" in text
    assert "Match User deploy" in text
    assert "Not looked at yet" in text


def test_page_tells_the_grade_that_was_found(people: People) -> None:
    device = DeviceFactory(transport="tcp", credential=None)
    note_access(str(device.pk), Access(tuple(ability.key for ability in ABILITIES), runs_commands=False))

    text = people.client("administrator").get(reverse("devices:access", args=[device.pk])).content.decode()
    overview = people.client("administrator").get(device.get_absolute_url()).content.decode()

    assert Device.objects.get().access_grade == "everything"
    assert "<b>everything</b>" in text
    assert "without encryption" in text
    assert "what SSM may do there" in overview
    assert "TCP without encryption" in overview or "whoever is on the way" in overview
