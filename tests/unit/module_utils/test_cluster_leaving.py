# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that leave a cluster: who they are, what is lost with them, and the order of what is done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.desired import Desired, plan_present
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.kinds import ETCD, REGISTERED
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.leaving import Leaving
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.plan import (
    Leaver,
    Surplus,
    find_leavers,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.upgrading import Upgrading
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation, Performed, in_order
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import members
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.leave import (
    Departure,
    Membership,
    refuse_losses,
)
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .support import MemoryEngine, container, fails, said
from .test_cluster_run import spec

PLANE, FIRST, SECOND, THIRD = "lab-control-plane-1", "lab-worker-1", "lab-worker-2", "lab-worker-3"
OTHER = "lab-control-plane-2"


def leaver(name: str, **given: Any) -> Leaver:
    """A worker of which everything is there."""
    return Leaver(name, **{"running": True, "container": True, "volume": True, **given})


LEAVERS = [
    pytest.param({}, [], {PLANE: "", FIRST: ""}, [], id="none"),
    pytest.param({SECOND: "running"}, [SECOND], {SECOND: ""}, [leaver(SECOND)], id="one-fewer"),
    pytest.param({SECOND: "running"}, [SECOND], {SECOND: "cordoned"}, [leaver(SECOND, marked=True)], id="interrupted"),
    pytest.param({SECOND: "exited"}, [SECOND], {SECOND: ""}, [leaver(SECOND, running=False)], id="stopped"),
    pytest.param({SECOND: "running"}, [], {}, [leaver(SECOND, registered=False, volume=False)], id="never-joined"),
    pytest.param({SECOND: "running"}, [SECOND], None, [leaver(SECOND)], id="no-answer"),
    pytest.param({"own": "running"}, ["own"], {"own": ""}, [leaver("own")], id="by-hand"),
    pytest.param({}, [], {SECOND: ""}, [leaver(SECOND, running=False, container=False, volume=False)], id="only-node"),
    pytest.param({}, [SECOND], {}, [Leaver(SECOND, registered=False, volume=True)], id="only-volume"),
    pytest.param({}, [SECOND], None, [Leaver(SECOND, registered=False, volume=True)], id="only-volume-no-answer"),
    pytest.param({}, ["own"], {"own": ""}, [Leaver("own", volume=True)], id="by-hand-container-lost"),
    pytest.param({}, [], {"own": "cordoned"}, [Leaver("own", marked=True)], id="by-hand-interrupted"),
    pytest.param({}, ["data"], {"elsewhere": ""}, [], id="of-others"),
    pytest.param({}, ["other"], {"other": ""}, [], id="container-of-another-role"),
    pytest.param({}, [], {"lab-worker-01": "", "lab-worker-0": "", "xlab-worker-2": ""}, [], id="almost-ours"),
    pytest.param(
        {THIRD: "running", SECOND: "running"},
        [],
        {SECOND: "", THIRD: ""},
        [leaver(SECOND, volume=False), leaver(THIRD, volume=False)],
        id="two",
    ),
]


@pytest.mark.parametrize(("workers", "volumes", "registered", "expected"), LEAVERS)
def test_who_leaves(
    workers: dict[str, str], volumes: list[str], registered: dict[str, str] | None, expected: list[Leaver]
) -> None:
    """Containers that are not declared, and what is left of workers; nothing of a user's or of another machine."""
    taken = [PLANE, FIRST, "other", *workers]
    declared = [PLANE, FIRST]
    surplus = {name: Surplus("worker", status) for name, status in workers.items()}
    assert find_leavers("lab", declared, surplus, taken, [PLANE, FIRST, *volumes], registered) == tuple(expected)


@pytest.mark.parametrize(
    ("surplus", "volumes", "registered", "expected"),
    [
        pytest.param({OTHER: "running"}, [OTHER], {OTHER: ""}, [leaver(OTHER, plane=True)], id="one-fewer"),
        pytest.param({OTHER: "running"}, [OTHER], None, [leaver(OTHER, plane=True)], id="no-answer"),
        pytest.param({}, [OTHER], {OTHER: ""}, [Leaver(OTHER, volume=True, plane=True)], id="container-lost"),
        pytest.param({}, [], {OTHER: "cordoned"}, [Leaver(OTHER, marked=True, plane=True)], id="only-node"),
        pytest.param({}, [OTHER], {}, [Leaver(OTHER, registered=False, volume=True, plane=True)], id="only-volume"),
        pytest.param(
            {"brain": "exited"},
            [],
            {},
            [leaver("brain", registered=False, running=False, volume=False, plane=True)],
            id="by-hand",
        ),
        pytest.param({}, [], {SECOND: ""}, [Leaver(SECOND)], id="worker"),
    ],
)
def test_which_control_planes_leave(
    surplus: dict[str, str], volumes: list[str], registered: dict[str, str] | None, expected: list[Leaver]
) -> None:
    """They are known as control planes, by their container or by their name: etcd has them as members."""
    there = {name: Surplus("control-plane", status) for name, status in surplus.items()}
    taken = [PLANE, FIRST, *surplus]
    found = find_leavers("lab", [PLANE, FIRST], there, taken, [PLANE, FIRST, *volumes], registered)
    assert found == tuple(expected)


def test_what_lost_its_container_is_known_by_the_names_of_both_roles() -> None:
    """Whichever numbers are declared: without the removal of its member, etcd counts a control plane on."""
    found = find_leavers("lab", [PLANE], {}, [PLANE], [PLANE, OTHER, SECOND, "data"], {OTHER: "", SECOND: ""})
    assert found == (Leaver(OTHER, volume=True, plane=True), Leaver(SECOND, volume=True))


def operations(*leavers: Leaver, asked: bool = True, **given: Any) -> list[str]:
    """What is done after the cluster is as it is declared, one by one."""
    there = {PLANE: "running", **{item.name: "running" for item in leavers if item.container}}
    words: dict[str, Any] = {"state": "started", "network_given": False, "leavers": leavers, "asked": asked, **given}
    plan = plan_present(Desired("lab", PLANE, [PLANE], [], there, **words))
    assert plan.surplus == ()
    found = [item.key for item in in_order(plan.operations)]
    # The boot of what is left comes last.
    assert found.pop() == "enable boot of cluster lab"
    return found[found.index(f"initialize Kubernetes on node {PLANE}") + 1 :]


def test_order() -> None:
    """All are cordoned before one is drained; the API keeps a node until nothing else of it is left."""
    assert operations(leaver(FIRST), leaver(SECOND)) == [
        f"cordon Kubernetes node {FIRST}",
        f"cordon Kubernetes node {SECOND}",
        f"drain Kubernetes node {FIRST}",
        f"remove node {FIRST}",
        f"remove volume {FIRST}",
        f"delete Kubernetes node {FIRST}",
        f"drain Kubernetes node {SECOND}",
        f"remove node {SECOND}",
        f"remove volume {SECOND}",
        f"delete Kubernetes node {SECOND}",
        "connect pod network lab",
    ]


def test_in_parallel() -> None:
    """Nothing of one needs anything of another but that it is cordoned."""
    plan = plan_present(
        Desired(
            *("lab", PLANE, [PLANE], [], {PLANE: "running"}),
            state="started",
            network_given=False,
            leavers=[leaver(FIRST), leaver(SECOND)],
        )
    )
    needs = {item.key: item.needs for item in plan.operations}
    assert set(needs[f"drain Kubernetes node {SECOND}"]) == {
        f"initialize Kubernetes on node {PLANE}",
        f"cordon Kubernetes node {FIRST}",
        f"cordon Kubernetes node {SECOND}",
    }
    assert needs[f"remove node {SECOND}"] == (f"drain Kubernetes node {SECOND}",)
    assert set(needs["connect pod network lab"]) >= {f"delete Kubernetes node {name}" for name in (FIRST, SECOND)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"running": False}, ["cordon", "remove", "remove", "delete"], id="stopped"),
        pytest.param({"marked": True}, ["drain", "remove", "remove", "delete"], id="cordoned"),
        pytest.param({"running": False, "container": False}, ["remove", "delete"], id="container-lost"),
        pytest.param({"running": False, "container": False, "volume": False}, ["delete"], id="all-lost"),
        pytest.param({"registered": False}, ["remove", "remove"], id="not-in-the-api"),
    ],
)
def test_what_is_left_of_a_node(given: dict[str, Any], expected: list[str]) -> None:
    """Only what is there is done away with."""
    found = operations(leaver(FIRST, **given), pod_network=False)
    assert [item.partition(" ")[0] for item in found] == expected


