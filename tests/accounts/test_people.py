"""What people may change of each other, tokens of programs, and the record of it all."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from ssm.accounts import people as service
from ssm.accounts import tokens
from ssm.accounts.audit import record_audit
from ssm.accounts.errors import Refused, TokenRefused
from ssm.accounts.models import Account, ApiToken, AuditEntry, OpenSession, Role
from ssm.accounts.people import RoleChange, UserChange, delete_role, delete_user, reset_second_factor, save_role
from ssm.lib.roles import ADMINISTRATOR, BUILT_IN, OPERATOR, VIEWER, Limit, Right, can, grants_of
from tests.accounts.people import make_role, make_user
from tests.people import People

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough pass phrase"
MANAGING = {Right.SEE, Right.MANAGE_USERS}


@pytest.fixture(autouse=True)
def fast_passwords(settings) -> None:
    """The real way to keep passwords takes a second each."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def root() -> User:
    """Somebody else who manages users, so that nobody here is the last one."""
    return User.objects.create_superuser("root")


@pytest.fixture
def manager(root: User) -> User:
    """Who manages users, and may see; nothing else."""
    return make_user("manager", make_role("managing", MANAGING))


def change_of(user: User, **changes: object) -> UserChange:
    kept: dict[str, object] = {
        "username": user.username,
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "demands_second_factor": False,
        "roles": tuple(group.role for group in user.groups.all()) if user.pk else (),
    }
    return UserChange(**kept | changes)


def role_change(name: str, rights: set[Right], **changes: object) -> RoleChange:
    kept: dict[str, object] = {
        "name": name,
        "description": "",
        "rights": frozenset(rights),
        "device_groups": (),
        "labels": (),
        "demands_second_factor": False,
    }
    return RoleChange(**kept | changes)


def built_in(name: str) -> Role:
    return service.roles().get(group__name=name)


# ---- users


@pytest.mark.parametrize("role", [OPERATOR, ADMINISTRATOR, "limited"])
def test_role_that_gives_more_than_its_giver_holds_is_refused(role: str, manager: User) -> None:
    make_role("limited", {Right.SEE, Right.EXEC}, device_groups=["shop"])
    anna = make_user("anna")

    with pytest.raises(Refused, match="rights that you do not hold"):
        service.save_user(manager, anna, change_of(anna, roles=(built_in(role),)))

    assert not anna.groups.exists()
    assert not AuditEntry.objects.exists()


def test_role_that_gives_more_is_refused_to_oneself_and_to_a_new_user(manager: User) -> None:
    for user in (manager, User(username="new")):
        with pytest.raises(Refused):
            service.save_user(manager, user, change_of(user, roles=(built_in(OPERATOR),)))

    assert not User.objects.filter(username="new").exists()


def test_right_that_is_held_within_a_limit_is_not_given_on(root: User) -> None:
    manager = make_user(
        "manager",
        make_role("managing", MANAGING),
        make_role("shop", {Right.SEE, Right.OPERATE}, device_groups=["shop"]),
    )
    anna, same = make_user("anna"), make_role("same", {Right.OPERATE}, device_groups=["shop"])

    with pytest.raises(Refused):
        service.save_user(manager, anna, change_of(anna, roles=(same,)))


@pytest.mark.parametrize("is_active", [True, False], ids=["active", "inactive"])
@pytest.mark.parametrize("is_superuser", [True, False], ids=["superuser", "administrator"])
def test_account_with_more_rights_is_out_of_reach(is_active: bool, is_superuser: bool, manager: User) -> None:
    """Also an inactive one: with a password of one's own choice it would be made active again."""
    other = make_user("other", *(() if is_superuser else (built_in(ADMINISTRATOR),)), password=PASSWORD)
    User.objects.filter(pk=other.pk).update(is_superuser=is_superuser, is_active=is_active)
    other = User.objects.get(pk=other.pk)

    for attempt in (
        lambda: service.save_user(manager, other, change_of(other, is_active=True, password="another pass phrase")),
        lambda: delete_user(manager, other),
        lambda: reset_second_factor(manager, other),
    ):
        with pytest.raises(Refused, match="rights that you do not hold"):
            attempt()

    other.refresh_from_db()
    assert other.check_password(PASSWORD)
    assert other.is_active == is_active


def test_sessions_of_who_holds_more_are_not_ended(manager: User) -> None:
    other = make_user("other", built_in(ADMINISTRATOR))
    theirs, client = Client(), Client()
    theirs.force_login(other)
    session = theirs.session
    OpenSession.objects.get_or_create(session_id=session.session_key, defaults={"user": other})
    client.force_login(manager)

    client.post(f"/users/{other.pk}/act/", {"act": "end-sessions"})

    assert OpenSession.objects.filter(user=other).exists()


