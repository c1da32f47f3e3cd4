"""The one encrypted column type: django-encrypted-model-fields, guarded against its known faults.

Used bare, version 0.6.5 of that package returns the ciphertext when the key is wrong (and encrypts it again
on the next save), corrupts rows in ``bulk_update``, decrypts what a user types into a form, answers look-ups
with silence, and reads its keys once at import. Every secret column of SSM uses :class:`EncryptedTextField`.
"""

from functools import lru_cache
from typing import Any, NoReturn

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models
from django.db.models.query_utils import DeferredAttribute
from encrypted_model_fields.fields import EncryptedTextField as PackageEncryptedTextField

from ssm.lib.errors import SsmError


class UndecryptableSecretError(SsmError):
    """A stored secret that none of the configured keys opens."""

    code = "secret_undecryptable"

    def __init__(self, place: str) -> None:
        super().__init__(
            f"The stored secret {place} cannot be decrypted with the keys in SSM_FIELD_KEYS.",
            fix="Add the key it was written with to the end of SSM_FIELD_KEYS, or enter the secret again.",
        )


class Undecryptable:
    """Stands in an instance or a row for a secret that no key opens; it never becomes text."""

    def __init__(self, place: str) -> None:
        self.place = place

    def refuse(self, *_: object) -> NoReturn:
        raise UndecryptableSecretError(self.place)

    __str__ = __len__ = __bool__ = __iter__ = __bytes__ = refuse

    def __repr__(self) -> str:
        return f"<undecryptable {self.place}>"


@lru_cache(maxsize=8)
def _crypter(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as exc:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEY holds a key that is not a Fernet key.") from exc


def crypter() -> MultiFernet:
    """The cipher for the keys configured now: the first encrypts, all decrypt."""
    return _crypter(_keys())


def first_key() -> Fernet:
    """The cipher of the key that encrypts."""
    return Fernet(_keys()[0])


def _keys() -> tuple[str, ...]:
    configured = settings.FIELD_ENCRYPTION_KEY
    keys: tuple[str, ...] = (configured,) if isinstance(configured, str) else tuple(configured)
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEY holds no key.")
    return keys


class EncryptedAttribute(DeferredAttribute):
    """Reading an undecryptable secret raises, and names the model and the row.

    Having ``__set__`` makes Python ask it first: without, a value in the instance would hide it.
    """

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        value = super().__get__(instance, owner)
        if isinstance(value, Undecryptable):
            raise UndecryptableSecretError(f"{value.place} of row {instance.pk}")
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class EncryptedTextField(PackageEncryptedTextField):  # type: ignore[misc]
    """Text that is encrypted in the database and plain in Python.

    Look-ups other than ``isnull`` raise FieldError, as ciphertext cannot be compared. A value that no key opens
    raises :class:`UndecryptableSecretError` when it is read or saved, never when it merely sits in a query's row.
    """

    descriptor_class = EncryptedAttribute

    def to_python(self, value: Any) -> Any:
        """Text as it is: what comes from a form is never decrypted."""
        return value if value is None or isinstance(value, Undecryptable) else str(value)

    def from_db_value(self, value: str | None, *_: object) -> "str | Undecryptable | None":
        """Decrypt a column's value, or put an :class:`Undecryptable` in its place."""
        if value is None:
            return None
        try:
            return crypter().decrypt(value.encode()).decode()
        except InvalidToken:
            return Undecryptable(f"{self.model._meta.label}.{self.name}")

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Encrypt text; let expressions through (``bulk_update`` saves by one)."""
        if value is None or hasattr(value, "as_sql"):
            return value
        if isinstance(value, Undecryptable):
            value.refuse()
        return crypter().encrypt(str(value).encode()).decode()

    def get_lookup(self, lookup_name: str) -> "type[models.Lookup[Any]] | None":
        """Only ``isnull`` has a meaning on ciphertext."""
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is encrypted: only isnull can be looked up, not {lookup_name}.")
        return super().get_lookup(lookup_name)  # type: ignore[no-any-return]

    def get_transform(self, lookup_name: str) -> NoReturn:
        """No transform has a meaning on ciphertext."""
        raise FieldError(f"{self.name} is encrypted: {lookup_name} cannot be applied to it.")
