"""Which tag of a repository is the newer version of the one that runs, and why not the others. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from containers.rules.patterns import InvalidPatternError, compile_pattern
from containers.rules.traces import EXAMPLES, Trace
from containers.rules.transforms import Transform
from registries.rules.tags import Change, Version, change_between, parse_version

Stay = Literal["", "major", "minor"]
Reason = Literal["", "invalid_include", "invalid_exclude", "include_matches_nothing"]

# Signatures, attestations and bills of materials that are kept beside images, and builds of single commits.
_ARTIFACT: Final = re.compile(
    r"sha256-[0-9a-f]+(?:\..*)?|.*\.(?:sig|att|sbom)|sha-[0-9a-f]{7,40}", re.ASCII | re.DOTALL | re.IGNORECASE
)
_DROPPED: Final[dict[str, str]] = {
    "artifact": "signatures, attestations and builds of single commits",
    "include": "not matched by wud.tag.include",
    "exclude": "matched by wud.tag.exclude",
    "no_version": "words, not versions",
    "parts": "more or fewer numbers than the current tag",
    "date": "dates do not compete with versions",
    "leading_zero": "leading zeros: another numbering",
    "prefix": "other text before the number",
    "suffix": "another variant (other words after the number)",
    "prerelease": "prereleases; the current tag is none",
    "not_newer": "not newer than the current tag",
    "ignored": "ignored by a user",
    "stay": "outside the line to stay on",
    "release_first": "prereleases: there is a newer release",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What steers the choice: labels as they are written, and what users have set.

    ``ignored`` are tags never to be offered; ``stay`` keeps to the current major, or major and minor number.
    """

    include: str = ""
    exclude: str = ""
    transform: str = ""
    ignored: frozenset[str] = field(default=frozenset())
    stay: Stay = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer. ``update`` is empty when no tag is offered.

    ``in_major`` and ``in_minor`` are the newest tags of the same major number, and of the same major and minor (empty
    when there are none newer). ``other_variants`` counts newer versions of other families; ``other_best`` is the
    newest of those.
    """

    update: str
    change: Change | Literal["none"]
    reason: Reason
    problem: str
    version: Version | None
    in_major: str
    in_minor: str
    other_variants: int
    other_best: str
    withheld: str


def choose_tag(current: str, tags: Iterable[str], rules: Rules, trace: Trace) -> Choice:
    """Find the newest tag of the current tag's family. Never offers an older or an equal version.

    ``withheld`` is the tag that would be offered but for what users set. Each step goes into the trace.
    """
    transform = Transform(rules.transform)
    if transform.problem:
        trace.note("transform", f"wud.tag.transform is not used: {transform.problem}", outcome="warning")
    try:
        include = compile_pattern(rules.include) if rules.include else None
    except InvalidPatternError as exc:
        return _refused("invalid_include", f"wud.tag.include cannot be used. {exc}", trace)
    try:
        exclude = compile_pattern(rules.exclude) if rules.exclude else None
    except InvalidPatternError as exc:
        return _refused("invalid_exclude", f"wud.tag.exclude cannot be used. {exc}", trace)
    search = _Search(current, rules, transform, include, exclude, trace)
    return search.run(tags)


def _refused(reason: Reason, problem: str, trace: Trace) -> Choice:
    trace.note(reason, problem, outcome="warning")
    return Choice("", "unknown", reason, problem, None, "", "", 0, "", "")


def seen_to_float(version: Version, tags: Iterable[str], transform: Transform) -> str:
    """A tag that shows that this version moves on: longer, with the same numbers, of the same family. Empty if none.

    ``1.27`` floats when there is a ``1.27.3``: then its digest is worth watching.
    """
    length = len(version.parts)
    for tag in tags:
        other = parse_version(transform.apply(tag).result)
        if (
            other is not None
            and len(other.parts) > length
            and other.parts[:length] == version.parts
            and other.prefix == version.prefix
            and other.is_prerelease == version.is_prerelease
            and other.has_shape_of(version)
        ):
            return tag
    return ""


class _Search:
    """One search, with what each rule has dropped."""

    def __init__(
        self, current: str, rules: Rules, transform: Transform, include: object, exclude: object, trace: Trace
    ) -> None:
        self.current = current
        self.rules = rules
        self.transform = transform
        self.include = include
        self.exclude = exclude
        self.trace = trace
        self.dropped: dict[str, tuple[int, list[str]]] = {}
        rewritten = transform.apply(current)
        self.text = rewritten.result
        if rewritten.warning and not transform.problem:
            trace.note("transform", f"The current tag is left as it is: {rewritten.warning}", outcome="warning")
        self.version = parse_version(self.text)
        self.current_is_included = include is None or include.search(current) is not None  # type: ignore[attr-defined]
        self.ignored_places = self.version.commit_places if self.version else frozenset()

    def run(self, tags: Iterable[str]) -> Choice:
        self._note_current()
        distinct = list(dict.fromkeys(tags))
        self.trace.note("tags", f"The registry lists {len(distinct)} tags.", count=len(distinct))
        others = [tag for tag in distinct if tag != self.current]
        passed = [tag for tag in others if self._passes_filters(tag)]
        if self.rules.include and not self.current_is_included and self._nothing_included(others):
            self._note_dropped()
            text = "wud.tag.include matches no tag of the repository, not even the current one."
            self.trace.note("include_matches_nothing", text, outcome="warning")
            return self._choice(reason="include_matches_nothing", problem=text)
        if self.version is None:
            self._note_dropped()
            self.trace.note(
                "word", f"“{self.text}” is not a version: no tag is newer; its digest tells.", outcome="result"
            )
            return self._choice()
        return self._decide(self.version, passed)

    def _nothing_included(self, others: list[str]) -> bool:
        dropped = self.dropped.get("include", (0, []))[0] + self.dropped.get("artifact", (0, []))[0]
        return dropped == len(others)

    def _note_current(self) -> None:
        rewritten = f", rewritten as “{self.text}”" if self.text != self.current else ""
        version = self.version
        if version is None:
            self.trace.note("current", f"The current tag is “{self.current}”{rewritten}: a word.")
            return
        kind = "date" if version.is_date else "counter" if version.is_counter else "version"
        facts = [f"{kind} {'.'.join(version.numbers)}"]
        if version.prefix:
            facts.append(f"prefix “{version.prefix}”")
        if version.prerelease:
            facts.append(f"prerelease “{version.prerelease}”")
        if version.places:
            words = "".join(place.text or f"[{place.kind}]" for place in version.places)
            facts.append(f"suffix “{words}”")
        self.trace.note("current", f"The current tag is “{self.current}”{rewritten}: {', '.join(facts)}.")

    def _drop(self, rule: str, tag: str) -> None:
        count, examples = self.dropped.setdefault(rule, (0, []))
        if count < EXAMPLES:
            examples.append(tag)
        self.dropped[rule] = (count + 1, examples)

    def _note_dropped(self) -> None:
        for rule, text in _DROPPED.items():
            if rule in self.dropped:
                count, examples = self.dropped[rule]
                self.trace.note(rule, f"{count} dropped: {text}.", outcome="dropped", tags=examples, count=count)
        self.dropped.clear()

    def _passes_filters(self, tag: str) -> bool:
        if _ARTIFACT.fullmatch(tag):
            self._drop("artifact", tag)
        elif self.include is not None and not self.include.search(tag):  # type: ignore[attr-defined]
            self._drop("include", tag)
        elif self.exclude is not None and self.exclude.search(tag):  # type: ignore[attr-defined]
            self._drop("exclude", tag)
        else:
            return True
        return False

    def _decide(self, current: Version, tags: list[str]) -> Choice:
        newer: list[tuple[str, Version]] = []
        variants: list[tuple[str, Version]] = []
        mine = current.key(self.ignored_places)
        for tag in tags:
            version = parse_version(self.transform.apply(tag).result)
            if version is None:
                self._drop("no_version", tag)
                continue
            rule = self._other_scheme(current, version) or self._other_family(current, version)
            is_newer = version.key(self.ignored_places) > mine
            if rule:
                self._drop(rule, tag)
                if is_newer and rule in ("prefix", "suffix", "prerelease"):
                    variants.append((tag, version))
            elif not is_newer:
                self._drop("not_newer", tag)
            else:
                newer.append((tag, version))
        best_variant = max(variants, key=self._order, default=None)
        allowed = [found for found in newer if self._is_allowed(current, *found)]
        withheld = self._best(current, newer, note=False) if len(allowed) < len(newer) else None
        chosen = self._best(current, allowed, note=True)
        self._note_dropped()
        same = current.parts
        in_major = [found for found in allowed if found[1].parts[:1] == same[:1]]
        in_minor = [found for found in allowed if len(same) > 1 and found[1].parts[:2] == same[:2]]
        if variants:
            text = f"{len(variants)} newer version{'s exist' if len(variants) > 1 else ' exists'} in other variants."
            named = [tag for tag, _version in sorted(variants, key=self._order, reverse=True)[:EXAMPLES]]
            self.trace.note("other_variants", text, tags=named, count=len(variants))
        choice = self._choice(
            update=chosen,
            in_major=self._best(current, in_major, note=False),
            in_minor=self._best(current, in_minor, note=False),
            others=(len(variants), best_variant[0] if best_variant else ""),
            withheld=withheld[0] if withheld and withheld != chosen else "",
        )
        self._note_result(choice)
        return choice

    def _other_scheme(self, current: Version, version: Version) -> str:
        if len(version.parts) != len(current.parts):
            return "parts"
        if version.is_date != current.is_date:
            return "date"
        if (
            version.has_leading_zero
            and not current.has_leading_zero
            and not current.is_calendar
            and not current.is_date
        ):
            return "leading_zero"
        return ""

    def _other_family(self, current: Version, version: Version) -> str:
        if version.prefix != current.prefix and self.include is None:
            return "prefix"
        if not version.has_shape_of(current) and (self.include is None or self.current_is_included):
            return "suffix"
        if version.is_prerelease and not current.is_prerelease:
            return "prerelease"
        return ""

    def _is_allowed(self, current: Version, tag: str, version: Version) -> bool:
        if tag in self.rules.ignored:
            self._drop("ignored", tag)
            return False
        kept = {"": 0, "major": 1, "minor": 2}[self.rules.stay]
        if version.parts[:kept] != current.parts[:kept]:
            self._drop("stay", tag)
            return False
        return True

    def _order(self, found: tuple[str, Version]) -> tuple[object, str]:
        """Newest last; of equal ones by the bytes of the tag, so that the answer is stable."""
        return found[1].key(self.ignored_places), found[0]

    def _best(self, current: Version, found: list[tuple[str, Version]], *, note: bool) -> tuple[str, Version] | None:
        releases = [item for item in found if not item[1].is_prerelease]
        if current.is_prerelease and releases and len(releases) < len(found):
            if note:
                for tag, version in found:
                    if version.is_prerelease:
                        self._drop("release_first", tag)
            found = releases
        return max(found, key=self._order, default=None)

    def _choice(
        self,
        *,
        update: tuple[str, Version] | None = None,
        in_major: tuple[str, Version] | None = None,
        in_minor: tuple[str, Version] | None = None,
        others: tuple[int, str] = (0, ""),
        withheld: str = "",
        reason: Reason = "",
        problem: str = "",
    ) -> Choice:
        return Choice(
            update=update[0] if update else "",
            change=change_between(self.version, update[1]) if update and self.version else "none",
            reason=reason,
            problem=problem,
            version=self.version,
            in_major=in_major[0] if in_major else "",
            in_minor=in_minor[0] if in_minor else "",
            other_variants=others[0],
            other_best=others[1],
            withheld=withheld,
        )

    def _note_result(self, choice: Choice) -> None:
        if choice.update:
            text = f"Offered: {self.current} → {choice.update} ({choice.change})."
        else:
            text = f"No newer tag of this family: {self.current} is the newest."
        self.trace.note("result", text, outcome="result")
