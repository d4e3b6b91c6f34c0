# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a stranger has it: built, and installed into a project that knows nothing of this checkout."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import ROOT, Played

CONFIGURATION = """\
[defaults]
collections_path = collections
inventory = inventory.yml
"""


@dataclass(frozen=True)
class Project:
    """A folder with a configuration, an inventory and the collection; nothing leads from it to the checkout."""

    folder: Path
    environment: dict[str, str]

    def run(self, *argv: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it; standard error is part of its output. ``more`` is added to the environment."""
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
        return done

    def play(self, playbook: str, *arguments: str, ok: bool = True, **variables: Any) -> Played:
        """Run a playbook: a file of the project, or one of the collection by its full name."""
        record = self.folder / f".{secrets.token_hex(4)}.jsonl"
        extra: Sequence[str] = ["-e", json.dumps(variables)] if variables else []
        started = time.monotonic()
        done = self.run("ansible-playbook", playbook, *arguments, *extra, check=ok, RECORD_FILE=str(record))
        seconds = time.monotonic() - started
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        stats: dict[str, dict[str, int]] = next((line["stats"] for line in lines if "stats" in line), {})
        return Played(done.returncode, done.stdout, seconds, [line for line in lines if "task" in line], stats)


def make_project(folder: Path, environment: dict[str, str]) -> Project:
    """Build the collection, and install it as one does who has the file alone and no network."""
    mine = {
        key: value for key, value in environment.items() if key not in ("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH")
    }
    project = Project(folder, {**mine, "ANSIBLE_HOME": str(folder / ".home")})
    (folder / "ansible.cfg").write_text(CONFIGURATION)
    (folder / "inventory.yml").write_text((ROOT / "inventory" / "localhost.yml").read_text())
    project.run("ansible-galaxy", "collection", "build", "--output-path", "dist", str(ROOT))
    (tarball,) = (folder / "dist").glob("nodeforge-kic-*.tar.gz")
    project.run("ansible-galaxy", "collection", "install", "--offline", "--no-deps", str(tarball))
    return project
