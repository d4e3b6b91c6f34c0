# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upgrade of a cluster: its operations in order, that no kubelet is ever newer than an API server, and what is refused."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import There
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.desired import Desired, plan_present
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.kinds import (
    CONTROL_PLANE,
    IMAGES,
    KUBERNETES,
    NODE,
    REGISTERED,
    RELEASE,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.plan import ClusterPlan, Leaver
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.upgrade import Member, Upgrade
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.upgrading import Upgrading
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation, in_order
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.configuration import version_of
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import RECORD
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import throw_away
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .support import MemoryEngine, MemoryPorts, container, fails, host, image, said
from .test_cluster_run import spec

PLANES = tuple(f"lab-control-plane-{number}" for number in (1, 2, 3))
WORKERS = tuple(f"lab-worker-{number}" for number in (1, 2))
BALANCER = "lab-load-balancer"
FIRST, SECOND, _THIRD = PLANES
OLD, NEW = "v1.34.9", "v1.35.4"

Releases = Mapping[str, tuple[str, str]]
"""By which release kubeadm made or upgraded each node last, and the kubelet of its container."""


def is_plane(name: str) -> bool:
    """Whether a node is a control plane, by its name."""
    return "control-plane" in name


def upgrade_of(releases: Releases, declared: Sequence[str], first: str = FIRST) -> Upgrade:
    """The upgrade to the new release of what is there."""
    members = [
        Member(name, made_by, kubelet, is_plane(name), declared=name in declared)
        for name, (made_by, kubelet) in sorted(releases.items())
    ]
    return Upgrade(NEW, first, tuple(members))


def old(*names: str) -> dict[str, tuple[str, str]]:
    """Nodes of the old release."""
    return dict.fromkeys(names, (OLD, OLD))


def short(operations: Sequence[Operation]) -> list[str]:
    """The operations in the order of a run one by one, in few letters."""
    words = {KUBERNETES: "kubernetes", CONTROL_PLANE: "control", REGISTERED: "member", RELEASE: "release"}
    names = {"load-balancer": "lb", "control-plane-": "p", "worker-": "w"}

    def word(name: str) -> str:
        found = name.removeprefix("lab-")
        for long, letter in names.items():
            found = found.replace(long, letter)
        return found

    kinds = {**words, "boot of cluster": "boot", "load balancer": "balancer", "etcd member": "etcd"}
    return [f"{item.verb} {kinds.get(item.kind, item.kind)} {word(item.name)}" for item in in_order(operations)]


STAGE = f"stage release {NEW}"


def controls(*nodes: str) -> list[str]:
    """The upgrades of control planes."""
    return [f"upgrade control {node}" for node in nodes]


def rounds(*nodes: str, drains: bool = True) -> list[str]:
    """What is done to nodes whose containers are replaced, one after the other."""
    verbs = [*(("cordon member", "drain member") if drains else ()), "replace node", "upgrade kubernetes"]
    return [f"{verb} {node}" for node in nodes for verb in verbs]


ALONE, PAIR, MANY = (FIRST,), (FIRST, WORKERS[0]), (*PLANES, *WORKERS)
DONE = (NEW, NEW)

OPERATIONS = [
    pytest.param(old(*ALONE), ALONE, [STAGE, *controls("p1"), *rounds("p1", drains=False)], id="one-node"),
    pytest.param(old(*PAIR), PAIR, [STAGE, *controls("p1"), *rounds("p1", "w1")], id="one-and-one"),
    pytest.param(
        old(*MANY),
        MANY,
        [STAGE, *controls("p1", "p2", "p3"), *rounds("p2", "p3", "p1", "w1", "w2")],
        id="three-and-two",
    ),
    pytest.param(
        {**old(*PAIR), FIRST: (NEW, OLD)}, PAIR, [STAGE, *rounds("p1", "w1")], id="control-plane-upgraded-container-not"
    ),
    pytest.param(
        {**old(*MANY), FIRST: (NEW, OLD), SECOND: (NEW, OLD)},
        MANY,
        [STAGE, *controls("p3"), *rounds("p2", "p3", "p1", "w1", "w2")],
        id="one-control-plane-left",
    ),
    pytest.param({FIRST: DONE, WORKERS[0]: (OLD, NEW)}, PAIR, [], id="container-replaced-kubeadm-not"),
    pytest.param(
        {**old(*MANY), **dict.fromkeys(PLANES, (NEW, OLD)), SECOND: DONE},
        MANY,
        [STAGE, *rounds("p3", "p1", "w1", "w2")],
        id="one-container-replaced",
    ),
    pytest.param({FIRST: DONE, WORKERS[0]: (OLD, OLD)}, PAIR, [STAGE, *rounds("w1")], id="only-a-worker-left"),
    pytest.param(dict.fromkeys(MANY, DONE), MANY, [], id="done"),
    pytest.param(
        old(*PAIR, WORKERS[1]), PAIR, [STAGE, *controls("p1"), *rounds("p1", "w1")], id="worker-that-is-not-declared"
    ),
    pytest.param(
        old(*PLANES), ALONE, [STAGE, *controls("p1", "p2", "p3"), *rounds("p1")], id="planes-that-are-not-declared"
    ),
    pytest.param(
        {FIRST: ("v1.35.3", "v1.35.3")}, ALONE, [STAGE, *controls("p1"), *rounds("p1", drains=False)], id="patch"
    ),
]


@pytest.mark.parametrize(("releases", "declared", "expected"), OPERATIONS)
def test_operations(releases: Releases, declared: Sequence[str], expected: list[str]) -> None:
    """Control planes one after the other, then containers: those of the control planes first, the first one the last of them."""
    found = upgrade_of(releases, declared)
    operations = found.operations(["x"])
    assert short(operations) == expected
    assert found.needed is bool(expected)
    assert found.left == [name for name in releases if name not in declared]
    # One after the other, without a way around.
    staged = operations[:1]
    for before, after in zip(operations, operations[1:]):
        assert after.needs == (("x", before.key) if before in staged else (before.key,))
    assert {key for item in staged for key in item.needs} == {
        f"start {NODE} {item.name}" for item in operations if item.kind in (CONTROL_PLANE, NODE)
    }


def test_another_control_plane_is_asked() -> None:
    """It upgrades what is the cluster's, so it is the first; its container is the last of the control planes'."""
    found = upgrade_of(old(*MANY), MANY, first=SECOND)
    assert short(found.operations([])) == [
        *(STAGE, *controls("p2", "p1", "p3")),
        *rounds("p1", "p3", "p2", "w1", "w2"),
    ]


def test_what_is_said_of_each_operation() -> None:
    """From which release to which."""
    found = upgrade_of({FIRST: (OLD, OLD), WORKERS[0]: ("v1.33.1", "v1.33.1")}, PAIR).operations([])
    details = {short([item])[0]: item.detail for item in found if item.detail}
    assert details == {
        "upgrade control p1": f"{OLD} to {NEW}",
        "upgrade kubernetes p1": f"{OLD} to {NEW}",
        "upgrade kubernetes w1": f"v1.33.1 to {NEW}",
    }


@dataclass(frozen=True)
class Case:
    """A cluster that is upgraded."""

    releases: Releases
    """Of the nodes that are there."""
    declared: tuple[str, ...]
    leaving: tuple[str, ...] = ()
    balancer: str = ""
    images: bool = False


ONE_MORE = Case(old(FIRST), PAIR)
PLANES_MORE = Case(old(*PAIR), (*PLANES, WORKERS[0]), balancer=BALANCER)
WITH_LEAVER = Case(old(*PAIR, WORKERS[1]), PAIR, leaving=(WORKERS[1],))

CASES = {
    "one-node": Case(old(FIRST), ALONE),
    "one-and-one": Case(old(*PAIR), PAIR),
    "three-and-two": Case(old(*MANY), MANY, balancer=BALANCER),
    "control-plane-upgraded": Case({**old(*PAIR), FIRST: (NEW, OLD)}, PAIR),
    "one-control-plane-left": Case({**old(*MANY), FIRST: (NEW, OLD), SECOND: (NEW, OLD)}, MANY, balancer=BALANCER),
    "kubeadm-of-a-worker-left": Case({**old(*MANY), **dict.fromkeys(PLANES, DONE), WORKERS[0]: (OLD, NEW)}, MANY),
    "one-container-replaced": Case({**old(*MANY), **dict.fromkeys(PLANES, (NEW, OLD)), SECOND: DONE}, MANY),
    "a-new-worker": ONE_MORE,
    "new-workers": Case(old(FIRST), (FIRST, *WORKERS)),
    "new-control-planes": PLANES_MORE,
    "a-leaver": WITH_LEAVER,
    "leaver-and-new-worker": Case(old(FIRST, "lab-worker-9"), PAIR, leaving=("lab-worker-9",), images=True),
    "planes-leave": Case(old(*PLANES, WORKERS[0]), PAIR, leaving=PLANES[1:]),
    "planes-stay": Case(old(*PLANES, WORKERS[0]), PAIR, balancer=BALANCER),
    "worker-stays": Case(old(*PAIR, WORKERS[1]), PAIR),
    "worker-of-an-older-release": Case({**old(*PAIR), WORKERS[0]: ("v1.32.1", "v1.32.1")}, PAIR),
}


@dataclass
class Simulated:
    """Nodes whose releases change with each operation, and what must hold after it."""

    made_by: dict[str, str]
    """Also of what is on a volume whose container was lost."""
    kubelet: dict[str, str]
    """Of the containers that are there."""
    staged: bool = False
    cordoned: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    """Nodes whose container was replaced, and that are not Ready yet."""
    upgraded: Counter[str] = field(default_factory=Counter)
    """What was done, but for what a run that is continued does again."""
    again: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, case: Case) -> Simulated:
        """The cluster before it is upgraded."""
        return cls(
            {name: found[0] for name, found in case.releases.items()},
            {name: found[1] for name, found in case.releases.items()},
        )

    @property
    def releases(self) -> dict[str, tuple[str, str]]:
        """Of the nodes that are part of the cluster, as the next run finds them."""
        return {name: (self.made_by[name], self.kubelet[name]) for name in self._present}

    def do(self, operation: Operation, case: Case) -> None:
        """One operation, and what has to hold after it."""
        name = operation.name
        if operation.verb == "stage":
            self.staged = True
        elif (operation.verb, operation.kind) == ("start", NODE) and name != BALANCER:
            # A new container is of the new image.
            self.kubelet.setdefault(name, NEW)
        elif operation.kind == CONTROL_PLANE:
            assert self.staged and not self.cordoned and not self.down
            self._made(name)
        elif operation.kind == KUBERNETES:
            self._kubernetes(operation)
        elif operation.kind == REGISTERED and name not in case.leaving:
            self._drained(operation)
        elif operation.verb == "replace":
            assert self.staged and not self.down
            assert len(self._present) == 1 or self.cordoned == {name}, "pods were lost"
            self.kubelet[name] = NEW
            self.down.add(name)
            self.upgraded[f"container {name}"] += 1
        elif operation.verb == "cordon":
            assert not self.cordoned and not self.down, "more than one is out of service"
        elif (operation.verb, operation.kind) == ("remove", NODE) and name in self.kubelet:
            del self.kubelet[name], self.made_by[name]
        self.hold()

    def _made(self, name: str) -> None:
        self.made_by[name] = NEW
        self.upgraded[f"kubeadm {name}"] += 1

    def _kubernetes(self, operation: Operation) -> None:
        name = operation.name
        if operation.verb == "join" and name not in self.made_by:
            assert self._oldest_api() >= version_of(self.kubelet[name]), "its kubelet would be newer than an API server"
            self.made_by[name] = self.kubelet[name]
        elif version_of(self.made_by[name]) < version_of(self.kubelet[name]):
            self._made(name)
        self.down.discard(name)
        self.cordoned.discard(name)

    def _drained(self, operation: Operation) -> None:
        if operation.verb == "cordon":
            assert not self.cordoned and not self.down, "more than one is out of service"
            self.cordoned.add(operation.name)
        else:
            assert self.cordoned == {operation.name}
        self.again[f"{operation.verb} {operation.name}"] += 1

    @property
    def _present(self) -> list[str]:
        """The nodes that are part of the cluster and have a container."""
        return [name for name in self.kubelet if name in self.made_by]

    def _oldest_api(self) -> tuple[int, int, int]:
        return min((version_of(self.made_by[name]) for name in self._present if is_plane(name)), default=(0, 0, 0))

    def hold(self) -> None:
        """No kubelet of the cluster is newer than any API server, and one node at most is out of service."""
        oldest = self._oldest_api()
        newer = [name for name in self._present if version_of(self.kubelet[name]) > oldest]
        assert not newer, f"kubelets that are newer than {oldest}: {newer}"
        assert len({*self.cordoned, *self.down}) <= 1


