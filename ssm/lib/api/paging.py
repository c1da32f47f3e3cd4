"""Pages by cursor: the next one begins behind the last row of this one, so that none is missed or told twice.

Unlike pages by number, rows that come and go meanwhile move nothing, and the millionth page costs as much as the first.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from ninja import Schema
from pydantic import Field

from ssm.lib.api.errors import FieldProblem

MOST_ROWS: Final = 500
DEFAULT_ROWS: Final = 50
_LONGEST_CURSOR: Final = 2000
Row = TypeVar("Row", bound=Model)


class Paging(Schema):
    """Where a page begins and how long it is."""

    cursor: str = Field(
        "", description="`next` of the page before; empty for the first one.", max_length=_LONGEST_CURSOR
    )
    limit: int = Field(DEFAULT_ROWS, ge=1, le=MOST_ROWS, description="Rows on a page.")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a page, and the cursor of the next one (empty at the end)."""

    rows: list[Any]
    next: str

    def shown(self, show: Callable[[Any], Any]) -> dict[str, Any]:
        """The answer: ``{items, next}``."""
        return {"items": [show(row) for row in self.rows], "next": self.next}


def page(rows: "QuerySet[Row]", sorts: Mapping[str, Sequence[str]], sort: str, paging: Paging) -> Rows:
    """One page in the order of ``sorts[sort]`` (columns or annotations that are never null; the key comes last).

    ``-name`` turns an order round. One query. Raises FieldProblem for an order or cursor that is none.
    """
    columns = sorts.get(sort.removeprefix("-"))
    if columns is None:
        raise FieldProblem({"sort": f"Sort by one of {', '.join(sorts)}, with - in front for the other way round."})
    order = [*columns, "pk"]
    if sort.startswith("-"):
        order = [column[1:] if column.startswith("-") else f"-{column}" for column in order]
    if paging.cursor:
        rows = rows.filter(_behind(rows, order, _decode(paging.cursor, sort, len(order))))
    found = list(rows.order_by(*order)[: paging.limit + 1])
    has_more, found = len(found) > paging.limit, found[: paging.limit]
    return Rows(found, _encode(sort, [_value(found[-1], column) for column in order]) if has_more else "")


def _behind(rows: "QuerySet[Row]", order: Sequence[str], values: Sequence[Any]) -> Q:
    """Rows that come after these values: greater in the first column that differs, whichever it is."""
    condition, equal = Q(), Q()
    for column, value in zip(order, values, strict=True):
        name = column.removeprefix("-")
        typed = _typed(rows, name, value)
        condition |= equal & Q(**{f"{name}__{'lt' if column.startswith('-') else 'gt'}": typed})
        equal &= Q(**{name: typed})
    return condition


def _typed(rows: "QuerySet[Row]", path: str, value: Any) -> Any:
    model: type[Model] = rows.model
    annotation = rows.query.annotations.get(path)
    *relations, last = path.split("__") if annotation is None else [path]
    for relation in relations:
        related = model._meta.get_field(relation).related_model
        if not isinstance(related, type):
            raise FieldProblem({"cursor": "This is no cursor of this list."})
        model = related
    field: Any = model._meta.pk if last == "pk" else None
    if field is None:
        field = model._meta.get_field(last) if annotation is None else annotation.output_field
    try:
        return field.to_python(value)
    except ValidationError as exc:
        raise FieldProblem({"cursor": "This is no cursor of this list."}) from exc


def _value(row: Model, path: str) -> Any:
    value: Any = row
    for name in path.removeprefix("-").split("__"):
        value = getattr(value, name)
    return value


def _encode(sort: str, values: Iterable[Any]) -> str:
    def plain(value: Any) -> str:
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        raise TypeError(f"{type(value).__name__} cannot stand in a cursor")

    text = json.dumps([sort, *values], separators=(",", ":"), default=plain)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, sort: str, length: int) -> list[Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise FieldProblem({"cursor": "This is no cursor of this list."}) from exc
    is_fine = isinstance(found, list) and len(found) == length + 1 and found[0] == sort
    if not is_fine or not all(isinstance(value, str | int) for value in found) or any("\x00" in str(v) for v in found):
        raise FieldProblem({"cursor": "This cursor is of another list or another order."})
    return list(found[1:])
