"""Pages offer what their reader may do with the thing that they are about, not what is possible elsewhere."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ssm.lib.roles import Right
from tests.accounts.people import make_role, make_user
from tests.factories import ContainerFactory, ImageFactory, NetworkFactory, VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper() -> User:
    """Sees everything; manages and operates what is in Berlin."""
    berlin = make_role("Berlin", Right, device_groups=["berlin"])
    return make_user("keeper", make_role("Sees all", [Right.SEE]), berlin)


def body_of(user: User, row: Model) -> str:
    """The body's own tag, which style sheets hide acts by."""
    client = Client()
    client.force_login(user)
    text = client.get(row.get_absolute_url()).content.decode()
    return text[text.index("<body") : text.index(">", text.index("<body"))]


def rows(group: str) -> list[Model]:
    container = ContainerFactory(device__groups=[group])
    return [container, *(make(device=container.device) for make in (ImageFactory, NetworkFactory, VolumeFactory))]


def test_page_offers_acts_only_within_the_limit(keeper: User) -> None:
    for row in rows("berlin"):
        body = body_of(keeper, row)
        assert "data-can-operate" in body and "data-can-manage-volumes" in body, row
    for row in rows("paris"):
        body = body_of(keeper, row)
        assert "data-can-operate" not in body and "data-can-manage-volumes" not in body, row


def test_page_of_a_device_offers_to_edit_it_only_within_the_limit(keeper: User) -> None:
    near, far = (ContainerFactory(device__groups=[group]).device for group in ("berlin", "paris"))

    assert "data-can-administer" in body_of(keeper, near)
    assert "data-can-administer" not in body_of(keeper, far)


def test_page_asks_nothing_more_for_who_may_do_all() -> None:
    row = ContainerFactory()
    administrator = User.objects.create_superuser("root")
    body_of(administrator, row)

    with CaptureQueriesContext(connection) as asked:
        body_of(administrator, row)

    assert not any("overlap" in query["sql"] or "&&" in query["sql"] for query in asked)