def planned(case: Case, found: Simulated) -> ClusterPlan:
    """What a run does with what it finds, as Upgrading hands it to the plan."""
    upgrade = upgrade_of(found.releases, case.declared)
    there = {**dict.fromkeys(found.kubelet, "running"), **({case.balancer: "running"} if case.balancer else {})}
    planes = [name for name in case.declared if is_plane(name)]
    return plan_present(
        Desired(
            "lab",
            FIRST,
            planes,
            [name for name in case.declared if not is_plane(name)],
            there,
            state="started",
            network_given=False,
            leavers=[
                Leaver(name, running=True, container=True, volume=True, plane=is_plane(name))
                for name in case.leaving
                if name in found.kubelet
            ],
            images=case.images,
            complete=[name for name in planes if name in found.made_by],
            staying=[name for name in found.kubelet if is_plane(name) and name not in (*case.declared, *case.leaving)],
            balancer=case.balancer,
            upgrade=upgrade if upgrade.needed else None,
        )
    )


def shuffled(operations: Sequence[Operation], chance: random.Random) -> list[Operation]:
    """The operations in any order in which each comes after those that it needs."""
    found, left = [], list(operations)
    while left:
        waiting = {item.key for item in left}
        found.append(chance.choice([item for item in left if waiting.isdisjoint(item.needs)]))
        left.remove(found[-1])
    return found


