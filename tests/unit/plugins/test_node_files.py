# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the collection that a node gets: each with its text and whether it can be run."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import FILES, files_below, node_scripts


def test_files_below(tmp_path: Path) -> None:
    """Each file comes with its path below the root, its text, and whether it can be run, and nothing else of its mode."""
    for name, mode in (("usr/bin/tool", 0o755), ("etc/b.conf", 0o644), ("etc/a.conf", 0o600), ("usr/bin/own", 0o700)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"größer {name}\n", encoding="utf-8")
        path.chmod(mode)
    (tmp_path / "empty").mkdir()
    assert files_below(tmp_path) == [
        {"path": "/etc/a.conf", "content": "größer etc/a.conf\n", "mode": "0644"},
        {"path": "/etc/b.conf", "content": "größer etc/b.conf\n", "mode": "0644"},
        {"path": "/usr/bin/own", "content": "größer usr/bin/own\n", "mode": "0755"},
        {"path": "/usr/bin/tool", "content": "größer usr/bin/tool\n", "mode": "0755"},
    ]


def test_files_of_the_collection() -> None:
    """All that the repository keeps for a node is handed on, programs as such."""
    root = FILES / "node"
    found = {item["path"]: item["mode"] for item in files_below(root)}
    assert set(found) == {f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file()}
    assert found["/usr/local/lib/nodeforge.kic/network"] == "0755"


def test_scripts_of_the_collection() -> None:
    """All that modules run in nodes is handed on by its name."""
    found = node_scripts()
    assert {f"{name}.sh" for name in found} == {path.name for path in (FILES / "scripts").iterdir()}
    assert all(text.startswith("#!/usr/bin/env bash\n") for text in found.values())