def test_nobody_shuts_oneself_out(root: User) -> None:
    with pytest.raises(Refused, match="deactivate yourself"):
        service.save_user(root, root, change_of(root, is_active=False))
    with pytest.raises(Refused, match="remove yourself"):
        delete_user(root, root)


def _take_roles(actor: User, last: User) -> None:
    service.save_user(actor, last, change_of(last, roles=()))


def _deactivate(actor: User, last: User) -> None:
    service.save_user(actor, last, change_of(last, is_active=False))


def _remove(actor: User, last: User) -> None:
    delete_user(actor, last)


def _take_right(actor: User, last: User) -> None:
    save_role(actor, last.groups.get().role, role_change("managing", {Right.SEE}))


def _remove_role(actor: User, last: User) -> None:
    delete_role(actor, last.groups.get().role)


@pytest.mark.parametrize("attempt", [_take_roles, _deactivate, _remove, _take_right, _remove_role])
def test_last_manager_stays(attempt, manager: User) -> None:
    """Whoever begins it: its author lost the account in the meantime."""
    actor = User.objects.get(username="root")
    assert can(actor, Right.MANAGE_USERS)
    User.objects.filter(pk=actor.pk).update(is_active=False)

    with pytest.raises(Refused, match="Nobody could manage users"), transaction.atomic():
        attempt(actor, manager)

    assert [user.username for user in service.managers()] == ["manager"]


def test_limited_role_makes_no_manager(manager: User) -> None:
    make_user("limited", make_role("limited", MANAGING, device_groups=["shop"]))
    by_hand = make_user("by-hand")
    by_hand.user_permissions.set(service.permissions_of([Right.MANAGE_USERS]))

    assert {user.username for user in service.managers()} == {"root", "manager", "by-hand"}


def test_password_that_was_set_for_somebody_has_to_be_changed_and_is_in_no_entry(manager: User) -> None:
    anna = make_user("anna", password="older pass phrase")

    service.save_user(manager, anna, change_of(anna, password=PASSWORD, email="anna@example.org"))

    assert Account.objects.get(user=anna).must_change_password
    entry = AuditEntry.objects.get(action="user.change")
    assert entry.after == {"email": "anna@example.org", "password": "stored, another one"}
    assert PASSWORD not in str(entry.before) + str(entry.after)


def test_user_who_may_not_log_in_any_more_is_logged_out(manager: User) -> None:
    anna, client = make_user("anna", make_role("see", {Right.SEE})), Client()
    client.force_login(anna)
    OpenSession.objects.get_or_create(session_id=client.session.session_key, defaults={"user": anna})

    service.save_user(manager, anna, change_of(anna, is_active=False))

    assert not OpenSession.objects.exists()


def test_page_tells_a_refusal_and_stores_nothing(manager: User, client: Client) -> None:
    client.force_login(manager)
    data = {"username": "new", "is_active": "on", "new_password": PASSWORD, "roles": [built_in(OPERATOR).pk]}

    response = client.post("/users/add/", data)

    assert response.status_code == 422
    assert "gives rights that you do not hold" in response.content.decode()
    assert not User.objects.filter(username="new").exists()


# ---- roles


def test_role_with_a_right_that_its_author_lacks_is_refused(manager: User) -> None:
    with pytest.raises(Refused, match="rights that you hold yourself"):
        save_role(manager, None, role_change("new", {Right.SEE, Right.EXEC}))
    stronger = make_role("stronger", {Right.SEE, Right.EXEC})
    with pytest.raises(Refused, match="rights that you hold yourself"):
        save_role(manager, stronger, role_change("stronger", {Right.SEE}))
    with pytest.raises(Refused, match="rights that you do not hold"):
        delete_role(manager, stronger)

    assert Role.objects.get(pk=stronger.pk).rights == {Right.SEE, Right.EXEC}


