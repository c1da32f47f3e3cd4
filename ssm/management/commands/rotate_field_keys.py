"""Encrypt every stored secret anew with the first key of SSM_FIELD_KEYS, so that older keys can be dropped.

Reads and writes ciphertext in batches, each in a transaction of its own, so that it may be broken off and run again,
and while SSM runs. What the first key opens already is left as it is.
"""

from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction
from django.db.models.functions import Cast

from ssm.lib.fields import EncryptedTextField, crypter, first_key


@dataclass(slots=True)
class Count:
    """What became of the values of one column."""

    rotated: int = 0
    current: int = 0
    unreadable: int = 0


class Command(BaseCommand):
    """``manage.py rotate_field_keys``: exit code 1 and the rows' names when no key opens some of the secrets."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch-size", type=int, default=200, help="rows in one transaction (default 200)")

    def handle(self, *, batch_size: int, **_options: Any) -> None:
        if batch_size < 1:
            raise CommandError("--batch-size must be at least 1.")
        unreadable = 0
        for model in apps.get_models():
            for field in model._meta.local_fields:
                if isinstance(field, EncryptedTextField):
                    count = self._rotate(model, field, batch_size)
                    unreadable += count.unreadable
                    self.stdout.write(
                        f"{model._meta.label}.{field.name}: {count.rotated} encrypted anew, "
                        f"{count.current} were already, {count.unreadable} not readable"
                    )
        if unreadable:
            raise CommandError(
                f"{unreadable} secrets were left as they are: no key in SSM_FIELD_KEYS opens them. Add the key they "
                "were written with to the end of the list and run this again, or enter them anew.",
                returncode=1,
            )

    def _rotate(self, model: type[models.Model], field: EncryptedTextField, batch_size: int) -> Count:
        """Go through one column in the order of the primary key."""
        count = Count()
        rows = model._base_manager.exclude(**{f"{field.name}__isnull": True}).order_by("pk")
        last: Any = None
        while True:
            with transaction.atomic():
                batch = rows if last is None else rows.filter(pk__gt=last)
                # Locked, or a secret entered in between would be overwritten by the old one.
                tokens = list(
                    batch.select_for_update()
                    .annotate(token=Cast(field.name, models.TextField()))
                    .values_list("pk", "token")[:batch_size]
                )
                for pk, token in tokens:
                    self._rotate_one(model, field, pk, token, count)
            if len(tokens) < batch_size:
                return count
            last = tokens[-1][0]

    def _rotate_one(
        self, model: type[models.Model], field: EncryptedTextField, pk: Any, token: str, count: Count
    ) -> None:
        if _opens(first_key(), token):
            count.current += 1
            return
        try:
            fresh = crypter().rotate(token.encode()).decode()
        except InvalidToken:
            count.unreadable += 1
            self.stderr.write(f"{model._meta.label} {pk}: no key opens {field.name}")
            return
        # An expression is stored as it is: the field would encrypt plain text once more.
        model._base_manager.filter(pk=pk).update(
            **{field.attname: models.Value(fresh, output_field=models.TextField())}
        )
        count.rotated += 1


def _opens(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token.encode())
    except InvalidToken:
        return False
    return True
