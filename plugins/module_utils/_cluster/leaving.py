# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes that leave a cluster: who they are, what would be lost with them, and what is done to each in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._core import labels
from .._core.diagnosis import KicError, failure
from .._core.operations import Operation, Performed
from .._engine.base import Engine
from .._engine.model import Container
from .._kubernetes.bootstrap import members
from .._kubernetes.bootstrap.leave import Departure, LocalVolume, Membership, refuse_losses
from .._kubernetes.network.connect import own_addresses
from .kinds import ETCD, REGISTERED
from .plan import Leaver, Surplus, find_leavers, refuse_majority_lost
from .spec import ClusterSpec

CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cordon": ({"schedulable": True}, {"schedulable": False}),
    "drain": ({"drained": False}, {"drained": True}),
    "remove": ({"member": True}, {}),
    "delete": ({"registered": True}, {}),
}
"""What a diff shows of each operation in Kubernetes: before and after."""


def _status_after(spec: ClusterSpec, container: Container | None) -> str:
    """The state of a control plane that stays, once what is declared is started."""
    if container is None or (spec.state != "present" and container.name in spec.nodes):
        return "running"
    return container.status


@dataclass
class Leaving:
    """Those of one run."""

    engine: Engine
    spec: ClusterSpec
    nodes: tuple[Leaver, ...] = ()
    asked: bool = True
    """Whether the API said what is lost with them before anything was changed."""
    lost: tuple[LocalVolume, ...] = ()
    """The volumes whose data is lost, which was permitted."""
    containers: Mapping[str, Container] = field(default_factory=dict)
    """Those of the cluster's nodes, by name."""
    departed: list[str] = field(default_factory=list)
    """Those whose container, or whose member of etcd, this run removed: there is no way back."""

    @property
    def _departure(self) -> Departure:
        spec = self.spec
        scripts = spec.kubernetes[spec.control_plane].scripts
        return Departure(self.engine, spec.control_plane, scripts, spec.drain_timeout)

    def find(self, there: Mapping[str, Container]) -> None:
        """Who leaves; raises ``prune_refused`` for what would be lost with them."""
        spec = self.spec
        if not spec.prune:
            return
        self.containers = there
        surplus = {
            name: Surplus(item.labels[labels.ROLE], item.status)
            for name, item in there.items()
            if item.labels.get(labels.ROLE) in spec.counted and name not in spec.nodes
        }
        plane = there.get(spec.control_plane)
        found = self._answer(tuple(surplus)) if plane is not None and plane.running else None
        volumes = self.engine.volumes(f"{labels.CLUSTER}={spec.name}")
        self.nodes = find_leavers(
            spec.name,
            tuple(spec.nodes),
            surplus,
            tuple(there),
            [item.name for item in volumes if labels.is_ours(item.labels)],
            None if found is None else spec.containers_of(found.nodes),
        )
        self.asked = found is not None
        leaving = [item.name for item in self.nodes]
        if spec.control_plane in leaving:
            # Those that are declared have to be part of the cluster first.
            raise failure("prune_needs_plane", node=spec.control_plane, nodes=", ".join(leaving))
        staying = {name: _status_after(spec, there.get(name)) for name in spec.planes}
        # An API that answers has a majority now.
        refuse_majority_lost(staying, [replace(item, running=item.running or self.asked) for item in self.nodes])
        if found is not None:
            self._refuse(found)

    def _answer(self, nodes: Sequence[str]) -> Membership | None:
        try:
            return self._departure.ask([self.spec.node_name(name) for name in nodes])
        except KicError:
            # It may have been started a moment ago. It is asked again when the cluster is there.
            return None

    def _refuse(self, found: Membership) -> None:
        name_of = self.spec.node_name
        names = [name_of(item.name) for item in self.nodes]
        drained = [name_of(item.name) for item in self.nodes if item.running]
        refuse_losses(found, names, drained, data=self.spec.prune_data)
        self.lost = found.data_on(names)

    def run(self, operation: Operation) -> None:
        """Do one operation in Kubernetes."""
        departure, name, spec = self._departure, operation.name, self.spec
        node = spec.node_name(name)
        if operation.verb == "ask":
            self._refuse(departure.ask([spec.node_name(item.name) for item in self.nodes]))
        elif operation.verb == "cordon":
            departure.cordon(node)
        elif operation.verb == "drain":
            departure.drain(node)
        elif operation.kind == ETCD:
            if name in self.containers:
                members.forget(self.engine, self.containers[name].id)
            addresses = own_addresses(self.containers[name]) if name in self.containers else ()
            members.remove(self.engine, spec.control_plane, node, addresses, departure.scripts)
        else:
            departure.delete(node)

    def warnings(self, operation: Operation) -> tuple[str, ...]:
        """What a person has to know of the data that goes with a node."""
        if operation.verb != "delete":
            return ()
        claims = [item.claim for item in self.lost if self.spec.node_name(operation.name) in item.hosts]
        if not claims:
            return ()
        fix = "; ".join("kubectl --namespace={} delete pvc {}".format(*item.split("/", 1)) for item in claims)
        lost = f"With the node {operation.name} goes the data of these claims, which stay and have none"
        return (f"{lost}: {', '.join(claims)}. Fix: {fix}",)

    def taken_back(self, performed: Performed[Any]) -> Performed[Any]:
        """After a failure: nodes that still have their container take pods again. What remains of what was done."""
        left = [item.name for item in self.nodes if item.registered and item.name not in self.departed]
        cordons = {f"cordon {REGISTERED} {name}": name for name in left}
        begun = {*performed.results} | ({performed.failed.key} if performed.failed is not None else set())
        if not any(f" {REGISTERED} " in key for key in begun) or not left:
            return performed
        # What goes wrong here must not hide why the run failed.
        try:
            self._departure.uncordon(*map(self.spec.node_name, left))
        except Exception:
            return performed
        return replace(performed, results={key: item for key, item in performed.results.items() if key not in cordons})