def test_pods_move_to_where_their_images_are() -> None:
    """Nothing is cordoned before the user's images are in the nodes that stay."""
    plan = plan_present(
        Desired(
            *("lab", PLANE, [PLANE], [], {PLANE: "running"}),
            state="started",
            network_given=False,
            images=True,
            leavers=[leaver(FIRST)],
        )
    )
    needs = {item.key: item.needs for item in plan.operations}
    assert "load images lab" in needs[f"cordon Kubernetes node {FIRST}"]


def test_order_of_a_control_plane() -> None:
    """Its pods move first, then etcd loses its member, then it goes."""
    found = operations(leaver(OTHER, plane=True), pod_network=False)
    assert found == [
        *(f"cordon Kubernetes node {OTHER}", f"drain Kubernetes node {OTHER}", f"remove etcd member {OTHER}"),
        *(f"remove node {OTHER}", f"remove volume {OTHER}", f"delete Kubernetes node {OTHER}"),
    ]


def test_asked_late() -> None:
    """Where the API did not answer before, it is asked before the first is cordoned."""
    assert operations(leaver(FIRST), asked=False)[:2] == [
        "ask Kubernetes node lab",
        f"cordon Kubernetes node {FIRST}",
    ]


def test_the_api_is_needed() -> None:
    """A control plane that stays stopped cannot let a node go."""
    with fails("prune_needs_api", PLANE, FIRST):
        plan_present(
            Desired(
                *("lab", PLANE, [PLANE], [], {PLANE: "exited", FIRST: "exited"}),
                state="present",
                network_given=False,
                leavers=[leaver(FIRST, running=False)],
            )
        )


