"""What supervisors, balancers and Prometheus ask, by whatever name or address they know this process."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.utils import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from ssm.lib.database import database_work
from ssm.metrics.views import container_metrics, metrics

_PLAIN: Final = "text/plain"
# Tables do not go away again: once they were there, only the servers are asked.
_seen: Final = {"tables": False}


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Whether this process answers at all; asks nothing else."""
    return HttpResponse("ok\n", content_type=_PLAIN)


@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether PostgreSQL, the tables of this version, and Redis are there: 200, or 503 and what is not."""
    with database_work():
        problem = _missing()
    return HttpResponse(f"{problem or 'ready'}\n", status=503 if problem else 200, content_type=_PLAIN)


def _missing() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _seen["tables"]:
            loader = MigrationLoader(connection)
            if set(loader.graph.nodes) - set(loader.applied_migrations):
                return "The database has not the tables of this version yet: manage.py migrate makes them"
            _seen["tables"] = True
    except DatabaseError:
        return "PostgreSQL does not answer"
    try:
        cache.get("readyz")
    except RedisError:
        return "Redis does not answer"
    return ""


_PROBES: Final[dict[str, Callable[[HttpRequest], Any]]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
    "/metrics/containers": container_metrics,
}


@sync_and_async_middleware
def answer_probes(
    get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Answer them before anything looks at the name in the Host header.

    Kubernetes and Prometheus ask by the address of the pod, which no list of allowed names holds. Nothing in these
    answers is made from the name.
    """
    if iscoroutinefunction(get_response):

        async def in_async(request: HttpRequest) -> HttpResponse:
            probe = _PROBES.get(request.path_info)
            if probe is None:
                return await cast(Awaitable[HttpResponse], get_response(request))
            return cast(HttpResponse, await sync_to_async(probe)(request))

        return in_async

    def in_sync(request: HttpRequest) -> HttpResponse:
        probe = _PROBES.get(request.path_info)
        return cast(HttpResponse, probe(request) if probe else get_response(request))

    return in_sync
