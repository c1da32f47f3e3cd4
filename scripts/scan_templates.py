"""Find in templates what the Content-Security-Policy forbids and what htmx with `allowEval: false` ignores.

Usage: scan_templates.py [FOLDER ...]; default: templates/. Prints file:line and the reason; exit code 1 if any.
A browser would only refuse such markup in silence, on the one page that uses it.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
COMMENT = re.compile(r"\{#.*?#\}|\{%\s*comment\b.*?%\}.*?\{%\s*endcomment\s*%\}|<!--.*?-->", re.DOTALL)
# Within one tag; template tags and quoted values may hold ">" of their own.
TAG = r"(?:[^>\"'{]|\"[^\"]*\"|'[^']*'|\{\{.*?\}\}|\{%.*?%\}|\{)*?"
REMOTE = r"\s*=\s*[\"']?\s*(?:https?:)?//"
RULES = [
    (
        re.compile(rf"<script\b(?!{TAG}\bsrc\s*=)(?!{TAG}\btype\s*=\s*[\"']application/json)", re.IGNORECASE),
        "inline script: put it into a file in static/js/, data into json_script",
    ),
    (re.compile(r"<style\b", re.IGNORECASE), "inline style sheet: put it into a file in static/css/"),
    (re.compile(rf"<\w{TAG}\sstyle\s*=", re.IGNORECASE), "style attribute: use a class, <meter> or <progress>"),
    (re.compile(rf"<\w{TAG}\son[a-z]+\s*=", re.IGNORECASE), "inline event handler: attach it in static/js/"),
    (re.compile(r"javascript:", re.IGNORECASE), "javascript: URL"),
    (re.compile(r"\b(?:data-)?hx-on\b", re.IGNORECASE), "hx-on: htmx may not evaluate code here"),
    (
        re.compile(r"\bhx-(?:vals|headers)\s*=\s*[\"']\s*js:", re.IGNORECASE),
        "js: values: htmx may not evaluate code here",
    ),
    (
        re.compile(r"\bhx-trigger\s*=\s*\"[^\"]*\[", re.IGNORECASE),
        "trigger filter [...]: htmx may not evaluate code here",
    ),
    (re.compile(rf"\b(?:src|srcset|poster){REMOTE}", re.IGNORECASE), "asset of another host: list it in package.json"),
    (re.compile(rf"<link\b{TAG}\bhref{REMOTE}", re.IGNORECASE), "asset of another host: list it in package.json"),
    (
        re.compile(r"\|\s*safe\b|\{%\s*autoescape\s+off"),
        "unescaped output: mark it safe where it is made, with a reason",
    ),
]


def findings(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and reasons, in the order of the rules; comments are skipped."""
    # Blank them out, and keep the line breaks so that the numbers stay right.
    visible = COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    for pattern, reason in RULES:
        for match in pattern.finditer(visible):
            yield visible.count("\n", 0, match.start()) + 1, reason


def main(folders: list[Path]) -> int:
    """Exit code 1 when any template has a finding."""
    count = 0
    for folder in folders:
        for path in sorted(folder.rglob("*.html")):
            for line, reason in sorted(set(findings(path.read_text(encoding="utf-8")))):
                sys.stdout.write(f"{path}:{line}: {reason}\n")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]] or [PROJECT / "templates"]))
