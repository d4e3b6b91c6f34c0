# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that tells kubelet the limits of its node."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import FILES

PROGRAM = FILES / "node/usr/local/lib/nodeforge.kic/limits"
GIB, MIB = 1 << 30, 1 << 20
MACHINE = 8 * GIB


@dataclass
class Node:
    """A node on a machine of 8 GiB and 4 processors."""

    folder: Path

    def write(self, path: str, text: str) -> None:
        """A file of it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def v2(self, memory: str = "max", cpu: str = "max 100000") -> None:
        """Its control group of version 2."""
        self.write("groups/cgroup.controllers", "cpu memory\n")
        self.write("groups/memory.max", f"{memory}\n")
        self.write("groups/cpu.max", f"{cpu}\n")

    def v1(self, memory: str = "9223372036854771712", quota: str = "-1") -> None:
        """Its control groups of version 1."""
        self.write("groups/memory/memory.limit_in_bytes", f"{memory}\n")
        self.write("groups/cpu/cpu.cfs_quota_us", f"{quota}\n")
        self.write("groups/cpu/cpu.cfs_period_us", "100000\n")

    def told(self, **environment: str) -> dict[str, Any]:
        """What kubelet is told; {} for nothing."""
        self.write("meminfo", f"MemTotal: {MACHINE // 1024} kB\nMemFree: 1 kB\n")
        places = {
            "CGROUP": "groups",
            "MEMINFO": "meminfo",
            "CONFIGURATION": "config.yaml",
            "RUN": "run",
        }
        own = {key: str(self.folder / value) for key, value in places.items()}
        env = {"PATH": os.environ["PATH"], "PROCESSORS": "4", **own, **environment}
        subprocess.run([PROGRAM], env=env, check=True, capture_output=True)
        file = self.folder / "run/kubelet.conf.d/50-limits.conf"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        if found:
            assert found.pop("kind") == "KubeletConfiguration"
            assert found.pop("apiVersion") == "kubelet.config.k8s.io/v1beta1"
        return found

    @property
    def arguments(self) -> str:
        """Those that kubelet gets."""
        text = (self.folder / "run/kubelet.env").read_text()
        return text.removeprefix('KUBELET_EXTRA_ARGS="').removesuffix('"\n')


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A new one."""
    return Node(tmp_path)


def memory(available: int) -> dict[str, Any]:
    """The threshold below which pods are evicted, in bytes."""
    return {"evictionHard": {"memory.available": str(available)}}


@pytest.mark.parametrize(
    ("limit", "cpu", "told"),
    [
        ("max", "max 100000", {}),
        (str(2 * GIB), "max 100000", memory(6 * GIB + 100 * MIB)),
        ("max", "150000 100000", {"systemReserved": {"cpu": "2500m"}}),
        (str(GIB), "25000 50000", {**memory(7 * GIB + 100 * MIB), "systemReserved": {"cpu": "3500m"}}),
        (str(MACHINE), "400000 100000", {}),
        (str(2 * MACHINE), "800000 100000", {}),
    ],
    ids=["none", "memory", "processors", "both", "all of the machine", "more than the machine"],
)
def test_version_2(node: Node, limit: str, cpu: str, told: dict[str, Any]) -> None:
    """The difference to the machine is held back."""
    node.v2(limit, cpu)
    assert node.told() == told


@pytest.mark.parametrize(
    ("limit", "quota", "told"),
    [
        ("9223372036854771712", "-1", {}),
        (str(2 * GIB), "150000", {**memory(6 * GIB + 100 * MIB), "systemReserved": {"cpu": "2500m"}}),
    ],
    ids=["none", "both"],
)
def test_version_1(node: Node, limit: str, quota: str, told: dict[str, Any]) -> None:
    """So it is where control groups have another form; no limit is a number there."""
    node.v1(limit, quota)
    assert node.told() == told


@pytest.mark.parametrize(
    ("asked", "margin"),
    [("300Mi", 300 * MIB), ("10%", 2 * GIB // 10), ("500M", 500_000_000), ("1073741824", GIB), ('"300Mi"', 300 * MIB)],
)
def test_a_margin_of_the_users(node: Node, asked: str, margin: int) -> None:
    """What the configuration wants to have free is added to the difference; a percentage is one of the limit."""
    node.v2(str(2 * GIB))
    node.write(
        "config.yaml",
        f"evictionHard:\n  imagefs.available: 0%\n  memory.available: {asked}\nevictionSoft:\n  memory.available: 1Gi\n",
    )
    assert node.told() == memory(6 * GIB + margin)


@pytest.mark.parametrize(("asked", "kept"), [("500m", "2500m"), ("1", "3000m"), ('"0.5"', "2500m")])
def test_processors_that_the_user_reserves(node: Node, asked: str, kept: str) -> None:
    """They are added to the difference."""
    node.v2(cpu="200000 100000")
    node.write("config.yaml", f"systemReserved:\n  cpu: {asked}\n  memory: 1Gi\n")
    assert node.told() == {"systemReserved": {"cpu": kept}}


def test_arguments_stay(node: Node) -> None:
    """Those of the image are kept, also at the second start, which is given what the first has written."""
    node.v2(str(2 * GIB))
    own = "--runtime-cgroups=/system.slice/containerd.service"
    node.told(KUBELET_EXTRA_ARGS=own)
    first = node.arguments
    assert first == f"{own} --config-dir={node.folder}/run/kubelet.conf.d"
    node.told(KUBELET_EXTRA_ARGS=first)
    assert node.arguments == first


def test_a_limit_that_goes(node: Node) -> None:
    """Nothing of the last start's is left."""
    node.v2(str(2 * GIB))
    assert node.told()
    node.v2()
    assert node.told() == {}


@pytest.mark.parametrize("variable", ["KUBELET_KUBEADM_ARGS", "KUBELET_EXTRA_ARGS"])
def test_a_directory_of_the_users(node: Node, variable: str) -> None:
    """kubelet reads one such directory, and theirs is it."""
    node.v2(str(2 * GIB))
    assert node.told(**{variable: "--v=2 --config-dir=/srv/kubelet"}) == {}
    assert str(node.folder) not in node.arguments