def finished(case: Case) -> Simulated:
    """The cluster after a run that nobody disturbed."""
    found = Simulated.of(case)
    for operation in in_order(planned(case, found).operations):
        found.do(operation, case)
    return found


@pytest.mark.parametrize("name", CASES)
def test_no_kubelet_is_ever_newer_than_an_api_server(name: str) -> None:
    """In whichever order the operations run that do not need each other. All that is declared ends with the new release."""
    case, chance = CASES[name], random.Random(name)
    finished(case).hold()
    for _attempt in range(150):
        found = Simulated.of(case)
        for operation in shuffled(planned(case, found).operations, chance):
            found.do(operation, case)
        assert {key: item for key, item in found.releases.items() if key in case.declared} == dict.fromkeys(
            case.declared, DONE
        )
        assert all(found.made_by[key] == NEW for key in found.made_by if is_plane(key))
        assert not {*found.kubelet} & {*case.leaving} and not found.cordoned and not found.down
        assert planned(case, found).operations == planned(case, finished(case)).operations


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_upgrade_is_continued(name: str) -> None:
    """After each number of operations, in many orders: the next run ends in the same state, and does nothing twice but to bring
    the images, and to drain the node that it was about to replace."""
    case, chance = CASES[name], random.Random(name)
    expected = finished(case)
    for _attempt in range(20):
        count, at = len(planned(case, Simulated.of(case)).operations), 0
        while at <= count:
            found = Simulated.of(case)
            for operation in shuffled(planned(case, found).operations, chance)[:at]:
                found.do(operation, case)
            left, found.staged = {*found.cordoned}, False
            # What was interrupted is no more on its way: the next run begins with nodes that run.
            found.down.clear()
            for operation in shuffled(planned(case, found).operations, chance):
                if operation.verb == "stage":
                    found.cordoned -= left
                found.do(operation, case)
            assert (found.releases, found.made_by) == (expected.releases, expected.made_by)
            assert found.upgraded == expected.upgraded, "something was done twice, or never"
            repeated = {key.partition(" ")[2] for key, times in found.again.items() if times > expected.again[key]}
            assert repeated <= left
            at += 1


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(
            CASES["one-node"],
            [
                *("start node p1", "initialize kubernetes p1"),
                *(STAGE, *controls("p1"), *rounds("p1", drains=False)),
                *("connect pod network lab", "enable boot lab"),
            ],
            id="one-node",
        ),
        pytest.param(
            CASES["one-and-one"],
            [
                *("start node p1", "start node w1", "initialize kubernetes p1", "join kubernetes w1"),
                *(STAGE, *controls("p1"), *rounds("p1", "w1")),
                *("connect pod network lab", "enable boot lab"),
            ],
            id="one-and-one",
        ),
        pytest.param(
            CASES["three-and-two"],
            [
                *("start node p1", "start node p2", "start node p3", "start node w1", "start node w2"),
                *("initialize kubernetes p1", *(f"join kubernetes {node}" for node in ("p2", "p3", "w1", "w2"))),
                # It is replaced too, when nothing else takes all processors.
                *(STAGE, "start node lb", "configure balancer lb", *controls("p1", "p2", "p3")),
                *rounds("p2", "p3", "p1", "w1", "w2"),
                *("connect pod network lab", "enable boot lab"),
            ],
            id="three-and-two-with-a-load-balancer",
        ),
        pytest.param(
            WITH_LEAVER,
            [
                *("start node p1", "start node w1", "initialize kubernetes p1", "join kubernetes w1"),
                *(STAGE, *controls("p1"), *rounds("p1", "w1")),
                *("cordon member w2", "drain member w2", "remove node w2", "remove volume w2", "delete member w2"),
                *("connect pod network lab", "enable boot lab"),
            ],
            id="a-leaver",
        ),
    ],
)
def test_in_the_plan_of_a_cluster(case: Case, expected: list[str]) -> None:
    """When what is there is complete, and before nodes leave; the pod network and the boot come after it."""
    assert short(planned(case, Simulated.of(case)).operations) == expected


