# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to do for a cluster that is to be there, as operations. Pure: the table tests of a cluster's life read it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .._core.diagnosis import failure
from .._core.operations import Operation
from .kinds import BALANCER, BOOT, IMAGES, KUBERNETES, NETWORK, NODE, POD_NETWORK, VOLUME
from .plan import ClusterPlan, Leaver, plan_leaving
from .upgrade import Upgrade


@dataclass(frozen=True)
class Desired:
    """A cluster as it is requested, and what of it is there."""

    name: str
    control_plane: str
    """By which the API is asked; where there is none yet, the one that begins the cluster."""
    planes: Sequence[str]
    """The control planes that are declared. They join at the same time: etcd takes one learner after the other, and kubeadm
    waits for its turn (addMember in cmd/kubeadm/app/util/etcd)."""
    workers: Sequence[str]
    there: Mapping[str, str]
    """Nodes of the cluster with their states."""
    state: str
    """``started``, or ``present``, which leaves nodes that are there as they are."""
    network_given: bool
    """Whether something is requested of the network, so that it is compared also where all nodes run."""
    pod_network: bool = True
    """Whether the pod network is ours, so that each node has to know the others."""
    boot: bool = True
    """Whether the nodes are to start when the machine boots."""
    leavers: Sequence[Leaver] = ()
    """Nodes that leave the cluster, when all that is declared is there."""
    asked: bool = True
    """Whether the API has said what is lost with them."""
    images: bool = False
    """Whether images of the user's are loaded into the nodes, which needs no more of a node than its containerd."""
    complete: Collection[str] = ()
    """Control planes that a former run was through with: they need no other one, whose etcd may need them."""
    staying: Sequence[str] = ()
    """Control planes that are not declared and stay: etcd needs them for its majority."""
    balancer: str = ""
    """The container that offers the API on the host; ``""`` where a control plane does."""
    unbalanced: str = ""
    """The same container where it is there and not needed any more."""
    upgrade: Upgrade | None = None
    """To another release of Kubernetes: when what is there is complete, and before other nodes join."""
    with_data: Collection[str] = ()
    """Workers that need no API to join, as they have the data of one."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Those that are declared."""
        return (*self.planes, *self.workers)

    @property
    def kept(self) -> tuple[str, ...]:
        """Those that stay as they are."""
        return tuple(item for item in self.nodes if item in self.there) if self.state == "present" else ()

    @property
    def created(self) -> tuple[str, ...]:
        """Those that are created or started."""
        kept = self.kept
        return tuple(item for item in self.nodes if item not in kept)

    @property
    def running(self) -> bool:
        """Whether all of them run: then no engine lets their network or volumes go."""
        return all(self.there.get(item) == "running" for item in self.nodes)

    @property
    def booted(self) -> tuple[str, ...]:
        """The keys of the operations after which the control planes are up."""
        return tuple(f"start {NODE} {item}" for item in self.planes)


def plan_present(desired: Desired) -> ClusterPlan:
    """Create what is missing: the network and the volumes, nodes on them, then Kubernetes on the nodes."""
    _refuse_without_api(desired)
    operations = [*plan_nodes(desired), *plan_balancer(desired), *plan_kubernetes(desired)]
    loads = plan_loads(desired)
    if desired.upgrade is not None:
        known = (*_members(desired), desired.control_plane)
        settled = [item.key for item in operations if item.kind == KUBERNETES and item.name in known]
        operations += desired.upgrade.operations([*settled, *_keys(loads)])
    operations += loads
    joined = _keys(item for item in operations if item.kind == KUBERNETES)
    # A pod that moves needs its image where it comes to.
    ready = (*joined, *_keys(item for item in operations if item.kind == IMAGES))
    leaving = plan_leaving(desired.leavers, desired.name, desired.asked, ready) if desired.leavers else []
    operations += leaving
    if desired.unbalanced:
        # Until it has left, a control plane is reached through it.
        operations.append(Operation("remove", NODE, desired.unbalanced, needs=(*joined, *_keys(leaving))))
    if desired.pod_network and (desired.created or leaving):
        deleted = _keys(item for item in leaving if item.verb == "delete")
        operations.append(Operation("connect", POD_NETWORK, desired.name, needs=(*joined, *deleted)))
    operations += plan_boot(desired, _keys(item for item in operations if item.kind in (NODE, KUBERNETES)))
    named = {*desired.nodes, *(item.name for item in desired.leavers), desired.balancer, desired.unbalanced}
    surplus = tuple(sorted({*desired.there} - named))
    return ClusterPlan(tuple(operations), desired.created, desired.kept, surplus, tuple(desired.leavers))


