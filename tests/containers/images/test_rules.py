"""Rules about images: messages of engines, progress of pulls, layers, prunes, names."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers.rules.image_facts import image_facts
from containers.rules.image_layers import (
    HistoryStep,
    Instruction,
    Layer,
    diff_ids,
    freed_bytes,
    history_steps,
    instruction,
    layers,
    shared_sizes,
)
from containers.rules.image_names import NameProblemError, pullable_reference, repository_reference
from containers.rules.image_refusals import load_fix, pull_fix
from containers.rules.masking import MASK
from containers.rules.message_stream import LONGEST_LINE, MessageReader, message_error, message_text
from containers.rules.pruning import DANGLING, UNUSED, StoredImage, candidates, freed
from containers.rules.pull_progress import MOST_LAYERS, MOST_LINES, PullProgress

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def lines(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)


# ---- messages ----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=8), st.data())
def test_messages_are_read_whole_wherever_the_pieces_are_cut(
    messages: list[dict[str, str]], data: st.DataObject
) -> None:
    stream = lines(*messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = MessageReader(), []

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])

    assert found + reader.end() == messages


@pytest.mark.parametrize(
    "garbage",
    [b"not json\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"{" + b"x" * (LONGEST_LINE * 3) + b"\n", b"\n\n"],
    ids=["text", "list", "bytes", "deep", "long", "empty"],
)
def test_messages_beside_garbage_are_still_read(garbage: bytes) -> None:
    reader = MessageReader()

    found = [*reader.feed(garbage), *reader.feed(lines({"status": "fine"}))]

    assert found == [{"status": "fine"}]


def test_message_that_no_line_break_ends_is_read_at_the_end() -> None:
    reader = MessageReader()

    assert reader.feed(b'{"error": "no"}') == []
    assert reader.end() == [{"error": "no"}]


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        ({"errorDetail": {"message": "denied"}, "error": "other"}, "denied", ""),
        ({"error": "denied "}, "denied", ""),
        ({"errorDetail": "x", "error": 5}, "", ""),
        ({"status": "Waiting"}, "", "Waiting"),
        ({"stream": "Loaded image: x\n"}, "", "Loaded image: x"),
        ({"status": None, "stream": []}, "", ""),
    ],
)
def test_message_says_why_it_failed_or_what_is_done(message: dict[str, Any], error: str, text: str) -> None:
    assert (message_error(message), message_text(message)) == (error, text)


# ---- progress ----------------------------------------------------------------------------------------------

ONE, TWO = "a" * 12, "b" * 12


def layer(identity: str, status: str, **detail: Any) -> dict[str, Any]:
    return {"status": status, "progressDetail": detail, "id": identity}


def test_pull_shows_each_layer_from_waiting_to_done() -> None:
    progress = PullProgress()

    progress.feed(
        lines(
            {"status": "Pulling from demo/web", "id": "1.0"},
            layer(ONE, "Pulling fs layer"),
            layer(TWO, "Already exists"),
        )
    )
    assert [(item.id, item.text) for item in progress.layers] == [(ONE, "waiting"), (TWO, "here already")]
    progress.feed(lines(layer(ONE, "Downloading", current=10, total=40)))
    assert (progress.layers[0].text, progress.layers[0].current, progress.layers[0].total) == ("downloading", 10, 40)
    progress.feed(lines(layer(ONE, "Extracting", current=5, total=40)))
    assert (progress.layers[0].text, progress.layers[0].current) == ("extracting", 5)
    assert progress.summary == "1 of 2 layers ready"
    progress.feed(lines(layer(ONE, "Pull complete"), {"status": f"Digest: sha256:{'c' * 64}"}))
    progress.feed(lines({"status": "Status: Downloaded newer image for demo/web:1.0"}))

    assert (progress.layers[0].current, progress.summary) == (40, "2 of 2 layers ready")
    assert progress.digest == f"sha256:{'c' * 64}"
    assert progress.is_complete and not progress.was_current and not progress.error
    assert progress.take_lines()[0] == "Pulling from demo/web"
    assert progress.take_lines() == []


def test_pull_of_what_is_there_says_so() -> None:
    progress = PullProgress()

    progress.feed(lines({"status": "Status: Image is up to date for demo/web:1.0"}))

    assert progress.was_current and progress.is_complete and progress.summary == ""


def test_pull_that_counts_seconds_shows_no_bytes() -> None:
    progress = PullProgress()

    progress.feed(lines(layer(ONE, "Downloading", current=9, total=9), layer(ONE, "Extracting", current=1, units="s")))

    assert (progress.layers[0].text, progress.layers[0].current) == ("extracting", 0)


def test_pull_of_a_hostile_engine_stays_within_bounds() -> None:
    progress = PullProgress()

    for number in range(MOST_LAYERS + 50):
        progress.feed(
            lines(layer(f"{number:012x}", "x" * 5000, current=-1, total=10**40), {"status": f"said {number}"})
        )
    progress.feed(lines(*({"status": "again"} for _number in range(MOST_LINES))))
    progress.feed(b'{"errorDetail": {"message": "' + b"e" * 9000 + b'"}}\n')

    assert len(progress.layers) == MOST_LAYERS
    assert all(item.current == item.total == 0 and len(item.text) <= 60 for item in progress.layers)
    assert len(progress.take_lines()) == MOST_LINES
    assert len(progress.error) < 2100


# ---- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ("toomanyrequests: You have reached your pull rate limit.", "add an account for Docker Hub"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "not built for that platform"),
        ("manifest for demo/web:9 not found: manifest unknown: manifest unknown", "no such tag"),
        ("failed to resolve reference: docker.io/demo/web:9: not found", "no such tag"),
        ("pull access denied for x, repository does not exist or may require 'docker login'", "add an account"),
        ("Head \"https://r/v2/\": no basic auth credentials", "add an account"),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "disk is full"),
        ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "certs.d"),
        ("dial tcp: lookup r.invalid on 10.0.0.1:53: no such host", "finds no address"),
        ("dial tcp 10.0.0.1:443: connect: connection refused", "does not reach"),
        ("net/http: request canceled while waiting for connection (Client.Timeout exceeded)", "does not reach"),
        ("unexpected EOF", "interrupted"),
        ("something that nobody knows", ""),
    ],
)  # fmt: skip
def test_refused_pull_says_what_to_do(message: str, fix: str) -> None:
    found = pull_fix(message, "docker.io")

    assert fix in found if fix else found == ""


@pytest.mark.parametrize(
    ("message", "fix"),
    [("write /x: no space left on device", "disk is full"), ("unexpected EOF", "did not arrive whole"), ("odd", "")],
)
def test_refused_archive_says_what_to_do(message: str, fix: str) -> None:
    assert fix in load_fix(message)


# ---- layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created_by", "keyword", "text"),
    [
        ('/bin/sh -c #(nop)  CMD ["nginx"]', "CMD", '["nginx"]'),
        ("/bin/sh -c #(nop) ADD file:abc in / ", "ADD", "file:abc in /"),
        ("/bin/sh -c apt-get update", "RUN", "apt-get update"),
        ("RUN /bin/sh -c apk add curl # buildkit", "RUN", "apk add curl"),
        ("|1 VERSION=1 /bin/sh -c make", "RUN", "make"),
        ("COPY . /app # buildkit", "COPY", ". /app"),
        ("ENV A=b", "ENV", "A=b"),
        ("fleet app", "", "fleet app"),
        ("", "", ""),
    ],
)
def test_step_is_told_in_the_words_of_a_dockerfile(created_by: str, keyword: str, text: str) -> None:
    assert instruction(created_by) == Instruction(keyword, text)


def step(size: int, created_by: str = "RUN x") -> HistoryStep:
    return HistoryStep(created_by=created_by, created="", size_bytes=size, comment="")


def digests(*names: str) -> list[str]:
    return [f"sha256:{name * 64}" for name in names]


@pytest.mark.parametrize(
    ("contents", "history", "sizes"),
    [
        (digests("a", "b"), [step(5), step(0, "CMD x"), step(7)], [7, 5]),
        (digests("a", "b", "c"), [step(0, "ENV x=y"), step(5), step(0, "WORKDIR /app"), step(7)], [7, 0, 5]),
        (digests("a"), [], None),
        (digests("a"), [step(1), step(2)], None),
        ([], [step(0, "CMD x")], []),
    ],
    ids=["metadata", "empty layer", "no history", "too many", "none"],
)
def test_layers_take_their_sizes_from_the_steps_that_made_them(
    contents: list[str], history: list[HistoryStep], sizes: list[int] | None
) -> None:
    found = layers(contents, history)

    assert (None if found is None else [item.size_bytes for item in found]) == sizes


def test_layers_are_the_same_only_with_the_same_below_them() -> None:
    one = layers(digests("a", "b"), [step(1), step(2)])
    other = layers(digests("c", "b"), [step(1), step(2)])
    assert one is not None and other is not None

    assert one[1].chain != other[1].chain
    assert layers(digests("a"), [step(2)]) == [one[0]]
    assert [Layer.from_json(item.as_json()) for item in one] == one


BASE, TOP, SIDE = Layer("base", 100), Layer("top", 10), Layer("side", 3)


def test_shared_bytes_are_those_of_layers_that_another_image_holds() -> None:
    found = shared_sizes({"one": [BASE, TOP], "two": [BASE, SIDE], "alone": [Layer("x", 7)], "odd": None})

    assert found == {"one": 100, "two": 100, "alone": 0, "odd": None}


@pytest.mark.parametrize(
    ("removed", "kept", "size"),
    [
        ([[BASE, TOP]], [[BASE, SIDE]], 10),
        ([[BASE, TOP], [BASE, SIDE]], [], 113),
        ([[BASE, TOP]], [[BASE, TOP]], 0),
        ([], [[BASE]], 0),
    ],
)
def test_freed_bytes_leave_out_what_others_hold_and_count_each_layer_once(
    removed: list[list[Layer]], kept: list[list[Layer]], size: int
) -> None:
    assert freed_bytes(removed, kept) == size


KEYS = st.sampled_from(["CreatedBy", "Created", "Size", "Comment", "RootFS", "Layers"])
ODD = st.recursive(
    st.none() | st.integers() | st.text(max_size=9) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(ODD)
def test_history_and_layers_of_odd_answers_raise_nothing(answer: Any) -> None:
    steps = history_steps(answer)

    assert all(item["size_bytes"] >= 0 for item in steps)
    assert isinstance(layers(diff_ids(answer) if isinstance(answer, dict) else [], steps), list | None)


def test_history_is_bounded_and_masked() -> None:
    entries = [{"CreatedBy": "ENV PASSWORD=hunter2 " + "x" * 9000, "Size": -1, "Created": "x"}] * 1000

    steps = history_steps(entries)

    assert len(steps) == 300
    assert "hunter2" not in steps[0]["created_by"] and MASK in steps[0]["created_by"]
    assert len(steps[0]["created_by"]) < 2100


def test_configuration_of_an_image_masks_telling_variables() -> None:
    answer = {
        "Id": "a" * 64,
        "Config": {
            "Env": ["PATH=/bin", "API_TOKEN=hunter2", "DATABASE_URL=postgres://u:hunter2@db/x"],
            "Cmd": ["serve", "--password", "hunter2"],
            "ExposedPorts": {"80/tcp": {}, "22/tcp": {}},
            "Healthcheck": {"Test": ["CMD", "curl", "-f", "http://localhost/"]},
            "User": "app",
        },
    }

    facts = image_facts(answer)

    assert facts is not None
    assert facts.config["ports"] == ["22/tcp", "80/tcp"]
    assert facts.config["health_check"] == "CMD curl -f http://localhost/"
    assert facts.config["variables"][0] == ["PATH", "/bin"]
    assert "hunter2" not in json.dumps(facts.config)


# ---- prunes ------------------------------------------------------------------------------------------------


def stored(
    key: str, *tags: str, used: bool = False, days: int = 10, made: Sequence[Layer] | None = (BASE,)
) -> StoredImage:
    return StoredImage(key, tags, sum(item.size_bytes for item in made or ()), NOW - timedelta(days=days), used, made)


IMAGES = [
    stored("used", "a:1", used=True),
    stored("named", "b:1"),
    stored("dangling", made=[BASE, TOP]),
    stored("young", days=1),
    stored("used dangling", used=True),
]


@pytest.mark.parametrize(
    ("scope", "days", "keys"),
    [
        (DANGLING, None, ["dangling", "young"]),
        (DANGLING, 7, ["dangling"]),
        (UNUSED, None, ["dangling", "young", "named"]),
        (UNUSED, 7, ["dangling", "named"]),
        (UNUSED, 100, []),
    ],
)
def test_prune_takes_only_what_is_unused_and_old_enough(scope: str, days: int | None, keys: list[str]) -> None:
    age = timedelta(days=days) if days else None

    assert [image.key for image in candidates(IMAGES, scope, older_than=age, moment=NOW)] == keys


def test_prune_tells_exactly_what_it_frees_only_if_all_layers_are_known() -> None:
    removed, kept = stored("x", made=[BASE, TOP]), stored("y", made=[BASE])

    exact = freed([removed], [kept])
    rough = freed([removed, StoredImage("z", (), 50, None, False, None)], [kept])

    assert (exact.size_bytes, exact.is_exact) == (10, True)
    assert (rough.size_bytes, rough.is_exact) == (60, False)


# ---- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("nginx", "nginx:latest"),
        ("docker.io/library/nginx:1.27", "nginx:1.27"),
        ("registry.example.com:5000/team/app:1", "registry.example.com:5000/team/app:1"),
        (f"nginx@sha256:{'a' * 64}", f"nginx@sha256:{'a' * 64}"),
    ],
)
def test_name_to_pull_comes_to_its_familiar_form(typed: str, name: str) -> None:
    assert pullable_reference(typed) == name


@pytest.mark.parametrize("typed", ["", "Upper/Case", "a b", "x" * 2000, "a" * 64, "nginx:", "-x", "../etc"])
def test_name_that_is_none_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(NameProblemError, match=r"\.$"):
        pullable_reference(typed)


def test_name_to_give_has_no_digest() -> None:
    with pytest.raises(NameProblemError, match="a tag, not a digest"):
        repository_reference(f"nginx@sha256:{'a' * 64}")
