# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data of a cluster's nodes from a snapshot: which one, to which nodes, in which order, and what it requires of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import There
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.desired import Desired, plan_present
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.outcome import ClusterOutcome
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.plan import (
    ClusterPlan,
    plan_restored,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.restoring import (
    Source,
    find_source,
    forget,
    refuse_release,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshot import SavedNode, Snapshot, Wanted
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation, in_order
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container, Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._state.lock import host_lock
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject

from .lives import refusing_machine
from .snapshots import (
    NEWER,
    NOW,
    TORN,
    Disk,
    Disks,
    cluster,
    disks,
    everything,
    paused,
    plain,
    removed,
    snapshot,
    stopped,
)
from .support import IMAGE_ID, OURS, MemoryEngine, container, fails
from .test_cluster_run import spec

PLANES = ("lab-control-plane-1", "lab-control-plane-2", "lab-control-plane-3")
PLANE, WORKER, SECOND, BALANCER = PLANES[0], "lab-worker-1", "lab-worker-2", "lab-load-balancer"


def saved(name: str, address: int = 2, **given: Any) -> SavedNode:
    """A node of a snapshot."""
    role = "control-plane" if "control-plane" in name else "worker"
    found = SavedNode(name, role, name, f"10.5.0.{address}", "")
    return replace(found, **given)


def of(*nodes: SavedNode, **given: Any) -> Snapshot:
    """A snapshot of the cluster lab."""
    found = Snapshot("one", "lab", NOW, "v1.34.9", IMAGE_ID, ("10.5.0.0/24",), nodes)
    return replace(found, **given)


ONE = of(saved(PLANE), saved(WORKER, 3))
THREE = of(*(saved(name, at + 2) for at, name in enumerate(PLANES)), saved(WORKER, 9))


# The order.
def short(plan: ClusterPlan) -> list[str]:
    """The operations in the order of a run one by one, in few letters."""
    words = {name: f"plane{at + 1}" for at, name in enumerate(PLANES)}
    words.update({WORKER: "w1", SECOND: "w2", BALANCER: "lb", "data of node": "data"})
    words.update({"Kubernetes on node": "kubernetes", "boot of cluster": "boot", "load balancer": "balancer"})
    return [
        f"{item.verb} {words.get(item.kind, item.kind)} {words.get(item.name, item.name)}"
        for item in in_order(plan.operations)
    ]


def planned(
    fills: tuple[str, ...], there: Mapping[str, str], planes: tuple[str, ...] = (PLANE,), **given: Any
) -> ClusterPlan:
    """What there is to do for the data of these nodes."""
    words: dict[str, Any] = {"state": "started", "network_given": False, "pod_network": False, **given}
    workers = words.pop("workers", (WORKER,))
    with refusing_machine():
        return plan_restored(plan_present(Desired("lab", planes[0], planes, workers, there, **words)), fills, there)


VOLUMES = ["ensure network lab", "ensure volume plane1", "ensure volume w1"]
FILLS, STARTS = ["restore data plane1", "restore data w1"], ["start node plane1", "start node w1"]
KUBERNETES = ["initialize kubernetes plane1", "join kubernetes w1", "enable boot lab"]


@pytest.mark.parametrize(
    ("there", "fills", "expected"),
    [
        pytest.param({}, (PLANE, WORKER), [*VOLUMES, *FILLS, *STARTS, *KUBERNETES], id="from-nothing"),
        pytest.param(
            {PLANE: "running", WORKER: "running"},
            (PLANE, WORKER),
            ["stop node plane1", "stop node w1", *FILLS, *STARTS, *KUBERNETES],
            id="running",
        ),
        pytest.param(
            {PLANE: "exited", WORKER: "created"},
            (PLANE, WORKER),
            [*VOLUMES, *FILLS, *STARTS, *KUBERNETES],
            id="stopped",
        ),
        pytest.param(
            {PLANE: "paused", WORKER: "restarting"},
            (PLANE, WORKER),
            ["stop node plane1", "stop node w1", *VOLUMES, *FILLS, *STARTS, *KUBERNETES],
            id="paused-and-restarting",
        ),
        pytest.param(
            {PLANE: "running"},
            (PLANE, WORKER),
            ["stop node plane1", *VOLUMES, *FILLS, *STARTS, *KUBERNETES],
            id="lost-container",
        ),
        pytest.param(
            {PLANE: "exited", WORKER: "running"},
            (WORKER,),
            ["stop node w1", *VOLUMES, FILLS[1], *STARTS, *KUBERNETES],
            id="what-an-interrupted-run-has-left",
        ),
        pytest.param(
            {PLANE: "running", WORKER: "exited"}, (), [*VOLUMES, *STARTS, *KUBERNETES], id="all-have-their-data"
        ),
    ],
)
def test_order(there: dict[str, str], fills: tuple[str, ...], expected: list[str]) -> None:
    """The volumes first; what runs is stopped; no node starts before all have their data."""
    plan = planned(fills, there)
    assert sorted(short(plan)) == sorted(expected)
    assert_order(plan)


def assert_order(plan: ClusterPlan) -> None:
    """Whatever is done at the same time."""
    keys = {item.key for item in plan.operations}
    needed: dict[str, set[str]] = {}
    for item in in_order(plan.operations):
        direct = {key for key in item.needs if key in keys}
        needed[item.key] = direct.union(*(needed[key] for key in direct))
    stops = {item.key for item in plan.operations if item.verb == "stop"}
    copies = {item.key for item in plan.operations if item.verb == "restore"}
    for item in plan.operations:
        if item.verb == "restore":
            assert needed[item.key] >= stops
            volume = f"ensure volume {item.name}"
            assert volume not in keys or volume in needed[item.key]
        elif (item.verb, item.kind) == ("start", "node") and item.name != BALANCER:
            assert needed[item.key] >= stops | copies, item


def test_several_control_planes() -> None:
    """The load balancer stays as it is: it has no data."""
    there = dict.fromkeys((*PLANES, WORKER, BALANCER), "running")
    plan = planned((*PLANES, WORKER), there, PLANES, balancer=BALANCER)
    assert_order(plan)
    assert not [item for item in plan.operations if item.verb == "stop" and item.name == BALANCER]
    (start,) = [item for item in plan.operations if item.key == f"start node {BALANCER}"]
    assert not [key for key in start.needs if key.startswith(("stop", "restore"))]


def test_a_node_that_is_new() -> None:
    """It has no data to wait for of its own, and starts with the others."""
    plan = planned((PLANE, WORKER), {}, workers=(WORKER, SECOND))
    assert_order(plan)
    assert f"restore data of node {SECOND}" not in {item.key for item in plan.operations}
    assert {item.kind for item in plan.operations if item.verb == "restore"} == {"data of node"}


# Which nodes.
def source(found: Snapshot, name: str = "lab", **given: Any) -> Source:
    """The snapshot for a cluster."""
    return Source(found, name, **given)


def test_nodes_without_a_declaration() -> None:
    """Of its own cluster those that it has, by their names; of a clone as many of each role."""
    assert source(THREE).there == There(PLANES, (WORKER,), complete=PLANES)
    copies = tuple(name.replace("lab", "copy") for name in PLANES)
    assert source(THREE, "copy").there == There(copies, ("copy-worker-1",))
    assert (source(THREE).clone, source(THREE, "copy").clone) == (False, True)
    running = of(*(saved(PLANES[at]) for at in (1, 0, 2)))
    assert source(running).there.complete == (PLANES[1], PLANES[0], PLANES[2])


def given_to(found: Source) -> dict[str, str]:
    """Whose data each node gets."""
    return {name: item.name for name, item in found.nodes.items()}


@pytest.mark.parametrize(
    ("found", "name", "given", "expected"),
    [
        pytest.param(ONE, "lab", {"workers": 1}, {PLANE: PLANE, WORKER: WORKER}, id="own"),
        pytest.param(ONE, "lab", {"workers": 2}, {PLANE: PLANE, WORKER: WORKER}, id="own-with-more-workers"),
        pytest.param(
            *(ONE, "lab", {"control_planes": 3, "workers": 1}, {PLANE: PLANE, WORKER: WORKER}),
            id="own-with-more-control-planes",
        ),
        pytest.param(
            of(saved(PLANE), saved(SECOND)), "lab", {"workers": 2}, {PLANE: PLANE, SECOND: SECOND}, id="own-by-name"
        ),
        pytest.param(
            *(ONE, "copy", {"workers": 1}, {"copy-control-plane-1": PLANE, "copy-worker-1": WORKER}), id="clone"
        ),
        pytest.param(
            *(ONE, "copy", {"workers": 3}, {"copy-control-plane-1": PLANE, "copy-worker-1": WORKER}),
            id="clone-with-more-workers",
        ),
        pytest.param(
            of(saved(PLANES[1]), saved(PLANES[0]), saved(PLANES[2]), saved(SECOND)),
            "copy",
            {"control_planes": 3, "workers": 1},
            {
                "copy-control-plane-1": PLANES[1],
                "copy-control-plane-2": PLANES[0],
                "copy-control-plane-3": PLANES[2],
                "copy-worker-1": SECOND,
            },
            id="clone-in-order",
        ),
        pytest.param(
            ONE,
            "copy",
            {"nodes": [{"name": "db"}, {"name": "brain", "role": "control-plane"}]},
            {"brain": PLANE, "db": WORKER},
            id="clone-by-name",
        ),
    ],
)
def test_nodes_of_a_declaration(found: Snapshot, name: str, given: dict[str, Any], expected: dict[str, str]) -> None:
    """Of its own cluster by name, of another one by role and order; the first is a control plane."""
    declared = source(found, name).declared_by(spec(name=name, **given))
    assert given_to(declared) == expected and next(iter(declared.nodes.values())).role == "control-plane"
    assert declared.fills == tuple(expected)
    _first, *others = expected
    assert replace(declared, pending=frozenset(others)).fills == tuple(others)
    assert replace(declared, pending=frozenset()).fills == ()


@pytest.mark.parametrize(
    ("found", "name", "given", "words"),
    [
        pytest.param(ONE, "lab", {"workers": 0}, [WORKER, "1 control planes and 1 workers"], id="own"),
        pytest.param(ONE, "copy", {"workers": 0}, [WORKER], id="clone"),
        pytest.param(THREE, "lab", {"workers": 1}, [PLANES[1], PLANES[2], "3 control planes"], id="own-planes"),
        pytest.param(THREE, "copy", {"workers": 5}, [PLANES[1], PLANES[2]], id="clone-planes"),
        pytest.param(
            *(of(saved(PLANE), saved("lab-worker-7")), "lab", {"workers": 2}, ["lab-worker-7"]), id="another-name"
        ),
        pytest.param(
            *(ONE, "lab", {"nodes": [{"name": PLANE, "role": "control-plane"}, {"name": "db"}]}, [WORKER]), id="by-name"
        ),
    ],
)
def test_nodes_that_are_not_declared(found: Snapshot, name: str, given: dict[str, Any], words: list[str]) -> None:
    """Their data would be lost: which ones, and how many of each role there are."""
    with fails("snapshot_nodes", "one", *words):
        source(found, name).declared_by(spec(name=name, **given))


def applied(found: Snapshot, name: str = "lab", there: Mapping[str, Container] | None = None, **given: Any) -> Any:
    """The declaration with what the data requires."""
    asked = spec(name=name, **{"workers": 1, **given})
    return source(found, name).declared_by(asked).applied(asked, there or {}, IMAGE_ID)


def test_a_restored_cluster_has_its_addresses() -> None:
    """And the subnets that they are of; its nodes have their own names."""
    asked = applied(ONE)
    assert {name: str(item.ip) for name, item in asked.nodes.items()} == {PLANE: "10.5.0.2", WORKER: "10.5.0.3"}
    assert {item.ip6 for item in asked.nodes.values()} == {None}
    assert str(asked.network.subnet) == "10.5.0.0/24" and asked.network.subnet6 is None
    assert asked.node_names == {} and {item.node_name for item in asked.nodes.values()} == {None}
    assert not any(item.takes_over for item in asked.kubernetes.values())
    assert not any(item.replace for item in asked.nodes.values())


def test_a_requested_subnet_stays() -> None:
    """Only what is left open is that of the data."""
    assert str(applied(ONE, network={"subnet": "10.5.0.0/16"}).network.subnet) == "10.5.0.0/16"


DUAL = of(saved(PLANE, ip6="fd00:5::2"), saved(WORKER, 3, ip6="fd00:5::3"), subnets=("10.5.0.0/24", "fd00:5::/64"))


@pytest.mark.parametrize(
    ("given", "expected", "addresses"),
    [
        ({}, "fd00:5::/64", {"fd00:5::2", "fd00:5::3"}),
        ({"network": {"subnet6": "none"}}, "None", {"None"}),
        ({"network": {"subnet6": "fd00:5::/48"}}, "fd00:5::/48", {"fd00:5::2", "fd00:5::3"}),
    ],
    ids=["automatic", "none", "requested"],
)
def test_ipv6(given: dict[str, Any], expected: str, addresses: set[str]) -> None:
    """As it is declared now."""
    asked = applied(DUAL, **given)
    assert (str(asked.network.subnet6), {str(item.ip6) for item in asked.nodes.values()}) == (expected, addresses)


def placed(name: str, address: str, **given: Any) -> Container:
    """A container of the cluster at an address."""
    own = {**OURS, labels.CLUSTER: "lab", labels.ADDRESS: address}
    return container(name, labels=own, **given)


@pytest.mark.parametrize(
    ("found", "replaced"),
    [
        pytest.param(placed(PLANE, "10.5.0.2"), False, id="as-it-was"),
        pytest.param(placed(PLANE, "10.5.0.9"), True, id="another-address"),
        pytest.param(container(PLANE), True, id="no-address"),
        pytest.param(placed(PLANE, "10.5.0.2", image_id="e" * 64), True, id="another-image"),
    ],
)
def test_containers_that_are_replaced(found: Container, replaced: bool) -> None:
    """Those that cannot be of the data: the others stay as they are."""
    asked = applied(ONE, there={PLANE: found})
    assert [item.replace for item in asked.nodes.values()] == [replaced, False]
    declared = applied(ONE, there={PLANE: found}, node={"recreate": "on_drift"})
    assert all(item.replace for item in declared.nodes.values())


def test_a_container_of_the_image_of_the_snapshot_stays() -> None:
    """Also where another one is declared now."""
    asked = spec(workers=1)
    found = {PLANE: placed(PLANE, "10.5.0.2", image_id=IMAGE_ID)}
    now = source(ONE).declared_by(asked).applied(asked, found, NEWER)
    assert not now.nodes[PLANE].replace


def test_a_clone_has_the_names_of_the_original() -> None:
    """And nothing else of it: neither its addresses nor its subnets."""
    asked = applied(ONE, "copy", workers=2)
    names = {"copy-control-plane-1": PLANE, "copy-worker-1": WORKER}
    assert asked.node_names == names
    assert {name: asked.node_name(name) for name in asked.nodes} == {**names, "copy-worker-2": "copy-worker-2"}
    assert [(item.node_name, item.hostname) for item in asked.nodes.values()] == [
        (PLANE, PLANE),
        (WORKER, WORKER),
        (None, "copy-worker-2"),
    ]
    assert [item.volume.labels.get(labels.NODE_NAME) for item in asked.volumes.values()] == [PLANE, WORKER, None]
    kubernetes = asked.kubernetes
    assert [item.registered for item in kubernetes.values()] == [PLANE, WORKER, "copy-worker-2"]
    assert [item.takes_over for item in kubernetes.values()] == [True, False, False]
    assert {item.ip for item in asked.nodes.values()} == {None} and asked.network.subnet is None
    assert asked.containers_of({PLANE: 1, WORKER: 2, "copy-worker-2": 3, "other": 4}) == {
        "copy-control-plane-1": 1,
        "copy-worker-1": 2,
        "copy-worker-2": 3,
        "other": 4,
    }


def test_a_snapshot_of_a_clone() -> None:
    """Restored, its nodes have the names of the first original; so has a clone of it, also one with the name of that."""
    clone = of(
        saved("lab-control-plane-1", node_name="origin-control-plane-1"), saved(WORKER, 3, node_name="origin-worker-1")
    )
    names = {PLANE: "origin-control-plane-1", WORKER: "origin-worker-1"}
    own = applied(clone)
    assert own.node_names == names and str(own.nodes[PLANE].ip) == "10.5.0.2"
    back = applied(clone, "origin")
    assert back.node_names == {name: name for name in names.values()}
    # It has another one's data: its keys are new.
    assert [item.takes_over for item in back.kubernetes.values()] == [True, False]


def test_without_names_a_declaration_stays_as_it_is() -> None:
    """Of a node that is not declared nothing is kept but its name."""
    asked = spec(workers=1)
    assert asked.named({}) is asked
    assert asked.named({"other": "x"}).nodes == asked.nodes
    assert spec(There(node_names={WORKER: "x"}), workers=1).nodes[WORKER].node_name == "x"


# Which snapshot.
def kept(name: str = "one", of_cluster: str = "lab") -> Volume:
    """The volume of a snapshot."""
    found = replace(ONE, name=name, cluster=of_cluster)
    return Volume(found.volume, "local", "", found.label, {})


FOUND = "lab/one"
NOTHING, MISSING = "nothing", "snapshot_missing"
OWN, OTHER, NONE = Wanted("lab", "one"), Wanted("origin", "one"), Wanted("lab", "two")

CHOICES = [
    # A cluster that is there has its data, unless it is to be restored.
    *(
        ("there", state, wanted, NOTHING)
        for state in ("started", "present", "restarted")
        for wanted in (OWN, OTHER, NONE)
    ),
    *(
        ("volumes", state, wanted, NOTHING)
        for state in ("started", "present", "restarted")
        for wanted in (OWN, OTHER, NONE)
    ),
    *((what, state, None, NOTHING) for what in ("there", "volumes", "gone") for state in ("started", "present")),
    # A new one gets what is requested.
    *(("gone", state, OWN, FOUND) for state in ("started", "present", "restarted")),
    *(("gone", state, OTHER, "origin/one") for state in ("started", "present")),
    *(("gone", state, NONE, MISSING) for state in ("started", "present")),
    ("foreign volumes", "started", OWN, FOUND),
    # It was requested by the state, whatever is there.
    *((what, "restored", OWN, FOUND) for what in ("there", "volumes", "gone", "begun", "begun with another")),
    *((what, "restored", NONE, MISSING) for what in ("there", "volumes", "gone", "begun")),
    # What was begun is completed.
    *(
        ("begun", state, wanted, "origin/one pending")
        for state in ("started", "present")
        for wanted in (None, OWN, NONE)
    ),
    ("begun without a cluster", "started", OWN, "origin/one pending"),
    ("begun with another", "started", OWN, MISSING),
    ("done with another", "started", None, NOTHING),
    ("done with another", "restored", OWN, FOUND),
]


@pytest.mark.parametrize(
    ("what", "state", "wanted", "expected"),
    [
        pytest.param(*item, id=f"{item[0]}-{item[1]}-{item[2].cluster + item[2].name if item[2] else ''}")
        for item in CHOICES
    ],
)
def test_which_snapshot(what: str, state: str, wanted: Wanted | None, expected: str) -> None:
    """By what is there of the cluster, and what is requested."""
    engine = MemoryEngine()
    engine.volume_table.update({item.name: item for item in (kept(), kept(of_cluster="origin"))})
    there = [container(PLANE, labels={**OURS, labels.CLUSTER: "lab"})] if what in ("there", "begun") else []
    if what in ("volumes", "there", "begun"):
        engine.volume_table[PLANE] = Volume(PLANE, "local", "", {**OURS, labels.CLUSTER: "lab"}, {})
    if what == "foreign volumes":
        engine.volume_table[PLANE] = Volume(PLANE, "local", "", {labels.CLUSTER: "lab"}, {})
    if what.startswith(("begun", "done")):
        name = "lab.snapshot.gone" if "another" in what else "origin.snapshot.one"
        nodes = [WORKER] if what.startswith("begun") else []
        ClusterState(Subject("podman", "lab"), restoring={"snapshot": name, "nodes": nodes}).save()
    if expected == MISSING:
        with fails(MISSING, "lab/gone" if "another" in what else "lab/two", "which has lab/one, origin/one"):
            find_source(engine, "lab", state, wanted, there, check_mode=False)
        return
    found = find_source(engine, "lab", state, wanted, there, check_mode=False)
    if found is None:
        assert expected == NOTHING
        return
    assert f"{found.snapshot.cluster}/{found.snapshot.name}" == expected.partition(" ")[0]
    assert found.pending == (frozenset((WORKER,)) if "pending" in expected else None)
    assert found.cluster == "lab" and engine.done == []


def test_a_missing_snapshot_where_there_is_none() -> None:
    """No others are named."""
    with fails(MISSING, "There is no snapshot lab/one on podman."):
        find_source(MemoryEngine(), "lab", "started", OWN, [], check_mode=False)


def test_records_of_others_begin_nothing() -> None:
    """Of another engine, or of another cluster."""
    for subject in (Subject("docker", "lab"), Subject("podman", "other")):
        ClusterState(subject, restoring={"snapshot": "lab.snapshot.one", "nodes": [PLANE]}).save()
    assert find_source(MemoryEngine(), "lab", "started", None, [], check_mode=False) is None
    forget(MemoryEngine(), "lab")
    assert ClusterState.load(Subject("docker", "lab")).restoring


def test_what_was_begun_is_forgotten_with_the_cluster() -> None:
    """What else is recorded of it stays."""
    subject = Subject("podman", "lab")
    ClusterState(subject, limits={PLANE: {"memory": 1}}, restoring={"snapshot": "x", "nodes": []}).save()
    forget(MemoryEngine(), "lab")
    found = ClusterState.load(subject)
    assert found.restoring == {} and found.limits == {PLANE: {"memory": 1}}


# On an engine.
@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disks:
    """A cluster with a worker, of which there is a snapshot; it has written more since."""
    plain(monkeypatch)
    found = disks(monkeypatch, tmp_path)
    cluster(found, workers=1)
    found.write("taken")
    snapshot(found)
    found.write("later")
    return found


again = partial(cluster, state="restored", snapshot="one")


def test_refused_release(engine: Disks) -> None:
    """Data of one release is not given to another one. The image of the snapshot is not asked."""
    found = source(ONE)
    engine.done.clear()
    refuse_release(engine, found, "localhost/node:1", IMAGE_ID)
    assert engine.done == []
    refuse_release(engine, found, "localhost/node:1b", "c" * 64)
    with fails("snapshot_release", "v1.34.9", "v1.35.4", "localhost/node:2", "kic_image_kubernetes_version: '1.34'"):
        refuse_release(engine, found, "localhost/node:2", NEWER)
    assert not [name for name in engine.container_table if name.startswith("kic-image-")]


Step = Callable[[Disks], Any]


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        pytest.param({"image": "localhost/node:2"}, "snapshot_release", id="release"),
        pytest.param({"image": "localhost/node:9"}, "image_missing", id="image"),
        pytest.param({"workers": 0}, "snapshot_nodes", id="nodes"),
        pytest.param({"snapshot": "two"}, "snapshot_missing", id="snapshot"),
        pytest.param({"control_planes": 3, "load_balancer_image": "localhost/none:1"}, "image_missing", id="balancer"),
    ],
)
@pytest.mark.parametrize("before", [lambda _engine: None, stopped, removed], ids=["running", "stopped", "gone"])
def test_what_is_in_the_way(before: Step, given: dict[str, Any], condition: str, engine: Disks) -> None:
    """It is found as long as nothing is changed, and nothing is begun: the next run has the data that is there."""
    before(engine)
    there = deepcopy(everything(engine))
    with fails(condition):
        again(engine, **given)
    assert everything(engine) == there
    cluster(engine, workers=1)
    assert {engine.disk(item).content for item in engine.nodes()} == {"later" if before is not removed else "new"}


