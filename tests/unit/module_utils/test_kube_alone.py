# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a node around kubeadm, by its real scripts, and the name that runs of a machine share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import alone
from ansible_collections.nodeforge.kic.plugins.module_utils._node import scripts
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import MemoryEngine, fails


def bash(script: str, lock: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts as the node does."""
    command = scripts.script(node_scripts(), script, str(lock), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_lock_of_the_node(tmp_path: Path) -> None:
    """A command holds it until the last of its processes has ended, whatever became of who started it."""
    lock = tmp_path / "run" / "kubeadm"
    assert bash("wait-for-other", lock, "1", "free ").stdout == ""
    command = scripts.script(node_scripts(), "alone", str(lock), "process 7", "sh", "-c", "sleep 3; true")
    with subprocess.Popen(command) as first:
        while not (tmp_path / "run" / "kubeadm.holder").exists():
            time.sleep(0.02)
        second = bash("alone", lock, "process 8", "true")
        assert second.returncode == alone.BUSY
        waiting = bash("wait-for-other", lock, "0", "free ")
        assert (waiting.returncode, waiting.stdout) == (alone.BUSY, "process 7\n")
        # As by a client that is killed: its shell goes, what it runs stays.
        os.kill(first.pid, signal.SIGKILL)
        assert bash("wait-for-other", lock, "30", "held process 7").stdout == "waited\n"
    third = bash("alone", lock, "process 9", "echo", "ran")
    assert (third.returncode, third.stdout) == (0, "ran\n")
    assert bash("wait-for-other", lock, "0", "free process 9").stdout == ""
    # One that ended after the look began, and one that began and ended since.
    for seen in ("held process 9", "free process 7", "free "):
        assert bash("wait-for-other", lock, "0", seen).stdout == "waited\n"


def test_name_is_gone_with_its_holder() -> None:
    """A run that is killed leaves nothing that keeps the next one waiting."""
    script = (
        "import sys, time\n"
        "from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.alone import only_run\n"
        "from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import MemoryEngine\n"
        "with only_run(MemoryEngine(), 'kictest-alone', 1):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with (
            fails("node_busy", f"process {first.pid} of the user {os.geteuid()}"),
            alone.only_run(MemoryEngine(), "kictest-alone", 0.3),
        ):
            print("two runs at once")
        first.kill()
    with alone.only_run(MemoryEngine(), "kictest-alone", 5):
        pass
