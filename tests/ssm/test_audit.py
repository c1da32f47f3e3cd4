"""The check of lock files: what is not pinned with hashes, missing, or runs scripts is told."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """The script as a module."""
    path = Path(__file__).resolve().parents[2] / "scripts" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "is_fine"),
    [
        (f"redis==8.1.0 \\\n    {HASH} \\\n    {HASH}", True),
        (f"async-timeout==5.0.1 ; python_full_version < '3.11.3' \\\n    {HASH}", True),
        ("redis==8.1.0", False),
        (f"redis>=8 {HASH}", False),
        (f"redis @ https://example.org/redis.whl {HASH}", False),
        ("--extra-index-url https://example.org/simple", False),
        ("-e .", False),
    ],
)
def test_line_of_a_lock_file_is_an_exact_version_with_hashes(line: str, *, is_fine: bool, audit: ModuleType) -> None:
    names, wrong = audit.locked(line)

    assert bool(names) == is_fine
    assert bool(wrong) != is_fine


def test_own_lock_files_have_no_problem(audit: ModuleType) -> None:
    assert audit.python_problems() == []


def test_package_without_hash_or_with_a_script_is_told(audit: ModuleType) -> None:
    problems = audit.npm_problems(
        {
            "packages": {
                "": {},
                "node_modules/good": {"integrity": "sha512-x"},
                "node_modules/unproved": {},
                "node_modules/eager": {"integrity": "sha512-x", "hasInstallScript": True},
            }
        }
    )

    assert [problem.split(" ")[1] for problem in problems] == ["node_modules/unproved", "node_modules/eager"]
