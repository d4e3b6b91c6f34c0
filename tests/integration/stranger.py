# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a stranger has it: built, and installed into a project that knows nothing of this checkout."""

from __future__ import annotations

import json
import secrets
import subprocess
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

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, which is to end well; standard error is part of its output."""
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
        return done

    def play(self, playbook: str, *arguments: str, ok: bool = True, **variables: Any) -> Played:
        """Run a playbook: a file of the project, or one of the collection by its full name."""
        record = self.folder / f".{secrets.token_hex(4)}.jsonl"
        command = ["ansible-playbook", playbook, *arguments, *(["-e", json.dumps(variables)] if variables else [])]
        return Played.started(
            command, record, ok, cwd=self.folder, env={**self.environment, "RECORD_FILE": str(record)}
        )


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