def before(operation: Operation, plan: ClusterPlan) -> set[str]:
    """The keys of all operations that are done before one, in whichever order."""
    needs = {item.key: item.needs for item in plan.operations}
    found, left = set[str](), [*operation.needs]
    while left:
        key = left.pop()
        if key in needs and key not in found:
            found.add(key)
            left += needs[key]
    return found


def found_in(plan: ClusterPlan, verb: str, kind: str) -> list[Operation]:
    """The operations of one kind."""
    return [item for item in plan.operations if (item.verb, item.kind) == (verb, kind)]


@pytest.mark.parametrize("case", [ONE_MORE, PLANES_MORE], ids=["worker", "control-planes"])
def test_new_nodes_join_after_the_control_planes(case: Case) -> None:
    """All API servers are of the new release before."""
    plan = planned(case, Simulated.of(case))
    new = [item for item in found_in(plan, "join", KUBERNETES) if item.name not in case.releases]
    assert new
    for item in new:
        assert {f"upgrade {CONTROL_PLANE} {FIRST}"} <= before(item, plan)


@pytest.mark.parametrize("case", [ONE_MORE, PLANES_MORE], ids=["worker", "control-planes"])
def test_no_node_joins_while_a_control_plane_is_replaced(case: Case) -> None:
    """It asks the API of one, and etcd takes no member without its majority: operations that do not need each other run at the
    same time."""
    plan = planned(case, Simulated.of(case))
    new = [item for item in found_in(plan, "join", KUBERNETES) if item.name not in case.releases]
    for begin in found_in(plan, "replace", NODE):
        end = f"upgrade {KUBERNETES} {begin.name}"
        for item in new:
            assert item.key in before(begin, plan) or end in before(item, plan), f"{item} during {begin}"


