"""What to say about updates of one container: its state, the reason, what is offered, and why. Pure.

Every answer is one of five states. An error never becomes "up to date", and what cannot be judged says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from containers.rules.candidates import Choice, Rules, Stay, choose_tag, seen_to_float
from containers.rules.digests import Comparison, LocalImage, RemoteImage, compare_digests
from containers.rules.labels import UpdateLabels
from containers.rules.traces import Step, Trace
from containers.rules.transforms import Transform
from registries.rules.references import ImageReference, InvalidReferenceError, parse_reference
from registries.rules.tags import Version, parse_version

State = Literal["up_to_date", "update_available", "unknown", "not_watched", "error"]
# Worst first, for colours and for sorting.
SEVERITY: Final = {"major": 6, "minor": 5, "unknown": 5, "patch": 4, "revision": 3, "digest": 2, "prerelease": 1, "": 0}
# Before the names of podman's local images; a registry on a host itself has a port, or cannot be reached from here.
_PODMAN_LOCAL: Final = "localhost"
_DENIED: Final = frozenset({"not_found", "forbidden", "unauthorized"})


@dataclass(frozen=True, slots=True)
class Subject:
    """A container as far as updates concern it.

    ``written`` is its reference as it was created with, ``repo_tags`` are the names of its image on the host (for
    those created by an image's id). ``is_replaced``: the name stands for another image on the host by now.
    """

    written: str
    repo_tags: tuple[str, ...]
    labels: UpdateLabels
    watch_by_default: bool
    is_stopped: bool
    watch_stopped: bool
    image: LocalImage | None
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Preferences:
    """What users set for it: tags and digests not to be offered, the line to stay on."""

    ignored_tags: frozenset[str] = field(default=frozenset())
    ignored_digests: frozenset[str] = field(default=frozenset())
    stay: Stay = ""


@dataclass(frozen=True, slots=True)
class KnownTag:
    """What a registry told of one tag; an error keeps what was known."""

    image: RemoteImage
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What a registry told of a repository: ``tags`` is None as long as no list was read."""

    tags: tuple[str, ...] | None
    by_tag: Mapping[str, KnownTag]
    error: str = ""
    message: str = ""
    was_found: bool = False
    is_truncated: bool = False
    # What was chosen once counts for all containers with the same tag and rules.
    choices: dict[tuple[str, Rules], tuple[Choice, list[Step]]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. ``change`` is that of the offered tag, or ``digest``; empty without an offer.

    ``reason`` is a code of ``containers.rules.reasons``; ``detail`` a sentence of the one who refused. ``lookups`` are
    the tags that the registry has to be asked about for a full answer.
    """

    state: State
    reason: str
    detail: str
    reference: ImageReference | None
    change: str
    tag: str
    offered_tag: str
    has_digest_update: bool
    watches_digest: bool
    local_digest: str
    remote_digest: str
    in_major: str
    in_minor: str
    other_variants: int
    other_best: str
    withheld: str
    notes: tuple[str, ...]
    lookups: frozenset[str]
    needs_tag_list: bool
    trace: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The reference that counts, or why there is none."""

    reference: ImageReference | None
    problem: Literal["", "no_reference", "ambiguous_reference"]


def resolve_reference(written: str, repo_tags: tuple[str, ...]) -> Resolved:
    """What the container was created from; where that is an image's id, the image's only name.

    An image with several names leaves open which was meant: nothing is guessed.
    """
    reference = _parsed(written)
    if reference is not None:
        return Resolved(reference, "")
    names = [tag for tag in repo_tags if _parsed(tag) is not None]
    if len(names) == 1:
        return Resolved(_parsed(names[0]), "")
    return Resolved(None, "ambiguous_reference" if names else "no_reference")


def _parsed(text: str) -> ImageReference | None:
    try:
        parsed = parse_reference(text)
    except InvalidReferenceError:
        return None
    return parsed if isinstance(parsed, ImageReference) else None


def is_watched(labels: UpdateLabels, *, watch_by_default: bool) -> tuple[bool, Literal["label", "device"]]:
    """Whether updates are looked for, and which of the two decided: the label beats the device."""
    return (watch_by_default, "device") if labels.watch is None else (labels.watch, "label")


def watches_digest(labels: UpdateLabels, version: Version | None, floats_by: str) -> tuple[bool, str]:
    """Whether the digest of the tag is compared, and a sentence why.

    The label decides; else words, single numbers and tags that are seen to move on are compared, full versions not.
    """
    if labels.watch_digest is not None:
        word = "on" if labels.watch_digest else "off"
        return labels.watch_digest, f"Its digest is compared: {word} by wud.watch.digest."
    if version is None:
        return True, "Its digest is compared: a word says nothing about its version."
    if len(version.parts) == 1 and not version.is_date and not version.is_counter and not version.has_counters:
        return True, "Its digest is compared: a single number moves on with new versions."
    if floats_by:
        return True, f"Its digest is compared: there is “{floats_by}”, so this tag moves on."
    return False, "Its digest is not compared: a full version should not move."


def judge(subject: Subject, known: Known | None, preferences: Preferences) -> Verdict:
    """Decide. ``known`` is None when the registry was not asked yet."""
    return _Case(subject, known, preferences).verdict()


class _Case:
    """One decision on its way."""

    def __init__(self, subject: Subject, known: Known | None, preferences: Preferences) -> None:
        self.subject = subject
        self.known = known
        self.preferences = preferences
        self.trace = Trace()
        self.notes: list[str] = []
        self.resolved = resolve_reference(subject.written, subject.repo_tags)
        self.reference = self.resolved.reference
        self.tag = (self.reference.tag or "") if self.reference else ""
        labels = subject.labels
        self.transform = Transform(labels.transform)
        self.version = parse_version(self.transform.apply(self.tag).result) if self.tag else None
        self.needs_tag_list = bool(self.tag) and (self.version is not None or bool(labels.include))
        self.choice: Choice | None = None
        self.comparison: Comparison | None = None
        self.watches = False
        self.candidates: set[str] = set()

    def verdict(self) -> Verdict:
        subject = self.subject
        watched, decided_by = is_watched(subject.labels, watch_by_default=subject.watch_by_default)
        if not watched:
            who = "the label wud.watch" if decided_by == "label" else "the device's setting"
            self.trace.note("watched", f"Not watched: {who} says so.", outcome="result")
            return self._answer("not_watched", decided_by)
        if subject.is_stopped and not subject.watch_stopped and decided_by == "device":
            self.trace.note(
                "watched", "Not watched: it is stopped, and the device's setting says so.", outcome="result"
            )
            return self._answer("not_watched", "stopped")
        who = "the label wud.watch" if decided_by == "label" else "the device's setting"
        self.trace.note("watched", f"Watched: {who} says so.")
        if self.reference is None:
            text = f"“{subject.written[:120]}” names no repository, and its image has "
            text += "several names." if self.resolved.problem == "ambiguous_reference" else "no name."
            self.trace.note("reference", text, outcome="warning")
            return self._answer("unknown", self.resolved.problem)
        self.trace.note("reference", f"It was created from {self.reference}.")
        if problem := self._pattern_problem():
            return problem
        if not self.tag:
            self.trace.note(
                "pinned", "It is pinned to a digest without a tag: nothing to compare with.", outcome="result"
            )
            return self._answer("unknown", "pinned_digest")
        return self._of_image(self.reference)

    def _pattern_problem(self) -> Verdict | None:
        probe = choose_tag(self.tag or "latest", (), self._rules(), Trace())
        if probe.reason in ("invalid_include", "invalid_exclude"):
            self.trace.note(probe.reason, probe.problem, outcome="warning")
            return self._answer("unknown", probe.reason, probe.problem)
        return None

    def _rules(self) -> Rules:
        labels = self.subject.labels
        return Rules(
            labels.include,
            labels.exclude,
            labels.transform,
            ignored=self.preferences.ignored_tags,
            stay=self.preferences.stay,
        )

    def _of_image(self, reference: ImageReference) -> Verdict:
        image = self.subject.image
        if image is None:
            self.trace.note("image", "Its image was not read from the host yet.")
            return self._answer("unknown", "not_checked_yet")
        if self.subject.is_replaced:
            self.notes.append("pulled_not_recreated")
            self.trace.note("replaced", "On the host the name stands for another image than the one that runs.")
        elif reference.registry == _PODMAN_LOCAL:
            self.trace.note(
                "local", "podman names what was built or loaded on a host “localhost/”: no registry has it."
            )
            return self._answer("unknown", "local_image")
        elif not any("@sha256:" in entry and not entry.startswith("<none>") for entry in image.repo_digests):
            self.trace.note("local", "The image was never pulled from a registry: it was built or loaded here.")
            return self._answer("unknown", "local_image")
        self.candidates.add(self.tag)
        if self.known is None:
            self.trace.note("known", "The registry was not asked yet.")
            return self._answer("unknown", "not_checked_yet")
        return self._of_knowledge(reference, image, self.known)

    def _of_knowledge(self, reference: ImageReference, image: LocalImage, known: Known) -> Verdict:
        mine = known.by_tag.get(self.tag)
        if known.error and (self.needs_tag_list or mine is None or mine.error or not mine.image.digest):
            return self._failed(known.error, known.message, reference, image, was_found=known.was_found)
        if mine is not None and mine.error and not (mine.error == "not_found" and known.tags is not None):
            was_found = known.was_found or bool(mine.image.digest)
            return self._failed(mine.error, mine.message, reference, image, was_found=was_found)
        if self.needs_tag_list and known.tags is None:
            self.trace.note("known", "The registry's list of tags was not read yet.")
            return self._answer("unknown", "not_checked_yet")
        self._choose(reference, image, known)
        if mine is not None and mine.error == "not_found":
            self.notes.append("tag_gone")
            self.trace.note("tag_gone", f"The registry has no tag “{self.tag}” any more.", outcome="warning")
        else:
            self._compare(reference, image, mine, known)
        return self._conclude()

    def _failed(
        self, error: str, message: str, reference: ImageReference, image: LocalImage, *, was_found: bool
    ) -> Verdict:
        has_local = bool(image.digests_of(reference))
        self.trace.note("error", f"The registry could not be asked: {message or error}", outcome="warning")
        if error in _DENIED and not has_local and not was_found:
            return self._answer("unknown", "local_image", message)
        if error == "not_found" and not was_found:
            return self._answer("unknown", "not_in_registry", message)
        return self._answer("error", error, message)

    def _choose(self, reference: ImageReference, image: LocalImage, known: Known) -> None:
        tags = known.tags or ()
        if known.is_truncated:
            self.trace.note("truncated", "The registry's list of tags is too long and was cut.", outcome="warning")
        if not self.needs_tag_list:
            self.trace.note("word", f"“{self.tag}” is a word: no tag is newer than it; its digest tells.")
            return
        key = (self.tag, self._rules())
        if key not in known.choices:
            steps = Trace()
            known.choices[key] = choose_tag(self.tag, tags, key[1], steps), steps.steps
        choice, taken = known.choices[key]
        self.trace.steps += taken
        if choice.update:
            # One more look-up for each tag in use: its digest tells an alias, its labels where it comes from.
            self.candidates.add(choice.update)
        best = known.by_tag.get(choice.update) if choice.update else None
        if best is not None and best.image.digest and best.image.digest in image.digests_of(reference):
            self.notes.append("alias")
            text = f"“{choice.update}” has the digest of the image that runs: another name of it, no update."
            self.trace.note("alias", text, outcome="dropped", tags=[choice.update])
            choice = Choice(
                "", "none", choice.reason, "", choice.version, "", "", choice.other_variants, choice.other_best, ""
            )
        self.choice = choice

    def _compare(self, reference: ImageReference, image: LocalImage, mine: KnownTag | None, known: Known) -> None:
        floats_by = ""
        if self.version is not None and len(self.version.parts) > 1 and self.subject.labels.watch_digest is None:
            floats_by = seen_to_float(self.version, known.tags or (), self.transform)
        self.watches, why = watches_digest(self.subject.labels, self.version, floats_by)
        if reference.digest:
            self.watches = True
            self.notes.append("pinned")
            why = f"It is pinned: the tag is compared with {reference.digest[:19]}."
        self.trace.note("digest_watched", why)
        if not self.watches:
            return
        if reference.digest:
            pin = f"{reference.registry}/{reference.repository}@{reference.digest}"
            image = LocalImage(image.image_id, (*image.repo_digests, pin), image.platform, image.manifest_digest)
        remote = mine.image if mine else RemoteImage("")
        self.comparison = compare_digests(reference, image, remote, self.trace, is_replaced=self.subject.is_replaced)
        if self.comparison.outcome == "different" and self.comparison.remote in self.preferences.ignored_digests:
            self.notes.append("digest_ignored")
            self.trace.note("ignored", "This digest is ignored by a user.", outcome="dropped")

    def _conclude(self) -> Verdict:
        choice, comparison = self.choice, self.comparison
        has_tag = choice is not None and bool(choice.update)
        if has_tag or self._has_digest_update():
            return self._answer("update_available", "")
        if choice is not None and choice.reason:
            return self._answer("unknown", choice.reason, choice.problem)
        if comparison is not None and comparison.outcome in ("platform_missing", "schema1"):
            return self._answer("unknown", comparison.outcome)
        if comparison is not None and comparison.outcome == "no_answer":
            return self._answer("unknown", "not_checked_yet")
        if self.version is None and not self.watches:
            reason = "tag_gone" if "tag_gone" in self.notes else "digest_not_watched"
            return self._answer("unknown", reason)
        return self._answer("up_to_date", "")

    def _has_digest_update(self) -> bool:
        comparison = self.comparison
        return comparison is not None and comparison.outcome == "different" and "digest_ignored" not in self.notes

    def _answer(self, state: State, reason: str, detail: str = "") -> Verdict:
        choice, comparison = self.choice, self.comparison
        offers = state == "update_available"
        offered_tag = choice.update if choice and offers else ""
        change = str(choice.change) if choice and offered_tag else ("digest" if offers else "")
        return Verdict(
            state=state,
            reason=reason,
            detail=detail[:500],
            reference=self.reference,
            change=change,
            tag=self.tag,
            offered_tag=offered_tag,
            has_digest_update=offers and self._has_digest_update(),
            watches_digest=self.watches,
            local_digest=comparison.local if comparison else "",
            remote_digest=comparison.remote if comparison else "",
            in_major=choice.in_major if choice else "",
            in_minor=choice.in_minor if choice else "",
            other_variants=choice.other_variants if choice else 0,
            other_best=choice.other_best if choice else "",
            withheld=choice.withheld if choice else "",
            notes=tuple(self.notes),
            lookups=frozenset(self.candidates),
            needs_tag_list=self.needs_tag_list and bool(self.candidates),
            trace=tuple(self.trace.steps),
        )
