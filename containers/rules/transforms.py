"""``wud.tag.transform``: rewrite a tag before it is compared. Two syntaxes, told apart by a leading ``s/``. Pure.

Arrow: ``pattern => replacement``; the result is the replacement alone. Sed: ``s/a/b/flags`` steps, chained by ``|``.
``$n`` is group n, as many digits as name a group; in the sed form ``\\n`` too. A group that took no part is empty.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from containers.rules.patterns import MAX_LENGTH, InvalidPatternError, compile_pattern

# A tag has at most 128 characters; steps that multiply what they find must not fill the memory.
MAX_RESULT: Final = 256
_MAX_STEPS: Final = 50
_ARROW: Final = "=>"
_DOLLAR: Final = re.compile(r"\$([0-9]+)", re.ASCII)
_DOLLAR_OR_BACKSLASH: Final = re.compile(r"\$([0-9]+)|\\([0-9]+)|\\([^0-9])", re.ASCII | re.DOTALL)
_FLAGS: Final = re.compile(r"[A-Za-z]*", re.ASCII)
_CHAIN: Final = re.compile(r"\s*\|\s*(?=s/)")


@dataclass(frozen=True, slots=True)
class Transformed:
    """What became of a tag; ``warning`` says why it was left as it was, and is empty when all went well."""

    result: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    pattern: Any
    replacement: str
    is_arrow: bool
    is_global: bool

    def apply(self, text: str) -> str:
        match = self.pattern.search(text)
        if match is None:
            return text
        if self.is_arrow:
            return _expand(self.replacement, match, _DOLLAR)
        return _bounded(self.pattern, self.replacement, text, count=0 if self.is_global else 1)


def _bounded(pattern: Any, replacement: str, text: str, *, count: int) -> str:
    """Replace; stops growing beyond what is allowed (the caller refuses it)."""
    length = 0

    def expand(match: Any) -> str:
        nonlocal length
        if length > MAX_RESULT:
            return ""
        expanded = _expand(replacement, match, _DOLLAR_OR_BACKSLASH)
        length += len(expanded)
        return expanded

    replaced: str = pattern.sub(expand, text, count=count)
    return replaced


def _expand(replacement: str, match: Any, references: re.Pattern[str]) -> str:
    groups = match.re.groups

    def value(found: re.Match[str]) -> str:
        if found.lastindex == 3:
            return found[3]
        digits = found[found.lastindex or 1]
        for end in range(len(digits), 0, -1):
            # "$10" is group 10 where there is one, else group 1 and a zero.
            if end <= 3 and int(digits[:end]) <= groups:
                return (match.group(int(digits[:end])) or "") + digits[end:]
        return found[0]

    return references.sub(value, replacement)


class Transform:
    """A transform ready to be used on many tags. Never raises; ``problem`` is empty when its text is right."""

    def __init__(self, text: str) -> None:
        """Compile it; empty text changes nothing."""
        self.problem = ""
        self._steps: list[_Step] = []
        text = text.strip()
        if not text:
            return
        try:
            if len(text) > MAX_LENGTH:
                raise InvalidPatternError(f"It has {len(text)} characters; {MAX_LENGTH} are allowed.")
            self._steps = _sed_steps(text) if text.startswith("s/") else [_arrow_step(text)]
        except InvalidPatternError as exc:
            self.problem = str(exc)

    def __bool__(self) -> bool:
        """Whether it can change a tag at all."""
        return bool(self._steps)

    def apply(self, tag: str) -> Transformed:
        """The tag rewritten, or as it is with a warning."""
        if self.problem:
            return Transformed(tag, self.problem)
        result = tag
        for step in self._steps:
            result = step.apply(result)
            if len(result) > MAX_RESULT:
                return Transformed(tag, f"It makes more than {MAX_RESULT} characters of “{tag[:128]}”.")
        if not result:
            return Transformed(tag, f"It leaves nothing of “{tag[:128]}”.")
        return Transformed(result)


def _arrow_step(text: str) -> _Step:
    if text.count(_ARROW) != 1:
        raise InvalidPatternError("It must be “pattern => replacement” with one arrow, or “s/pattern/replacement/”.")
    pattern, _arrow, replacement = text.partition(_ARROW)
    return _Step(compile_pattern(pattern.strip()), replacement.strip(), is_arrow=True, is_global=False)


def _sed_steps(text: str) -> list[_Step]:
    steps: list[_Step] = []
    position = 0
    while True:
        step, position = _sed_step(text, position)
        steps.append(step)
        if position == len(text):
            return steps
        chain = _CHAIN.match(text, position)
        if chain is None:
            raise InvalidPatternError(f"After step {len(steps)} there must be its end, or “|” and the next “s/”.")
        if len(steps) == _MAX_STEPS:
            raise InvalidPatternError(f"It has more than {_MAX_STEPS} steps.")
        position = chain.end()


def _sed_step(text: str, start: int) -> tuple[_Step, int]:
    """One ``s/a/b/flags`` that begins there, and where it ends."""
    pattern, position = _until_slash(text, start + 2)
    replacement, position = _until_slash(text, position)
    flags = _FLAGS.match(text, position)
    letters = flags[0] if flags else ""
    if unknown := sorted(set(letters) - {"g", "i"}):
        raise InvalidPatternError(f"The flag “{unknown[0]}” is not known; g and i are.")
    compiled = compile_pattern(pattern, ignore_case="i" in letters)
    return _Step(compiled, replacement, is_arrow=False, is_global="g" in letters), position + len(letters)


def _until_slash(text: str, start: int) -> tuple[str, int]:
    """What stands before the next slash that is not escaped, ``\\/`` made a slash; and where it goes on."""
    taken: list[str] = []
    position = start
    while position < len(text):
        char = text[position]
        if char == "/":
            return "".join(taken), position + 1
        if char == "\\" and position + 1 < len(text):
            following = text[position + 1]
            taken.append("/" if following == "/" else char + following)
            position += 2
            continue
        taken.append(char)
        position += 1
    raise InvalidPatternError("A step is not finished: “s/pattern/replacement/” needs three slashes.")