def _refuse_without_api(desired: Desired) -> None:
    """Raise where nodes join or leave, and the control plane that takes them is to stay as it is, which is not running."""
    plane = desired.control_plane
    if plane not in desired.kept or desired.there[plane] == "running":
        return
    if desired.created:
        raise failure("control_plane_stopped", node=plane, workers=", ".join(desired.created))
    if desired.leavers:
        raise failure("prune_needs_api", node=plane, workers=", ".join(item.name for item in desired.leavers))


def plan_nodes(desired: Desired) -> list[Operation]:
    """The network, the volumes, and nodes on them."""
    found = []
    if desired.network_given or not desired.running:
        found.append(Operation("ensure", NETWORK, desired.name))
    if not desired.running:
        found += [Operation("ensure", VOLUME, item) for item in desired.nodes]
    for verb, names in (("start", desired.created), ("inspect", desired.kept)):
        for item in names:
            below = (f"ensure {NETWORK} {desired.name}", f"ensure {VOLUME} {item}")
            found.append(Operation(verb, NODE, item, needs=below))
    if desired.state != "present":
        down = [item for item in desired.staying if desired.there.get(item) != "running"]
        found += [Operation("start", NODE, item) for item in down]
    return found


def plan_balancer(desired: Desired) -> list[Operation]:
    """What offers the API on the host, which leads to all control planes when they are up."""
    name = desired.balancer
    if not name:
        return []
    # One that is replaced is away for a moment, which gets longer next to what takes all processors.
    staged = desired.upgrade.staged if desired.upgrade is not None else ()
    verb = "inspect" if desired.state == "present" and name in desired.there else "start"
    container = Operation(verb, NODE, name, needs=(f"ensure {NETWORK} {desired.name}", *staged))
    return [container, Operation("configure", BALANCER, name, needs=(container.key, *desired.booted))]


def plan_kubernetes(desired: Desired) -> list[Operation]:
    """The first control plane, then the others and the workers, which join it."""
    plane = desired.control_plane
    begun = [Operation("initialize", KUBERNETES, plane, needs=(f"start {NODE} {plane}",))]
    joined = [
        Operation("join", KUBERNETES, item, needs=(f"start {NODE} {item}", *_before_join(desired, item)))
        for item in desired.created
        if item != plane
    ]
    return [*(begun if plane in desired.created else []), *joined]


def _before_join(desired: Desired, node: str) -> tuple[str, ...]:
    """The keys of what has to be done elsewhere before a node joins."""
    first = f"initialize {KUBERNETES} {desired.control_plane}"
    gate = desired.upgrade.gate if desired.upgrade is not None and node not in _members(desired) else ()
    if node in desired.with_data:
        return (*desired.booted, *gate)
    if node in desired.workers:
        # It has to know all control planes.
        return (first, *desired.booted, *gate)
    return gate if node in desired.complete else (first, *gate)


def _members(desired: Desired) -> frozenset[str]:
    """The nodes that an upgrade finds in the cluster."""
    return frozenset(item.name for item in desired.upgrade.members) if desired.upgrade is not None else frozenset()


def plan_loads(desired: Desired) -> list[Operation]:
    """The user's images, into the nodes that are up."""
    if not (desired.images and desired.created):
        return []
    return [Operation("load", IMAGES, desired.name, needs=tuple(f"start {NODE} {item}" for item in desired.created))]


def plan_boot(desired: Desired, after: tuple[str, ...]) -> list[Operation]:
    """That the nodes start with the machine, or do not any more.

    :param after: keys of what is done with nodes: one that ends at once is not to be started again and again.
    """
    # One that was stopped, and of which only the presence is requested now, stays stopped.
    if not (desired.created or not desired.boot or "running" in desired.there.values()):
        return []
    return [Operation("enable" if desired.boot else "disable", BOOT, desired.name, needs=after)]


def _keys(operations: Iterable[Operation]) -> tuple[str, ...]:
    return tuple(item.key for item in operations)
