"""Reading manifests, configurations, tag lists, token answers and errors of strangers."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registries.rules.digests import digest_of, has_digest, is_digest
from registries.rules.error_bodies import parse_error
from registries.rules.manifests import (
    ImageManifest,
    IndexManifest,
    InvalidManifestError,
    LegacyManifest,
    parse_config,
    parse_manifest,
    parse_time,
)
from registries.rules.tag_lists import is_tag, parse_hub_page, parse_tag_page
from registries.rules.token_answers import InvalidTokenAnswerError, parse_token_answer, usable_seconds
from tests.registries.servers.images import build

_OF_MANIFESTS = [
    "schemaVersion",
    "mediaType",
    "manifests",
    "config",
    "layers",
    "fsLayers",
    "history",
    "platform",
    "digest",
    "size",
    "os",
    "architecture",
    "created",
    "Labels",
]
_OF_OTHERS = [
    "tags",
    "name",
    "manifest",
    "tag",
    "results",
    "token",
    "expires_in",
    "errors",
    "code",
    "message",
    "annotations",
    "v1Compatibility",
    "last_updated",
    "timeUploadedMs",
]
_KEYS = st.sampled_from([*_OF_MANIFESTS, *_OF_OTHERS]) | st.text(max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(_JSON)
def test_any_json_is_read_or_refused_by_name(body: Any) -> None:
    raw = json.dumps(body).encode()
    for reader in (parse_manifest, parse_config, parse_tag_page, parse_hub_page):
        try:
            reader(raw)
        except InvalidManifestError as exc:
            assert str(exc)
    parse_error(raw)
    try:
        assert parse_token_answer(raw, 0.0).value
    except InvalidTokenAnswerError as exc:
        assert str(exc)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_name(raw: bytes) -> None:
    for reader in (parse_manifest, parse_config, parse_tag_page, parse_hub_page):
        with pytest.raises(InvalidManifestError):
            reader(raw + b"\xff")
    assert len(parse_error(raw).text) <= 300


def test_index_image_and_legacy_manifest_are_told_apart_by_their_bodies() -> None:
    several = build("x", platforms=("linux/amd64", "linux/arm/v7"), attested=True)
    index = parse_manifest(several.content)
    image = parse_manifest(several.images[0].manifest)
    legacy = parse_manifest(b'{"schemaVersion": 1, "fsLayers": [], "architecture": "amd64"}')
    without_type = {**json.loads(several.content)}
    del without_type["mediaType"]

    assert isinstance(index, IndexManifest)
    assert [(entry.architecture, entry.variant) for entry in index.platforms] == [("amd64", ""), ("arm", "v7")]
    assert isinstance(image, ImageManifest)
    assert image.config_digest == several.images[0].config_digest
    assert isinstance(legacy, LegacyManifest)
    assert isinstance(parse_manifest(json.dumps(without_type).encode()), IndexManifest)


def test_artifact_that_is_no_image_is_named() -> None:
    config = {"digest": digest_of(b"{}"), "mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2}
    chart = parse_manifest(json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode())

    assert isinstance(chart, ImageManifest)
    assert chart.artifact_type == "application/vnd.cncf.helm.config.v1+json"


def test_index_of_too_many_manifests_is_refused() -> None:
    with pytest.raises(InvalidManifestError, match="more than 1000"):
        parse_manifest(json.dumps({"schemaVersion": 2, "manifests": [{}] * 1001}).encode())


def test_labels_are_bounded_and_storable() -> None:
    labels = {f"label{number}": "x" * 10_000 for number in range(1000)} | {"a\0b": "c\0d", "half": "\ud800"}
    body = {"config": {"Labels": {**{"a\0b": "c\0d", "half": "\ud800", "number": 1}, **labels}}}

    found = parse_config(json.dumps(body).encode()).labels

    assert len(found) <= 500
    assert max(map(len, found.values())) <= 4096
    assert found["ab"] == "cd"
    assert found["half"] == "?"
    assert "number" not in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-01T14:00:00.1+02:00", datetime(2026, 3, 1, 12, 0, 0, 100_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("1980-01-01T00:00:01Z", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("yesterday", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_times_of_images_are_read_and_zero_dates_left_out(text: object, expected: datetime | None) -> None:
    assert parse_time(text) == expected


@given(st.binary(max_size=50), st.sampled_from(["sha256", "sha384", "sha512"]))
def test_digest_of_content_is_its_own_and_no_other(content: bytes, algorithm: str) -> None:
    digest = digest_of(content, algorithm)

    assert is_digest(digest)
    assert has_digest(content, digest)
    assert not has_digest(content + b"x", digest)
    assert not is_digest(digest.upper())
    assert not is_digest(digest[:-1])


@pytest.mark.parametrize("text", ["latest", "1.27.3-alpine", "_x", "A" * 128, "sha256-12"])
def test_tag_of_the_grammar_is_a_tag(text: str) -> None:
    assert is_tag(text)


@pytest.mark.parametrize("text", ["", "-x", ".x", "a" * 129, "a/b", "a:b", "a b", "é", f"sha256-{'0' * 64}", "a\n"])
def test_text_that_is_no_tag_is_none(text: str) -> None:
    assert not is_tag(text)


def test_token_lifetimes_are_used_up_to_four_fifths() -> None:
    assert usable_seconds(300) == 240
    assert usable_seconds(60) == 30
    assert usable_seconds(43_200) == 34_560


def test_token_without_a_lifetime_is_read_from_the_token_itself() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 5000}).encode()).decode().rstrip("=")

    assert parse_token_answer(json.dumps({"access_token": f"a.{claims}.b"}).encode(), 1000).lifetime_s == 4000
    assert parse_token_answer(json.dumps({"token": f"a.{claims}.b"}).encode(), 9000).lifetime_s == 60
    assert parse_token_answer(b'{"token": "opaque"}', 1000).lifetime_s == 60
    assert parse_token_answer(b'{"token": "a.!.b"}', 1000).lifetime_s == 60


@pytest.mark.parametrize(
    ("raw", "code", "text"),
    [
        (b'{"errors":[{"code":"DENIED","message":"no"}]}', "DENIED", "no"),
        (b'{"details":"incorrect username or password"}', "", "incorrect username or password"),
        (b'{"message":"gone"}', "", "gone"),
        (b'{"errors":[]}', "", ""),
        (b'{"errors":["odd"]}', "", "odd"),
        (b'{"__type":"com.amazon#Throttling","Message":"slow"}', "Throttling", "slow"),
        (b'{"error":"invalid_client","error_description":"wrong secret"}', "", "wrong secret"),
        (b"<html><head><title>Log in</title></head>", "", "Log in"),
        (b"<html>nothing", "", ""),
        (b"plain text\n", "", "plain text"),
        (b"", "", ""),
        (b'{"errors":[{"code":"<b>","message":"x"}]}', "", "x"),
    ],
)
def test_error_bodies_of_all_forms_are_read(raw: bytes, code: str, text: str) -> None:
    found = parse_error(raw)

    assert (found.code, found.text) == (code, text)


@pytest.mark.parametrize(
    "body",
    [
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"},
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": {}},
        {"schemaVersion": 2, "mediaType": "x", "config": [], "layers": []},
        {"schemaVersion": 3},
    ],
)
def test_manifest_without_its_parts_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifestError):
        parse_manifest(json.dumps(body).encode())


def test_index_of_an_unknown_type_and_with_odd_entries_is_read() -> None:
    digest = digest_of(b"x")
    entries = [None, {"digest": "no"}, {"digest": digest, "platform": 5, "size": True}]
    body = {"schemaVersion": 2, "mediaType": "application/x", "manifests": entries}

    found = parse_manifest(json.dumps(body).encode())

    assert isinstance(found, IndexManifest)
    assert [(entry.digest, entry.os, entry.size_bytes) for entry in found.platforms] == [(digest, "", 0)]


def test_legacy_manifest_with_a_broken_history_has_no_date() -> None:
    body = {"schemaVersion": 1, "history": [{"v1Compatibility": "{"}]}

    found = parse_manifest(json.dumps(body).encode())

    assert isinstance(found, LegacyManifest)
    assert found.created is None


def test_lists_with_odd_entries_give_what_is_in_order() -> None:
    digest = digest_of(b"x")
    google = {
        digest: {"tag": ["1", 5, "a b"], "timeUploadedMs": "0"},
        "no": {"tag": ["2"]},
        digest_of(b"y"): 5,
    }
    page = parse_tag_page(json.dumps({"tags": ["1"], "manifest": google}).encode())
    hub = parse_hub_page(json.dumps({"results": [5, {"name": "a b"}, {"name": "1", "digest": "no"}]}).encode())

    assert (page.digests, page.dates) == ({"1": digest}, {})
    assert (hub.tags, hub.named, hub.dates, hub.digests) == (("1",), 3, {}, {})