def volume(name: str, *hosts: str, phase: str = "Bound", policy: str = "Delete") -> dict[str, Any]:
    """What the script says of a persistent volume."""
    return {"name": name, "phase": phase, "policy": policy, "claim": f"default/{name}", "hosts": list(hosts)}


def pod(name: str, node: str = FIRST, **given: Any) -> dict[str, Any]:
    """What the script says of a pod of a Deployment."""
    usual = {"namespace": "default", "labels": {"app": "web"}, "owner": "ReplicaSet", "mirror": False, "ended": False}
    return {"name": name, "node": node, **usual, **given}


def membership(
    volumes: Sequence[Any] = (), pods: Sequence[Any] = (), budgets: Sequence[Any] = (), **hostnames: str
) -> str:
    """What the script prints of a cluster with two workers."""
    nodes = [
        {"name": name, "hostname": hostnames.get(name.replace("-", "_"), name), "leaving": ""}
        for name in (PLANE, FIRST, SECOND)
    ]
    return json.dumps({"nodes": nodes, "volumes": [*volumes], "pods": [*pods], "budgets": [*budgets]})


@pytest.mark.parametrize(
    ("found", "leaving", "expected"),
    [
        pytest.param(volume("a", FIRST), [FIRST], True, id="its-own"),
        pytest.param(volume("a", FIRST), [SECOND], False, id="of-one-that-stays"),
        pytest.param(volume("a", FIRST, SECOND), [FIRST], False, id="also-on-one-that-stays"),
        pytest.param(volume("a", FIRST, SECOND), [FIRST, SECOND], True, id="on-two-that-leave"),
        pytest.param(volume("a"), [FIRST], False, id="on-all"),
        pytest.param(volume("a", FIRST, phase="Available"), [FIRST], False, id="without-data"),
        pytest.param(volume("a", FIRST, phase="Released"), [FIRST], False, id="given-up"),
        pytest.param(volume("a", FIRST, phase="Released", policy="Retain"), [FIRST], True, id="retained"),
    ],
)
def test_data_of_a_node(found: dict[str, Any], leaving: list[str], expected: bool) -> None:
    """What no node that stays has; it is refused with its claim, unless its loss is permitted."""
    decoded = Membership.decode(membership([found]))
    assert bool(decoded.data_on(leaving)) is expected
    refuse_losses(decoded, leaving, leaving, data=True)
    if expected:
        with fails("prune_refused", "a (default/a) on", "kic_cluster_prune_data"):
            refuse_losses(decoded, leaving, leaving, data=False)


def test_data_by_host_name() -> None:
    """A volume names a node as the node calls itself."""
    decoded = Membership.decode(membership([volume("a", "one")], lab_worker_1="one"))
    assert decoded.data_on([FIRST]) and not decoded.data_on([SECOND])


