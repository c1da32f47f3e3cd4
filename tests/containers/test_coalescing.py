"""Order, company and fairness of the listener's work, with real threads and short times."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from containers.events.coalescing import Coalescer
from tests.containers.stage import eventually


class Handled:
    """What was handled, and a gate for those that shall hang."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, str, list[int]]] = []
        self.times: list[float] = []
        self.gate = threading.Event()
        self.at_work: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.lock = threading.Lock()

    def __call__(self, lane: str, key: str, items: list[int]) -> None:
        with self.lock:
            self.batches.append((lane, key, items))
            self.times.append(time.monotonic())
            self.at_work[lane] = self.at_work.get(lane, 0) + 1
            self.most[lane] = max(self.most.get(lane, 0), self.at_work[lane])
        try:
            if key.startswith("hang"):
                self.gate.wait(20)
            if key == "fail":
                raise RuntimeError
        finally:
            with self.lock:
                self.at_work[lane] -= 1


@contextmanager
def coalescer(handled: Handled, **options: Any) -> Iterator[Coalescer[str, str, int]]:
    made: Coalescer[str, str, int] = Coalescer(handled, **({"threads": 16, "quiet_s": 0.1} | options))
    try:
        yield made
    finally:
        handled.gate.set()
        made.close()


def test_submit_urgent_goes_at_once_and_followers_together() -> None:
    handled = Handled()
    with coalescer(handled) as made:
        made.submit("host", "key", 0)
        eventually(lambda: handled.batches)
        for item in range(1, 6):
            made.submit("host", "key", item)
        eventually(lambda: sum(len(batch[2]) for batch in handled.batches) == 6)

    assert handled.batches[0][2][0] == 0
    assert len(handled.batches) == 2
    assert [item for batch in handled.batches for item in batch[2]] == list(range(6))
    assert handled.times[1] - handled.times[0] >= 0.09


def test_submit_not_urgent_waits_for_company() -> None:
    handled = Handled()
    with coalescer(handled, quiet_s=5.0) as made:
        made.submit("host", "key", 1, urgent=False)
        made.submit("host", "key", 2, urgent=False)
        time.sleep(0.05)
        assert handled.batches == []
        made.submit("host", "key", 3)
        eventually(lambda: handled.batches, 2)

    assert handled.batches == [("host", "key", [1, 2, 3])]


def test_submit_not_urgent_alone_goes_after_a_moment() -> None:
    handled = Handled()
    with coalescer(handled) as made:
        began = time.monotonic()
        made.submit("host", "key", 1, urgent=False)
        eventually(lambda: handled.batches, 2)

    assert 0.09 <= handled.times[0] - began < 1


def test_handle_same_key_never_twice_at_once_and_in_order() -> None:
    handled = Handled()
    with coalescer(handled, quiet_s=0.001) as made:
        for item in range(300):
            made.submit("host", f"key-{item % 3}", item)
            if item % 50 == 0:
                time.sleep(0.01)
        eventually(lambda: sum(len(batch[2]) for batch in handled.batches) == 300)

    for key in ("key-0", "key-1", "key-2"):
        items = [item for _lane, name, batch in handled.batches if name == key for item in batch]
        assert items == sorted(items)


def test_hanging_host_leaves_threads_to_the_others() -> None:
    handled = Handled()
    with coalescer(handled, threads=8) as made:
        for number in range(50):
            made.submit("dead", f"hang-{number}", number)
        began = time.monotonic()
        made.submit("alive", "key", 1)
        eventually(lambda: ("alive", "key", [1]) in handled.batches, 5)
        waited = time.monotonic() - began
        most_before = handled.most["dead"]
        handled.gate.set()
        eventually(lambda: len(handled.batches) == 51, 10)

    assert waited < 1
    assert most_before == 3
    assert handled.most["dead"] == 3


def test_host_that_tells_too_much_is_held_up_alone() -> None:
    handled = Handled()
    with coalescer(handled, most_waiting=5) as made:
        made.submit("loud", "hang", 0)
        eventually(lambda: handled.batches)
        told: list[int] = []

        def tell() -> None:
            for item in range(1, 20):
                made.submit("loud", "hang", item)
                told.append(item)

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        eventually(lambda: len(told) == 5)
        time.sleep(0.05)
        assert len(told) == 5
        made.submit("quiet", "key", 1)
        eventually(lambda: ("quiet", "key", [1]) in handled.batches, 5)
        handled.gate.set()
        thread.join(5)
        eventually(lambda: sum(len(batch[2]) for batch in handled.batches) == 21)

    assert not thread.is_alive()


def test_handler_that_fails_does_not_stop_the_rest() -> None:
    handled = Handled()
    with coalescer(handled) as made:
        made.submit("host", "fail", 1)
        eventually(lambda: handled.batches)
        made.submit("host", "fail", 2)
        made.submit("host", "key", 3)
        eventually(lambda: len(handled.batches) == 3)


def test_quiet_keys_and_hosts_are_forgotten() -> None:
    handled = Handled()
    with coalescer(handled, quiet_s=0.01) as made:
        for number in range(200):
            made.submit(f"host-{number % 7}", f"key-{number}", number)
        eventually(lambda: len(handled.batches) == 200)
        eventually(lambda: not made._objects and not made._lanes, 5, "memory is free again")


def test_close_frees_who_is_held_up_and_takes_nothing_more() -> None:
    handled = Handled()
    made: Coalescer[str, str, int] = Coalescer(handled, threads=2, most_waiting=1)
    made.submit("host", "hang", 0)
    eventually(lambda: handled.batches)
    made.submit("host", "hang", 1)
    held = threading.Thread(target=made.submit, args=("host", "hang", 2), daemon=True)
    held.start()

    threading.Timer(0.05, handled.gate.set).start()
    made.close()
    held.join(5)
    made.submit("host", "key", 3)

    assert not held.is_alive()
    assert all(batch[1] != "key" for batch in handled.batches)


def test_handle_that_asks_for_a_longer_pause_gets_what_comes_meanwhile_together() -> None:
    batches: list[list[int]] = []

    def handle(_lane: str, _key: str, items: list[int]) -> float:
        batches.append(items)
        return 0.8

    made: Coalescer[str, str, int] = Coalescer(handle, threads=4, quiet_s=0.02)
    try:
        for item in range(10):
            made.submit("host", "key", item)
            threading.Event().wait(0.05)
        eventually(lambda: sum(len(batch) for batch in batches) == 10)
    finally:
        made.close()

    assert batches == [[0], list(range(1, 10))]
