"""The parts of pages that are pushed: from an element's id to its HTML as it is now.

The same templates build the pages. They are user-neutral, so one rendering per change and process serves every
viewer; who may receive one is the consumer's business.
"""

import asyncio
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db.models import Model
from django.template.loader import render_to_string

from containers.batches import find_batch
from containers.counts import fleet_counts, navigation_counts
from containers.models import Backup, Container, Image, Network, Operation, UpdateCheck
from containers.templatetags.usage import CONTAINER_PARTS, DEVICE_PARTS, container_bar_cell, container_cell, device_cell
from containers.volume_rows import find_volume
from devices.models import Device
from ssm.lib.database import database_work
from ssm.lib.roles import Right, SomeUser, grants_of

_ELEMENT: Final = re.compile(
    r"(?P<kind>container|device|operation|batch|check|image|volume|backup|network)-(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<part>[a-z]{1,20})"
)
_TEMPLATES: Final = {
    ("container", "row"): "containers/partials/row.html",
    ("container", "header"): "containers/partials/header.html",
    ("image", "row"): "images/partials/row.html",
    ("image", "header"): "images/partials/header.html",
    ("volume", "row"): "volumes/partials/row.html",
    ("volume", "header"): "volumes/partials/header.html",
    ("backup", "row"): "backups/partials/row.html",
    ("container", "state"): "containers/partials/live_state.html",
    ("network", "row"): "networks/partials/row.html",
    ("network", "header"): "networks/partials/header.html",
    ("device", "row"): "devices/partials/row.html",
    ("device", "header"): "devices/partials/header.html",
    ("device", "schedules"): "devices/partials/schedules.html",
    ("operation", "row"): "activity/partials/row.html",
    ("operation", "detail"): "activity/partials/detail.html",
    ("batch", "summary"): "activity/partials/batch.html",
    ("check", "line"): "updates/partials/check.html",
}
_COUNTS: Final[dict[str, tuple[str, Callable[[SomeUser], Any]]]] = {
    "home-counts": ("home/partials/counts.html", fleet_counts),
    "navigation-counts": ("partials/navigation_counts.html", navigation_counts),
}
# They name what not everybody who sees them may see: rendered for all who may see the same.
_OF_VIEWERS: Final = frozenset({("volume", "row"), ("volume", "header")})
# What changes with each reading of a device, and with nothing else: rendered for all that a page shows in one go.
_USAGE_PARTS: Final = {
    "container": frozenset(CONTAINER_PARTS),
    "device": frozenset({*DEVICE_PARTS, "sampled", "usage"}),
}
_USAGE_TEMPLATES: Final = {
    "sampled": "statistics/partials/sampled.html",
    "usage": "statistics/partials/host.html",
}
# Rendered parts that are kept for other viewers of the same change.
_KEPT: Final = 2000
_KEPT_CELLS: Final = 20_000
# Elements rendered in one go, and threads that do so: the others are for what is used.
_LONGEST_BATCH: Final = 50
_BATCHES_AT_ONCE: Final = 2
_executor = ThreadPoolExecutor(4, thread_name_prefix="fragment")


@dataclass(frozen=True, slots=True)
class Element:
    """A pushed element: of one object, or counts (kind "counts", no object)."""

    name: str
    kind: str
    object_id: str

    @property
    def part(self) -> str:
        """Which part of its object."""
        return self.name.rpartition("-")[2]

    @property
    def is_usage(self) -> bool:
        """Whether it shows what is used, which changes with readings: see `Fragments.usage`."""
        return self.part in _USAGE_PARTS.get(self.kind, ())


def parse_element(name: str) -> Element | None:
    """What an element's id stands for; None for one that is not pushed."""
    if name in _COUNTS:
        return Element(name, "counts", "")
    match = _ELEMENT.fullmatch(name)
    if match is None:
        return None
    element = Element(name, match["kind"], match["id"])
    return element if element.is_usage or (element.kind, element.part) in _TEMPLATES else None


@dataclass(slots=True)
class _Rendering:
    """One rendering of an element: for whom, the latest change that it shows, and whether it can take a later one."""

    element: Element
    user: SomeUser
    number: int
    future: "asyncio.Future[str]"
    has_begun: bool = False


