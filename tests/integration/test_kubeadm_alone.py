# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One kubeadm at a time on a node: next to another run, and after one that was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import files_below, node_scripts

from ..conftest import ROOT
from .conftest import Client

ROLE = ROOT / "roles" / "kic_cluster" / "files"

Module = Callable[..., dict[str, Any]]

RUN = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodeforge.kic.plugins.modules import kic_kubeadm

with patch_module_args(json.loads(sys.argv[1])):
    kic_kubeadm.main()
"""


@pytest.fixture
def node(run_module: Module, unique: Callable[[str], str], node_image: str) -> str:
    """A fresh node with a network and a volume of its own."""
    name = unique("alone")
    files = files_below(ROLE / "node")
    for module, params in (
        ("oci_network", {"subnet6": "none"}),
        ("oci_volume", {}),
        ("kic_node", {"image": node_image, "network": name, "volume": name, "role": "control-plane", "files": files}),
    ):
        made = run_module(module, name=name, cluster=name, **params)
        assert not made.get("failed"), made
    return name


def asked(node: str) -> dict[str, Any]:
    """What the role kic_cluster asks for, as far as a node needs it to become Ready."""
    return {"node": node, "cluster": node, "scripts": node_scripts()}


def kubeadms(podman: Client, node: str) -> int:
    """How many run in the node."""
    return int(podman.run("exec", node, "pgrep", "-xc", "kubeadm", check=False).stdout or 0)


@pytest.mark.full("two runs of kubeadm on a fresh node; the lock itself is in the unit tests")
def test_two_runs(run_module: Module, podman: Client, node: str) -> None:
    """The second waits for the first, and then has nothing to do."""
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(run_module, "kic_kubeadm", **asked(node)) for _run in range(2)]
        most = 0
        while not all(item.done() for item in running):
            most = max(most, kubeadms(podman, node))
        results = [item.result() for item in running]
    assert not [item for item in results if item.get("failed")], results
    assert sorted(item["changed"] for item in results) == [False, True] and most <= 1


@pytest.mark.full("a killed run of kubeadm and the next on a fresh node; the lock itself is in the unit tests")
def test_killed_run(run_module: Module, podman: Client, node: str, environment: dict[str, str]) -> None:
    """The kubeadm that it left goes on, and the next run waits for it before it looks at the node."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(asked(node))],
        env={**environment, "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        while not kubeadms(podman, node):
            assert first.poll() is None
        first.kill()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_module, "kic_kubeadm", **asked(node))
        most = 0
        while not running.done():
            most = max(most, kubeadms(podman, node))
        made = running.result()
    assert made.get("node_status", {}).get("ready") is True, made
    assert most == 1