@pytest.mark.parametrize("case", [CASES["one-and-one"], CASES["three-and-two"]], ids=["one-and-one", "three-and-two"])
def test_images_are_in_the_nodes_before_their_pods_move(case: Case) -> None:
    """A pod that moves needs its image where it comes to, and a container that is replaced takes none."""
    plan = planned(Case(case.releases, case.declared, balancer=case.balancer, images=True), Simulated.of(case))
    (load,) = found_in(plan, "load", IMAGES)
    for item in (*found_in(plan, "cordon", REGISTERED), *found_in(plan, "replace", NODE)):
        assert load.key in before(item, plan), f"{load} may run during {item}"


# What is refused.
IMAGES_OF = {"1": OLD, "2": NEW, "3": "v1.36.0", "4": "v1.35.5", "5": NEW, "6": "", "7": "v1.34.9"}
"""Releases in images, by the tag and the first digit of the id."""


class Machine(MemoryEngine):
    """An engine whose images hold releases of Kubernetes."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, str] = {}
        """The releases in records."""
        self.never_joined: set[str] = set()
        self.pods: list[dict[str, Any]] = []
        self.api_rc = 0
        for tag in IMAGES_OF:
            self.image_table[tag] = image(id=tag * 64, tags=(f"localhost/node:{tag}",))

    def read_file(self, identity: str, path: str) -> bytes | None:
        """The release in the image of a container, and the record of its node."""
        found = self.container(identity)
        assert found is not None
        if path == "/kind/version":
            return f"{IMAGES_OF[found.image_id[0]]}\n".encode() if IMAGES_OF[found.image_id[0]] else None
        assert path == RECORD
        if found.name in self.never_joined:
            return None
        record = {"state": "initialized" if is_plane(found.name) else "joined"}
        release = {"kubernetes": self.records[found.name]} if found.name in self.records else {}
        return json.dumps({**record, **release}).encode()

    def create_container(self, new: Any) -> str:
        """With the id of its image."""
        identity = super().create_container(new)
        found = self.image(new.image)
        assert found is not None and self.container_table[new.name].name == new.name
        self.add(container(new.name, id=identity, image_id=found.id, status="created", labels=new.labels))
        return identity

    def call(self, arguments: Sequence[str], **_given: Any) -> CommandResult:
        """What the API says of nodes and pods."""
        assert "membership" in arguments
        found = {"nodes": [], "volumes": [], "budgets": [], "pods": self.pods}
        return said(json.dumps(found), rc=self.api_rc)


def test_the_question_for_those_that_leave_is_no_part_of_an_upgrade(
    engine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It bears the name of the cluster, which may be that of a node as well."""
    monkeypatch.setattr(Upgrading, "pending", frozenset({"lab"}))
    asked = upgrading(engine, image="2", upgrade=True)
    assert [asked.owns(Operation(verb, REGISTERED, "lab")) for verb in ("ask", "cordon", "drain")] == [
        False,
        True,
        True,
    ]


