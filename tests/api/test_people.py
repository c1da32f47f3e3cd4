"""Users, roles, tokens and the audit by the API."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from ssm.accounts.models import ApiToken, AuditEntry
from ssm.accounts.people import roles
from ssm.lib.roles import Limit, Right
from tests.api.caller import Caller, MakeCaller
from tests.people import People

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple 9"


@pytest.fixture
def admin(caller: MakeCaller) -> Caller:
    """A program of an administrator."""
    return caller("administrator")


def role_id(name: str) -> int:
    return int(roles().get(group__name=name).pk)


def test_caller_learns_what_it_may_do_and_where(caller: MakeCaller) -> None:
    body = caller("operator", [Right.SEE, Right.LOGS], limit=Limit(device_groups=("lab",))).get("/me").body

    assert (body["username"], body["roles"], body["token"]["name"]) == ("operator", ["Operators"], "test")
    assert body["rights"] == [
        {"right": right, "everywhere": False, "device_groups": ["lab"], "labels": []} for right in ("see", "logs")
    ]
    assert caller("stranger").get("/me").body["rights"] == []


def test_user_is_added_changed_and_removed(admin: Caller) -> None:
    viewers = role_id("Viewers")
    made = admin.post("/users", {"username": "anna", "password": PASSWORD, "roles": [viewers]})
    assert made.status == 201, made.body
    path = f"/users/{made.body['id']}"

    changed = admin.patch(path, {"email": "anna@example.com"})

    assert [role["name"] for role in changed.body["roles"]] == ["Viewers"]
    assert (changed.body["email"], changed.body["is_active"]) == ("anna@example.com", True)
    user = User.objects.get(username="anna")
    assert user.check_password(PASSWORD)
    assert [item["username"] for item in admin.get("/users", {"role": viewers, "q": "ann"}).body["items"]] == ["anna"]
    assert admin.delete(path).status == 204
    told = str([(entry.before, entry.after) for entry in AuditEntry.objects.all()])
    assert PASSWORD not in told


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "anna", "password": "short"}, "password"),
        ({"username": "viewer", "password": PASSWORD}, "username"),
        ({"username": "not a name!", "password": PASSWORD}, "username"),
        ({"username": "anna", "password": PASSWORD, "email": "nothing"}, "email"),
        ({"username": "anna", "password": PASSWORD, "roles": [99_999]}, "roles"),
        ({"username": "anna"}, "password"),
    ],
)
def test_user_that_cannot_be_added_names_its_fields(body: dict[str, Any], field: str, admin: Caller) -> None:
    answer = admin.post("/users", body)

    assert (answer.status, list(answer.body["fields"])) == (422, [field])
    assert PASSWORD not in str(answer.body)


def test_nobody_gives_more_than_they_hold(caller: MakeCaller, people: People) -> None:
    narrow = caller("administrator", [Right.SEE, Right.MANAGE_USERS])
    body = {"username": "anna", "password": PASSWORD, "roles": [role_id("Administrators")]}

    assert narrow.post("/users", body).status == 409
    assert narrow.post("/roles", {"name": "All", "rights": ["operate"]}).status == 409
    assert narrow.patch(f"/users/{people.operator.pk}", {"password": PASSWORD}).status == 409
    assert caller("operator").get("/users").status == 403
    assert caller("administrator").delete(f"/users/{people.administrator.pk}").status == 409


def test_role_is_added_changed_and_removed(admin: Caller) -> None:
    made = admin.post("/roles", {"name": "Team A", "rights": ["operate"], "labels": ["team=a"]})
    assert made.status == 201, made.body
    path = f"/roles/{made.body['id']}"

    changed = admin.patch(path, {"description": "For team A", "device_groups": ["lab", "prod"]})

    assert changed.body["rights"] == ["operate", "see"]
    assert (changed.body["labels"], changed.body["device_groups"]) == (["team=a"], ["lab", "prod"])
    assert admin.patch(path, {"rights": ["manage_users"]}).body["fields"].keys() == {"rights"}
    assert admin.delete(path).status == 204
    built_in = f"/roles/{role_id('Viewers')}"
    assert admin.patch(built_in, {"name": "Lookers"}).status == 422
    assert admin.patch(built_in, {"demands_second_factor": True}).body["demands_second_factor"] is True
    assert admin.delete(built_in).status == 409


def test_tokens_are_told_to_their_owner_and_revoked(caller: MakeCaller) -> None:
    mine, other, admin = caller("viewer"), caller("operator"), caller("administrator")
    own = mine.get("/tokens").body["items"]

    assert [token["user"] for token in own] == ["viewer"]
    assert {token["user"] for token in admin.get("/tokens").body["items"]} == {"viewer", "operator", "administrator"}
    assert other.delete(f"/tokens/{own[0]['id']}").status == 404
    assert mine.delete(f"/tokens/{own[0]['id']}").status == 204
    assert mine.get("/tokens").status == 401
    assert ApiToken.objects.exclude(revoked_at=None).count() == 1
    assert [token["user"] for token in admin.get("/tokens", {"state": "over"}).body["items"]] == ["viewer"]


def test_user_is_logged_out_and_unlocked(admin: Caller, people: People) -> None:
    people.client("viewer").get("/")
    path = f"/users/{people.viewer.pk}/act"

    assert admin.post(path, {"act": "end-sessions"}).body["open_sessions"] == 0
    assert admin.post(path, {"act": "unlock"}).status == 200
    assert admin.post(path, {"act": "dance"}).status == 422


def test_audit_tells_what_programs_changed(admin: Caller, caller: MakeCaller) -> None:
    admin.post("/roles", {"name": "Team A", "rights": []})

    items = admin.get("/audit", {"kind": "role", "door": "api", "limit": 1}).body["items"]

    assert [(item["action"], item["token"], item["object_name"]) for item in items] == [("role.add", "test", "Team A")]
    assert caller("operator").get("/audit").status == 403