def test_all_losses_at_once() -> None:
    """Volumes, and pods that nothing creates again; those that ended, of kubelet, or on a stopped node are none."""
    pods = [pod("bare", owner=""), pod("ended", owner="", ended=True), pod("static", owner="", mirror=True), pod("web")]
    decoded = Membership.decode(membership([volume("a", FIRST)], pods))
    with fails("prune_refused", "a (default/a)", "default/bare", "--namespace=default delete pod bare"):
        refuse_losses(decoded, [FIRST], [FIRST], data=False)
    refuse_losses(decoded, [FIRST], [], data=True)


@pytest.mark.parametrize(
    ("selector", "allowed", "expected"),
    [
        pytest.param({"matchLabels": {"app": "web"}}, 0, True, id="labels"),
        pytest.param({"matchLabels": {"app": "web"}}, 1, False, id="allows-one"),
        pytest.param({"matchLabels": {"app": "db"}}, 0, False, id="others"),
        pytest.param({}, 0, True, id="all"),
        pytest.param(None, 0, False, id="none"),
        *(
            pytest.param({"matchExpressions": [item]}, 0, expected, id=f"{item['operator']}-{expected}".lower())
            for item, expected in (
                ({"key": "app", "operator": "In", "values": ["web", "db"]}, True),
                ({"key": "app", "operator": "In", "values": ["db"]}, False),
                ({"key": "app", "operator": "NotIn", "values": ["db"]}, True),
                ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
                ({"key": "app", "operator": "Exists"}, True),
                ({"key": "tier", "operator": "Exists"}, False),
                ({"key": "tier", "operator": "DoesNotExist"}, True),
            )
        ),
    ],
)
def test_budgets(selector: dict[str, Any] | None, allowed: int, expected: bool) -> None:
    """Which pods a budget keeps where they are."""
    budget = {"namespace": "default", "name": "b", "selector": selector, "allowed": allowed}
    decoded = Membership.decode(membership(pods=[pod("p"), pod("q", namespace="other")], budgets=[budget]))
    assert {name: [str(item) for item in pods] for name, pods in decoded.blocked_on(FIRST).items()} == (
        {"default/b": ["default/p"]} if expected else {}
    )


class Answering(MemoryEngine):
    """Answers what is run in a node by the name of the script."""

    def __init__(self, **answers: CommandResult) -> None:
        super().__init__()
        self.by_script = answers
        self.commands: list[tuple[str, ...]] = []

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        """The name follows the text."""
        name = arguments[arguments.index("-c") + 2] if "-c" in arguments else "kubectl"
        self.done.append(name)
        self.commands.append(tuple(arguments))
        return self.by_script.get(name, said())


def departure(engine: MemoryEngine) -> Departure:
    """Of nodes of the cluster."""
    return Departure(engine, PLANE, node_scripts(), 60)


BLOCKING = {"namespace": "default", "name": "b", "selector": {}, "allowed": 0}


@pytest.mark.parametrize(
    ("found", "uncordoned", "condition", "words"),
    [
        pytest.param(
            membership(pods=[pod("p")], budgets=[BLOCKING]), 0, "drain_blocked",
            ["default/b: default/p", "It takes pods again", "describe pdb b", "cannot evict"], id="budget",
        ),
        pytest.param(
            membership(pods=[pod("p"), pod("d", owner="DaemonSet")]), 1, "drain_incomplete",
            ["default/p. It is still cordoned: kubectl uncordon"], id="slow",
        ),
        pytest.param(membership(), 0, "step_failed", ["exit code 1", "cannot evict"], id="something-else"),
        pytest.param("", 0, "step_failed", ["cannot evict"], id="no-answer"),
    ],
)  # fmt: skip
def test_a_drain_that_does_not_end(found: str, uncordoned: int, condition: str, words: list[str]) -> None:
    """The cause has the budget and its pods, or the pods that are left; the node takes pods again."""
    engine = Answering(drain=said("cannot evict", rc=1), membership=said(found), uncordon=said(rc=uncordoned, err="no"))
    with fails(condition, *words):
        departure(engine).drain(FIRST)
    assert engine.done == ["drain", "uncordon", "membership"]


