# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our images against the tool whose contract they follow: kind itself makes a cluster of them and removes it.

kind's configuration holds only what this machine's kernel forces. With our image that is settings of kubelet alone.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.benchmarks import contenders
from ansible_collections.nodeforge.kic.benchmarks.engines import Engine

from .conftest import Client

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nodeforge.kic" / "bench"
SECONDS = 180

# An image that is not ours leaves it to the user of kind that its containers' processes cannot be made less likely to
# be killed; ours sees it itself.
CONTAINERD_PATCH = '[plugins."io.containerd.grpc.v1.cri"]\nrestrict_oom_score_adj = true\n'


@pytest.fixture(params=["own", "contract"])
def contender(request: pytest.FixtureRequest, podman: Client, tmp_path: Path) -> Iterator[contenders.Contender]:
    """How kind is called for a cluster of its own on one of the images; what a failed test leaves is removed."""
    image = request.getfixturevalue("node_image" if request.param == "own" else "contract_image")
    name = f"kictest-kind-{secrets.token_hex(3)}"
    with contenders.kind(name, Engine("podman"), image, CACHE, tmp_path, [0]) as (found,):
        if request.param == "contract" and not contenders.may_raise_limits():
            config = tmp_path / "kind-0.json"
            patched = {**json.loads(config.read_text()), "containerdConfigPatches": [CONTAINERD_PATCH]}
            config.write_text(json.dumps(patched))
        try:
            yield found
        finally:
            call(found, *found.delete, check=False)
            # When the node could not even be made, kind forgets its volume.
            for volume in podman.out("volume", "ls", "--quiet", "--filter", f"label={found.node}=true").split():
                podman.run("volume", "rm", volume)
            podman.run("network", "rm", "--force", found.network)


def call(contender: contenders.Contender, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run kind as its user does; a failure shows its words."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **contender.environment},
        check=False,
    )
    assert not check or done.returncode == 0, (
        f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    )
    return done


def node_conditions(podman: Client, contender: contenders.Contender) -> dict[str, str]:
    """What the API says of the node, asked by the node's own kubectl."""
    done = podman.run(
        "exec", contender.node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf",
        "get", "node", contender.node, "--output=json",
    )  # fmt: skip
    conditions: list[dict[str, Any]] = json.loads(done.stdout)["status"]["conditions"]
    return {item["type"]: item["status"] for item in conditions}


def test_only_what_the_kernel_forces() -> None:
    """The configuration has the nodes, kind's defaults, and of kubelet nothing but what this kernel asks for."""
    config = contenders.kind_config(2)
    assert set(config) <= {"kind", "apiVersion", "nodes", "kubeadmConfigPatches"}
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    for patch in map(json.loads, config.get("kubeadmConfigPatches", [])):
        assert patch.pop("kind") == "KubeletConfiguration"
        assert set(patch) <= {"apiVersion", "failCgroupV1", "featureGates"}


@pytest.mark.full("compares with kind; no part of the collection is proven by it alone")
def test_kind_makes_and_removes_a_cluster(podman: Client, contender: contenders.Contender) -> None:
    """`kind create cluster` succeeds, the node becomes Ready; after `kind delete cluster` nothing of it is left."""
    call(contender, *contender.create)
    # kind does not wait for it.
    deadline = time.monotonic() + SECONDS
    while node_conditions(podman, contender).get("Ready") != "True":
        assert time.monotonic() < deadline, f"no Ready node: {node_conditions(podman, contender)}"
        time.sleep(0.5)
    (made,) = json.loads(podman.out("container", "inspect", contender.node))
    volumes = {mount["Name"] for mount in made["Mounts"] if mount["Type"] == "volume"}
    assert volumes, made["Mounts"]
    kubeconfig = Path(contender.environment["KUBECONFIG"])
    assert yaml.safe_load(kubeconfig.read_text())["clusters"]
    call(contender, *contender.delete)
    held = podman.holdings()
    assert contender.node not in held["containers"]
    assert not volumes & held["volumes"]
    assert not yaml.safe_load(kubeconfig.read_text()).get("clusters")
    # kind keeps its network for its next cluster, by design; this one was for this test alone.
    podman.run("network", "rm", contender.network)
    assert Engine("podman").leftovers(contender.node.removesuffix("-control-plane")) == []
