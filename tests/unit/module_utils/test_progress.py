# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a long task is waiting for is read while it runs, and by nothing else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path

from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._state.progress import reported, waited_for

NODES = (Operation("start", "node", "one"), Operation("start", "node", "two"))


def test_what_is_waited_for(tmp_path: Path) -> None:
    """It is named with what is left, in a file for its user alone, which is gone when the task ends."""
    base, since = str(tmp_path), time.time() - 1
    with reported(base) as report:
        assert waited_for(since, base) == ""
        report(NODES, 3)
        assert waited_for(since, base) == "start node one, start node two; then 3 more"
        report(NODES[:1], 0)
        assert waited_for(since, base) == "start node one"
        (path,) = (tmp_path / "progress").iterdir()
        assert [stat.S_IMODE(item.stat().st_mode) for item in (path, path.parent)] == [0o600, 0o700]
    assert waited_for(since, base) == "" and list((tmp_path / "progress").iterdir()) == []


def test_what_is_not_read(tmp_path: Path) -> None:
    """A task of before, one that was killed, and two at once, of which nobody knows which is meant."""
    base = str(tmp_path)
    with reported(base) as report:
        report(NODES, 0)
        assert waited_for(time.time() + 60, base) == ""
        (path,) = (tmp_path / "progress").iterdir()
        path.with_name("text.json").write_text("not JSON")
        ended = subprocess.Popen(["true"])
        ended.wait()
        other = path.with_name("other.json")
        other.write_text(json.dumps({"pid": ended.pid, "running": ["x"], "left": 0}))
        assert waited_for(0, base) == "start node one, start node two"
        other.write_text(json.dumps({"pid": os.getpid(), "running": ["x"], "left": 0}))
        assert waited_for(0, base) == ""


def test_a_file_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    """The task goes on without it, also where others could write there."""
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "progress").write_text("a file in the place of the directory")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for base in (str(tmp_path / "file"), str(tmp_path / "open")):
        with reported(base) as report:
            report(NODES, 0)
        assert waited_for(0, base) == ""
