"""Copy the files that package.json lists under "vendor" from node_modules/ to static/vendor/.

The list maps a file name in static/vendor/ to a path in node_modules/.
"""

import json
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# The maps are not shipped, and collectstatic refuses a style sheet that names a missing file.
SOURCE_MAP = re.compile(rb"(?:/\*# sourceMappingURL=[^*\n]*\*/|//# sourceMappingURL=[^\n]*)")


def main(project: Path = PROJECT) -> int:
    """Exit code 0, or 2 with one line for each listed file that the packages do not hold."""
    listed: dict[str, str] = json.loads((project / "package.json").read_text()).get("vendor", {})
    source, target = project / "node_modules", project / "static" / "vendor"
    missing = [path for path in listed.values() if not (source / path).is_file()]
    for path in missing:
        sys.stderr.write(f"ssm: package.json lists {path}, which no installed package holds. Run: make assets\n")
    if missing:
        return 2
    target.mkdir(parents=True, exist_ok=True)
    for name, path in listed.items():
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(SOURCE_MAP.sub(b"", (source / path).read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