def test_a_new_node_that_did_not_join(engine: Machine) -> None:
    """A run was interrupted before it joined, and its container is of the new image: it is no member, so that it joins after the
    control planes. One of the old image joins first, and is upgraded as the others are."""
    hold(engine, WORKERS[1], "2")
    hold(engine, "lab-worker-3")
    engine.never_joined = {WORKERS[1], "lab-worker-3"}
    asked = upgrading(engine, image="2", upgrade=True, workers=3)
    assert asked.upgrade is not None
    assert [item.name for item in asked.upgrade.members] == [FIRST, WORKERS[0], "lab-worker-3"]
    there = {name: item.status for name, item in engine.container_table.items()}
    words: dict[str, Any] = {"state": "started", "network_given": False, "upgrade": asked.upgrade}
    plan = plan_present(Desired("lab", FIRST, [FIRST], [*WORKERS, "lab-worker-3"], there, **words))
    (begin,) = found_in(plan, "upgrade", CONTROL_PLANE)
    joins = {item.name: item for item in found_in(plan, "join", KUBERNETES)}
    assert begin.key in before(joins[WORKERS[1]], plan)
    assert joins["lab-worker-3"].key in before(begin, plan)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One control plane and one worker of the old release."""
    monkeypatch.setattr(throw_away, "host_limits", host)
    monkeypatch.setattr(throw_away, "HostPorts", MemoryPorts)
    found = Machine()
    hold(found, FIRST)
    hold(found, WORKERS[0])
    return found


def hold(engine: Machine, name: str, tag: str = "1", **given: Any) -> None:
    """Put a node there."""
    role = labels.CONTROL_PLANE if is_plane(name) else labels.WORKER
    own = {**labels.ownership("lab"), labels.ROLE: role}
    engine.add(container(name, image_id=tag * 64, labels=own, **given))


def upgrading(engine: Machine, leaving: Sequence[str] = (), **given: Any) -> Upgrading:
    """What the run finds; no container of an image is left."""
    there = dict(engine.container_table)
    planes = tuple(name for name in there if is_plane(name))
    workers = tuple(name for name in there if not is_plane(name))
    known = There(planes=planes, workers=workers, complete=planes)
    words = {"pod_network": "none", "scripts": node_scripts(), "workers": 1, **given}
    found = Upgrading(engine, spec(known, **{**words, "image": f"localhost/node:{words['image']}"}))
    try:
        found.find(there, leaving)
    finally:
        assert engine.container_table == there
    return found


def pod(name: str, node: str = WORKERS[0], **given: Any) -> dict[str, Any]:
    """A pod of no controller."""
    whole = {"namespace": "default", "name": name, "node": node, "labels": {}, "owner": "", "mirror": False}
    return {**whole, "ended": False, **given}


ON_DRIFT = {"recreate": "on_drift"}

REFUSED = [
    pytest.param(
        {"image": "2", "workers": 2},
        "upgrade_not_requested",
        [f"{WORKERS[1]} would", NEW, OLD, "kic_cluster_upgrade"],
        id="created",
    ),
    pytest.param(
        {"image": "2", "node": ON_DRIFT},
        "upgrade_not_requested",
        [f"{FIRST}, {WORKERS[0]} would run Kubernetes {NEW} in a cluster of {OLD}"],
        id="recreated-on-drift",
    ),
    pytest.param({"image": "2", "worker_node": ON_DRIFT}, "upgrade_not_requested", [f"{WORKERS[0]} would"], id="one"),
    pytest.param(
        {"image": "3", "upgrade": True},
        "upgrade_skips",
        [FIRST, f"has Kubernetes {OLD}, and v1.36.0 is not", "upgrade to 1.35 first", "kic_image_kubernetes_version"],
        id="skips",
    ),
    pytest.param(
        {"image": "2", "upgrade": True, "state": "present"},
        "upgrade_needs_nodes",
        ["cluster lab", "started"],
        id="present",
    ),
    pytest.param(
        {"image": "6", "upgrade": True},
        "upgrade_without_kubernetes",
        ["localhost/node:6", "/kind/version"],
        id="no-kubernetes",
    ),
    pytest.param(
        {"image": "6", "workers": 2}, "upgrade_without_kubernetes", ["localhost/node:6"], id="no-kubernetes-created"
    ),
    pytest.param(
        {"image": "2", "upgrade": True, "kubernetes_version": "1.34.9"},
        "version_differs",
        [FIRST, OLD, NEW],
        id="other-version-requested",
    ),
]


@pytest.mark.parametrize(("given", "condition", "words"), REFUSED)
def test_refused(given: dict[str, Any], condition: str, words: list[str], engine: Machine) -> None:
    """Before anything is changed, with what was found and what to do."""
    with fails(condition, *words):
        upgrading(engine, **given)


@pytest.mark.parametrize("newer", [("2", OLD), ("1", NEW)], ids=["kubelet", "control-plane"])
def test_it_does_not_go_back(newer: tuple[str, str], engine: Machine) -> None:
    """Neither a control plane nor a kubelet, with each node that is newer."""
    tag, made_by = newer
    hold(engine, FIRST, tag)
    engine.records[FIRST] = made_by
    with fails("upgrade_goes_back", "v1.34.9 is older", f"{FIRST} ({NEW})"):
        upgrading(engine, image="7", upgrade=True)
    hold(engine, WORKERS[0], "3")
    with fails("upgrade_goes_back", f"{NEW} is older", f": {WORKERS[0]} (v1.36.0)."):
        upgrading(engine, image="5", upgrade=True)


def test_no_control_plane_of_an_older_release(engine: Machine) -> None:
    """By recreate: on_drift or as one more, where nothing is upgraded."""
    hold(engine, FIRST, "2")
    engine.records[FIRST] = NEW
    with fails("upgrade_goes_back", f"{OLD} is older", FIRST):
        upgrading(engine, image="1", node=ON_DRIFT)
    with fails("upgrade_goes_back", f"{OLD} is older", "lab-control-plane-2"):
        upgrading(engine, image="1", control_planes=3)


@pytest.mark.parametrize(
    ("kubelet", "refused"),
    [("v1.31.9", True), ("v1.32.0", False), ("v1.35.4", False)],
    ids=["four-older", "three-older", "same"],
)
def test_nodes_that_are_left_behind(kubelet: str, refused: bool) -> None:
    """A kubelet that stays may be three minor releases older than an API server."""
    found = upgrade_of({**old(*PAIR), WORKERS[1]: (kubelet, kubelet)}, PAIR)
    if refused:
        with fails("upgrade_leaves_behind", f"{NEW}: {WORKERS[1]}", "kic_cluster_prune"):
            found.refuse()
    else:
        found.refuse()
    leaves = replace(found.members[-1], leaves=True)
    replace(found, members=(*found.members[:-1], leaves)).refuse()


@pytest.mark.parametrize(
    ("found", "target", "refused"),
    [
        ("v1.33.9", "v1.35.4", True),
        ("v1.34.0", "v1.35.4", False),
        ("v1.35.0", "v1.35.4", False),
        ("v1.35.4", "v2.0.0", True),
    ],
    ids=["two-minors", "one-minor", "patch", "major"],
)
def test_minor_releases_are_not_skipped(found: str, target: str, refused: bool) -> None:
    """By control planes: a worker's kubelet may be older."""
    upgrade = Upgrade(target, FIRST, (Member(FIRST, found, found, plane=True),))
    if refused:
        with fails("upgrade_skips", FIRST, found, target):
            upgrade.refuse()
    else:
        upgrade.refuse()


