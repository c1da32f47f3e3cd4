"""Values that no honest engine sends, for the rules that read its answers."""

import json
from typing import Any

from hypothesis import strategies as st

_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "\x00",
            "a\x00b",
            "\ud800",
            "x\udfffy",
            "²",
            "٣",
            "9" * 400,
            "-1",
            "80/tcp",
            "²/tcp",
            "99999/udp",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "1970-01-01T00:00:00Z",
            "2024-02-30T25:61:61Z",
            "2024-01-01T00:00:00+99:99",
            "a" * 5000,
            "<script>",
            "/",
            "..",
            "token=x",
        ]
    ),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, -(2**31), 2**63, 10**400]),
    st.floats(allow_nan=True, allow_infinity=True),
    _TEXTS,
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)

_SHAPES: dict[str, Any] = {
    "Id": ANYTHING,
    "Name": ANYTHING,
    "Created": ANYTHING,
    "Image": ANYTHING,
    "Path": ANYTHING,
    "Args": ANYTHING,
    "RestartCount": ANYTHING,
    "State": {
        "Status": ANYTHING,
        "ExitCode": ANYTHING,
        "OOMKilled": ANYTHING,
        "Dead": ANYTHING,
        "Error": ANYTHING,
        "StartedAt": ANYTHING,
        "FinishedAt": ANYTHING,
        "Health": {"Status": ANYTHING},
    },
    "Config": {
        "Image": ANYTHING,
        "Env": ANYTHING,
        "Labels": ANYTHING,
        "Cmd": ANYTHING,
        "Entrypoint": ANYTHING,
        "ExposedPorts": ANYTHING,
    },
    "HostConfig": {"RestartPolicy": {"Name": ANYTHING}},
    "Mounts": ANYTHING,
    "NetworkSettings": {"Ports": ANYTHING, "Networks": ANYTHING},
}


def _filled(shape: Any) -> st.SearchStrategy[Any]:
    """The shape with anything at its ends, now and then anything in place of a part or no such part."""
    if not isinstance(shape, dict):
        return ANYTHING
    parts = st.fixed_dictionaries({}, optional={key: _filled(part) for key, part in shape.items()})
    return st.one_of(parts, parts, ANYTHING)


INSPECT_ANSWERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={key: _filled(shape) for key, shape in _SHAPES.items()}
)

LIST_ENTRIES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        key: ANYTHING
        for key in ("Id", "Names", "Image", "Labels", "State", "Status", "Ports", "Mounts", "NetworkSettings")
    },
)


def deep(depth: int) -> Any:
    """A list in a list in a list …"""
    return json.loads("[" * depth + "]" * depth)
