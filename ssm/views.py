"""Pages that belong to no app: liveness and readiness for supervisors and proxies."""

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import connection
from django.db.utils import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Whether this process answers at all; asks nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether PostgreSQL and Redis answer: 200, or 503 with the name of the one that does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("PostgreSQL does not answer\n", status=503, content_type="text/plain")
    try:
        cache.get("readyz")
    except RedisError:
        return HttpResponse("Redis does not answer\n", status=503, content_type="text/plain")
    return HttpResponse("ready\n", content_type="text/plain")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What needs action first, then the counts."""
    return HttpResponse("home")


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Answers of the command palette."""
    return HttpResponse("search")
