"""The way in: password, rest after failures, second factor, recovery codes, what holds somebody back."""

import time
from binascii import unhexlify
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django_otp.oath import totp

from ssm.accounts.models import Account, AuditEntry, AuthenticatorApp, OpenSession, RecoveryCode
from ssm.accounts.second_factor import begin_setup, check_code, confirm_setup
from ssm.lib.roles import Right
from tests.accounts.people import make_role, make_user

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough pass phrase"


def code_of(user: User, *, steps: int = 0) -> str:
    """What the user's app shows; ``steps`` of 30 seconds from now."""
    app = AuthenticatorApp.objects.filter(user=user).latest("pk")
    return f"{totp(unhexlify(str(app.key)), drift=steps):06d}"


def with_factor(user: User) -> list[str]:
    """Set up a second factor, as if some time ago; returns the recovery codes."""
    begin_setup(user)
    codes = confirm_setup(user, code_of(user))
    assert codes is not None
    AuthenticatorApp.objects.filter(user=user).update(last_step=-1)
    return codes


def log_in(client: Client, name: str, password: str = PASSWORD, **extra):
    return client.post("/login/", {"username": name, "password": password, "next": "/account/"}, **extra)


def is_inside(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.fixture(autouse=True)
def fast_passwords(settings) -> None:
    """The real way to keep passwords takes a second each."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def anna() -> User:
    return make_user("anna", make_role("see", [Right.SEE]), password=PASSWORD)


def test_login_right_password_opens_and_is_recorded(anna: User, client: Client) -> None:
    response = log_in(client, "anna", HTTP_USER_AGENT="Browser\x1b[31m\n1")

    assert (response.status_code, response["Location"]) == (302, "/account/")
    entry = AuditEntry.objects.get(action="user.log-in")
    assert (entry.user_name, entry.address, entry.outcome, entry.door) == ("anna", "127.0.0.1", "", "page")
    assert entry.user_agent == "Browser [31m 1"
    session = OpenSession.objects.get(user=anna)
    assert session.session_id == client.session.session_key


def test_login_next_elsewhere_is_not_followed(anna: User, client: Client) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        response = Client().post("/login/", {"username": "anna", "password": PASSWORD, "next": target})
        assert response["Location"] == "/", target


def test_login_after_five_failures_even_the_right_password_waits(anna: User, client: Client) -> None:
    statuses = [log_in(client, "anna", "wrong").status_code for _ in range(5)]

    response = log_in(client, "anna")

    assert statuses[:4] == [200] * 4
    assert response.status_code == 429
    assert not is_inside(client)
    assert b"Too many failed log-ins" in response.content
    assert AuditEntry.objects.filter(action="user.log-in").exclude(outcome="").count() == 6
    assert log_in(client, "anna", REMOTE_ADDR="192.0.2.9").status_code == 302, "another address is another matter"


def test_login_forwarded_address_of_anybody_does_not_escape_the_rest(anna: User, client: Client) -> None:
    for number in range(5):
        log_in(client, "anna", "wrong", HTTP_X_FORWARDED_FOR=f"192.0.2.{number}")

    assert log_in(client, "anna", HTTP_X_FORWARDED_FOR="192.0.2.77").status_code == 429


def test_login_administrator_lifts_the_rest(anna: User, client: Client, people) -> None:
    for _ in range(5):
        log_in(client, "anna", "wrong")

    people.client("administrator").post(f"/users/{anna.pk}/act/", {"act": "unlock"})

    assert log_in(client, "anna").status_code == 302


def test_login_secrets_are_in_no_entry(anna: User, client: Client) -> None:
    log_in(client, "anna", "Sup3rSecretWrong")

    assert "Sup3rSecretWrong" not in str([vars(entry) for entry in AuditEntry.objects.all()])


def test_login_with_second_factor_the_password_alone_opens_nothing(anna: User, client: Client) -> None:
    with_factor(anna)

    response = log_in(client, "anna")

    assert response["Location"] == "/login/code/"
    assert not is_inside(client)
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize("code", ["000000", "", "12345", "abcd-efgh-jkmn-pqrs", "9" * 41, "\x00"])
def test_login_wrong_code_opens_nothing(anna: User, client: Client, code: str) -> None:
    with_factor(anna)
    log_in(client, "anna")

    response = client.post("/login/code/", {"code": code})

    assert response.status_code == 422
    assert not is_inside(client)


def test_login_right_code_opens_and_is_led_on(anna: User, client: Client) -> None:
    with_factor(anna)
    log_in(client, "anna")
    before = client.session.session_key

    response = client.post("/login/code/", {"code": code_of(anna)})

    assert response["Location"] == "/account/"
    assert is_inside(client)
    assert client.session.session_key != before, "the session gets another key"


def test_login_code_counts_once(anna: User) -> None:
    with_factor(anna)
    code = code_of(anna)

    assert [check_code(anna, code), check_code(anna, code)] == ["app", ""]


@pytest.mark.parametrize(("steps", "expected"), [(-1, "app"), (0, "app"), (1, "app"), (-3, ""), (3, "")])
def test_login_code_of_a_clock_that_is_off_counts_within_half_a_minute(anna: User, steps: int, expected: str) -> None:
    with_factor(anna)

    assert check_code(anna, code_of(anna, steps=steps)) == expected


def test_login_guessing_codes_takes_longer_each_time(anna: User) -> None:
    with_factor(anna)
    check_code(anna, "000000")
    check_code(anna, "000001")

    assert check_code(anna, code_of(anna)) == "", "the right one too has to wait"
    AuthenticatorApp.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert check_code(anna, code_of(anna)) == "app"


def test_login_recovery_code_opens_once(anna: User, client: Client) -> None:
    codes = with_factor(anna)
    log_in(client, "anna")

    response = client.post("/login/code/", {"code": codes[0].upper()})

    assert response["Location"] == "/account/second-factor/"
    assert check_code(anna, codes[0]) == ""
    assert RecoveryCode.objects.filter(user=anna, used_at=None).count() == 9
    assert codes[1].replace("-", "") not in str(list(RecoveryCode.objects.values()))


def test_login_second_step_is_over_after_five_minutes(anna: User, client: Client, monkeypatch) -> None:
    with_factor(anna)
    log_in(client, "anna")
    later = time.time() + 301
    monkeypatch.setattr("ssm.accounts.views.login.time.time", lambda: later)

    response = client.post("/login/code/", {"code": code_of(anna)})

    assert response["Location"] == "/login/"
    assert not is_inside(client)


def test_login_second_step_ends_when_the_password_changes(anna: User, client: Client) -> None:
    with_factor(anna)
    log_in(client, "anna")
    anna.set_password("another long pass phrase")
    anna.save()

    assert client.post("/login/code/", {"code": code_of(anna)})["Location"] == "/login/"


def test_second_factor_demanded_by_a_role_holds_back_until_it_is_set_up(client: Client) -> None:
    ben = make_user("ben", make_role("strict", [Right.SEE], demands_second_factor=True), password=PASSWORD)
    log_in(client, "ben")

    held = [client.get(path)["Location"] for path in ("/", "/containers/", "/account/", "/account/tokens/", "/admin/")]
    fragment = client.get("/containers/", HTTP_HX_REQUEST="true")
    page = client.post("/account/second-factor/", {"act": "begin"})
    done = client.post("/account/second-factor/", {"act": "confirm", "code": code_of(ben)})

    assert held == ["/account/second-factor/"] * 5
    assert fragment["HX-Redirect"] == "/account/second-factor/"
    assert b"<svg" in page.content and b"style=" not in page.content
    assert done.content.count(b"<li><code>") == 10
    assert client.get("/containers/").status_code == 200


def test_second_factor_demanded_later_asks_who_has_one_for_a_code(anna: User, client: Client) -> None:
    with_factor(anna)
    client.force_login(anna)
    Account.objects.create(user=anna, demands_second_factor=True)
    role = anna.groups.get().role
    role.demands_second_factor = True
    role.save()

    assert client.get("/")["Location"] == "/account/second-factor/"
    assert client.get("/account/second-factor/")["Location"] == "/login/code/"
    assert client.post("/login/code/", {"code": code_of(anna)})["Location"] == "/"
    assert client.get("/").status_code == 200


def test_second_factor_wrong_code_at_setup_turns_nothing_on(anna: User, client: Client) -> None:
    client.force_login(anna)
    client.post("/account/second-factor/", {"act": "begin"})

    response = client.post("/account/second-factor/", {"act": "confirm", "code": "000000"})

    assert response.status_code == 422
    assert not AuthenticatorApp.objects.filter(confirmed=True).exists()


@pytest.mark.parametrize("act", ["begin", "codes", "remove"])
def test_second_factor_changes_need_a_code(anna: User, client: Client, act: str) -> None:
    with_factor(anna)
    client.force_login(anna)

    response = client.post("/account/second-factor/", {"act": act, "code": "000000"})

    assert response.status_code == 422
    assert AuthenticatorApp.objects.filter(user=anna, confirmed=True).exists()
    AuthenticatorApp.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert client.post("/account/second-factor/", {"act": act, "code": code_of(anna)}).status_code in (200, 302)


def test_second_factor_secret_is_stored_encrypted(anna: User) -> None:
    from django.db import connection

    app = begin_setup(anna)
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM accounts_authenticatorapp")
        [stored] = cursor.fetchone()

    assert str(app.key) not in stored


def test_password_that_somebody_else_knows_has_to_be_changed_first(client: Client) -> None:
    ben = make_user("ben", make_role("see", [Right.SEE]), password=PASSWORD)
    Account.objects.create(user=ben, must_change_password=True)
    log_in(client, "ben")
    new = {"old_password": PASSWORD, "new_password": "quite another phrase", "repeated": "quite another phrase"}

    assert client.get("/containers/")["Location"] == "/account/password/"
    assert client.get("/account/password/").status_code == 200
    assert client.post("/account/password/", new).status_code == 302
    assert client.get("/containers/").status_code == 200
    assert not Account.objects.get(user=ben).must_change_password


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("wrong", "quite another phrase", "quite another phrase"),
        (PASSWORD, "short", "short"),
        (PASSWORD, "password123456", "password123456"),
        (PASSWORD, "1234567890123", "1234567890123"),
        (PASSWORD, "anna-is-my-name"[:4] + "anna", "anna"),
        (PASSWORD, PASSWORD, PASSWORD),
        (PASSWORD, "quite another phrase", "quite another one"),
    ],
)
def test_password_change_keeps_the_rules(anna: User, client: Client, old: str, new: str, again: str) -> None:
    client.force_login(anna)

    response = client.post("/account/password/", {"old_password": old, "new_password": new, "repeated": again})

    assert response.status_code == 422
    assert User.objects.get(pk=anna.pk).check_password(PASSWORD)
    assert f'value="{new}"'.encode() not in response.content


def test_password_change_ends_all_other_sessions(anna: User, client: Client) -> None:
    other = Client()
    log_in(other, "anna")
    log_in(client, "anna")
    new = {"old_password": PASSWORD, "new_password": "quite another phrase", "repeated": "quite another phrase"}

    client.post("/account/password/", new)

    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302
    assert OpenSession.objects.filter(user=anna).count() == 1


def test_sessions_one_elsewhere_can_be_ended_and_no_stranger_s(anna: User, client: Client) -> None:
    other, stranger = Client(), Client()
    make_user("ben", password=PASSWORD)
    log_in(other, "anna")
    log_in(stranger, "ben")
    log_in(client, "anna")
    theirs = OpenSession.objects.get(user__username="ben")
    elsewhere = OpenSession.objects.exclude(session_id=client.session.session_key).get(user=anna)

    assert client.post(f"/account/sessions/{theirs.id}/end/").status_code == 404
    assert client.post(f"/account/sessions/{elsewhere.id}/end/").status_code == 302
    assert other.get("/account/").status_code == 302
    assert stranger.get("/account/").status_code == 200
    assert client.get("/account/").status_code == 200
    page = client.get("/account/").content.decode()
    assert all(row.session_key not in page for row in Session.objects.all()), "keys of sessions stay secret"


def test_sessions_last_seen_is_noted_at_most_once_a_minute(anna: User, client: Client, monkeypatch) -> None:
    log_in(client, "anna")
    client.get("/account/")
    long_ago = OpenSession.objects.get(user=anna).last_seen_at - timedelta(hours=1)
    OpenSession.objects.update(last_seen_at=long_ago)

    client.get("/account/")
    unchanged = OpenSession.objects.get(user=anna).last_seen_at
    later = time.monotonic() + 61
    monkeypatch.setattr("ssm.accounts.sessions.time.monotonic", lambda: later)
    client.get("/account/")

    assert unchanged == long_ago
    assert OpenSession.objects.get(user=anna).last_seen_at > long_ago
