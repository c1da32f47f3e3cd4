"""What a browser or a program calls itself, in words (pure). Nobody is believed for it: it only helps to recognise."""

import re
from typing import Final

# The first that is found counts: most browsers call themselves by the names of others too.
_BROWSERS: Final = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/(\d{1,4})")),
    ("Opera", re.compile(r"\bOPR/(\d{1,4})")),
    ("Vivaldi", re.compile(r"\bVivaldi/(\d{1,4})")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/(\d{1,4})")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d{1,4})")),
    ("Chromium", re.compile(r"\bChromium/(\d{1,4})")),
    ("Chrome", re.compile(r"\b(?:HeadlessChrome|Chrome|CriOS)/(\d{1,4})")),
    ("Safari", re.compile(r"\bVersion/(\d{1,4})[.\d]{0,12} (?:Mobile/\w{1,12} )?Safari/")),
)
_SYSTEMS: Final = (
    ("Android", re.compile(r"\bAndroid\b")),
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMac(?:intosh| OS X)\b")),
    ("FreeBSD", re.compile(r"\bFreeBSD\b")),
    ("Linux", re.compile(r"\b(?:Linux|X11)\b")),
)
# A program: "curl/8.5.0", "python-httpx/0.28".
_PROGRAM: Final = re.compile(r"([A-Za-z][\w.-]{0,30})/(\d[\w.]{0,15})(?:\s|\Z)")
_LONGEST: Final = 60


def user_agent_in_words(text: str) -> str:
    """Such as "Firefox 128 on Linux" or "curl 8.5.0"; what nobody knows is told as it is, cut; empty for nothing."""
    browser = next((f"{name} {found[1]}" for name, sign in _BROWSERS if (found := sign.search(text))), "")
    system = next((name for name, sign in _SYSTEMS if sign.search(text)), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    if (program := _PROGRAM.match(text)) and program[1] != "Mozilla":
        return f"{program[1]} {program[2]}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
