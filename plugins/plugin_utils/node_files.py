# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the collection that a node gets before its first start, and scripts that are run in nodes."""

from __future__ import annotations

import os
from pathlib import Path

FILES = Path(__file__).resolve().parents[2] / "roles" / "kic_cluster" / "files"


def node_scripts() -> dict[str, str]:
    """What modules run inside nodes, by name: Ansible ships no other files with a module than Python's."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((FILES / "scripts").glob("*.sh"))}


def files_below(root: Path) -> list[dict[str, str]]:
    """Each file below ``root`` with its path from there, its text and its mode."""
    found = []
    for path in root.rglob("*"):
        if path.is_file():
            # git keeps no more of a mode than whether it can be run.
            mode = "0755" if os.stat(path).st_mode & 0o100 else "0644"
            text = path.read_text(encoding="utf-8")
            found.append({"path": f"/{path.relative_to(root)}", "content": text, "mode": mode})
    return sorted(found, key=lambda item: item["path"])
