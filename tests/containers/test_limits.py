"""Limits that may change while a container runs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.limits import Limits, has_limits, limits_of, read_limits, size_text
from containers.rules.parameters import ParameterError

MIB = 1024**2
FREE = limits_of({})
LIMITED = limits_of(
    {
        "Memory": 512 * MIB,
        "MemorySwap": 1024 * MIB,
        "NanoCpus": 1_500_000_000,
        "PidsLimit": 100,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
    }
)


def as_form(limits: Limits, **changes: str) -> dict[str, str]:
    """The form as the page shows it, with some fields typed over."""
    shown = {
        "memory": limits.memory_text,
        "memory_reservation": limits.memory_reservation_text,
        "cpus": limits.cpus_text,
        "cpu_shares": str(limits.cpu_shares or ""),
        "pids": str(limits.pids or ""),
        "restart_policy": limits.restart_policy,
        "restart_tries": str(limits.restart_tries or ""),
    }
    return shown | changes


@pytest.mark.parametrize("limits", [FREE, LIMITED], ids=["free", "limited"])
def test_read_limits_of_an_untouched_form_is_nothing(limits: Limits) -> None:
    assert read_limits(as_form(limits), limits) == {}


@pytest.mark.parametrize(
    ("limits", "changes", "body"),
    [
        (FREE, {"memory": "512m"}, {"Memory": 512 * MIB, "MemorySwap": 1024 * MIB}),
        (FREE, {"memory": "1.5 GiB"}, {"Memory": 1536 * MIB, "MemorySwap": 3072 * MIB}),
        (LIMITED, {"cpus": "0,25"}, {"NanoCpus": 250_000_000}),
        (LIMITED, {"pids": ""}, {"PidsLimit": -1}),
        (LIMITED, {"pids": "0"}, {"PidsLimit": -1}),
        (FREE, {"cpu_shares": "512"}, {"CpuShares": 512}),
        (LIMITED, {"restart_policy": "always"}, {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}),
        (LIMITED, {"restart_tries": "5"}, {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}}),
    ],
)
def test_read_limits_gives_what_differs(limits: Limits, changes: dict[str, str], body: dict[str, Any]) -> None:
    assert read_limits(as_form(limits, **changes), limits) == body


def test_read_limits_leaves_swap_without_a_limit() -> None:
    unlimited = limits_of({"Memory": 64 * MIB, "MemorySwap": -1})

    assert read_limits(as_form(unlimited, memory="32m"), unlimited) == {"Memory": 32 * MIB, "MemorySwap": -1}


@pytest.mark.parametrize(
    ("limits", "field", "text"),
    [
        (LIMITED, "memory", ""),
        (FREE, "memory", "much"),
        (FREE, "memory", "1m"),
        (FREE, "memory", "9" * 15 + "t"),
        (LIMITED, "cpus", ""),
        (FREE, "cpus", "0.001"),
        (FREE, "cpus", "two"),
        (FREE, "cpu_shares", "1"),
        (FREE, "pids", "²"),
        (FREE, "restart_policy", "sometimes"),
        (LIMITED, "memory_reservation", "1g"),
    ],
)
def test_read_limits_refuses_and_names_the_field(limits: Limits, field: str, text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_limits(as_form(limits, **{field: text}), limits)

    assert caught.value.field == field


@given(st.integers(6 * MIB, 2**50))
def test_size_text_reads_back(size: int) -> None:
    assert read_limits(as_form(FREE, memory=size_text(size)), FREE)["Memory"] == size


@given(
    st.dictionaries(
        st.sampled_from(["memory", "cpus", "pids", "cpu_shares", "memory_reservation"]), st.text(max_size=20)
    )
)
def test_read_limits_of_any_text_gives_a_body_or_says_why_not(form: dict[str, str]) -> None:
    try:
        body = read_limits(as_form(FREE, **form), FREE)
    except ParameterError:
        return
    assert has_limits(body, body)


def test_has_limits_sees_what_is_missing() -> None:
    assert not has_limits({"Memory": 1}, {"Memory": 8 * MIB})
    assert not has_limits({}, {"RestartPolicy": {"Name": "always"}})
    assert has_limits(
        {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}, {"RestartPolicy": {"Name": "always"}}
    )
