"""What is installed is what was locked, and none of it is known to be vulnerable.

The lock files are checked always: exact versions with hashes, from no address of their own, for everything that the
.in files name; npm packages with SHA-512 and without install scripts. Known vulnerabilities are asked for where a
database can be reached; where none can, that is said, and the rest counts.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
REQUIREMENTS = PROJECT / "requirements"
PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==[^\s;]+(?: ;[^\\]+)?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)
AUDIT_S = 120


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> tuple[set[str], list[str]]:
    """Names of a lock file that are pinned with hashes, and the lines that are anything else."""
    names, wrong = set(), []
    for line in text.replace("\\\n", " ").splitlines():
        entry = " ".join(line.split())
        if not entry or entry.startswith("#"):
            continue
        match = PIN.fullmatch(entry)
        if match is None:
            wrong.append(entry[:80])
        else:
            names.add(normal(match["name"]))
    return names, wrong


def wanted(text: str) -> set[str]:
    """Names that an .in file asks for."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    matches = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if line and not line.startswith("-"))
    return {normal(match[0]) for match in matches if match}


def python_problems() -> list[str]:
    """What is wrong with the lock files of Python packages."""
    problems = []
    for source in sorted(REQUIREMENTS.glob("*.in")):
        target = source.with_suffix(".txt")
        names, wrong = locked(target.read_text())
        problems += [f"{target.name}: not an exact version with hashes: {entry}" for entry in wrong]
        problems += [
            f"{target.name}: {name} of {source.name} is missing" for name in wanted(source.read_text()) - names
        ]
    return problems


def npm_problems(lock: dict[str, dict[str, dict[str, object]]]) -> list[str]:
    """What is wrong with npm's lock file."""
    problems = []
    for path, entry in lock["packages"].items():
        if not path:
            continue
        if not str(entry.get("integrity", "")).startswith("sha512-"):
            problems.append(f"package-lock.json: {path} has no SHA-512")
        if entry.get("hasInstallScript"):
            problems.append(f"package-lock.json: {path} runs a script when it is installed")
    return problems


def vulnerabilities() -> list[str] | None:
    """Known vulnerabilities of what SSM runs on; None where no database could be asked."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += ["--vulnerability-service=osv", "--timeout=5", "--format=json", "-r", str(REQUIREMENTS / "base.txt")]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_S, check=False)
        report = json.loads(answer.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or '?'}"
        for package in report["dependencies"]
        for found in package.get("vulns", [])
    ]


def main() -> int:
    """Print what is wrong; 1 when anything is."""
    problems = python_problems() + npm_problems(json.loads((PROJECT / "package-lock.json").read_text()))
    known = vulnerabilities()
    problems += known or []
    note = [] if known is not None else ["no database of vulnerabilities can be reached: lock files alone were checked"]
    sys.stdout.writelines(f"{line}\n" for line in [*problems, *note])
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