def test_member_of_etcd() -> None:
    """It is removed by a script in another control plane, by its name or by the addresses of its node."""
    engine = Answering()
    members.remove(engine, PLANE, OTHER, ["10.5.0.3", "fd00::3"], node_scripts())
    assert engine.done == ["etcd-remove"]
    (command,) = engine.commands
    assert command[1] == PLANE and command[-5:] == ("etcd-remove", "30", OTHER, "10.5.0.3", "fd00::3")
    failing = Answering(**{"etcd-remove": said("etcdserver: unhealthy cluster", rc=1)})
    with fails("step_failed", "step etcd", PLANE, OTHER, "unhealthy cluster"):
        members.remove(failing, PLANE, OTHER, [], node_scripts())


def test_an_api_that_does_not_answer() -> None:
    """What is asked and done fails with the words of kubectl."""
    engine = Answering(membership=said(rc=1, err="refused"), cordon=said(rc=1, err="refused"), kubectl=said(rc=1))
    with fails("step_failed", "refused"):
        departure(engine).ask([])
    with fails("step_failed", "refused"):
        departure(engine).cordon(FIRST)
    with fails("step_failed", "delete"):
        departure(engine).delete(FIRST)


class Clone(MemoryEngine):
    """A cluster whose nodes have the names of another one's, and the commands that are run in its control plane."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[list[str]] = []
        for name, role in ((PLANE, "control-plane"), (FIRST, "worker"), (SECOND, "worker")):
            own = {labels.ROLE: role, labels.NODE_NAME: name.replace("lab", "origin"), labels.ADDRESS: "10.5.0.2"}
            self.add(container(name, labels={**labels.ownership("lab"), **own}))

    def call(self, arguments: Sequence[str], **_more: Any) -> CommandResult:
        """What the API has, and what is done in it."""
        command = [word for word in arguments[1:] if word != "--interactive"]
        assert command[0] in (PLANE, f"id-{PLANE}")
        words = command[4:] if command[1] == "bash" else command[1:]
        self.commands.append(words)
        names = [name.replace("lab", "origin") for name in (PLANE, FIRST, SECOND)]
        nodes = [{"name": name, "hostname": name, "leaving": ""} for name in names]
        volume = {
            "name": "pv-1",
            "claim": "default/data",
            "hosts": ["origin-worker-2"],
            "phase": "Bound",
            "policy": "Retain",
        }
        return said(json.dumps({"nodes": nodes, "volumes": [volume], "budgets": [], "pods": []}))


NAMES = {name: name.replace("lab", "origin") for name in (PLANE, OTHER, FIRST, SECOND)}


def test_a_node_of_a_clone_leaves() -> None:
    """It is known by its container, and Kubernetes is told its name; so is etcd."""
    engine = Clone()
    asked = spec(workers=1, prune=True, prune_data=True, scripts=node_scripts()).named(NAMES)
    leaving = Leaving(engine, asked)
    leaving.find({item.name: item for item in engine.container_table.values()})
    assert [(item.name, item.registered, item.container) for item in leaving.nodes] == [(SECOND, True, True)]
    assert leaving.asked
    for verb in ("cordon", "drain", "delete"):
        engine.commands.clear()
        leaving.run(Operation(verb, REGISTERED, SECOND))
        words = [word for command in engine.commands for word in command]
        assert NAMES[SECOND] in words and SECOND not in words, verb
    engine.commands.clear()
    leaving.run(Operation("remove", ETCD, OTHER))
    words = [word for command in engine.commands for word in command]
    assert NAMES[OTHER] in words and OTHER not in words


def test_a_node_of_a_clone_that_stays_takes_pods_again() -> None:
    """After a failure, by its name."""
    engine = Clone()
    asked = spec(workers=1, prune=True, prune_data=True, scripts=node_scripts()).named(NAMES)
    cordon = Operation("cordon", REGISTERED, SECOND)
    performed: Performed[Any] = Performed({cordon.key: None}, cordon, ValueError())
    for found in (Leaving(engine, asked), Upgrading(engine, asked)):
        engine.commands.clear()
        if isinstance(found, Leaving):
            found.find({item.name: item for item in engine.container_table.values()})
            engine.commands.clear()
            found.taken_back(performed)
        else:
            found.drain(cordon)
        words = [word for command in engine.commands for word in command]
        assert NAMES[SECOND] in words and SECOND not in words


def test_what_is_lost_with_a_node_of_a_clone() -> None:
    """Its data is found by its name, and it is named by it where that is not permitted."""
    engine = Clone()
    there = {item.name: item for item in engine.container_table.values()}
    asked = spec(workers=1, prune=True, scripts=node_scripts()).named(NAMES)
    with fails("prune_refused", "default/data"):
        Leaving(engine, asked).find(there)