class Fragments:
    """Renders each element once per change, however many ask; one instance per event loop.

    What is asked for while threads are at work is rendered together, by the same few queries: the more changes, the
    less each costs.
    """

    def __init__(self) -> None:
        self._rendered: OrderedDict[Any, _Rendering] = OrderedDict()
        self._waiting: list[_Rendering] = []
        self._at_work = 0
        self._arrived: OrderedDict[str, int] = OrderedDict()
        self._cells: OrderedDict[tuple[str, bool], tuple[int, asyncio.Future[dict[str, str]]]] = OrderedDict()
        self._count = 0

    def arrival(self, stamp: str) -> int:
        """The number of a change in this process: the same for every page that hears of it, growing by arrival.

        What is rendered after the first page heard of a change shows it, as it was committed by then.
        """
        number = self._arrived.get(stamp)
        if number is None:
            number = self._arrived[stamp] = self.newest()
            while len(self._arrived) > _KEPT:
                self._arrived.popitem(last=False)
        return number

    def newest(self) -> int:
        """A number of its own: what is rendered for it shows all that was committed by now."""
        self._count += 1
        return self._count

    async def html(self, element: Element, number: int, user: SomeUser) -> str:
        """The element as it is at the change of that number or later; empty when its object is gone.

        Renders in a thread; the rendering goes on when one of those who wait for it leaves. Raises what the rendering
        raised, to all who wait for it; who asks again gets a new one.
        """
        # Counts are of what a user may see: one rendering for all who may see the same.
        is_for_all = element.object_id and (element.kind, element.part) not in _OF_VIEWERS
        key: Any = element.name if is_for_all else (element.name, grants_of(user).of(Right.SEE))
        known = self._rendered.get(key)
        if known is not None and not known.has_begun:
            known.number = max(known.number, number)
        elif known is None or known.number < number or _has_failed(known.future):
            known = _Rendering(element, user, number, asyncio.get_running_loop().create_future())
            self._rendered[key] = known
            self._rendered.move_to_end(key)
            while len(self._rendered) > _KEPT:
                self._rendered.popitem(last=False)
            self._waiting.append(known)
            if len(self._waiting) == 1:
                # Soon, not now: what the same message of the channel layer asks for comes along.
                asyncio.get_running_loop().call_soon(self._work)
        return await asyncio.shield(known.future)

    def _work(self) -> None:
        """Hand what waits to a thread, if one is free."""
        if not self._waiting or self._at_work >= _BATCHES_AT_ONCE:
            return
        batch, self._waiting = self._waiting[:_LONGEST_BATCH], self._waiting[_LONGEST_BATCH:]
        for rendering in batch:
            rendering.has_begun = True
        self._at_work += 1
        asked = [(rendering.element, rendering.user) for rendering in batch]
        working = asyncio.get_running_loop().run_in_executor(_executor, render_elements, asked)
        working.add_done_callback(partial(self._settle, batch))
        self._work()

    def _settle(self, batch: list[_Rendering], working: "asyncio.Future[list[str | Exception]]") -> None:
        self._at_work -= 1
        failure = asyncio.CancelledError() if working.cancelled() else working.exception()
        results = [failure] * len(batch) if failure is not None else working.result()
        for rendering, result in zip(batch, results, strict=True):
            if isinstance(result, str):
                rendering.future.set_result(result)
            elif isinstance(result, Exception):
                rendering.future.set_exception(result)
                # Those who waited may have left.
                rendering.future.exception()
            else:
                rendering.future.cancel()
        self._work()

    async def usage(self, elements: Sequence[Element], number: int, *, with_bars: bool = False) -> str:
        """What is used, of all these elements (`Element.is_usage`), at the reading of that number or later.

        Those that nobody asked for yet are rendered together; ``with_bars`` as the page does that ranks containers.
        """
        missing = []
        for element in elements:
            known = self._cells.get((element.name, with_bars))
            if known is None or known[0] < number or _has_failed(known[1]):
                missing.append(element)
        if missing:
            future = asyncio.get_running_loop().run_in_executor(
                _executor, partial(render_usage, missing, with_bars=with_bars)
            )
            for element in missing:
                self._cells[element.name, with_bars] = (number, future)
                self._cells.move_to_end((element.name, with_bars))
            while len(self._cells) > _KEPT_CELLS:
                self._cells.popitem(last=False)
        asked = [(element.name, self._cells[element.name, with_bars][1]) for element in elements]
        return "".join([(await asyncio.shield(future)).get(name, "") for name, future in asked])


