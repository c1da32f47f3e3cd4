"""States and reasons: section (e) of the rules, and what decides between them."""

import pytest

from containers.rules.digests import LocalImage, Platform, RemoteImage, RemotePlatform, best_platform
from containers.rules.labels import label_warnings, update_labels
from containers.rules.reasons import NOTES, reason_choices, words_of
from containers.rules.updates import Known, KnownTag, Preferences, Subject, Verdict, judge

A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")
AMD64 = Platform("linux", "amd64")


def subject(written: str = "nginx:latest", *, digests: tuple[str, ...] = (f"nginx@{A}",), **changes: object) -> Subject:
    values: dict[str, object] = {
        "written": written,
        "repo_tags": (),
        "labels": update_labels(changes.pop("labels", {})),
        "watch_by_default": True,
        "is_stopped": False,
        "watch_stopped": True,
        "image": LocalImage(D, digests, AMD64),
    }
    return Subject(**{**values, **changes})


def known(tags: tuple[str, ...] | None = ("latest",), **digests: str) -> Known:
    by_tag = {tag.replace("_", "."): KnownTag(RemoteImage(digest)) for tag, digest in digests.items()}
    return Known(tags=tags, by_tag=by_tag, was_found=True)


def decide(about: Subject, told: Known | None, preferences: Preferences | None = None) -> Verdict:
    return judge(about, told, preferences or Preferences())


def test_word_tag_whose_digest_moved_is_an_update() -> None:
    verdict = decide(subject(), known(latest=B))

    assert (verdict.state, verdict.change, verdict.has_digest_update) == ("update_available", "digest", True)
    assert (verdict.local_digest, verdict.remote_digest) == (A, B)


def test_tag_and_digest_updates_are_shown_together() -> None:
    told = Known(("1.27", "1.27.3", "1.28"), {"1.27": KnownTag(RemoteImage(B))}, was_found=True)

    verdict = decide(subject("nginx:1.27"), told)

    assert (verdict.change, verdict.offered_tag, verdict.has_digest_update) == ("minor", "1.28", True)


def test_candidate_with_the_digest_that_runs_is_an_alias() -> None:
    told = Known(("1.27.3", "1.28.0"), {"1.28.0": KnownTag(RemoteImage(A))}, was_found=True)

    verdict = decide(subject("nginx:1.27.3"), told)

    assert (verdict.state, verdict.notes) == ("up_to_date", ("alias",))


def test_image_that_was_pulled_but_not_used_is_an_update() -> None:
    verdict = decide(subject(is_replaced=True, image=LocalImage(D, (), AMD64)), known(latest=B))

    assert verdict.state == "update_available"
    assert "pulled_not_recreated" in verdict.notes


@pytest.mark.parametrize(
    ("about", "told", "state", "reason"),
    [
        (subject(labels={"wud.watch": "false"}), None, "not_watched", "label"),
        (subject(watch_by_default=False), None, "not_watched", "device"),
        (subject(watch_by_default=False, labels={"wud.watch": "true"}), None, "unknown", "not_checked_yet"),
        (subject(is_stopped=True, watch_stopped=False), None, "not_watched", "stopped"),
        (
            subject(is_stopped=True, watch_stopped=False, labels={"wud.watch": "true"}),
            known(latest=A),
            "up_to_date",
            "",
        ),
        (subject(D), None, "unknown", "no_reference"),
        (subject(D, repo_tags=("a:1", "b:1")), None, "unknown", "ambiguous_reference"),
        (subject(D, repo_tags=("nginx:latest", "<none>:<none>")), known(latest=A), "up_to_date", ""),
        (subject("Not A Reference"), None, "unknown", "no_reference"),
        (subject(f"nginx@{A}"), None, "unknown", "pinned_digest"),
        (subject(image=None), None, "unknown", "not_checked_yet"),
        (subject(digests=()), known(latest=B), "unknown", "local_image"),
        (subject(digests=("<none>@<none>",)), known(latest=B), "unknown", "local_image"),
        (subject("localhost/app:1", digests=(f"localhost/app@{A}",)), None, "unknown", "local_image"),
        (subject("nginx:1.2.3"), known(None), "unknown", "not_checked_yet"),
        (subject("nginx:1.2.3"), known(("1.2.3",)), "up_to_date", ""),
        (subject("nginx:1.2.3"), known(("1.2.2",)), "up_to_date", ""),
        (subject(labels={"wud.watch.digest": "false"}), known(latest=B), "unknown", "digest_not_watched"),
        (subject(labels={"wud.tag.include": "(["}), known(latest=B), "unknown", "invalid_include"),
        (subject(labels={"wud.tag.exclude": "(["}), known(latest=B), "unknown", "invalid_exclude"),
        (
            subject("nginx:1.2.3", labels={"wud.tag.include": '"x"'}),
            known(("1.2.4",)),
            "unknown",
            "include_matches_nothing",
        ),
    ],
)
def test_state_table(about: Subject, told: Known | None, state: str, reason: str) -> None:
    verdict = decide(about, told)

    assert (verdict.state, verdict.reason) == (state, reason)
    assert words_of(state, reason).short
    assert verdict.trace


