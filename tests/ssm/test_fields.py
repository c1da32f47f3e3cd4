"""The encrypted column: every fault that the package below it was found with, and the change of keys."""

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django import forms
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Length, Upper
from pytest_django import Settings

from containers.models import Container
from devices.models import Credential
from ssm.lib.fields import Undecryptable, UndecryptableSecretError, crypter
from tests.factories import ContainerFactory, CredentialFactory

pytestmark = pytest.mark.django_db

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
# Text that an encryption may stumble over.
TEXTS = ["", "x", "two\nlines", "ünïcode 🐳", " blank ", "gAAAAABlooksLikeAToken==", "l" * 20_000]


@pytest.fixture(autouse=True)
def one_key(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEY = [OLD]


def stored(row: Credential | Container, column: str = "password") -> str | None:
    """The column as the database holds it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {row._meta.db_table} WHERE id = %s", [row.pk])  # noqa: S608
        found: str | None = cursor.fetchone()[0]
        return found


def plain(token: str | None, key: str) -> str:
    assert token is not None
    return Fernet(key).decrypt(token.encode()).decode()


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_encrypted_field_save_and_load_keeps_the_text_and_stores_ciphertext(text: str) -> None:
    made = CredentialFactory(password=text)

    assert Credential.objects.get(pk=made.pk).password == text
    assert plain(stored(made), OLD) == text
    assert stored(made) != text


def test_encrypted_field_same_text_twice_stores_different_ciphertext() -> None:
    assert stored(CredentialFactory(password="same")) != stored(CredentialFactory(password="same"))


def test_encrypted_field_null_stays_null() -> None:
    made = CredentialFactory()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE devices_credential ALTER COLUMN password DROP NOT NULL")
        cursor.execute("UPDATE devices_credential SET password = NULL WHERE id = %s", [made.pk])

    found = Credential.objects.get(pk=made.pk)
    Credential.objects.filter(pk=made.pk).update(password=None)

    assert found.password is None
    assert stored(made) is None
    assert Credential.objects.filter(password__isnull=True).count() == 1


def _by_update(rows: list[Credential]) -> None:
    for row in rows:
        Credential.objects.filter(pk=row.pk).update(password=f"new of {row.name}")


def _by_bulk_update(rows: list[Credential]) -> None:
    for row in rows:
        row.password = f"new of {row.name}"
    Credential.objects.bulk_update(rows, ["password"])


def _by_bulk_create(rows: list[Credential]) -> None:
    for row in rows:
        row.password = f"new of {row.name}"
    Credential.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=["password"])


def _by_save(rows: list[Credential]) -> None:
    for row in rows:
        row.password = f"new of {row.name}"
        row.save(update_fields=["password"])


@pytest.mark.parametrize("write", [_by_update, _by_bulk_update, _by_bulk_create, _by_save])
def test_encrypted_field_every_way_of_writing_keeps_the_values(write: Callable[[list[Credential]], None]) -> None:
    rows = CredentialFactory.create_batch(3)

    write(rows)

    for row in rows:
        assert Credential.objects.get(pk=row.pk).password == f"new of {row.name}"
        assert plain(stored(row), OLD) == f"new of {row.name}"


def test_encrypted_field_copied_by_expression_keeps_the_value() -> None:
    made = CredentialFactory(password="copied")

    Credential.objects.filter(pk=made.pk).update(passphrase=F("password"))

    assert Credential.objects.get(pk=made.pk).passphrase == "copied"


def test_encrypted_field_values_and_values_list_are_decrypted() -> None:
    CredentialFactory(password="one")

    assert list(Credential.objects.values_list("password", flat=True)) == ["one"]
    assert list(Credential.objects.values("password")) == [{"password": "one"}]


@pytest.mark.parametrize(
    "find",
    [
        lambda: Credential.objects.filter(password="x"),
        lambda: Credential.objects.filter(password=None),
        lambda: Credential.objects.exclude(password__contains="x"),
        lambda: Credential.objects.filter(password__in=["x"]),
        lambda: Credential.objects.filter(Q(name="a") | Q(password__gt="x")),
        lambda: Credential.objects.filter(password__regex="x"),
        lambda: Credential.objects.filter(password__length__gt=1),
        lambda: Credential.objects.filter(devices__credential__password="x"),
        lambda: Credential.objects.get(password="x"),
    ],
    ids=["exact", "none", "contains", "in", "or-gt", "regex", "transform", "relation", "get"],
)
def test_encrypted_field_lookups_are_refused(find: Callable[[], Any]) -> None:
    with pytest.raises(FieldError, match="password is encrypted"):
        find()


def test_encrypted_field_isnull_is_answered() -> None:
    CredentialFactory()

    assert Credential.objects.filter(password__isnull=False).count() == 1


# ---- a wrong key


@pytest.fixture
def locked(settings: Settings) -> Credential:
    """A credential that was written with a key which is not configured any more."""
    made = CredentialFactory(password="hidden", private_key="hidden too")
    settings.FIELD_ENCRYPTION_KEY = [OTHER]
    return made


def test_encrypted_field_wrong_key_reading_raises_and_names_model_and_row(locked: Credential) -> None:
    token = stored(locked)
    found = Credential.objects.get(pk=locked.pk)

    with pytest.raises(UndecryptableSecretError) as caught:
        _ = found.password

    assert "devices.Credential.password" in str(caught.value)
    assert str(locked.pk) in str(caught.value)
    assert "SSM_FIELD_KEYS" in caught.value.fix
    assert str(token)[:12] not in str(caught.value) + repr(caught.value)


def test_encrypted_field_wrong_key_other_columns_stay_readable(locked: Credential) -> None:
    found = Credential.objects.get(pk=locked.pk)

    assert found.username == "op"
    assert [str(row) for row in Credential.objects.all()] == [locked.name]


@pytest.mark.parametrize(
    "use",
    [
        str,
        bool,
        len,
        list,
        bytes,
        lambda value: f"{value}",
        lambda value: "%s" % value,  # noqa: UP031
        lambda value: value or "default",
    ],
    ids=["str", "bool", "len", "list", "bytes", "format", "percent", "or"],
)
def test_encrypted_field_wrong_key_values_list_never_becomes_text(
    locked: Credential, use: Callable[[Any], Any]
) -> None:
    (value,) = Credential.objects.filter(pk=locked.pk).values_list("password", flat=True)

    with pytest.raises(UndecryptableSecretError):
        use(value)
    assert isinstance(value, Undecryptable)
    assert str(stored(locked)) not in repr(value)


def _save_all(row: Credential) -> None:
    row.save()


def _save_name(row: Credential) -> None:
    row.name = "another"
    row.save(update_fields=["name"])


def _copy(row: Credential) -> None:
    other = CredentialFactory()
    (value,) = Credential.objects.filter(pk=row.pk).values_list("password", flat=True)
    Credential.objects.filter(pk=other.pk).update(password=value)


@pytest.mark.parametrize("save", [_save_all, _copy], ids=["save", "copy"])
def test_encrypted_field_wrong_key_saving_is_refused(locked: Credential, save: Callable[[Credential], None]) -> None:
    token = stored(locked)

    with pytest.raises(UndecryptableSecretError), transaction.atomic():
        save(Credential.objects.get(pk=locked.pk))

    assert stored(locked) == token


def test_encrypted_field_wrong_key_saving_another_column_keeps_the_ciphertext(locked: Credential) -> None:
    token = stored(locked)

    _save_name(Credential.objects.get(pk=locked.pk))

    assert stored(locked) == token


def test_encrypted_field_wrong_key_bulk_update_is_refused(locked: Credential) -> None:
    token = stored(locked)

    with pytest.raises(UndecryptableSecretError):
        Credential.objects.bulk_update([Credential.objects.get(pk=locked.pk)], ["password"])

    assert stored(locked) == token


def test_encrypted_field_wrong_key_deferred_column_raises_when_it_is_loaded(locked: Credential) -> None:
    found = Credential.objects.defer("password").get(pk=locked.pk)

    with pytest.raises(UndecryptableSecretError, match=str(locked.pk)):
        _ = found.password


def test_encrypted_field_wrong_key_secret_entered_anew_is_saved(locked: Credential) -> None:
    found = Credential.objects.get(pk=locked.pk)
    found.password = "entered anew"
    found.save(update_fields=["password"])

    assert Credential.objects.get(pk=locked.pk).password == "entered anew"


@pytest.mark.parametrize("garbage", ["", "plain text", "gAAAAAB", "ü", "gAAAAABk" + "A" * 100])
def test_encrypted_field_garbage_in_the_column_raises(garbage: str) -> None:
    made = CredentialFactory()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE devices_credential SET password = %s WHERE id = %s", [garbage, made.pk])

    with pytest.raises(UndecryptableSecretError):
        _ = Credential.objects.get(pk=made.pk).password


# ---- forms


class CredentialForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Credential
        fields = ["name", "username", "password"]


def test_encrypted_field_ciphertext_typed_into_a_form_is_not_decrypted() -> None:
    token = stored(CredentialFactory(password="victim's secret"))
    form = CredentialForm({"name": "attacker", "username": "x", "password": token})

    assert form.is_valid(), form.errors
    made = form.save()

    assert form.cleaned_data["password"] == token
    assert Credential.objects.get(pk=made.pk).password == token


def test_encrypted_field_full_clean_does_not_decrypt() -> None:
    token = crypter().encrypt(b"secret").decode()
    made = Credential(name="x", username="y", password=token)

    made.full_clean()

    assert made.password == token


# ---- keys


def test_encrypted_field_key_list_first_encrypts_and_all_decrypt(settings: Settings) -> None:
    old = CredentialFactory(password="old")

    settings.FIELD_ENCRYPTION_KEY = [NEW, OLD]
    new = CredentialFactory(password="new")

    assert Credential.objects.get(pk=old.pk).password == "old"
    assert plain(stored(new), NEW) == "new"
    Credential.objects.get(pk=old.pk).save()
    settings.FIELD_ENCRYPTION_KEY = [NEW]
    assert Credential.objects.get(pk=old.pk).password == "old"


@pytest.mark.parametrize("keys", [["not a key"], []], ids=["bad", "none"])
def test_encrypted_field_unusable_keys_are_told_and_not_shown(settings: Settings, keys: list[str]) -> None:
    settings.FIELD_ENCRYPTION_KEY = keys

    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEY") as caught:
        CredentialFactory(password="x")

    assert "not a key" not in str(caught.value)


def test_encrypted_field_one_key_as_text_is_taken(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEY = NEW

    assert plain(stored(CredentialFactory(password="x")), NEW) == "x"


def test_encrypted_field_functions_on_the_column_never_give_plain_text() -> None:
    CredentialFactory(password="secret")

    (row,) = Credential.objects.annotate(size=Length("password"))

    assert row.size > 50
    with pytest.raises(UndecryptableSecretError):
        str(Credential.objects.annotate(loud=Upper("password")).values_list("loud", flat=True)[0])


# ---- rotate_field_keys


def rotate(**options: Any) -> tuple[str, str, int]:
    """Output, errors and exit code of the command."""
    output, errors = StringIO(), StringIO()
    try:
        call_command("rotate_field_keys", stdout=output, stderr=errors, **options)
    except CommandError as exc:
        return output.getvalue(), errors.getvalue() + str(exc), exc.returncode
    return output.getvalue(), errors.getvalue(), 0


def test_rotate_field_keys_every_secret_of_every_model_gets_the_first_key(settings: Settings) -> None:
    credentials = CredentialFactory.create_batch(7, password="pw", private_key="key", passphrase="")
    container = ContainerFactory(environment='[["A", "1"]]', device__credential=credentials[0])
    settings.FIELD_ENCRYPTION_KEY = [NEW, OLD]

    output, _errors, code = rotate(batch_size=3)

    assert code == 0
    settings.FIELD_ENCRYPTION_KEY = [NEW]
    for row in Credential.objects.all():
        assert (row.password, row.private_key, row.passphrase) == ("pw", "key", "")
    assert Container.objects.get(pk=container.pk).environment == '[["A", "1"]]'
    assert "devices.Credential.password: 7 encrypted anew, 0 were already, 0 not readable" in output
    assert "containers.Container.environment: 1 encrypted anew" in output


def test_rotate_field_keys_second_run_changes_nothing(settings: Settings) -> None:
    made = CredentialFactory(password="pw")
    settings.FIELD_ENCRYPTION_KEY = [NEW, OLD]
    rotate()
    token = stored(made)

    output, _errors, code = rotate()

    assert code == 0
    assert stored(made) == token
    assert "devices.Credential.password: 0 encrypted anew, 1 were already, 0 not readable" in output


def test_rotate_field_keys_unreadable_rows_are_named_kept_and_the_rest_rotated(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEY = [OTHER]
    lost = CredentialFactory(password="lost")
    token = stored(lost)
    settings.FIELD_ENCRYPTION_KEY = [OLD]
    kept = CredentialFactory(password="kept")
    settings.FIELD_ENCRYPTION_KEY = [NEW, OLD]

    output, errors, code = rotate(batch_size=1)

    assert code == 1
    assert f"devices.Credential {lost.pk}: no key opens password" in errors
    assert str(kept.pk) not in errors
    assert stored(lost) == token
    assert plain(stored(kept), NEW) == "kept"
    assert not re.search("gAAAA", output + errors)
    assert "devices.Credential.password: 1 encrypted anew, 0 were already, 1 not readable" in output


def test_rotate_field_keys_empty_database_succeeds() -> None:
    output, _errors, code = rotate()

    assert code == 0
    assert "devices.Credential.private_key: 0 encrypted anew" in output


def test_rotate_field_keys_bad_batch_size_is_refused() -> None:
    assert rotate(batch_size=0)[2] == 1