def _has_failed(future: "asyncio.Future[Any]") -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)


_instances: WeakKeyDictionary[asyncio.AbstractEventLoop, Fragments] = WeakKeyDictionary()


def fragments() -> Fragments:
    """The fragments of the running event loop."""
    return _instances.setdefault(asyncio.get_running_loop(), Fragments())


def render_elements(asked: Sequence[tuple[Element, SomeUser]]) -> list[str | Exception]:
    """`render_element` of each, or what it raised; the containers among them are read together."""
    ids = [element.object_id for element, _user in asked if element.kind == "container"]
    with database_work():
        read: dict[uuid.UUID, Container] | None = None
        rendered: list[str | Exception] = []
        for element, user in asked:
            try:
                if element.kind != "container" or len(ids) == 1:
                    rendered.append(render_element(element, user))
                    continue
                if read is None:
                    read = Container.objects.for_page().in_bulk(ids)
                container = read.get(uuid.UUID(element.object_id))
                rendered.append(render_element(element, user, container) if container is not None else "")
            except Exception as error:
                rendered.append(error)
        return rendered


def render_element(element: Element, user: SomeUser, found: Model | None = None) -> str:
    """Read the object, unless it was found already, and render its part; empty when there is none. 2 to 4 queries."""
    with database_work():
        if element.kind == "counts":
            template, count = _COUNTS[element.name]
            return render_to_string(template, {"counts": count(user)})
        if found is None:
            found = _load(element, user)
        if found is None:
            return ""
        return render_to_string(_TEMPLATES[element.kind, element.part], {element.kind: found})


def render_usage(elements: Sequence[Element], *, with_bars: bool) -> dict[str, str]:
    """The HTML of these elements by name; those whose object is gone are left out. Two queries."""
    with database_work():
        containers = Container.objects.with_usage().in_bulk(_object_ids(elements, "container"))
        devices = Device.objects.select_related("usage").in_bulk(_object_ids(elements, "device"))
        rendered: dict[str, str] = {}
        for element in elements:
            found: Any = (containers if element.kind == "container" else devices).get(uuid.UUID(element.object_id))
            if found is None:
                continue
            if element.part in _USAGE_TEMPLATES:
                rendered[element.name] = render_to_string(_USAGE_TEMPLATES[element.part], {"device": found})
            elif element.kind == "device":
                rendered[element.name] = device_cell(found, element.part)
            else:
                cell = container_bar_cell if with_bars else container_cell
                rendered[element.name] = cell(found, element.part)
        return rendered


def _object_ids(elements: Sequence[Element], kind: str) -> set[str]:
    return {element.object_id for element in elements if element.kind == kind}


def _load(element: Element, user: SomeUser) -> Model | None:
    if element.kind == "container":
        return Container.objects.for_page().filter(pk=element.object_id).first()
    if element.kind == "device":
        return Device.objects.with_counts().select_related("credential", "usage").filter(pk=element.object_id).first()
    if element.kind == "image":
        return Image.objects.for_page().filter(pk=element.object_id).first()
    if element.kind == "volume":
        return find_volume(element.object_id, user)
    if element.kind == "backup":
        return Backup.objects.select_related("device", "plan", "operation").filter(pk=element.object_id).first()
    if element.kind == "network":
        return Network.objects.for_page().filter(pk=element.object_id).first()
    if element.kind == "batch":
        return find_batch(element.object_id)
    if element.kind == "check":
        return UpdateCheck.objects.filter(pk=element.object_id).first()
    return Operation.objects.select_related("device", "container").filter(pk=element.object_id).first()
