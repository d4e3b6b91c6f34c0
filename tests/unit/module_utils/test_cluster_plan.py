# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to do for a cluster, by what is there: the operations in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.desired import Desired, plan_present
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.plan import (
    ClusterPlan,
    Leaver,
    plan_absent,
    plan_paused,
    plan_restarted,
    plan_stopped,
    refuse_majority_lost,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation, in_order

from .support import fails

PLANE, FIRST, SECOND = "lab-control-plane-1", "lab-worker-1", "lab-worker-2"
PLANES = (PLANE, "lab-control-plane-2", "lab-control-plane-3")
BALANCER = "lab-load-balancer"


def short(operations: tuple[Operation, ...]) -> list[str]:
    """The operations in the order of a run one by one, in few letters."""
    words = {
        PLANE: "plane",
        PLANES[1]: "plane2",
        PLANES[2]: "plane3",
        BALANCER: "lb",
        FIRST: "w1",
        SECOND: "w2",
        "lab": "lab",
        "Kubernetes on node": "kubernetes",
        "boot of cluster": "boot",
        "Kubernetes node": "member",
        "etcd member": "etcd",
        "load balancer": "balancer",
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
    plan = plan_present(Desired("lab", PLANE, [PLANE], workers_named, there, state=state, network_given=network))
    assert short(plan.operations) == operations
    own = plan_present(
        Desired("lab", PLANE, [PLANE], workers_named, there, state=state, network_given=network, pod_network=False)
    )
    assert short(own.operations) == [item for item in operations if item != CONNECT]
    assert list(plan.surplus) == surplus
    loading = plan_present(
        Desired("lab", PLANE, [PLANE], workers_named, there, state=state, network_given=network, images=True)
    )
    loads = [item for item in loading.operations if item.kind == "images"]
    starts = {item.key for item in plan.operations if item.verb == "start"}
    assert [{*item.needs} for item in loads] == ([starts] if starts else [])
    assert [item for item in short(loading.operations) if item != "load images lab"] == operations
    unwanted = plan_present(
        Desired("lab", PLANE, [PLANE], workers_named, there, state=state, network_given=network, boot=False)
    )
    assert short(unwanted.operations) == [*(item for item in operations if item != BOOT), "disable boot lab"]


def test_workers_start_and_join_beside_each_other() -> None:
    """Nothing of a worker needs another worker, and a worker joins only where the control plane is initialized."""
    plan = plan_present(Desired("lab", PLANE, [PLANE], [FIRST, SECOND], {}, state="started", network_given=False))
    needs = {str(item): item.needs for item in plan.operations}
    assert needs[f"start node {FIRST}"] == ("ensure network lab", f"ensure volume {FIRST}")
    assert needs[f"join Kubernetes on node {FIRST}"] == (
        f"start node {FIRST}",
        f"initialize Kubernetes on node {PLANE}",
        f"start node {PLANE}",
    )
    assert all(SECOND not in key for key in needs[f"join Kubernetes on node {FIRST}"])


def test_a_worker_that_could_not_join_is_refused() -> None:
    """The control plane is kept as it is, and it does not run."""
    with fails("control_plane_stopped", FIRST, "kic_cluster_state to started"):
        plan_present(Desired("lab", PLANE, [PLANE], [FIRST], {PLANE: "exited"}, state="present", network_given=False))


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
    started = plan_present(
        Desired("lab", PLANE, [PLANE], [FIRST, SECOND], there, state="restarted", network_given=False)
    )
    plan = plan_restarted(started, [PLANE], there)
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


def several(there: Mapping[str, str], planes: Sequence[str] = PLANES, **given: Any) -> ClusterPlan:
    """What there is to do for several control planes, a load balancer and one worker."""
    words: dict[str, Any] = {"state": "started", "network_given": False, "balancer": BALANCER, **given}
    return plan_present(Desired("lab", words.pop("control_plane", PLANE), planes, [FIRST], there, **words))


def leaver(name: str, **given: Any) -> Leaver:
    """A control plane of which everything is there."""
    return Leaver(name, **{"running": True, "container": True, "volume": True, "plane": True, **given})


UP = {**dict.fromkeys((*PLANES, FIRST, BALANCER), "running")}
ONE = {PLANE: "running", FIRST: "running"}
NODES = ["start node plane", "start node plane2", "start node plane3", "start node w1"]
VOLUMES = [*GROUND, "ensure volume plane2", "ensure volume plane3", "ensure volume w1"]
LEAD = ["start node lb", "configure balancer lb"]
JOINS = [
    *("initialize kubernetes plane", "join kubernetes plane2", "join kubernetes plane3", "join kubernetes w1"),
    *(CONNECT, BOOT),
]

SEVERAL = [
    pytest.param({}, {}, [*VOLUMES, *NODES, *LEAD, *JOINS], id="from-nothing"),
    pytest.param(ONE, {}, [*VOLUMES, *NODES, *LEAD, *JOINS], id="from-one"),
    pytest.param(UP, {}, [*NODES, *LEAD, *JOINS], id="all-run"),
    pytest.param(
        {key: item for key, item in UP.items() if key != BALANCER}, {}, [*NODES, *LEAD, *JOINS], id="balancer-lost"
    ),
    pytest.param(
        {key: item for key, item in UP.items() if key != PLANES[2]},
        {},
        [*VOLUMES, *NODES, *LEAD, *JOINS],
        id="one-lost",
    ),
    pytest.param(
        {key: item for key, item in UP.items() if key != PLANE},
        {"control_plane": PLANES[1]},
        [
            *(*VOLUMES, *NODES, *LEAD),
            *("initialize kubernetes plane2", "join kubernetes plane", "join kubernetes plane3", "join kubernetes w1"),
            *(CONNECT, BOOT),
        ],
        id="first-lost",
    ),
    pytest.param(
        UP,
        {"state": "present"},
        [
            *("inspect node plane", "inspect node plane2", "inspect node plane3", "inspect node w1"),
            *("inspect node lb", "configure balancer lb", BOOT),
        ],
        id="present",
    ),
    pytest.param(
        {**ONE, BALANCER: "running"},
        {"state": "present"},
        [
            *(*VOLUMES, "start node plane2", "start node plane3", "inspect node plane", "inspect node w1"),
            *("inspect node lb", "configure balancer lb", "join kubernetes plane2", "join kubernetes plane3"),
            *(CONNECT, BOOT),
        ],
        id="present-with-two-more",
    ),
]


@pytest.mark.parametrize(("there", "given", "operations"), SEVERAL)
def test_several_control_planes(there: dict[str, str], given: dict[str, Any], operations: list[str]) -> None:
    """The one by which the API is asked comes first, the others join it, and the load balancer is no surplus node."""
    plan = several(there, **given)
    assert short(plan.operations) == operations
    assert plan.surplus == ()


@pytest.mark.parametrize(
    ("state", "down", "started"),
    [
        pytest.param("started", PLANES, PLANES[1:], id="all-are-down"),
        pytest.param("started", PLANES[2:], PLANES[2:], id="one-is-down"),
        pytest.param("started", (), (), id="all-run"),
        pytest.param("present", PLANES[2:], (), id="present"),
    ],
)
def test_control_planes_that_stay_are_started(state: str, down: Sequence[str], started: Sequence[str]) -> None:
    """etcd needs them for its majority. They are started right after the nodes that are declared, and nothing else is done to them;
    they are surplus all the same."""
    there = {**UP, **dict.fromkeys(down, "exited")}
    plan = several(there, [PLANE], state=state, staying=PLANES[1:])
    keys = [item.key for item in plan.operations]
    declared = "inspect" if state == "present" else "start"
    at = keys.index(f"{declared} node {FIRST}") + 1
    assert keys[at : at + len(started)] == [f"start node {name}" for name in started]
    assert [item.name for item in plan.operations if item.name in PLANES[1:]] == [*started]
    assert all(not item.needs for item in plan.operations if item.name in PLANES[1:])
    assert plan.surplus == PLANES[1:] and not {*plan.created, *plan.kept} & {*PLANES[1:]}


def test_restarted_where_control_planes_stay() -> None:
    """Of these only what does not run is started; none is stopped."""
    there = {**UP, PLANES[2]: "exited"}
    plan = plan_restarted(several(there, [PLANE], state="restarted", staying=PLANES[1:]), PLANES, there)
    assert [str(item) for item in plan.operations if item.name in PLANES[1:]] == [f"start node {PLANES[2]}"]


def test_all_join_beside_each_other() -> None:
    """Nothing waits for the join of another control plane. Workers wait for the nodes of all control planes, whose addresses
    they have to know; so does the configuration of the load balancer."""
    needs = {item.key: item.needs for item in several({}).operations}
    first = f"initialize Kubernetes on node {PLANE}"
    for name in PLANES[1:]:
        assert {*needs[f"join Kubernetes on node {name}"]} == {f"start node {name}", first}
    starts = tuple(f"start node {name}" for name in PLANES)
    assert needs[f"join Kubernetes on node {FIRST}"] == (f"start node {FIRST}", first, *starts)
    assert needs[f"start node {BALANCER}"] == ("ensure network lab",)
    assert needs[f"configure load balancer {BALANCER}"] == (f"start node {BALANCER}", *starts)


def test_one_control_plane_again() -> None:
    """etcd loses one member after the other, and each node goes after its member. The load balancer, through which they are
    reached until then, is the last that goes."""
    plan = several(
        UP, [PLANE], balancer="", unbalanced=BALANCER, leavers=[leaver(name) for name in PLANES[1:]], pod_network=False
    )
    assert short(plan.operations) == [
        *("start node plane", "start node w1", "initialize kubernetes plane", "join kubernetes w1"),
        *("cordon member plane2", "cordon member plane3"),
        *("drain member plane2", "remove etcd plane2", "remove node plane2", "remove volume plane2"),
        *("delete member plane2", "drain member plane3", "remove etcd plane3", "remove node plane3"),
        *("remove volume plane3", "delete member plane3", "remove node lb", BOOT),
    ]
    needs = {item.key: item.needs for item in plan.operations}
    assert needs[f"remove etcd member {PLANES[2]}"] == (
        f"drain Kubernetes node {PLANES[2]}",
        f"remove etcd member {PLANES[1]}",
    )
    assert needs[f"remove node {PLANES[1]}"] == (f"remove etcd member {PLANES[1]}",)
    assert {f"delete Kubernetes node {name}" for name in PLANES[1:]} < {*needs[f"remove node {BALANCER}"]}
    assert plan.surplus == ()


@pytest.mark.parametrize(
    ("leavers", "expected"),
    [
        pytest.param([leaver(PLANES[1]), leaver(PLANES[2], running=False)], ["plane3", "plane2"], id="stopped-first"),
        pytest.param([leaver(PLANES[1]), leaver(PLANES[2])], ["plane2", "plane3"], id="by-name"),
        pytest.param([leaver(PLANES[1], registered=False, container=False)], ["plane2"], id="container-lost"),
        pytest.param([leaver(FIRST, plane=False)], [], id="worker"),
    ],
)
def test_members_of_etcd_that_leave(leavers: list[Leaver], expected: list[str]) -> None:
    """A member that has lost its process goes first: each removal needs a majority."""
    found = short(several(UP, [PLANE], leavers=leavers).operations)
    assert [item for item in found if " etcd " in item] == [f"remove etcd {name}" for name in expected]


@pytest.mark.parametrize("prune", [False, True], ids=["stay", "leave"])
def test_control_planes_that_are_too_many(prune: bool) -> None:
    """They are surplus unless they leave, and the load balancer stays with them."""
    leavers = [leaver(name) for name in PLANES[1:]] if prune else []
    assert several(UP, [PLANE], leavers=leavers).surplus == (() if prune else PLANES[1:])


@pytest.mark.parametrize(
    ("staying", "leavers", "down"),
    [
        pytest.param({PLANE: "running"}, [leaver(PLANES[1]), leaver(PLANES[2])], None, id="one-runs"),
        pytest.param({PLANE: "exited"}, [leaver(PLANES[1]), leaver(PLANES[2])], PLANE, id="one-is-down"),
        pytest.param(
            {PLANE: "running"}, [leaver(PLANES[1]), leaver(PLANES[2], running=False)], None, id="one-leaves-down"
        ),
        pytest.param(
            {PLANE: "running"},
            [leaver(PLANES[1], running=False), leaver(PLANES[2], running=False)],
            f"{PLANES[1]}, {PLANES[2]}",
            id="both-leave-down",
        ),
        pytest.param(dict.fromkeys(PLANES, "running"), [leaver("lab-control-plane-4")], None, id="three-run"),
        pytest.param(
            {PLANE: "running", PLANES[1]: "running", PLANES[2]: "exited"},
            [leaver("lab-control-plane-4")],
            None,
            id="two-of-three-run",
        ),
        pytest.param(
            {PLANE: "running", PLANES[1]: "paused", PLANES[2]: "exited"},
            [leaver("lab-control-plane-4")],
            f"{PLANES[1]}, {PLANES[2]}",
            id="one-of-three-runs",
        ),
        pytest.param({PLANE: "running", PLANES[1]: "exited"}, [leaver(PLANES[2])], PLANES[1], id="half-is-no-majority"),
        pytest.param({PLANE: "running"}, [leaver(PLANES[1], running=False)], PLANES[1], id="no-majority-now"),
        pytest.param(
            {PLANES[2]: "exited", PLANE: "running"},
            [leaver(PLANES[1], running=False)],
            f"{PLANES[1]}, {PLANES[2]}",
            id="of-both-by-name",
        ),
        pytest.param(
            {PLANE: "running"},
            [leaver(PLANES[1]), leaver(PLANES[2], running=False), leaver(FIRST, plane=False, running=False)],
            None,
            id="a-worker-is-no-member",
        ),
        pytest.param({PLANE: "exited"}, [leaver(FIRST, plane=False)], None, id="only-workers-leave"),
        pytest.param({PLANE: "exited"}, [], None, id="nobody-leaves"),
    ],
)
def test_a_majority_of_etcd_is_left(staying: dict[str, str], leavers: list[Leaver], down: str | None) -> None:
    """Control planes leave only where more than half of those that stay run, and more than half of all do now."""
    if down is None:
        refuse_majority_lost(staying, leavers)
        return
    names = ", ".join(item.name for item in leavers)
    with fails(
        "etcd_majority", f"planes {names} cannot leave", f"these control planes do not run: {down}. ", "prune: false"
    ):
        refuse_majority_lost(staying, leavers)


def test_restarted_with_several_control_planes() -> None:
    """The worker and the load balancer stop before the control planes, and start when all of these have started."""
    plan = plan_restarted(several(UP, state="restarted"), PLANES, UP)
    found = [item for item in short(plan.operations) if " node " in item]
    assert found[:5] == ["stop node lb", "stop node w1", "stop node plane", "stop node plane2", "stop node plane3"]
    assert sorted(found[5:]) == sorted([*NODES, "start node lb"])
    needs = {item.key: {*item.needs} for item in plan.operations}
    for name in PLANES:
        assert needs[f"stop node {name}"] == {f"stop node {FIRST}", f"stop node {BALANCER}"}
        assert not [key for key in needs[f"start node {name}"] if key.startswith("start")]
    for name in (FIRST, BALANCER):
        assert {f"start node {plane}" for plane in PLANES} < needs[f"start node {name}"]
    kubernetes = [item for item in short(plan.operations) if " kubernetes " in item]
    assert kubernetes == [item for item in JOINS if " kubernetes " in item]


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


def test_workers_with_data_join_next_to_the_first_control_plane() -> None:
    """They need the API of nobody, and a worker that is new waits for it as ever."""
    workers = ("lab-worker-1", "lab-worker-2")
    plan = plan_present(
        Desired("lab", PLANE, (PLANE,), workers, {}, state="started", network_given=False, with_data=("lab-worker-1",))
    )
    needs = {item.name: set(item.needs) for item in plan.operations if item.verb == "join"}
    first = f"initialize Kubernetes on node {PLANE}"
    assert first not in needs["lab-worker-1"] and first in needs["lab-worker-2"]
    assert f"start node {PLANE}" in needs["lab-worker-1"]