@pytest.mark.parametrize("at", [PLANE, WORKER])
@pytest.mark.parametrize("work", [again, partial(cluster, snapshot="one")], ids=["restored", "created"])
def test_a_copy_that_fails(work: Callable[..., Any], at: str, engine: Disks) -> None:
    """No node starts with half of the data of its cluster; the next run completes it, whatever it requests."""
    if work is not again:
        removed(engine)
    engine.full = {at}
    engine.required = {PLANE: "taken", WORKER: "taken"}
    with fails("copy_failed", at):
        work(engine)
    assert "running" not in engine.statuses().values() and TORN not in engine.disks.values()
    engine.full = set()
    cluster(engine)
    assert engine.statuses() == {PLANE: "running", WORKER: "running"}
    assert all(engine.disks[name] == engine.disks[f"lab.snapshot.one.{name}"] for name in (PLANE, WORKER))
    assert ClusterState.load(Subject("podman", "lab")).restoring == {}


def test_copies_leave_the_lock_free(engine: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take their time."""
    copy, copied = engine.copy, []

    def slow(*given: Any) -> Any:
        with host_lock(wait=0):
            copied.append(given)
        return copy(*given)

    monkeypatch.setattr(engine, "copy", slow)
    snapshot(engine, "two")
    again(engine)
    assert len(copied) == 4


def test_what_a_clone_gets(engine: Disks) -> None:
    """etcd's data only the first control plane, and no node what makes it part of the original."""
    removed(engine)
    cluster(engine, workers=1, control_planes=3)
    engine.write("taken")
    snapshot(engine, "three")
    cluster(engine, "copy", snapshot="lab/three")
    first, *others = [item for item in engine.nodes("copy") if "control-plane" in item.name]
    assert engine.disk(first).etcd == "taken" and len(others) == 2
    assert {engine.disk(item).authority for item in engine.nodes("copy")} == {"copy"}
    assert {engine.disk(item).content for item in engine.nodes("copy")} == {"taken"}


def test_snapshots_of_a_clone(engine: Disks) -> None:
    """It keeps the names of its nodes, restored, cloned once more, and created again from its own."""
    cluster(engine, "copy", snapshot="lab/one")
    snapshot(engine, "mine", of="copy")
    engine.write("later", "copy")
    cluster(engine, "copy", state="restored", snapshot="mine")
    cluster(engine, "third", snapshot="copy/mine")
    for name in ("copy", "third"):
        found = engine.nodes(name)
        assert [labels.node_name(item.name, item.labels) for item in found] == [PLANE, WORKER]
        assert {engine.disk(item).content for item in found} == {"taken"}
        assert {engine.disk(item).authority for item in found} == {name}
    removed(engine, "copy")
    cluster(engine, "copy", snapshot="mine")
    assert {engine.disk(item).content for item in engine.nodes("copy")} == {"taken"}
    assert [labels.node_name(item.name, item.labels) for item in engine.nodes("copy")] == [PLANE, WORKER]


def test_a_node_of_a_clone_that_lost_its_container(engine: Disks) -> None:
    """Its volume knows its name in Kubernetes."""
    cluster(engine, "copy", snapshot="lab/one")
    engine.remove_container("copy-worker-1", 0)
    cluster(engine, "copy", workers=2)
    found = {item.name: item.labels.get(labels.NODE_NAME) for item in engine.nodes("copy")}
    assert found == {"copy-control-plane-1": PLANE, "copy-worker-1": WORKER, "copy-worker-2": None}


def moved(name: str, address: str, engine: Disks) -> None:
    """The node has another address now."""
    found = engine.container_table[name]
    own = {**found.labels, labels.ADDRESS: address}
    engine.add(replace(found, labels=own, addresses={"lab": (address,)}))
    engine.disks[name] = replace(engine.disks[name], address=address)


def addresses(engine: Disks) -> dict[str, str]:
    """Of all nodes."""
    return {item.name: item.labels[labels.ADDRESS] for item in engine.nodes()}


def test_a_node_that_has_another_address_now(engine: Disks) -> None:
    """Its container is replaced by one that the data knows."""
    known = addresses(engine)
    moved(PLANE, "192.168.128.99", engine)
    engine.required = {PLANE: "taken", WORKER: "taken"}
    found = predicted(engine, again)
    assert [text for text in found.actions if text.startswith("create node")] != []
    assert addresses(engine) == known
    assert {engine.disk(item).content for item in engine.nodes()} == {"taken"}


@pytest.mark.parametrize("before", [lambda _engine: None, stopped], ids=["running", "stopped"])
def test_an_address_that_another_node_has_now(before: Step, engine: Disks) -> None:
    """It is said as long as nothing is changed; without the containers it can be restored."""
    known = addresses(engine)
    moved(PLANE, known[WORKER], engine)
    moved(WORKER, known[PLANE], engine)
    before(engine)
    there = deepcopy(everything(engine))
    for check_mode in (True, False):
        with pytest.raises(KicError) as caught:
            again(engine, check_mode=check_mode)
        assert known[PLANE] in str(caught.value) and everything(engine) == there
    removed(engine)
    again(engine)
    assert addresses(engine) == known


@pytest.mark.parametrize("before", [lambda _engine: None, stopped], ids=["running", "stopped"])
def test_a_cluster_that_is_on_another_subnet_now(before: Step, engine: Disks) -> None:
    """Its nodes could not have their addresses: it is said as long as nothing is changed."""
    removed(engine)
    cluster(engine, workers=1, network={"subnet": "10.99.0.0/24"})
    engine.write("later")
    before(engine)
    there = deepcopy(everything(engine))
    with pytest.raises(KicError) as caught:
        again(engine)
    assert everything(engine) == there, caught.value


@pytest.mark.parametrize("given", [{}, {"control_planes": 3}, {"control_planes": 1}], ids=["as-it-is", "all", "fewer"])
@pytest.mark.parametrize("before", [lambda _engine: None, stopped], ids=["running", "stopped"])
def test_control_planes_that_joined_since(before: Step, given: dict[str, Any], engine: Disks) -> None:
    """Their etcd has a majority, and goes on: it is refused as long as nothing is changed. Without them it is restored."""
    cluster(engine, workers=1, control_planes=3)
    engine.write("later")
    before(engine)
    there = deepcopy(everything(engine))
    for check_mode in (True, False):
        with fails("snapshot_planes", f"{PLANES[1]}, {PLANES[2]}", "kic_cluster_control_planes: 1"):
            again(engine, check_mode=check_mode, **given)
        assert everything(engine) == there
    removed(engine)
    again(engine)
    assert {engine.disk(item).content for item in engine.nodes()} == {"taken"}


def test_control_planes_that_are_new(engine: Disks) -> None:
    """They join the one that is restored, also where an interrupted run has begun to create them."""
    engine.required = {PLANE: "taken", WORKER: "taken"}
    again(engine, control_planes=3)
    assert {engine.disk(item).etcd for item in engine.nodes() if "control-plane" in item.name} == {"taken"}
    for name in PLANES[1:]:
        volume = engine.mounted(engine.container_table[name])["/var"]
        engine.disks[volume] = Disk()
    again(engine, control_planes=3)
    assert {engine.disk(item).etcd for item in engine.nodes() if "control-plane" in item.name} == {"taken"}


# What check mode predicts.
def predicted(engine: Disks, work: Callable[..., ClusterOutcome]) -> ClusterOutcome:
    """What a run did, which check mode has predicted in the same words, and a second run has nothing to do."""
    before, copies, results = deepcopy(everything(engine)), len(engine.copies), []
    for check_mode in (True, False):
        assert everything(engine) == before and len(engine.copies) == copies
        results.append(work(engine, check_mode=check_mode))
    assert results[0].actions == results[1].actions
    assert results[0].plan.created == results[1].plan.created
    creates = any(text.startswith("create") for text in results[1].actions)
    assert creates or results[0].diff == results[1].diff
    return results[1]


DATA = [f"restore data of node {name}" for name in (PLANE, WORKER)]


@pytest.mark.parametrize(
    ("before", "actions"),
    [
        (
            lambda _engine: None,
            [f"stop node {PLANE}", f"stop node {WORKER}", *DATA, f"start node {PLANE}", f"start node {WORKER}"],
        ),
        (paused, [f"stop node {PLANE}", f"stop node {WORKER}", *DATA, f"start node {PLANE}", f"start node {WORKER}"]),
        (stopped, [*DATA, f"start node {PLANE}", f"start node {WORKER}"]),
        (lambda engine: engine.remove_container(WORKER, 0), [f"stop node {PLANE}", *DATA, f"start node {PLANE}"]),
        (removed, ["create network lab", f"create volume {PLANE}", f"create volume {WORKER}", *DATA]),
    ],
    ids=["running", "paused", "stopped", "lost-container", "gone"],
)
def test_check_mode_of_a_restore(before: Step, actions: list[str], engine: Disks) -> None:
    """Kubernetes comes with the data: nothing of it is created."""
    before(engine)
    found = predicted(engine, again)
    own = [
        text
        for text in found.actions
        if "boot" not in text and not text.startswith(("create node", "start node lab-worker"))
    ]
    assert own == [text for text in actions if not text.startswith("start node lab-worker")] + [
        text for text in found.actions if text == f"start node {PLANE}" and text not in actions
    ]
    assert not [text for text in found.actions if "Kubernetes" in text]
    assert {engine.disk(item).content for item in engine.nodes()} == {"taken"}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        pytest.param("lab", {"snapshot": "one"}, id="own"),
        pytest.param("lab", {"snapshot": "one", "state": "present"}, id="own-present"),
        pytest.param("copy", {"snapshot": "lab/one"}, id="clone"),
        pytest.param("copy", {"snapshot": "lab/one", "workers": 2}, id="clone-with-a-new-worker"),
        pytest.param("copy", {"snapshot": "lab/one", "workers": 1, "control_planes": 3}, id="clone-with-new-planes"),
    ],
)
def test_check_mode_of_a_new_cluster(name: str, given: dict[str, Any], engine: Disks) -> None:
    """What is done to each node is predicted; a second run has nothing to do."""
    if name == "lab":
        removed(engine)
    found = predicted(engine, partial(cluster, name=name, **given))
    data = [text for text in found.actions if text.startswith("restore data")]
    assert data == [text.replace("lab", name) for text in DATA]
    kubernetes = [text for text in found.actions if "Kubernetes" in text]
    assert bool(kubernetes) is (name == "copy")
    assert cluster(engine, name, **given).actions == () == cluster(engine, name, check_mode=True, **given).actions


def test_check_mode_of_an_interrupted_restore(engine: Disks) -> None:
    """It predicts what is left, whatever is requested."""
    engine.full = {WORKER}
    with pytest.raises(KicError):
        again(engine)
    engine.full = set()
    found = predicted(engine, cluster)
    assert [text for text in found.actions if "data of node" in text] == [DATA[1]]
    assert not [text for text in found.actions if "Kubernetes" in text]


def test_check_mode_before_there_is_a_snapshot(engine: Disks) -> None:
    """An earlier task may take it, of the cluster as it is; the run itself does not take that for granted."""
    there = everything(engine)
    work = partial(cluster, name="copy", snapshot="lab/next")
    found = work(engine, check_mode=True)
    assert [text for text in found.actions if "data of node" in text]
    assert everything(engine) == there
    with fails("snapshot_missing", "lab/next"):
        work(engine)
    with fails("snapshot_missing", "other/next"):
        cluster(engine, "copy", check_mode=True, snapshot="other/next")


def test_operations_have_their_own_words() -> None:
    """What a report says of them."""
    assert str(Operation("restore", "data of node", PLANE)) == DATA[0]
    assert Disk() != TORN
