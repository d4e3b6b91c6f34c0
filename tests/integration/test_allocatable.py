# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubelet offers to pods is what the node's limits leave, and follows them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ROOT
from .conftest import Client, Play

MIB = 1 << 20
MARGIN = 100 * MIB
"""What kubelet keeps free (its default for memory.available)."""


def number_of(quantity: str) -> int:
    """Bytes of a quantity as the API writes it."""
    return int(quantity[:-2]) * {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[quantity[-2:]]


@pytest.mark.full(
    "a cluster of its own; what the program in the node writes is a table in tests/unit/plugins/test_node_limits.py"
)
@pytest.mark.parametrize("image", ["own", "contract"])
def test_allocatable_follows_the_limits(
    image: str, request: pytest.FixtureRequest, podman: Client, play: Play, unique: Callable[[str], str], tmp_path: Path
) -> None:
    """Capacity is the machine's; Allocatable and the threshold of eviction are those of the limits, in place and after a start."""
    name = unique("room")
    node = f"{name}-control-plane-1"
    variables: dict[str, Any] = {
        "kic_cluster_name": name,
        "kic_image_name": request.getfixturevalue("node_image" if image == "own" else "contract_image"),
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
        "kic_engine": "podman",
    }

    def kubectl(*arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(podman.run("exec", node, "kubectl", *arguments).stdout)
        return found

    def offered() -> tuple[int, str]:
        """Bytes and processors."""
        status = kubectl("get", "node", node, "--output=json")["status"]
        assert number_of(status["capacity"]["memory"]) > 4096 * MIB
        return number_of(status["allocatable"]["memory"]), status["allocatable"]["cpu"]

    def until(memory: int, cpu: str) -> None:
        deadline = time.monotonic() + 120
        while offered() != (memory, cpu):
            assert time.monotonic() < deadline, offered()
            time.sleep(1)

    site = ROOT / "playbooks" / "site.yml"
    try:
        play(site, **variables, kic_cluster_node={"memory": "2g", "cpus": 1})
        assert offered() == (2048 * MIB - MARGIN, "1")
        configured = kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz")["kubeletconfig"]
        # What the configuration says besides is still there.
        assert configured["evictionHard"].keys() >= {"memory.available", "nodefs.available", "imagefs.available"}
        changed = play(site, **variables, kic_cluster_node={"memory": "3g", "cpus": 1.5})
        assert changed.changed
        until(3072 * MIB - MARGIN, "1500m")
        assert not play(site, **variables, kic_cluster_node={"memory": "3g", "cpus": 1.5}).changed
        play(site, **variables, kic_cluster_state="stopped")
        play(site, **variables, kic_cluster_node={"memory": "3g", "cpus": 1.5})
        until(3072 * MIB - MARGIN, "1500m")
    finally:
        play(ROOT / "playbooks" / "teardown.yml", kic_cluster_name=name)
