"""What the documents say of variables is what the code reads."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
READ = re.compile(r"env_[a-z_]+\(\s*\"([A-Z_]+)\"|env_(?:database|redis_url)\(\)")


def variables_read() -> set[str]:
    """Names of the variables that the settings and the commands read."""
    folders = [PROJECT / "ssm/management/commands", PROJECT / "ssm/services"]
    sources = [PROJECT / "ssm/settings.py", *(path for folder in folders for path in folder.glob("*.py"))]
    names = {match[1] for source in sources for match in READ.finditer(source.read_text()) if match[1]}
    return names | {"DATABASE_URL", "REDIS_URL"}


def variables_documented() -> set[str]:
    """Names in the first column of docs/configuration.md."""
    text = (PROJECT / "docs/configuration.md").read_text()
    return set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))


def test_configuration_document_names_exactly_the_variables_that_are_read() -> None:
    assert variables_documented() == variables_read()


def test_documents_link_to_files_that_exist() -> None:
    for document in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
