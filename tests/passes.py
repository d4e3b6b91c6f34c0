# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of tests that passed, and of the state in which they did, so that a run can go on where another ended.

A pass counts while everything that can change the result (tests/areas.py) is as it was then.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from .areas import AREAS, Area, area_of, contents, state_of

FILE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nodeforge.kic" / "tests" / "passes.json"
_PROGRAMS = ("podman", "runc", "crun", "dockerd", "netavark", "qemu-system-x86_64")


@cache
def machine() -> str:
    """What results depend on besides the checkout: the versions of Python, the kernel and the engines."""
    found = [platform.python_version(), platform.release()]
    for program in _PROGRAMS:
        try:
            done = subprocess.run(
                [program, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=20,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        found.append(done.stdout.partition("\n")[0])
    return "\n".join(found)


def present() -> dict[str, str]:
    """The digest of the state of each area, by its name; empty where there is no git to list the files."""
    files = contents()
    programs = machine() if files else ""
    return {area.name: state_of(area, files, programs) for area in AREAS} if files else {}


class Passes:
    """Which tests have passed in the present state. ``states`` maps the name of an area to the digest of its state."""

    def __init__(self, file: Path = FILE, states: dict[str, str] | None = None) -> None:
        self._file = file
        self.states = present() if states is None else states
        self._new: dict[str, dict[str, object]] = {}
        self._record = self._read()

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            found: dict[str, dict[str, object]] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def passed(self, nodeid: str) -> bool:
        """Tell whether the test passed, and nothing that can change its result has changed since."""
        state = self.states.get(area_of(nodeid).name)
        return state is not None and self._record.get(nodeid, {}).get("state") == state

    def of(self, area: Area) -> tuple[int, int, float]:
        """Of the tests of an area that ever passed: how many did in this state, how many did not, and the seconds these take."""
        nodeids = [nodeid for nodeid in self._record if area_of(nodeid) is area]
        open_ = [nodeid for nodeid in nodeids if not self.passed(nodeid)]
        return len(nodeids) - len(open_), len(open_), sum(float(str(self._record[item]["seconds"])) for item in open_)

    def add(self, nodeid: str, seconds: float) -> None:
        """Take note of a pass; ``seconds`` with set-up and tear-down."""
        state = self.states.get(area_of(nodeid).name)
        if state is not None:
            self._new[nodeid] = {"state": state, "seconds": round(seconds, 2)}

    def remove(self, nodeid: str) -> None:
        """Forget a pass: the test failed."""
        self._new[nodeid] = {"state": "", "seconds": 0.0}

    def drop_changed(self) -> list[str]:
        """Forget what this run noted of areas whose files were changed meanwhile; the names of these areas."""
        now = present()
        changed = [name for name, state in self.states.items() if now.get(name) != state]
        self._new = {nodeid: entry for nodeid, entry in self._new.items() if area_of(nodeid).name not in changed}
        return changed

    def save(self) -> None:
        """Write what is new into the record; a reader sees the old one or the new one, and another run's notes stay."""
        self._record = {**self._read(), **self._new}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        new.write_text(json.dumps(self._record, indent=0, sort_keys=True) + "\n")
        new.replace(self._file)
