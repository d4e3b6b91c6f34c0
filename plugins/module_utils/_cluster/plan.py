# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to do for a cluster, as operations. Pure: the table tests of a cluster's life read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from .._core.diagnosis import failure
from .._core.labels import CONTROL_PLANE, WORKER
from .._core.operations import Operation
from .declared import counted_names
from .kinds import BOOT, DATA, ETCD, KUBERNETES, NETWORK, NODE, REGISTERED, VOLUME


@dataclass(frozen=True)
class Leaver:
    """A node that leaves the cluster, and what of it is there."""

    name: str
    registered: bool = True
    """Whether the API has it."""
    marked: bool = False
    """Whether it is cordoned and marked already, as one that leaves."""
    running: bool = False
    container: bool = False
    volume: bool = False
    plane: bool = False
    """Whether it is a control plane, so that etcd has it as a member."""


@dataclass(frozen=True)
class ClusterPlan:
    """The operations, and what they mean for the nodes by name."""

    operations: tuple[Operation, ...]
    created: tuple[str, ...] = ()
    """Nodes that are not there yet, or of the state ``started`` all: they become part of the cluster."""
    kept: tuple[str, ...] = ()
    """Nodes that the state ``present`` found and leaves as they are."""
    surplus: tuple[str, ...] = ()
    """Nodes of the cluster that its declaration does not name; they stay."""
    leavers: tuple[Leaver, ...] = ()
    """Nodes that leave the cluster."""

    @property
    def stops(self) -> frozenset[str]:
        """Nodes that are stopped, those too that are started again."""
        return frozenset(item.name for item in self.operations if item.verb == "stop")


@dataclass(frozen=True)
class Surplus:
    """The container of a node that the declaration does not name."""

    role: str
    status: str


def find_leavers(
    cluster: str,
    declared: Collection[str],
    surplus: Mapping[str, Surplus],
    taken: Collection[str],
    volumes: Collection[str],
    registered: Mapping[str, str] | None,
) -> tuple[Leaver, ...]:
    """Nodes that the declaration does not name, also those of which only parts are left.

    :param surplus: containers of nodes that are too many, by name.
    :param taken: all containers of the cluster: what uses one of these names is not lost.
    :param volumes: of the cluster.
    :param registered: the nodes of the API with their marks; None where it does not answer: then each container is one.
    """
    own = [(role, counted_names(cluster, role)) for role in (CONTROL_PLANE, WORKER)]
    marks = registered or {}

    def role_of(name: str) -> str:
        return surplus[name].role if name in surplus else next((role for role, it in own if it.fullmatch(name)), "")

    # The API may have nodes of other machines, and the cluster volumes of its user: what has lost its container has to be
    # known as a node of ours by its name, or by what else is left of it.
    parts = {name for name in volumes if role_of(name) or name in marks}
    parts |= {name for name, mark in marks.items() if mark or role_of(name)}
    names = {*surplus, *(parts - {*taken})} - {*declared}
    return tuple(
        Leaver(
            name,
            registered=name in marks if registered is not None else name in surplus,
            marked=bool(marks.get(name)),
            running=name in surplus and surplus[name].status == "running",
            container=name in surplus,
            volume=name in volumes,
            plane=role_of(name) == CONTROL_PLANE,
        )
        for name in sorted(names)
    )


def plan_leaving(leavers: Sequence[Leaver], cluster: str, asked: bool, after: Sequence[str]) -> list[Operation]:
    """All are cordoned before one is drained, so that no pod moves from one to the other. The API keeps a node until nothing
    else of it is left: an interrupted run is continued by it."""
    operations = [] if asked else [Operation("ask", REGISTERED, cluster, needs=tuple(after), changes=False)]
    first = (*after, *(item.key for item in operations))
    cordoned = [
        Operation("cordon", REGISTERED, item.name, needs=first)
        for item in leavers
        if item.registered and item.container and not item.marked
    ]
    operations += cordoned
    before = (*first, *(item.key for item in cordoned))
    # etcd loses one member after the other, those first that have lost their process: each time a majority has to be left.
    removed: tuple[str, ...] = ()
    for item in sorted(leavers, key=lambda item: (item.running, item.name)):
        last = before
        for verb, kind, there in (
            ("drain", REGISTERED, item.registered and item.running),
            ("remove", ETCD, item.plane),
            ("remove", NODE, item.container),
            ("remove", VOLUME, item.volume),
            ("delete", REGISTERED, item.registered),
        ):
            if there:
                needs = (*last, *removed) if kind == ETCD else last
                operations.append(Operation(verb, kind, item.name, needs=needs))
                last = (operations[-1].key,)
                removed = last if kind == ETCD else removed
    return operations


