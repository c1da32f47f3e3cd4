"""The benchmark of a whole update check, with few rows: so that it runs, and that its targets are real."""

import pytest
from django.core.cache import cache

from tests.bench.registry import MOST_REQUESTS_A_PAIR, SMALL, fill, pairs_in_use, run_cycle, stub_registry


@pytest.mark.django_db
def test_small_benchmark_stays_within_the_requests_allowed() -> None:
    cache.delete("updates:evaluated-until")
    with stub_registry(SMALL) as port:
        fill(SMALL, port)
        pairs = pairs_in_use()
        first, second = (run_cycle(port, word) for word in ("nothing known", "all known"))

    assert pairs == SMALL.repositories * 4
    assert first.requests <= MOST_REQUESTS_A_PAIR * pairs
    assert 0 < second.requests <= first.requests