@pytest.mark.parametrize("name", BUILT_IN)
def test_role_that_comes_with_the_product_is_fixed(name: str, root: User) -> None:
    role, before = built_in(name), AuditEntry.objects.count()

    with pytest.raises(Refused, match="comes with SSM"):
        delete_role(root, role)
    with pytest.raises(Refused, match="comes with SSM"), transaction.atomic():
        save_role(root, make_role("own", {Right.SEE}), role_change(name, {Right.SEE}))
    changed = role_change("other", {Right.SEE}, device_groups=("shop",), demands_second_factor=True)
    save_role(root, role, changed)

    fresh = built_in(name)
    assert (fresh.rights, fresh.device_groups, fresh.demands_second_factor) == (BUILT_IN[name], [], True)
    assert AuditEntry.objects.count() == before + 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"rights": ["manage_users"], "device_groups": "shop"}, "cannot be limited"),
        ({"rights": ["manage_registries"], "labels": "team=web"}, "cannot be limited"),
        ({"rights": ["manage_devices"], "labels": "team=web"}, "cannot be limited by labels"),
        ({"labels": "two words"}, "no name of this kind"),
        ({"device_groups": ",".join(f"group-{number}" for number in range(41))}, "40 are the most"),
        ({"device_groups": "g" * 51}, "too long"),
        ({"rights": ["everything"]}, "not one of the available choices"),
        ({"name": "managing"}, "There is a role of this name"),
        ({"name": "VIEWERS"}, "There is a role of this name"),
    ],
)
def test_faulty_role_answers_422_and_is_not_stored(data: dict, words: str, manager: User, client: Client) -> None:
    client.force_login(User.objects.get(username="root"))

    response = client.post("/roles/add/", {"name": "new", "rights": ["see"]} | data)

    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Role.objects.filter(group__name="new").exists()


def test_role_by_its_page_is_recorded_with_what_changed(root: User, client: Client) -> None:
    client.force_login(root)
    client.post("/roles/add/", {"name": "shop", "rights": ["logs"], "device_groups": "shop, berlin"})
    role = Role.objects.get(group__name="shop")

    client.post(f"/roles/{role.pk}/", {"name": "shop", "rights": ["operate"], "device_groups": "shop"})
    client.post(f"/roles/{role.pk}/remove/")

    removed, changed, added = AuditEntry.objects.all()[:3]
    assert (added.action, added.after["device_groups"]) == ("role.add", ["shop", "berlin"])
    assert changed.action == "role.change"
    assert changed.before == {"rights": ["logs", "see"], "device_groups": ["shop", "berlin"]}
    assert changed.after == {"rights": ["operate", "see"], "device_groups": ["shop"]}
    assert (removed.action, removed.before["name"], removed.door) == ("role.remove", "shop", "page")


# ---- tokens


def make_token(user: User, *rights: Right, limit: Limit | None = None, days: float = 1) -> tuple[ApiToken, str]:
    return tokens.make_token(
        user, "deploy", rights, limit or Limit(), expires_at=datetime.now(UTC) + timedelta(days=days)
    )


def call(text: str, kind: str = "Bearer") -> tuple[User | None, ApiToken | None]:
    request = RequestFactory().get("/api/v1/containers", headers={"Authorization": f"{kind} {text}"})
    return tokens.authenticate(request), getattr(request, "api_token", None)


@pytest.fixture
def anna() -> User:
    return make_user("anna", built_in(OPERATOR))


def test_token_is_shown_once_and_only_its_digest_is_kept(anna: User, client: Client) -> None:
    client.force_login(anna)

    response = client.post("/account/tokens/", {"name": "deploy", "rights": ["logs"], "days": "7"})

    shown = re.findall(r"ssm_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", response.content.decode())
    text, token = shown[0], ApiToken.objects.get()
    secret = text.split("_", 2)[2]
    assert call(text)[1] == token
    assert secret not in client.get("/account/tokens/").content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM accounts_apitoken t UNION ALL SELECT a::text FROM accounts_auditentry a")
        assert all(secret not in row for (row,) in cursor.fetchall())
    entry = AuditEntry.objects.get(action="token.add")
    assert entry.after["rights"] == ["logs", "see"]
    # The token's own day, not a longer one.
    assert timedelta(days=6.9) < token.expires_at - datetime.now(UTC) <= timedelta(days=7)


@pytest.mark.parametrize(
    "data",
    [{"rights": ["exec"]}, {"rights": ["manage_users"]}, {"days": "3650"}, {"days": ""}, {"name": ""}],
    ids=["right", "managing", "too-long", "no-end", "no-name"],
)
def test_token_beyond_its_maker_or_without_an_end_is_refused(data: dict, anna: User, client: Client) -> None:
    client.force_login(anna)

    response = client.post("/account/tokens/", {"name": "deploy", "rights": ["logs"], "days": "7"} | data)

    assert response.status_code == 422
    assert not ApiToken.objects.exists()


def test_token_holds_its_own_rights_within_its_own_limit(anna: User) -> None:
    limit = Limit(device_groups=("shop",))
    _token, text = make_token(anna, Right.SEE, Right.OPERATE, Right.EXEC, limit=limit)

    user, _found = call(text)

    assert user is not None
    assert grants_of(user).of(Right.OPERATE) == {(limit,)}
    # What its user does not hold, and what was not given to it.
    assert not can(user, Right.EXEC)
    assert not can(user, Right.LOGS)
    assert can(User.objects.get(pk=anna.pk), Right.LOGS)