def refuse_majority_lost(staying: Mapping[str, str], leavers: Sequence[Leaver]) -> None:
    """Raise where etcd would have no majority after the control planes among ``leavers`` are gone, or has none now.

    :param staying: the control planes that stay, with their states when the cluster is started.
    """
    planes = [item for item in leavers if item.plane]
    down = [name for name, status in staying.items() if status != "running"]
    up, left = len(staying) - len(down), [item.name for item in planes if not item.running]
    now = up + len(planes) - len(left)
    if planes and (2 * up <= len(staying) or 2 * now <= len(staying) + len(planes)):
        names = ", ".join(item.name for item in planes)
        raise failure("etcd_majority", nodes=names, down=", ".join(sorted((*down, *left))))


UP = ("running", "paused", "restarting")
"""States of containers in which there is something to stop."""


def plan_restarted(plan: ClusterPlan, planes: Sequence[str], there: Mapping[str, str]) -> ClusterPlan:
    """``plan`` with the nodes stopped before it starts them: the control planes are the last to stop and the first to start, so
    that the workers always have somebody to report to.

    :param plan: of the state ``started``.
    :param there: nodes of the cluster with their states.
    """
    starts = [item.name for item in plan.operations if (item.verb, item.kind) == ("start", NODE)]
    up = [item for item in starts if there.get(item) in UP]
    stops = _each("stop", {item: CONTROL_PLANE if item in planes else "" for item in up})
    operations = []
    for item in plan.operations:
        needs = item.needs
        if item.verb == "start" and item.name in there:
            needs = (*needs, f"stop {NODE} {item.name}")
            needs += () if item.name in planes else tuple(f"start {NODE} {plane}" for plane in planes)
        operations.append(replace(item, needs=needs))
    return replace(plan, operations=(*stops, *operations))


def plan_restored(plan: ClusterPlan, fills: Sequence[str], there: Mapping[str, str]) -> ClusterPlan:
    """``plan`` with data from a snapshot for nodes, none of which starts before all have theirs: it fits together.

    :param plan: of the state ``started``.
    :param fills: the nodes that get data.
    :param there: nodes of the cluster with their states.
    """
    nodes = {item.name for item in plan.operations if item.kind == KUBERNETES}
    up = [name for name, status in sorted(there.items()) if fills and name in nodes and status in UP]
    stops = [Operation("stop", NODE, name) for name in up]
    stopped = tuple(item.key for item in stops)
    copies = [Operation("restore", DATA, name, needs=(f"ensure {VOLUME} {name}", *stopped)) for name in fills]
    complete = tuple(item.key for item in copies)
    at = next(number for number, item in enumerate(plan.operations) if item.kind == NODE)
    operations = [
        replace(item, needs=(*item.needs, *stopped, *complete)) if item.kind == NODE and item.name in nodes else item
        for item in plan.operations
    ]
    return replace(plan, operations=(*stops, *operations[:at], *copies, *operations[at:]))


def plan_paused(name: str, roles: Mapping[str, str], there: Mapping[str, str], engine: str) -> ClusterPlan:
    """Freeze the nodes, the control plane last: it misses nobody that long. A boot, which ends a pause, starts them.

    :param roles: of the cluster's nodes.
    :param there: the same nodes with their states.
    """
    if not there:
        raise failure("cluster_missing", cluster=name, engine=engine)
    idle = [f"{item} ({state})" for item, state in sorted(there.items()) if state not in ("running", "paused")]
    if idle:
        raise failure("pause_not_running", nodes=", ".join(idle))
    return ClusterPlan(tuple(_each("pause", roles)))


def _each(verb: str, roles: Mapping[str, str]) -> list[Operation]:
    """The workers at the same time, and when they are done the control planes."""
    workers = sorted(item for item, role in roles.items() if role != CONTROL_PLANE)
    planes = sorted(item for item, role in roles.items() if role == CONTROL_PLANE)
    after = tuple(f"{verb} {NODE} {item}" for item in workers)
    operations = [Operation(verb, NODE, item) for item in workers]
    return operations + [Operation(verb, NODE, item, needs=after) for item in planes]


def plan_stopped(name: str, there: Mapping[str, str]) -> ClusterPlan:
    """Stop the workers first: they report to an API that still answers. A boot does not start them.

    :param there: nodes of the cluster with their roles.
    """
    return ClusterPlan((Operation("disable", BOOT, name), *_each("stop", there)))


def plan_absent(name: str, nodes: Collection[str], volumes: Collection[str], networks: Collection[str]) -> ClusterPlan:
    """Remove the nodes, then what they use. The network or a volume is the last that tells of the cluster."""
    after = tuple(f"remove {NODE} {item}" for item in nodes)
    operations = [Operation("remove", NODE, item) for item in nodes]
    operations.append(Operation("remove", BOOT, name, needs=after))
    after = (*after, operations[-1].key)
    operations += [Operation("remove", VOLUME, item, needs=after) for item in volumes]
    operations += [Operation("remove", NETWORK, item, needs=after) for item in networks]
    return ClusterPlan(tuple(operations))