def test_pods_that_a_drain_would_remove_for_ever(engine: Machine) -> None:
    """Nothing creates them again. Those of controllers, of files and those that have ended are none."""
    engine.pods = [pod("a"), pod("b", FIRST), pod("c", owner="Job"), pod("d", mirror=True), pod("e", ended=True)]
    words = [
        "default/a, default/b.",
        "kubectl --namespace=default delete pod a; kubectl --namespace=default delete pod b",
    ]
    with fails("upgrade_drains", *words):
        upgrading(engine, image="2", upgrade=True)
    engine.pods = engine.pods[2:]
    assert upgrading(engine, image="2", upgrade=True).upgrade is not None
    engine.pods = [pod("a", node=WORKERS[1])]
    assert upgrading(engine, image="2", upgrade=True).upgrade is not None


@pytest.mark.parametrize("silent", ["stopped", "fails", "alone"])
def test_pods_are_not_queried(silent: str, engine: Machine) -> None:
    """Of an API that does not answer yet the drain says it, and a single node is not drained."""
    engine.pods = [pod("a", FIRST)]
    if silent == "stopped":
        hold(engine, FIRST, status="exited")
    elif silent == "fails":
        engine.api_rc = 1
    else:
        del engine.container_table[WORKERS[0]]
    assert upgrading(engine, image="2", upgrade=True, workers=1 if silent != "alone" else 0).upgrade is not None


