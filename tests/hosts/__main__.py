# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""make host: a fresh host of the tests, or a shell on it (ARGS=shell, ARGS='shell dev', ARGS=down)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from .disk import HostError, cache, node_archive, obstacle
from .machine import USER, Host, resume


def main() -> int:
    """Run the command; the exit code is 1 where there is no host."""
    parser = argparse.ArgumentParser(prog="make host ARGS=", description=__doc__)
    parser.add_argument("command", nargs="?", default="up", choices=("up", "shell", "down"))
    parser.add_argument("user", nargs="?", default="root", choices=("root", USER), help="whose shell")
    chosen = parser.parse_args()
    problem = obstacle()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    folder = cache() / "running"
    record = folder / "host.json"
    host = _running(folder, record)
    if chosen.command != "shell" or host is None:
        if host is not None:
            host.end()
        shutil.rmtree(folder, ignore_errors=True)
        host = None
    if chosen.command == "down":
        return 0
    if host is None:
        started = time.monotonic()
        folder.mkdir(parents=True)
        host = resume(folder, node_archive(make=False))
        record.write_text(json.dumps({"port": host.port, "pid": host.pid, "key": str(host.key)}))
        (folder / "inventory.yml").write_text(json.dumps(host.inventory(), indent=1) + "\n")
        print(
            f"fresh host after {time.monotonic() - started:.1f} s; ansible-playbook -i {folder / 'inventory.yml'} ..."
        )
    if chosen.command == "shell":
        command = host.command(chosen.user)
        os.execvp(command[0], command)
    print(" ".join(host.command()))
    return 0


def _running(folder: Path, record: Path) -> Host | None:
    """The host that an earlier command left running."""
    try:
        found = json.loads(record.read_text())
    except FileNotFoundError:
        return None
    host = Host(folder, Path(found["key"]), found["port"], found["pid"])
    return host if host.alive() else None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HostError as error:
        sys.exit(str(error))