@pytest.mark.parametrize(
    ("error", "digests", "was_found", "state", "reason"),
    [
        ("rate_limited", (f"nginx@{A}",), True, "error", "rate_limited"),
        ("timeout", (f"nginx@{A}",), False, "error", "timeout"),
        ("tls", (f"nginx@{A}",), False, "error", "tls"),
        ("unauthorized", (f"nginx@{A}",), False, "error", "unauthorized"),
        ("forbidden", (f"mirror.example/nginx@{A}",), False, "unknown", "local_image"),
        ("not_found", (f"mirror.example/nginx@{A}",), False, "unknown", "local_image"),
        ("not_found", (f"nginx@{A}",), False, "unknown", "not_in_registry"),
        ("not_found", (f"nginx@{A}",), True, "error", "not_found"),
    ],
)
def test_error_never_becomes_up_to_date(
    error: str, digests: tuple[str, ...], was_found: bool, state: str, reason: str
) -> None:
    told = Known(("latest",), {"latest": KnownTag(RemoteImage(""))}, error=error, message="why", was_found=was_found)

    verdict = decide(subject(digests=digests), told)

    assert (verdict.state, verdict.reason, verdict.detail) == (state, reason, "why")
    assert verdict.lookups == {"latest"}


def test_tag_that_is_gone_alone_is_a_remark() -> None:
    told = Known(("1.2.4",), {"1.2.3": KnownTag(RemoteImage(A), error="not_found")}, was_found=True)

    verdict = decide(subject("nginx:1.2.3"), told)

    assert (verdict.state, verdict.offered_tag, verdict.notes) == ("update_available", "1.2.4", ("tag_gone",))


def test_what_users_set_is_left_out_and_shown() -> None:
    told = known(("1.2.3", "2.0.0"))

    ignored = decide(subject("nginx:1.2.3"), told, Preferences(ignored_tags=frozenset({"2.0.0"})))
    rebuilt = decide(subject(), known(latest=B), Preferences(ignored_digests=frozenset({B})))

    assert (ignored.state, ignored.withheld) == ("up_to_date", "2.0.0")
    assert any(step["rule"] == "ignored" for step in ignored.trace)
    assert (rebuilt.state, rebuilt.notes) == ("up_to_date", ("digest_ignored",))


@pytest.mark.parametrize(
    ("remote", "state", "reason"),
    [
        (RemoteImage(B, "", (RemotePlatform(AMD64, A),)), "up_to_date", ""),
        (RemoteImage(B, "", (RemotePlatform(AMD64, C, D),)), "up_to_date", ""),
        (RemoteImage(B, "", (RemotePlatform(AMD64, C, B),)), "update_available", ""),
        (RemoteImage(B, "", (RemotePlatform(Platform("linux", "arm64"), C),)), "unknown", "platform_missing"),
        (RemoteImage(B, "", (RemotePlatform(Platform("unknown", "unknown"), C),)), "unknown", "platform_missing"),
        (RemoteImage(B, "application/vnd.docker.distribution.manifest.v1+prettyjws"), "unknown", "schema1"),
        (RemoteImage(D), "up_to_date", ""),
        (RemoteImage(""), "unknown", "not_checked_yet"),
    ],
)
def test_digest_table(remote: RemoteImage, state: str, reason: str) -> None:
    verdict = decide(subject(), Known(("latest",), {"latest": KnownTag(remote)}, was_found=True))

    assert (verdict.state, verdict.reason) == (state, reason)


def test_pinned_tag_is_compared_with_its_pin() -> None:
    same = decide(subject(f"nginx:1.25@{A}"), known(("1.25",), **{"1_25": A}))
    moved = decide(subject(f"nginx:1.25@{A}"), known(("1.25",), **{"1_25": B}))

    assert (same.state, same.notes) == ("up_to_date", ("pinned",))
    assert (moved.state, moved.change, moved.notes) == ("update_available", "digest", ("pinned",))


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        (Platform("linux", "arm64", "v8"), [Platform("linux", "arm64")], 0),
        (Platform("linux", "arm64"), [Platform("linux", "arm64", "v8")], 0),
        (Platform("linux", "arm"), [Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7")], 1),
        (Platform("linux", "arm", "v6"), [Platform("linux", "arm", "v7"), Platform("linux", "arm", "v5")], 1),
        (Platform("linux", "arm", "v5"), [Platform("linux", "arm", "v7")], None),
        (Platform("linux", "amd64"), [Platform("linux", "amd64", "v3"), Platform("linux", "amd64")], 1),
        (
            Platform("windows", "amd64", "", "10.0.17763.1"),
            [Platform("windows", "amd64", "", "10.0.20348.9"), Platform("windows", "amd64", "", "10.0.17763.99")],
            1,
        ),
    ],
)
def test_best_platform_table(wanted: Platform, offered: list[Platform], chosen: int | None) -> None:
    entries = [RemotePlatform(platform, str(place)) for place, platform in enumerate(offered)]

    found = best_platform(wanted, entries)

    assert (int(found.digest) if found else None) == chosen


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ({}, []),
        ({"wud.watch": "TRUE", "wud.watch.digest": " false "}, []),
        ({"wud.watch": "yes"}, ["wud.watch"]),
        ({"wud.watch.digest": "1"}, ["wud.watch.digest"]),
        ({"wud.tag.include": "([", "wud.tag.exclude": "(?=a)"}, ["wud.tag.include", "wud.tag.exclude"]),
        ({"wud.tag.include": "'^1'"}, ["wud.tag.include"]),
        ({"wud.tag.transform": "nothing"}, ["wud.tag.transform"]),
        ({"wud.link.template": "ftp://x/${major}"}, ["wud.link.template"]),
        ({"wud.display.icon": "nope"}, ["wud.display.icon"]),
        ({"wud.display.icon": "🚀"}, []),
        ({"wud.display.name": "x" * 300}, ["wud.display.name"]),
        ({"WUD.watch": "yes"}, []),
    ],
)
def test_label_warnings_table(labels: dict[str, str], named: list[str]) -> None:
    assert [warning["label"] for warning in label_warnings(labels)] == named


def test_every_reason_and_note_has_words() -> None:
    assert all(words for _code, words in reason_choices())
    assert set(NOTES) == {"pinned", "pulled_not_recreated", "alias", "tag_gone", "digest_ignored"}
