# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The comparison of the documented interface."""

from __future__ import annotations

import subprocess
import sys

from ansible_collections.nodeforge.kic.tests.areas import ROOT


def compare(*references: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, str(ROOT / "tools" / "interface.py"), *references]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_nothing_differs_from_itself() -> None:
    """One state: no line, and the exit code of success."""
    done = compare("HEAD", "HEAD")
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_what_is_gone_breaks() -> None:
    """Against a state that documents nothing, each part is gone: an option of a module, of a role, a returned key."""
    nothing = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin"],
        cwd=ROOT,
        input="",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    gone = compare("HEAD", nothing)
    assert gone.returncode == 1, gone.stderr
    for part in (
        "- module kic_node (present)",
        "- module kic_node: state (type: str, default: started",
        "- module kic_node returns node.ip (str)",
        "- role kic_cluster: kic_cluster_timeout (type: int, default: 600)",
    ):
        assert part in gone.stdout
    new = compare(nothing, "HEAD")
    assert new.returncode == 0 and "+ module kic_node (present)" in new.stdout
