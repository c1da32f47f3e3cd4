"""What every table page shares: sort order, pages and removable filter chips, all read from the address."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.paginator import Page, Paginator
from django.db.models import F, OrderBy, QuerySet
from django.http import HttpRequest, QueryDict

PAGE_SIZE: Final = 50
QUERY_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Chip:
    """One active filter: its name, its value in words, and the query string without it."""

    name: str
    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a filter's list."""

    value: str
    text: str


def text_of(query: QueryDict, name: str) -> str:
    """A parameter as trimmed text of bounded length, without the zero bytes that PostgreSQL refuses."""
    return query.get(name, "").replace("\x00", "").strip()[:QUERY_LENGTH]


def choice_of(query: QueryDict, name: str, allowed: Iterable[str]) -> str:
    """A parameter if it is one of the allowed values, else nothing."""
    value = query.get(name, "")
    return value if value in set(allowed) else ""


def sort_of(query: QueryDict, fields: Iterable[str], default: str) -> str:
    """The asked order (``name`` or ``-name``) if the table has that column, else the default."""
    value = query.get("sort", "")
    return value if value.removeprefix("-") in set(fields) else default


def order_by(
    sort: str, columns: Mapping[str, tuple[str, ...]], ranks: Mapping[str, F] | None = None
) -> list[str | OrderBy]:
    """Model fields for an order; with ``-`` in front every one is turned round.

    ``ranks`` names values that may be unknown: the highest come first, or the lowest with ``-``, and what is not known
    comes last either way; then the fields in their own order.
    """
    fields = columns[sort.removeprefix("-")]
    rank = (ranks or {}).get(sort.removeprefix("-"))
    if rank is not None:
        ranked = OrderBy(rank, nulls_last=True, descending=not sort.startswith("-"))
        return [ranked, *fields]
    if not sort.startswith("-"):
        return list(fields)
    return [field[1:] if field.startswith("-") else f"-{field}" for field in fields]


def chips(query: QueryDict, active: Iterable[tuple[str, str, str]]) -> list[Chip]:
    """Chips from (parameter, name, value in words); ones without a value are left out."""
    found = []
    for parameter, name, text in active:
        if text:
            rest = query.copy()
            rest.pop(parameter, None)
            rest.pop("page", None)
            found.append(Chip(name, text, f"?{rest.urlencode()}"))
    return found


def page_of(request: HttpRequest, rows: QuerySet[Any], *, size: int = PAGE_SIZE) -> Page[Any]:
    """The asked page of 50 rows, the nearest one when there is no such page. Two queries when iterated."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


class _NarrowPaginator(Paginator[Any]):
    """Chooses a page's rows by their ids, and reads the rest of those alone."""

    def __init__(self, rows: QuerySet[Any], size: int, widen: Callable[[Any], QuerySet[Any]]) -> None:
        super().__init__(rows, size)
        self._rows = rows
        self._widen = widen

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        if not self.count:
            return Page(self._rows.none(), number, self)
        chosen = self._rows.values("pk")[first : first + self.per_page]
        order = self._rows.query.order_by
        return Page(self._widen(self._rows.model._default_manager.filter(pk__in=chosen)).order_by(*order), number, self)


def narrow_page_of(
    request: HttpRequest,
    rows: QuerySet[Any],
    widen: Callable[[Any], QuerySet[Any]],
    *,
    size: int = PAGE_SIZE,
) -> Page[Any]:
    """As `page_of`, for tables of many wide rows: ``widen`` adds what a row shows, to those of the page only.

    Sorting 20,000 rows with all that a page shows of 50, or passing over 10,000 of them, takes most of the time of a
    page. The rows' order must be by fields, not by annotations. Two queries when iterated.
    """
    return _NarrowPaginator(rows, size, widen).get_page(request.GET.get("page"))