def test_token_loses_what_its_user_loses(anna: User) -> None:
    _token, text = make_token(anna, Right.SEE, Right.OPERATE)
    anna.groups.set([built_in(VIEWER).group])

    user, _found = call(text)

    assert user is not None
    assert can(user, Right.SEE)
    assert not can(user, Right.OPERATE)


def _over(token: ApiToken) -> None:
    ApiToken.objects.filter(pk=token.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))


def _revoked(token: ApiToken) -> None:
    tokens.revoke(token)


def _inactive(token: ApiToken) -> None:
    User.objects.filter(pk=token.user_id).update(is_active=False)


def _gone(token: ApiToken) -> None:
    token.user.delete()


@pytest.mark.parametrize(
    ("end", "words"), [(_over, "is over"), (_revoked, "was revoked"), (_inactive, "may not log in"), (_gone, "unknown")]
)
def test_token_that_ended_is_refused(end, words: str, anna: User) -> None:
    token, text = make_token(anna, Right.SEE)
    assert call(text)[0] == anna

    end(token)

    with pytest.raises(TokenRefused, match=words):
        call(text)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text.upper(),
        lambda text: "ssm_aaaaaaaa_" + text[13:],
        lambda text: text[:13] + "é" * 43,
        lambda _text: "",
        lambda _text: "x" * 100_000,
    ],
    ids=["letter", "short", "long", "case", "prefix", "not-ascii", "empty", "huge"],
)
def test_token_that_is_wrong_is_refused(spoil, anna: User) -> None:
    _token, text = make_token(anna, Right.SEE)

    with pytest.raises(TokenRefused, match="unknown"):
        tokens.check(spoil(text))


def test_token_is_compared_in_constant_time(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token, text = make_token(anna, Right.SEE)
    compared: list[tuple[str, str]] = []
    compare = tokens.hmac.compare_digest

    def watched(one: str, other: str) -> bool:
        compared.append((one, other))
        return bool(compare(one, other))

    monkeypatch.setattr(tokens.hmac, "compare_digest", watched)

    tokens.check(text)

    # The digests, never the secret itself.
    assert compared == [(token.digest, token.digest)]


def test_other_kinds_of_authorization_are_left_alone(anna: User) -> None:
    _token, text = make_token(anna, Right.SEE)

    assert call(text, kind="Basic") == (None, None)


def test_tokens_of_others_are_not_revoked(anna: User, client: Client) -> None:
    token, _text = make_token(anna, Right.SEE)
    client.force_login(make_user("ben", built_in(OPERATOR)))

    assert client.post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    client.force_login(anna)
    client.post(f"/account/tokens/{token.pk}/revoke/")

    token.refresh_from_db()
    assert token.revoked_at is not None
    assert AuditEntry.objects.get(action="token.revoke").object_id == str(token.pk)


# ---- the record


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditentry SET user_name = 'nobody'",
        "DELETE FROM accounts_auditentry",
        "DELETE FROM accounts_auditentry WHERE id = (SELECT max(id) FROM accounts_auditentry)",
        "INSERT INTO accounts_auditentry SELECT * FROM accounts_auditentry"
        " ON CONFLICT (id) DO UPDATE SET user_name = 'nobody'",
    ],
)
def test_record_cannot_be_changed_by_the_database_s_own_user(statement: str, anna: User) -> None:
    record_audit(anna, "device.add", "web-1")

    with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
        connection.cursor().execute(statement)

    assert [entry.user_name for entry in AuditEntry.objects.all()] == ["anna"]


def test_record_stays_when_user_and_object_go(manager: User, anna: User) -> None:
    record_audit(anna, "device.add", "web-1")

    delete_user(User.objects.get(username="root"), anna)

    assert AuditEntry.objects.get(action="device.add").user_name == "anna"


@pytest.fixture
def record(people: People, rf: RequestFactory) -> Client:
    """Four entries of two people by three doors; the client of who may read them."""
    page = rf.get("/devices/", REMOTE_ADDR="198.51.100.7")
    admin = rf.get("/admin/", REMOTE_ADDR="203.0.113.9")
    record_audit(people.operator, "device.add", "web-1", request=page)
    record_audit(people.operator, "device.change", "=1+1", before={"a": 1}, after={"a": 2}, request=page)
    record_audit(people.viewer, "role.change", "shop", outcome="refused", request=admin)
    record_audit(None, "token.revoke", "@deploy")
    return people.client("administrator")


