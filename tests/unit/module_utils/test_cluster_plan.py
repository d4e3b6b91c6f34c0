# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to do for a cluster, by what is there: the operations in their order."""

from __future__ import annotations

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.plan import (
    plan_absent,
    plan_paused,
    plan_present,
    plan_restarted,
    plan_stopped,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation, in_order

from .support import fails

PLANE, FIRST, SECOND = "lab-control-plane-1", "lab-worker-1", "lab-worker-2"


def short(operations: tuple[Operation, ...]) -> list[str]:
    """The operations in the order of a run one by one, in few letters."""
    words = {
        PLANE: "plane",
        FIRST: "w1",
        SECOND: "w2",
        "lab": "lab",
        "Kubernetes on node": "kubernetes",
        "boot of cluster": "boot",
    }
    return [f"{item.verb} {words.get(item.kind, item.kind)} {words[item.name]}" for item in in_order(operations)]


GROUND = ["ensure network lab", "ensure volume plane"]

CONNECT, BOOT = "connect pod network lab", "enable boot lab"

PRESENT = [
    pytest.param(
        {},
        0,
        "started",
        False,
        [*GROUND, "start node plane", "initialize kubernetes plane", CONNECT, BOOT],
        [],
        id="from-nothing",
    ),
    pytest.param(
        {},
        2,
        "started",
        False,
        [
            *GROUND,
            "ensure volume w1",
            "ensure volume w2",
            "start node plane",
            "start node w1",
            "start node w2",
            "initialize kubernetes plane",
            "join kubernetes w1",
            "join kubernetes w2",
            CONNECT,
            BOOT,
        ],
        [],
        id="from-nothing-with-workers",
    ),
    pytest.param(
        {PLANE: "running"},
        0,
        "started",
        False,
        ["start node plane", "initialize kubernetes plane", CONNECT, BOOT],
        [],
        id="all-run",
    ),
    pytest.param(
        {PLANE: "running"},
        0,
        "started",
        True,
        ["ensure network lab", "start node plane", "initialize kubernetes plane", CONNECT, BOOT],
        [],
        id="all-run-and-the-network-is-compared",
    ),
    pytest.param(
        {PLANE: "running", FIRST: "running"},
        0,
        "started",
        False,
        ["start node plane", "initialize kubernetes plane", CONNECT, BOOT],
        [FIRST],
        id="one-fewer-stays",
    ),
    pytest.param(
        {PLANE: "exited"},
        0,
        "started",
        False,
        [*GROUND, "start node plane", "initialize kubernetes plane", CONNECT, BOOT],
        [],
        id="stopped",
    ),
    pytest.param({PLANE: "exited"}, 0, "present", False, [*GROUND, "inspect node plane"], [], id="present-stopped"),
    pytest.param(
        {PLANE: "running"},
        1,
        "present",
        False,
        [*GROUND, "ensure volume w1", "start node w1", "inspect node plane", "join kubernetes w1", CONNECT, BOOT],
        [],
        id="present-with-one-more",
    ),
    pytest.param(
        {PLANE: "running", FIRST: "exited"},
        1,
        "present",
        False,
        [*GROUND, "ensure volume w1", "inspect node plane", "inspect node w1", BOOT],
        [],
        id="present-leaves-a-stopped-worker",
    ),
]


@pytest.mark.parametrize(("there", "workers", "state", "network", "operations", "surplus"), PRESENT)
def test_present(
    there: dict[str, str], workers: int, state: str, network: bool, operations: list[str], surplus: list[str]
) -> None:
    """Each start of a cluster, from nothing and from what an earlier or interrupted run left."""
    workers_named = [FIRST, SECOND][:workers]
    plan = plan_present("lab", PLANE, workers_named, there, state=state, network_given=network)
    assert short(plan.operations) == operations
    own = plan_present("lab", PLANE, workers_named, there, state=state, network_given=network, pod_network=False)
    assert short(own.operations) == [item for item in operations if item != CONNECT]
    assert list(plan.surplus) == surplus
    loading = plan_present("lab", PLANE, workers_named, there, state=state, network_given=network, images=True)
    loads = [item for item in loading.operations if item.kind == "images"]
    starts = {item.key for item in plan.operations if item.verb == "start"}
    assert [{*item.needs} for item in loads] == ([starts] if starts else [])
    assert [item for item in short(loading.operations) if item != "load images lab"] == operations
    unwanted = plan_present("lab", PLANE, workers_named, there, state=state, network_given=network, boot=False)
    assert short(unwanted.operations) == [*(item for item in operations if item != BOOT), "disable boot lab"]


def test_workers_start_and_join_beside_each_other() -> None:
    """Nothing of a worker needs another worker, and a worker joins only where the control plane is initialized."""
    plan = plan_present("lab", PLANE, [FIRST, SECOND], {}, state="started", network_given=False)
    needs = {str(item): item.needs for item in plan.operations}
    assert needs[f"start node {FIRST}"] == ("ensure network lab", f"ensure volume {FIRST}")
    assert needs[f"join Kubernetes on node {FIRST}"] == (
        f"start node {FIRST}",
        f"initialize Kubernetes on node {PLANE}",
    )
    assert all(SECOND not in key for key in needs[f"join Kubernetes on node {FIRST}"])


def test_a_worker_that_could_not_join_is_refused() -> None:
    """The control plane is kept as it is, and it does not run."""
    with fails("control_plane_stopped", FIRST, "kic_cluster_state to started"):
        plan_present("lab", PLANE, [FIRST], {PLANE: "exited"}, state="present", network_given=False)


def test_stopped() -> None:
    """Workers at the same time, then the control plane."""
    plan = plan_stopped("lab", {PLANE: "control-plane", SECOND: "worker", FIRST: "worker"})
    assert short(plan.operations) == ["disable boot lab", "stop node w1", "stop node w2", "stop node plane"]
    assert plan.operations[1].needs == plan.operations[2].needs == ()


RESTARTED = [
    pytest.param(
        {PLANE: "running", SECOND: "running", FIRST: "paused"},
        ["stop node w1", "stop node w2", "stop node plane", "start node plane", "start node w1", "start node w2"],
        id="all-are-up",
    ),
    pytest.param(
        {PLANE: "running", FIRST: "exited"},
        ["stop node plane", "start node w2", "start node plane", "start node w1"],
        id="one-had-ended-and-one-is-new",
    ),
    pytest.param(
        {PLANE: "restarting"}, ["stop node plane", "start node w1", "start node w2", "start node plane"], id="docker"
    ),
    pytest.param({}, ["start node plane", "start node w1", "start node w2"], id="from-nothing"),
]


@pytest.mark.parametrize(("there", "nodes"), RESTARTED)
def test_restarted(there: dict[str, str], nodes: list[str]) -> None:
    """The control plane is the last that stops and the first that starts; all else is as for a start."""
    started = plan_present("lab", PLANE, [FIRST, SECOND], there, state="restarted", network_given=False)
    plan = plan_restarted(started, PLANE, there)
    found = short(plan.operations)
    assert sorted(item for item in found if " node " in item) == sorted(nodes)
    assert [item for item in found if item.split(" ")[0] != "stop"][-len(short(started.operations)) :]
    assert sorted(item for item in found if not item.startswith("stop")) == sorted(short(started.operations))
    needs = {item.key: item.needs for item in plan.operations}
    stops = [key for key in needs if key.startswith("stop")]
    if f"stop node {PLANE}" in stops:
        assert {*needs[f"stop node {PLANE}"]} == {*stops} - {f"stop node {PLANE}"}
    for name in there:
        assert f"stop node {name}" in needs[f"start node {name}"]
        assert name == PLANE or f"start node {PLANE}" in needs[f"start node {name}"]


def test_paused() -> None:
    """Workers at the same time, then the control plane; what is paused already is no reason to refuse."""
    roles = {PLANE: "control-plane", SECOND: "worker", FIRST: "worker"}
    plan = plan_paused("lab", roles, {PLANE: "running", SECOND: "paused", FIRST: "running"}, "podman")
    assert short(plan.operations) == ["pause node w1", "pause node w2", "pause node plane"]
    assert plan.operations[2].needs == (f"pause node {FIRST}", f"pause node {SECOND}")
    with fails("pause_not_running", f"{FIRST} (exited), {SECOND} (created)", "state: started"):
        plan_paused("lab", roles, {PLANE: "running", SECOND: "created", FIRST: "exited"}, "podman")
    with fails("cluster_missing", "lab has no nodes on podman"):
        plan_paused("lab", {}, {}, "podman")


def test_absent() -> None:
    """Nodes at the same time, then what they used."""
    plan = plan_absent("lab", [PLANE, FIRST], [PLANE, FIRST], ["lab"])
    assert short(plan.operations) == [
        "remove node plane",
        "remove node w1",
        "remove boot lab",
        "remove volume plane",
        "remove volume w1",
        "remove network lab",
    ]
    assert [len(item.needs) for item in plan.operations] == [0, 0, 2, 3, 3, 3]
