"""Build static/vendor/icons.svg, the sprite of the icons that the templates use.

Reads the icon set and the names from the key ``icons`` of package.json and the drawings from
node_modules/<set>/icons/<name>.svg. Run by `make assets` after the packages are installed.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPRITE = ROOT / "static" / "vendor" / "icons.svg"
# Drawn by ourselves: a filled dot, and the product's mark.
OWN = {
    "dot": '<circle cx="12" cy="12" r="10"/>',
    "mark": '<rect x="2" y="2" width="20" height="20" rx="6" fill="currentColor" stroke="none"/>'
    '<path d="M7 9.5h10M7 14.5h6" stroke="#fff" stroke-width="2.2" stroke-linecap="round"/>'
    '<circle cx="16.6" cy="14.5" r="1.5" fill="#fff" stroke="none"/>',
}


class SpriteError(Exception):
    """The sprite cannot be built; the text says why."""


def drawing(path: Path) -> str:
    """What stands inside the ``<svg>`` element of an icon file. Raises SpriteError."""
    try:
        text = path.read_text("utf-8")
    except OSError as exc:
        raise SpriteError(f"{path.name}: no such icon in the set ({exc.strerror})") from exc
    match = re.search(r"<svg[^>]*>(.*)</svg>", text, re.DOTALL)
    if match is None:
        raise SpriteError(f"{path.name}: not an SVG file")
    return re.sub(r"\s+", " ", match.group(1)).strip()


def build(root: Path = ROOT) -> str:
    """The sprite's text: one ``<symbol>`` an icon, in the order of names. Raises SpriteError."""
    wanted = json.loads((root / "package.json").read_text("utf-8"))["icons"]
    folder = root / "node_modules" / wanted["set"] / "icons"
    if not folder.is_dir():
        raise SpriteError(f"{folder} is missing: run `make assets`")
    drawings = {name: drawing(folder / f"{name}.svg") for name in wanted["names"]} | OWN
    symbols = "".join(
        f'<symbol id="{name}" viewBox="0 0 24 24" stroke-linecap="round" stroke-linejoin="round">{inner}</symbol>\n'
        for name, inner in sorted(drawings.items())
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{symbols}</svg>\n'


def main() -> int:
    """Write the sprite; 1 with one line on standard error when that fails."""
    try:
        text = build()
    except SpriteError as exc:
        sys.stderr.write(f"icons: {exc}\n")
        return 1
    SPRITE.parent.mkdir(parents=True, exist_ok=True)
    SPRITE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
