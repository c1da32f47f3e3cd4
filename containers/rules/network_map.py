"""A map of which containers meet on which network: where each box and line goes (pure).

Networks stand in a column at the left, containers at the right, in an order in which few lines cross: each container
near the middle of its networks. Nothing here depends on the size of letters, so a server without fonts can draw it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ROW: Final = 34
BOX: Final = 26
NETWORK_WIDTH: Final = 230
CONTAINER_WIDTH: Final = 230
GAP: Final = 240
MARGIN: Final = 6
# Beyond this a picture tells nobody anything; the table beside it has all.
MOST_CONTAINERS: Final = 80
MOST_NETWORKS: Final = 40


@dataclass(frozen=True, slots=True)
class MapNetwork:
    """A network to be drawn; ``note`` stands behind its name, such as its subnet."""

    key: str
    name: str
    url: str
    note: str = ""
    is_internal: bool = False


@dataclass(frozen=True, slots=True)
class MapContainer:
    """A container to be drawn, with the keys of its networks and its address on each."""

    key: str
    name: str
    url: str
    tone: str
    places: dict[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A line from a network to a container: an SVG path, and in words."""

    path: str
    title: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box with its text: position of the box and of the text's base line, in SVG units."""

    x: int
    y: int
    text_x: int
    text_y: int
    name: str
    note: str
    url: str
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class NetworkGroup:
    """A network with the lines that begin at it, drawn together so that both light up together."""

    box: Box
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole picture; ``left_out`` containers are only in the table."""

    width: int
    height: int
    groups: tuple[NetworkGroup, ...]
    containers: tuple[Box, ...]
    left_out: int


def draw(networks: Sequence[MapNetwork], containers: Sequence[MapContainer]) -> Drawing:
    """Place everything. Networks keep their order; containers without a place are not drawn."""
    shown_networks = networks[:MOST_NETWORKS]
    rows = {network.key: row for row, network in enumerate(shown_networks)}
    placed = [container for container in containers if any(key in rows for key in container.places)]
    shown = placed[:MOST_CONTAINERS]
    ordered = sorted(shown, key=lambda item: (_middle(item, rows), item.name))
    tallest = max(len(shown_networks), len(ordered), 1)
    network_y = _column(len(shown_networks), tallest)
    container_y = _column(len(ordered), tallest)
    boxes = {container.key: _container_box(container, y) for container, y in zip(ordered, container_y, strict=True)}
    groups = tuple(
        NetworkGroup(
            box=_network_box(network, y, sum(network.key in item.places for item in placed)),
            lines=tuple(_line(network, y, item, boxes[item.key]) for item in ordered if network.key in item.places),
        )
        for network, y in zip(shown_networks, network_y, strict=True)
    )
    return Drawing(
        width=2 * MARGIN + NETWORK_WIDTH + GAP + CONTAINER_WIDTH,
        height=2 * MARGIN + tallest * ROW,
        groups=groups,
        containers=tuple(boxes.values()),
        left_out=len(placed) - len(shown),
    )


def _middle(container: MapContainer, rows: dict[str, int]) -> float:
    places = [rows[key] for key in container.places if key in rows]
    return sum(places) / len(places)


def _column(count: int, tallest: int) -> list[int]:
    """The upper edges of so many boxes, spread over the height of the tallest column."""
    if count == 0:
        return []
    step = tallest * ROW / count
    return [round(MARGIN + step * (place + 0.5) - BOX / 2) for place in range(count)]


def _network_box(network: MapNetwork, y: int, count: int) -> Box:
    reach = ", no way out" if network.is_internal else ""
    return Box(
        x=MARGIN,
        y=y,
        text_x=MARGIN + 10,
        text_y=y + 17,
        name=_cut(network.name, 20 if network.note else 32),
        note=network.note,
        url=network.url,
        tone="internal" if network.is_internal else "",
        title=f"{network.name}{f' ({network.note})' if network.note else ''}{reach}: "
        f"{count} container{'s' if count != 1 else ''}",
    )


def _container_box(container: MapContainer, y: int) -> Box:
    x = MARGIN + NETWORK_WIDTH + GAP
    return Box(
        x=x,
        y=y,
        text_x=x + 24,
        text_y=y + 17,
        name=_cut(container.name, 30),
        note="",
        url=container.url,
        tone=container.tone,
        title=container.name,
    )


def _line(network: MapNetwork, y: int, container: MapContainer, box: Box) -> Line:
    x1, y1 = MARGIN + NETWORK_WIDTH, y + BOX // 2
    x2, y2 = box.x, box.y + BOX // 2
    half = GAP // 2
    address = container.places[network.key]
    return Line(
        path=f"M{x1} {y1}C{x1 + half} {y1} {x2 - half} {y2} {x2} {y2}",
        title=f"{container.name} on {network.name}{f' as {address}' if address else ''}",
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
