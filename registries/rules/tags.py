"""Tags as versions: which numbers a tag holds, which family it belongs to, which of two is newer. Pure.

A tag is divided into prefix, main number and suffix. The prefix (all before the number) and the identity words of the
suffix say what the tag is of (``-alpine``, ``-pg14``); numbers, prerelease markers and counters say how new it is.
Parts are decimals of any length. Not semver: ``rc10`` is newer than ``rc2``, four parts are four parts, and what
follows a hyphen is not a prerelease by itself.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final, Literal

# A tag has at most 128 characters, a transformed one may have a few more; longer text is no version.
MAX_LENGTH: Final = 256
# Years before it are numbers like any other.
FIRST_YEAR: Final = 1970

_ARCHITECTURE: Final = re.compile(
    r"(?<![a-z0-9])(?:amd64(?:v[1-4])?|arm64(?:v8)?|arm32v[5-8]|armv[5-8]|armhf|armel|aarch64|i[3-6]86|x86_64"
    r"|ppc64(?:le)?|s390x|riscv64|mips64(?:le|el)?|loong(?:arch)?64)(?![a-z0-9])",
    re.ASCII,
)
_WORD: Final = re.compile(r"[^-_.+]+")
_COMMIT: Final = re.compile(r"g?(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,40}", re.ASCII)
# "0b20240101" after "1.0." is the last part of a version and a prerelease, not a commit.
_PART_AND_MARKER: Final = re.compile(r"[0-9]{1,4}(?:a|b|c|dev)[0-9]+", re.ASCII)
_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
# After a dot only where that does not go on a number glued to letters ("php8.2").
_NUMBER: Final = re.compile(
    rf"(?:^|(?<=[-_+])|(?<=[^0-9]\.))v?(?P<number>{_DATE}(?:t[0-9]{{2}}-[0-9]{{2}}-[0-9]{{2}}z)?(?![0-9])"
    r"|[0-9]+(?:\.[0-9]+)*)",
    re.ASCII,
)
_SIMPLE_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_GLUED: Final = re.compile(r"(?<=[a-z])(?P<number>[0-9]+(?:\.[0-9]+)+)", re.ASCII)
_COUNTER_WORDS: Final = "ls|rev|r|build|bp|b|pl|p|u|patch|hotfix|sp|k3s|rke2r"
_COUNTER: Final = re.compile(rf"(?P<word>{_COUNTER_WORDS})(?P<number>[0-9]+)", re.ASCII)
_COUNTER_AT_END: Final = re.compile(rf"(?<=[-_.+])(?:{_COUNTER_WORDS})(?P<number>[0-9]+)$", re.ASCII)
_MARKER: Final = re.compile(r"(?P<word>[a-z]+)(?P<number>[0-9]*)", re.ASCII)
_PIECE: Final = re.compile(rf"(?P<separator>[-_.+]*)(?P<word>{_DATE}(?![0-9a-z])|[^-_.+]+)", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
# From here on digits alone may be a commit.
_LONG: Final = 7

_RANKS: Final[dict[str, int]] = {
    word: rank
    for rank, words in enumerate(
        (
            "dev develop snapshot nightly canary unstable test testing experimental edge insider insiders",
            "alpha a",
            "beta b",
            "pre preview milestone ea m",
            "rc c cr",
        )
    )
    for word in words.split()
}
# After the last marker: what has no further one is newer than what has ("b3.dev101" comes before "b3").
_NO_MARKER: Final = (len(_RANKS), ())

PlaceKind = Literal["identity", "counter", "bare", "long", "commit", "date", "long_identity"]
Marker = tuple[int, tuple[int, ...]]
# Sorts; see Version.key.
Key = tuple[tuple[int, ...], tuple[Marker, ...], tuple[int, ...]]
Change = Literal["major", "minor", "patch", "revision", "prerelease", "unknown"]


@dataclass(frozen=True, slots=True)
class Place:
    """One word of a suffix. ``text`` is what must be equal; ``number`` what is compared (None: nothing)."""

    kind: PlaceKind
    text: str
    number: int | None

    def matches(self, other: "Place") -> bool:
        """Whether both are the same place of one family; digits alone may stand where another tag has a commit."""
        kinds = {self.kind, other.kind}
        if "commit" in kinds and kinds <= {"commit", "long", "long_identity", "date"}:
            return self.kind == "commit" or self._may_be_commit() if other.kind == "commit" else other._may_be_commit()
        return self.kind == other.kind and self.text == other.text

    def _may_be_commit(self) -> bool:
        return self.kind != "date" or len(str(self.number)) >= _LONG


@dataclass(frozen=True, slots=True)
class Version:
    """A tag that is a version.

    ``numbers`` are the parts of the main number as written. ``places`` are the words of the suffix but for the
    prerelease markers, which are ``markers`` (``prerelease`` as text). ``is_counter``: the tag holds no other number
    than a counter at its end (``33acdda4-ls73``).
    """

    text: str
    prefix: str
    numbers: tuple[str, ...]
    is_date: bool
    is_counter: bool
    places: tuple[Place, ...]
    markers: tuple[Marker, ...]
    prerelease: str
    parts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Read the parts once; they are compared often."""
        object.__setattr__(self, "parts", tuple(int(number) for number in self.numbers))

    @property
    def is_prerelease(self) -> bool:
        """Whether it has a prerelease marker."""
        return bool(self.markers)

    @property
    def is_calendar(self) -> bool:
        """Whether its parts look like year and month: leading zeros then mean nothing."""
        if len(self.numbers[0]) == 4 and self.parts[0] >= FIRST_YEAR:
            return True
        if len(self.numbers) < 2:
            return False
        year, month = self.numbers[:2]
        return len(year) == 2 and len(month) == 2 and 1 <= int(month) <= 12

    @property
    def has_leading_zero(self) -> bool:
        """Whether a part is written with a leading zero."""
        return any(len(number) > 1 and number[0] == "0" for number in self.numbers)

    @property
    def has_counters(self) -> bool:
        """Whether a counter or a date of the suffix tells builds apart."""
        return any(place.number is not None for place in self.places)

    def key(self, ignored: frozenset[int] = frozenset()) -> Key:
        """What sorts versions of one family, oldest first; the places of those indexes are not looked at.

        Number parts from left to right; then a release after its prereleases, those by marker and number; then
        counters in their places. A commit says nothing and sorts before any number; words are not looked at.
        """
        counters = tuple(
            -1 if place.number is None or index in ignored else place.number
            for index, place in enumerate(self.places)
            if place.kind != "identity"
        )
        return self.parts, (*self.markers, _NO_MARKER), counters

    @property
    def commit_places(self) -> frozenset[int]:
        """Indexes of the places that hold a commit, where no order is to be found."""
        return frozenset(index for index, place in enumerate(self.places) if place.kind == "commit")

    def has_shape_of(self, other: "Version") -> bool:
        """Whether both suffixes consist of the same words in the same places, numbers and markers apart."""
        return len(self.places) == len(other.places) and all(
            mine.matches(theirs) for mine, theirs in zip(self.places, other.places, strict=True)
        )


