"""Several counts of several tables in one query."""

import json
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Value


def count_together(*counts: tuple[QuerySet[Any], dict[str, Any]]) -> dict[str, int]:
    """The named aggregates of each queryset, all in one query: each further one is another way to the server and back.

    Names must differ. What is counted of a queryset that can have no rows is 0.
    """
    found = {name: 0 for _rows, aggregates in counts for name in aggregates}
    parts, parameters = [], []
    for rows, aggregates in counts:
        if rows.query.is_empty():
            continue
        counted = rows.order_by().annotate(everything=Value(1)).values("everything").annotate(**aggregates)
        sql, its_parameters = counted.values(*aggregates).query.sql_with_params()
        parts.append(f"SELECT to_jsonb(counted) FROM ({sql}) counted")  # noqa: S608 - the ORM's own, with parameters
        parameters += its_parameters
    if parts:
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), parameters)
            for (row,) in cursor.fetchall():
                found |= json.loads(row) if isinstance(row, str) else row
    return found