NOT_REFUSED = [
    pytest.param({"image": "4", "workers": 2}, {FIRST: "2", WORKERS[0]: "2"}, False, id="patch-release-created"),
    pytest.param({"image": "5", "workers": 2}, {FIRST: "2", WORKERS[0]: "2"}, False, id="same-release-other-image"),
    pytest.param({"image": "5", "upgrade": True}, {FIRST: "2", WORKERS[0]: "2"}, False, id="nothing-to-upgrade"),
    pytest.param({"image": "2"}, {}, False, id="newer-image-and-nothing-created"),
    pytest.param({"image": "7"}, {FIRST: "2", WORKERS[0]: "2"}, False, id="older-image-and-nothing-created"),
    pytest.param({"image": "1", "workers": 2}, {}, False, id="image-of-the-cluster"),
    pytest.param({"image": "1", "workers": 2}, {FIRST: "2"}, False, id="older-worker-created"),
    pytest.param({"image": "1", "upgrade": True, "state": "present"}, {}, False, id="present-and-nothing-to-upgrade"),
    pytest.param({"image": "4", "upgrade": True}, {FIRST: "2", WORKERS[0]: "2"}, True, id="patch-release"),
    pytest.param({"image": "4", "upgrade": True}, {FIRST: "2"}, True, id="worker-a-minor-older"),
    pytest.param({"image": "3", "upgrade": True}, {FIRST: "2"}, True, id="worker-two-minors-older"),
    pytest.param({"image": "2", "upgrade": True, "kubernetes_version": "1.35.4"}, {}, True, id="version-requested"),
    pytest.param({"image": "2", "upgrade": True, "workers": 0}, {}, True, id="worker-not-declared"),
    pytest.param({"image": "2", "upgrade": True, "node": ON_DRIFT}, {}, True, id="recreated-on-drift"),
    pytest.param({"image": "2", "upgrade": True, "workers": 2}, {}, True, id="one-more-worker"),
]


@pytest.mark.parametrize(("given", "there", "upgrades"), NOT_REFUSED)
def test_not_refused(given: dict[str, Any], there: dict[str, str], upgrades: bool, engine: Machine) -> None:
    """What Kubernetes supports, and what changes nothing."""
    for name, tag in there.items():
        hold(engine, name, tag)
    found = upgrading(engine, **given)
    assert (found.upgrade is not None) is upgrades
    assert bool(found.pending) is upgrades
    assert [text for text in found.warnings if WORKERS[0] in text] == (
        [f"These nodes are not declared, so that their kubelet stays of an older release than {NEW}: {WORKERS[0]}."]
        if given.get("workers") == 0
        else []
    )


@pytest.mark.parametrize(
    "given",
    [{"image": "2"}, {"image": "1", "upgrade": True}, {"image": "1", "workers": 2}, {"image": "9", "workers": 2}],
    ids=["not-requested", "same-image", "same-image-created", "no-image"],
)
def test_what_costs_no_container(given: dict[str, Any], engine: Machine) -> None:
    """Only where the release of an image decides something, a container of it is made."""
    assert upgrading(engine, **given).upgrade is None
    assert engine.done == []


def test_a_new_cluster_costs_no_container(engine: Machine) -> None:
    """There is nothing to compare with."""
    engine.container_table.clear()
    assert upgrading(engine, image="2", upgrade=True).upgrade is None and engine.done == []


def test_releases_of_nodes(engine: Machine) -> None:
    """What is recorded counts for what kubeadm made, and else the image; a node that leaves and does not run has no part in it."""
    engine.records.update({FIRST: NEW, WORKERS[0]: ""})
    hold(engine, WORKERS[1], status="exited")
    hold(engine, "lab-worker-3")
    hold(engine, "lab-worker-4", "6")
    found = upgrading(engine, [WORKERS[1], "lab-worker-3"], image="2", upgrade=True).upgrade
    assert found is not None
    assert found.members == (
        Member(FIRST, NEW, OLD, plane=True),
        Member(WORKERS[0], OLD, OLD, plane=False),
        Member("lab-worker-3", OLD, OLD, plane=False, declared=False, leaves=True),
    )
