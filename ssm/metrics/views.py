"""`/metrics` and `/metrics/containers`: for programs with the token, or at the addresses, that the settings name."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Final, TypeVar

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, choose_encoder
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from ssm.lib import presence
from ssm.lib.addresses import client_address
from ssm.lib.database import database_work
from ssm.lib.tables import text_of
from ssm.lib.version import VERSION
from ssm.metrics.containers import containers
from ssm.metrics.fleet import fleet
from ssm.metrics.processes import processes

logger = logging.getLogger(__name__)

_PLAIN: Final = "text/plain; charset=utf-8"


class _All(Collector):
    """Reads everything anew; a store that does not answer hides nothing of the other."""

    def collect(self) -> Iterable[Metric]:
        """All families."""
        info = GaugeMetricFamily("ssm_info", "The version of the process that answers.", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        answers = GaugeMetricFamily("ssm_store_up", "1 when the store answered to this request.", labels=["store"])
        for store, read in (("postgresql", fleet), ("redis", lambda: processes(presence.client()))):
            found = _read(store, read)
            answers.add_metric([store], int(found is not None))
            yield from found or ()
        yield answers


def _read(store: str, read: Callable[[], Iterator[Metric]]) -> list[Metric] | None:
    try:
        return list(read())
    except (DatabaseError, RedisError, OSError) as exc:
        logger.warning("metrics without %s: %s", store, type(exc).__name__)
        return None


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures of the fleet and of all processes of SSM, the same whichever web process is asked."""
    refusal = refused(request)
    if refusal is not None:
        return refusal
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_All())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    with database_work():
        return _marked(HttpResponse(encode(registry), content_type=content_type))


@login_not_required
@require_safe
def container_metrics(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Figures of each container; ``?group=`` or ``?device=`` for some of them."""
    refusal = refused(request)
    if refusal is not None:
        return refusal
    try:
        with database_work():
            pieces = containers(text_of(request.GET, "group"), text_of(request.GET, "device"))
            # The query is made before the first piece: a database that is away gives an error and no empty answer.
            first = next(pieces)
    except DatabaseError:
        return HttpResponse("PostgreSQL does not answer\n", status=503, content_type=_PLAIN)
    return _marked(StreamingHttpResponse(_streamed(first, pieces), content_type=CONTENT_TYPE_LATEST))


async def _streamed(first: str, following: Iterator[str]) -> AsyncIterator[str]:
    """The pieces, with the others' turn between them."""
    yield first
    for piece in following:
        await asyncio.sleep(0)
        yield piece


def refused(request: HttpRequest) -> HttpResponse | None:
    """Why the request is not answered; None if it is. Without token and addresses in the settings nobody is."""
    token, networks = settings.SSM_METRICS_TOKEN, settings.SSM_METRICS_ADDRESSES
    if not token and not networks:
        return HttpResponse(
            "Metrics are off: set SSM_METRICS_TOKEN or SSM_METRICS_ADDRESSES.\n", status=404, content_type=_PLAIN
        )
    address = client_address(request)
    if address and any(ip_address(address) in ip_network(entry, strict=False) for entry in networks):
        return None
    kind, _space, told = request.headers.get("Authorization", "").partition(" ")
    if token and kind.casefold() == "bearer" and hmac.compare_digest(told.strip().encode(), token.encode()):
        return None
    if not token:
        return HttpResponse("This address may not read the metrics.\n", status=403, content_type=_PLAIN)
    response = HttpResponse("Send Authorization: Bearer with SSM_METRICS_TOKEN.\n", status=401, content_type=_PLAIN)
    response["WWW-Authenticate"] = "Bearer"
    return response


Answer = TypeVar("Answer", bound=HttpResponseBase)


def _marked(response: Answer) -> Answer:
    response["Cache-Control"] = "no-store"
    return response
