# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Kubernetes says of the nodes of an engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.access.nodes import statuses
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot

from .support import OURS, MemoryEngine, container, said

PLANE, WORKER = "lab-control-plane-1", "lab-worker-1"
LAB = {**OURS, labels.CLUSTER: "lab"}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    """A cluster of two nodes that are up, and a node of no cluster."""
    monkeypatch.setattr(boot, "entered", lambda *_given: True)
    found = MemoryEngine()
    found.add(container(PLANE, labels={**LAB, labels.ROLE: "control-plane"}))
    found.add(container(WORKER, labels={**LAB, labels.ROLE: "worker"}))
    found.add(container("sandbox"))
    return found


def nodes(engine: MemoryEngine) -> list[dict[str, Any]]:
    """As the module describes them."""
    return [
        {
            "name": item.name,
            "node_name": labels.node_name(item.name, item.labels),
            "cluster": item.labels.get(labels.CLUSTER),
            "role": item.labels.get(labels.ROLE),
            "state": item.status,
        }
        for item in engine.container_table.values()
    ]


def listed(name: str, status: str, message: str = "", **more: Any) -> dict[str, Any]:
    """A node as the API has it."""
    conditions = [
        {"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": status, "message": message},
    ]
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": "10.5.0.2"}]
    found = {"conditions": conditions, "addresses": addresses, "nodeInfo": {"kubeletVersion": "v1.35.4"}}
    return {"metadata": {"name": name}, "status": {**found, **more}}


def test_ready_and_why_not(engine: MemoryEngine) -> None:
    """One question for the cluster; the words of kubelet only where it is not Ready."""
    items = [listed(PLANE, "True", "kubelet is posting ready status"), listed(WORKER, "False", "no network yet")]
    engine.answers = [said(json.dumps({"items": items}))]
    common = {"version": "v1.35.4", "address": "10.5.0.2"}
    assert statuses(engine, nodes(engine)) == {
        PLANE: {"ready": True, "why": "", **common},
        WORKER: {"ready": False, "why": "no network yet", **common},
        "sandbox": None,
    }
    assert engine.done == [f"call exec {PLANE}"]


def test_nodes_of_a_clone(engine: MemoryEngine) -> None:
    """The API has them by their own names, and what it says is returned by container; also that it has none."""
    for name, role in ((PLANE, "control-plane"), (WORKER, "worker")):
        own = {labels.ROLE: role, labels.NODE_NAME: name.replace("lab", "origin")}
        engine.add(container(name, labels={**LAB, **own}))
    engine.answers = [said(json.dumps({"items": [listed("origin-control-plane-1", "True"), listed(WORKER, "True")]}))]
    found = statuses(engine, nodes(engine))
    assert {*found} == {PLANE, WORKER, "sandbox"}
    plane, worker = found[PLANE], found[WORKER]
    assert plane is not None and plane["ready"] is True
    # A node of the API that has the name of its container is another one.
    assert (
        worker is not None
        and worker["ready"] is False
        and "no node origin-worker-1: it has not joined" in worker["why"]
    )


def test_a_load_balancer_is_no_node_of_kubernetes(engine: MemoryEngine) -> None:
    """Nobody expects it in the API."""
    engine.add(container("lab-load-balancer", labels={**LAB, labels.ROLE: "load-balancer"}))
    engine.answers = [said(json.dumps({"items": []}))]
    assert statuses(engine, nodes(engine))["lab-load-balancer"] is None


def test_a_node_that_the_api_does_not_have(engine: MemoryEngine) -> None:
    """It has not joined; one without a report is not Ready."""
    engine.answers = [said(json.dumps({"items": [listed(PLANE, "Unknown", conditions=None, addresses=None)]}))]
    found = statuses(engine, nodes(engine))
    assert found[PLANE] == {
        "ready": False,
        "why": "kubelet has not reported yet.",
        "version": "v1.35.4",
        "address": None,
    }
    worker = found[WORKER]
    assert worker is not None and "has not joined" in worker["why"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said("", 1, "E1130\nThe connection to the server lab:6443 was refused"), "lab:6443 was refused"),
        (said("{}", 0), "does not answer: {}"),
        (said("", 1), "it says nothing"),
        (failure("timed_out", action="asking the API", seconds=10, why="it hangs", fix="wait"), "10"),
    ],
)
def test_an_api_that_does_not_answer(engine: MemoryEngine, answer: Any, why: str) -> None:
    """Nobody knows whether the nodes are Ready, and it is said why."""
    engine.answers = [answer]
    found = statuses(engine, nodes(engine))[WORKER]
    assert found is not None and found["ready"] is None and why in found["why"]


@pytest.mark.parametrize(
    "answer", [said("", 127), said("", 1, "stat /etc/kubernetes/admin.conf: no such file or directory")]
)
def test_without_kubernetes(engine: MemoryEngine, answer: Any) -> None:
    """A node with systemd alone has nothing of it."""
    engine.answers = [answer]
    assert set(statuses(engine, nodes(engine)).values()) == {None}


@pytest.mark.parametrize("status", ["paused", "exited"])
def test_a_control_plane_that_does_not_run(engine: MemoryEngine, status: str) -> None:
    """Nothing is run in it: what is paused would not answer. The workers that run say why nobody knows."""
    engine.add(container(PLANE, labels={**LAB, labels.ROLE: "control-plane"}, status=status))
    found = statuses(engine, nodes(engine))
    assert found[PLANE] is None and engine.done == []
    worker = found[WORKER]
    assert worker is not None and f"it is {status}" in worker["why"]


def test_a_control_plane_that_starts(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run in it before systemd has its control groups."""
    monkeypatch.setattr(boot, "entered", lambda *_given: False)
    found = statuses(engine, nodes(engine))[PLANE]
    assert found is not None and "is starting" in found["why"] and engine.done == []


def test_a_cluster_without_a_control_plane(engine: MemoryEngine) -> None:
    """Molecule's platforms are such a cluster."""
    del engine.container_table[PLANE]
    assert set(statuses(engine, nodes(engine)).values()) == {None}