# What the reader did, by reading.
OF_READING = ("user.log-in", "audit.export")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["token.revoke", "role.change", "device.change", "device.add"]),
        ("q=WEB", ["device.add"]),
        ("q=198.51", ["device.change", "device.add"]),
        ("person=viewer", ["role.change"]),
        ("kind=device", ["device.change", "device.add"]),
        ("kind=dev", []),
        ("door=admin", ["role.change"]),
        ("door=system", ["token.revoke"]),
        ("outcome=refused", ["role.change"]),
        ("outcome=done&kind=role", []),
        ("since=2999-01-01", []),
        ("until=2001-01-01", []),
        ("since=2001-01-01&until=2999-01-01&person=operator", ["device.change", "device.add"]),
        ("since=nonsense&door=window&page=x", ["token.revoke", "role.change", "device.change", "device.add"]),
    ],
)
def test_record_is_filtered_alike_on_the_page_and_in_the_files(query: str, found: list[str], record: Client) -> None:
    page = record.get(f"/activity/audit/?{query}").context["page"]
    assert [entry.action for entry in page if entry.action not in OF_READING] == found

    rows = json.loads(record.get(f"/activity/audit/export/?format=json&{query}").getvalue())
    assert [row["action"] for row in rows if row["action"] not in OF_READING] == found

    table = list(csv.DictReader(io.StringIO(record.get(f"/activity/audit/export/?{query}").getvalue().decode())))
    assert [row["action"] for row in table if row["action"] not in OF_READING] == found


def test_record_as_a_table_holds_no_formula(record: Client) -> None:
    for name in ("+1", "-1", "\t=1", "\r=1", '=HYPERLINK("x")', "@SUM(1)"):
        AuditEntry.objects.create(action="device.add", object_name=name, user_name=name, after={"x": "=1"})

    text = record.get("/activity/audit/export/?format=csv").getvalue().decode()

    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    # The four, the six, and the reader's log-in and export.
    assert len(rows) == 12
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {"'=1+1", "'@deploy", "'+1"} <= {row["object_name"] for row in rows}
    assert json.loads(next(row for row in rows if row["action"] == "device.change")["after"]) == {"a": 2}


def test_taking_the_record_away_is_recorded(record: Client, people: People) -> None:
    assert record.get("/activity/audit/export/?format=xml").status_code == 400
    record.get("/activity/audit/export/?format=json").getvalue()

    entry = AuditEntry.objects.get(action="audit.export")
    assert (entry.user_name, entry.after) == ("administrator", {"format": "json"})


def test_record_is_for_those_who_manage_users(record: Client, people: People) -> None:
    for path in ("/activity/audit/", "/activity/audit/export/"):
        assert people.client("operator").get(path).status_code == 403
    seen = AuditEntry.objects.visible_to(User.objects.get(username="operator"))
    assert {entry.user_name for entry in seen} == {"operator"}


# ---- pages


def _more_users(count: int) -> None:
    for number in range(count):
        user = make_user(f"user-{count}-{number}", make_role(f"of-user-{count}-{number}", {Right.SEE}))
        client = Client()
        client.force_login(user)
        OpenSession.objects.get_or_create(session_id=client.session.session_key, defaults={"user": user})


def _more_roles(count: int) -> None:
    for number in range(count):
        make_role(f"role-{count}-{number}", MANAGING, device_groups=[f"group-{number}"])


def _more_of_mine(count: int) -> None:
    root = User.objects.get(username="root")
    for number in range(count):
        root.groups.add(make_role(f"mine-{count}-{number}", {Right.SEE}).group)
        client = Client()
        client.force_login(root)
        OpenSession.objects.get_or_create(session_id=client.session.session_key, defaults={"user": root})
        record_audit(root, "device.add", f"web-{number}")


def _more_entries(count: int) -> None:
    for number in range(count):
        record_audit(make_user(f"author-{count}-{number}"), f"kind-{number}.add", "web", after={"x": number})


def _more_tokens(count: int) -> None:
    for _number in range(count):
        make_token(User.objects.get(username="root"), Right.SEE)


@pytest.mark.parametrize(
    ("path", "add"),
    [
        ("/users/", _more_users),
        ("/roles/", _more_roles),
        ("/account/", _more_of_mine),
        ("/account/tokens/", _more_tokens),
        ("/activity/audit/", _more_entries),
    ],
)
def test_page_takes_the_same_queries_for_1_and_30_rows(path: str, add, root: User, client: Client) -> None:
    client.force_login(root)
    counts = []
    for more in (1, 29):
        add(more)
        client.get(path)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(path).status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1], counts
