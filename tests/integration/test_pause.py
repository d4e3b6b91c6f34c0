# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that is paused: nothing in it goes on, no run waits for it, and what was in its memory goes on afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ROOT
from .conftest import Client, Play

SITE = ROOT / "playbooks" / "site.yml"
TEARDOWN = ROOT / "playbooks" / "teardown.yml"
PATIENCE = 30
"""Seconds within which a run on a paused cluster has to end, far less than any wait for an API."""

COUNT = "i=0; while :; do i=$((i+1)); echo $$ $i >/run/count; sleep 0.1; done"


@pytest.mark.full("a cluster of its own; tests/integration/test_states.py has each state of a node in the quick set")
def test_a_paused_cluster(
    podman: Client,
    play: Play,
    node_image: str,
    run_module: Callable[..., dict[str, Any]],
    unique: Callable[[str], str],
    tmp_path: Path,
) -> None:
    """Without a pod network no node is Ready, which is said with kubelet's words; the pause is frozen time."""
    name = unique("frozen")
    plane, worker = f"{name}-control-plane-1", f"{name}-worker-1"
    variables: dict[str, Any] = {
        "kic_cluster_name": name,
        "kic_image_name": node_image,
        "kic_cluster_kubeconfig": str(tmp_path / "kubeconfig"),
        "kic_cluster_workers": 1,
        "kic_cluster_pod_network": "none",
        "kic_engine": "podman",
    }

    def nodes() -> dict[str, dict[str, Any]]:
        begin = time.monotonic()
        found = run_module("kic_node_info", cluster=name, engine="podman")
        assert time.monotonic() - begin < PATIENCE and not found.get("failed"), found
        return {node["name"]: node for node in found["nodes"]}

    def cluster(state: str, **more: Any) -> dict[str, Any]:
        begin = time.monotonic()
        found = run_module("kic_cluster", name=name, state=state, engine="podman", **more)
        assert time.monotonic() - begin < PATIENCE and not found.get("failed"), found
        return found

    def count() -> list[int]:
        return [int(item) for item in podman.out("exec", worker, "cat", "/run/count").split()]

    def statuses() -> list[str]:
        return [podman.out("container", "inspect", "--format", "{{.State.Status}}", item) for item in (plane, worker)]

    try:
        made = play(SITE, **variables)
        reasons = [line for line in made.text.replace("\\n", "\n").splitlines() if "is not Ready: " in line]
        assert [line.split(" is not")[0].split()[-1] for line in reasons] == [plane, worker], made.text[-3000:]
        # A kubelet that has only just begun has other words first.
        deadline = time.monotonic() + PATIENCE
        while not all("network not ready" in node["kubernetes"]["why"] for node in nodes().values()):
            assert time.monotonic() < deadline, nodes()
        for node in nodes().values():
            known = node["kubernetes"]
            assert known["ready"] is False
            assert (known["address"], known["version"][:2]) == (node["ip"], "v1")
            use = node["use"]
            assert use["memory"] > 50 << 20 and use["cpu_seconds"] > 0.1 and use["pids"] > 20
        podman.run("exec", "--detach", worker, "sh", "-c", COUNT)
        time.sleep(1)
        pid, _before = count()

        assert cluster("paused")["actions"] == [f"pause node {worker}", f"pause node {plane}"]
        assert statuses() == ["paused", "paused"]
        for node in nodes().values():
            assert (node["state"], node["ready"], node["kubernetes"], node["use"]) == ("paused", None, None, None)
        again = play(SITE, kic_cluster_state="paused", **variables)
        assert again.changed == []
        for state in ("stopped", "paused", "absent"):
            cluster(state, check=True)
        refused = run_module("kic_node_image", cluster=name, images=[node_image], engine="podman")
        assert refused["diagnosis"]["id"] == "node_not_running", refused
        assert run_module("kic_kubeadm", node=worker, cluster=name, control_plane=plane, engine="podman")["failed"]
        assert statuses() == ["paused", "paused"]

        podman.run("unpause", worker)
        known = nodes()[worker]["kubernetes"]
        assert known["ready"] is None and f"{plane} does not run, it is paused" in known["why"]
        podman.run("pause", worker)
        begin = time.monotonic()
        resumed = play(SITE, **variables)
        assert any("Bring the cluster into its state" in task for task in resumed.changed)
        print(f"from paused to started: {time.monotonic() - begin:.1f} s")
        assert count()[0] == pid, "it is the same process"
        assert podman.out("exec", plane, "kubectl", "get", "--raw", "/readyz") == "ok"

        play(SITE, kic_cluster_state="paused", **variables)
        restarted = play(SITE, kic_cluster_state="restarted", **variables)
        (done,) = [item for item in restarted.results("kic_cluster") if item.get("actions")]
        acts = [item for item in done["actions"] if " node " in item and "boot" not in item]
        assert acts == [f"stop node {worker}", f"stop node {plane}", f"start node {plane}", f"start node {worker}"]
        times = [
            podman.out("container", "inspect", "--format", "{{.State.StartedAt}}", item) for item in (plane, worker)
        ]
        assert times == sorted(times)
        assert cluster("paused")["changed"]
        assert cluster("stopped")["actions"][-2:] == [f"stop node {worker}", f"stop node {plane}"]
        assert statuses() == ["exited", "exited"]
    finally:
        play(TEARDOWN, kic_cluster_name=name)
    assert podman.held(name) == []
