"""The parts of pages that are pushed: from an element's id to its HTML as it is now.

The same templates build the pages. They are user-neutral, so one rendering per change and process serves every
viewer; who may receive one is the consumer's business.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db.models import Model
from django.template.loader import render_to_string

from containers.batches import find_batch
from containers.counts import fleet_counts, navigation_counts
from containers.models import Container, Operation
from devices.models import Device
from ssm.lib.database import database_work
from ssm.lib.roles import SomeUser

_ELEMENT: Final = re.compile(
    r"(?P<kind>container|device|operation|batch)-(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<part>[a-z]{1,20})"
)
_TEMPLATES: Final = {
    ("container", "row"): "containers/partials/row.html",
    ("container", "header"): "containers/partials/header.html",
    ("device", "row"): "devices/partials/row.html",
    ("device", "header"): "devices/partials/header.html",
    ("operation", "row"): "activity/partials/row.html",
    ("batch", "summary"): "activity/partials/batch.html",
}
_COUNTS: Final[dict[str, tuple[str, Callable[[SomeUser], Any]]]] = {
    "home-counts": ("home/partials/counts.html", fleet_counts),
    "navigation-counts": ("partials/navigation_counts.html", navigation_counts),
}
# Rendered parts that are kept for other viewers of the same change.
_KEPT: Final = 2000
_executor = ThreadPoolExecutor(4, thread_name_prefix="fragment")


@dataclass(frozen=True, slots=True)
class Element:
    """A pushed element: of one object, or counts (kind "counts", no object)."""

    name: str
    kind: str
    object_id: str


def parse_element(name: str) -> Element | None:
    """What an element's id stands for; None for one that is not pushed."""
    if name in _COUNTS:
        return Element(name, "counts", "")
    match = _ELEMENT.fullmatch(name)
    if match is None or (match["kind"], match["part"]) not in _TEMPLATES:
        return None
    return Element(name, match["kind"], match["id"])


class Fragments:
    """Renders each element once per change, however many ask; one instance per event loop."""

    def __init__(self) -> None:
        self._rendered: OrderedDict[str, tuple[int, asyncio.Future[str]]] = OrderedDict()
        self._arrived: OrderedDict[str, int] = OrderedDict()
        self._count = 0

    def arrival(self, stamp: str) -> int:
        """The number of a change in this process: the same for every page that hears of it, growing by arrival.

        What is rendered after the first page heard of a change shows it, as it was committed by then.
        """
        number = self._arrived.get(stamp)
        if number is None:
            self._count += 1
            number = self._arrived[stamp] = self._count
            while len(self._arrived) > _KEPT:
                self._arrived.popitem(last=False)
        return number

    async def html(self, element: Element, number: int, user: SomeUser) -> str:
        """The element as it is at the change of that number or later; empty when its object is gone.

        Renders in a thread; the rendering goes on when one of those who wait for it leaves. Raises what the rendering
        raised, to all who wait for it; who asks again gets a new one.
        """
        known = self._rendered.get(element.name)
        if known is None or known[0] < number or _has_failed(known[1]):
            future = asyncio.get_running_loop().run_in_executor(_executor, render_element, element, user)
            known = self._rendered[element.name] = (number, future)
            self._rendered.move_to_end(element.name)
            while len(self._rendered) > _KEPT:
                self._rendered.popitem(last=False)
        return await asyncio.shield(known[1])


def _has_failed(future: "asyncio.Future[str]") -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)


_instances: WeakKeyDictionary[asyncio.AbstractEventLoop, Fragments] = WeakKeyDictionary()


def fragments() -> Fragments:
    """The fragments of the running event loop."""
    return _instances.setdefault(asyncio.get_running_loop(), Fragments())


def render_element(element: Element, user: SomeUser) -> str:
    """Read the object and render its part; empty when there is no such object. Two to four queries."""
    with database_work():
        if element.kind == "counts":
            template, count = _COUNTS[element.name]
            return render_to_string(template, {"counts": count(user)})
        found = _load(element)
        if found is None:
            return ""
        part = element.name.rpartition("-")[2]
        return render_to_string(_TEMPLATES[element.kind, part], {element.kind: found})


def _load(element: Element) -> Model | None:
    if element.kind == "container":
        return Container.objects.for_page().filter(pk=element.object_id).first()
    if element.kind == "device":
        return Device.objects.with_counts().select_related("credential").filter(pk=element.object_id).first()
    if element.kind == "batch":
        return find_batch(element.object_id)
    return Operation.objects.select_related("device", "container").filter(pk=element.object_id).first()