# A repository's tags are read anew for each container that uses it.
@lru_cache(maxsize=16_384)
def parse_version(text: str) -> Version | None:
    """The version that a tag is; None for a word, a commit, or what is too long to be a tag."""
    if not text or len(text) > MAX_LENGTH:
        return None
    lower = text.lower() if text.isascii() else _lowered(text)
    masked = _mask(lower)
    found = _main_number(masked)
    if found is None:
        return None
    start, end, is_counter = found
    numbers, is_date = _parts(lower[start:end])
    places, markers, prerelease = _suffix(lower[end:], masked[end:])
    return Version(
        text=text,
        prefix=lower[:start],
        numbers=numbers,
        is_date=is_date and not is_counter,
        is_counter=is_counter,
        places=places,
        markers=markers,
        prerelease=text[end:][prerelease[0] : prerelease[1]] if prerelease else "",
    )


def _lowered(text: str) -> str:
    """Lower case without a change of length, which positions depend on (a transform may give any text)."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def _mask(text: str) -> str:
    """The text with architectures and commits blanked, so that no number is found in them."""
    text = _ARCHITECTURE.sub(lambda match: "x" * len(match[0]), text)
    for match in _WORD.finditer(text):
        if _COMMIT.fullmatch(match[0]) and not (
            text[: match.start()][-1:] == "." and _PART_AND_MARKER.fullmatch(match[0])
        ):
            text = text[: match.start()] + "x" * len(match[0]) + text[match.end() :]
    return text


def _main_number(masked: str) -> tuple[int, int, bool] | None:
    """Start and end of the main number, and whether it is but a counter."""
    first: tuple[int, int] | None = None
    position = 0
    while match := _NUMBER.search(masked, position):
        number = match["number"]
        start, end = match.span("number")
        if "-" in number and not _is_date(number[:4], number[5:7], number[8:10]):
            simple = _SIMPLE_NUMBER.match(number)
            end = start + (simple.end() if simple else 1)
            number = masked[start:end]
        if "." in number or "-" in number:
            return start, end, False
        first = first or (start, end)
        position = end
    if first:
        return (*first, False)
    if glued := _GLUED.search(masked):
        return (*glued.span("number"), False)
    if counter := _COUNTER_AT_END.search(masked):
        return (*counter.span("number"), True)
    return None


def _parts(number: str) -> tuple[tuple[str, ...], bool]:
    if "-" in number:
        return tuple(_DIGITS.findall(number)), True
    parts = tuple(number.split("."))
    return parts, is_compact_date(parts[0])


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        return date(int(year), int(month), int(day)).year >= FIRST_YEAR
    except ValueError:
        return False


def is_compact_date(digits: str) -> bool:
    """Whether 8, 10, 12 or 14 digits begin with a valid date (``20240227``, ``20240227153000``)."""
    return len(digits) in (8, 10, 12, 14) and _is_date(digits[:4], digits[4:6], digits[6:8])


def _suffix(text: str, masked: str) -> tuple[tuple[Place, ...], tuple[Marker, ...], tuple[int, int] | None]:
    """Words of a suffix in their places, its prerelease markers, and where the text of those stands."""
    places: list[Place] = []
    markers: list[tuple[int, list[int]]] = []
    span: tuple[int, int] | None = None
    after_identity = in_marker = False
    for piece in _PIECE.finditer(text):
        word, separator = piece["word"], piece["separator"]
        is_masked = masked[piece.start("word") : piece.end("word")] != word
        if in_marker and _DIGITS.fullmatch(word):
            markers[-1][1].append(int(word))
            span = (span[0] if span else piece.start("word"), piece.end())
            continue
        in_marker = False
        marker = None if is_masked else _marker(word, is_glued=not separator)
        if marker is not None:
            markers.append(marker)
            span = (span[0] if span else piece.start("word"), piece.end())
            in_marker, after_identity = True, False
            continue
        place = _place(word, separator, is_commit=is_masked, after_identity=after_identity)
        after_identity = place.kind in ("identity", "long_identity")
        places.append(place)
    return tuple(places), tuple((rank, tuple(numbers)) for rank, numbers in markers), span


def _marker(word: str, *, is_glued: bool) -> tuple[int, list[int]] | None:
    match = _MARKER.fullmatch(word)
    if match is None or match["word"] not in _RANKS:
        return None
    if len(match["word"]) == 1 and (not match["number"] or (match["word"] == "b" and not is_glued)):
        # "3.13.0b1" is a beta, "8u402-b06" a build; a letter alone is neither.
        return None
    return _RANKS[match["word"]], [int(match["number"])] if match["number"] else []


def _place(word: str, separator: str, *, is_commit: bool, after_identity: bool) -> Place:
    if counter := _COUNTER.fullmatch(word):
        return Place("counter", counter["word"], int(counter["number"]))
    if is_commit and _COMMIT.fullmatch(word):
        return Place("commit", "", None)
    if "-" in word and _is_date(word[:4], word[5:7], word[8:10]):
        return Place("date", "-", int(word.replace("-", "")))
    if _DIGITS.fullmatch(word):
        if is_compact_date(word):
            return Place("date", "", int(word))
        if after_identity:
            kind: PlaceKind = "long_identity" if len(word) >= _LONG else "identity"
            return Place(kind, separator + word, None)
        return Place("long" if len(word) >= _LONG else "bare", "", int(word))
    return Place("identity", separator + word, None)


def change_between(current: Version, newer: Version) -> Change:
    """What kind of step it is from one version to a newer one of its family.

    Dates tell no kind. The first part that differs decides; of equal parts a prerelease that differs, else it is
    a revision (a build counter grew).
    """
    if current.is_date or newer.is_date:
        return "unknown"
    if current.is_counter:
        return "revision"
    for index, (old, new) in enumerate(zip(current.parts, newer.parts, strict=False)):
        if old != new:
            return ("major", "minor", "patch")[index] if index < 3 else "revision"
    return "prerelease" if current.markers != newer.markers else "revision"
