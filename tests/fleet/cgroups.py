"""Control groups of a fleet's containers, version 1 (also hybrid) and version 2."""

import contextlib
import os
import re
import time
from pathlib import Path

from tests.fleet.shell import read_file

ROOT = Path("/sys/fs/cgroup")


def frozen_group(pid: int) -> Path | None:
    """The frozen version 1 freezer group of a process, if it is in one."""
    found = re.search(r"^\d+:freezer:(/.+)$", read_file(Path(f"/proc/{pid}/cgroup")), re.MULTILINE)
    if not found:
        return None
    group = ROOT / "freezer" / found.group(1).lstrip("/")
    frozen = read_file(group / "freezer.state").strip() in ("FROZEN", "FREEZING")
    return group if frozen else None


def thaw(group: Path) -> None:
    """Let a paused container run: frozen by version 1 it does not even die of SIGKILL before that."""
    with contextlib.suppress(OSError):
        (group / "freezer.state").write_text("THAWED")


def controllers_with(group: str) -> list[str]:
    """Names of the version 1 hierarchies in which a group exists."""
    return [entry.name for entry in ROOT.iterdir() if entry.is_dir() and (entry / group).is_dir()]


def _tops(group: str) -> list[Path]:
    if not ROOT.is_dir():
        return []
    # The freezer first: a process that is frozen keeps its groups in all the other hierarchies.
    hierarchies = sorted(
        (entry for entry in ROOT.iterdir() if entry.is_dir()), key=lambda entry: entry.name != "freezer"
    )
    return [top for top in [ROOT / group, *(entry / group for entry in hierarchies)] if top.is_dir()]


def group_exists(group: str) -> bool:
    """Whether a group is left in any hierarchy."""
    return bool(_tops(group))


def remove_groups(group: str) -> None:
    """Remove a group and all below it, in every hierarchy; one that still has processes stays.

    Tries for two seconds, as the kernel empties a group only some time after the processes' end.
    """
    for top in _tops(group):
        if (top / "freezer.state").exists():
            for place, _directories, _files in os.walk(top):
                thaw(Path(place))
        for _attempt in range(40):
            for place, _directories, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(place).rmdir()
            if not top.exists():
                break
            time.sleep(0.05)
