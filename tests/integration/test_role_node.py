# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role kic_node alone: a machine with systemd for whoever needs one, with its own network and volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import Client, Play


def test_one_node(podman: Client, play: Play, node_image: str, unique: Callable[[str], str]) -> None:
    """The role makes a node with network and volume, changes nothing the second time, and removes all three."""
    name = unique("role")
    variables: dict[str, Any] = {"kic_node_name": name, "kic_node_image": node_image, "kic_node_memory": "1g"}
    checked = play("node.yml", "--check", "--diff", **variables)
    made = play("node.yml", "--diff", **variables)
    assert checked.changed == made.changed == [f"nodeforge.kic.kic_node : {item}" for item in TASKS]
    (node,) = [item["node"] for item in made.results("kic_node")]
    assert node["ready"] is True and node["memory"] == 1 << 30 and node["network"] == node["volume"] == name
    assert podman.out("exec", name, "systemctl", "is-system-running") == "running"
    assert play("node.yml", **variables).changed == []
    gone = play("node.yml", kic_node_name=name, kic_node_state="absent")
    assert len(gone.changed) == 3
    for names in podman.holdings().values():
        assert not [item for item in names if item.startswith(name)]


TASKS = ("Create the node's network", "Create the node's volume", "Create or change the node")
