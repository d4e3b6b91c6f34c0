# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a cluster into its state: runs the operations of its plan, and says what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from .._core import labels
from .._core.diagnosis import failure
from .._core.operations import Operation
from .._engine.model import Container
from .._resources.boot import BootSpec
from .._resources.network import NetworkResource
from .._resources.node_info import find_clusters, find_nodes
from .._resources.throw_away import remove_stale
from .._resources.volume import VolumeResource
from .converging import Converging, created_with
from .kinds import BOOT, NODE, VOLUME
from .outcome import ClusterOutcome, Done
from .plan import plan_absent, plan_paused, plan_stopped
from .presenting import Presenting
from .restoring import Source, forget
from .situation import look, refuse
from .spec import ClusterSpec, absent_network, absent_volume, bare_node
from .there import by_node


class ClusterRun(Converging):
    """One run on an engine: a method for each state that a cluster can be brought into."""

    def present(self, spec: ClusterSpec, there: Sequence[Container], source: Source | None = None) -> ClusterOutcome:
        """Create what is missing of the cluster, and start it unless its state is ``present``.

        :param there: the containers of the cluster's nodes.
        :param source: the snapshot that nodes get their data from.
        """
        situation = look(self, spec, there, source)
        plan = situation.plan()
        nodes = situation.nodes(plan)
        refuse(self, situation, plan, nodes)
        return Presenting(self, situation, plan, nodes).present()

    def stopped(self, name: str, there: Sequence[Container], *, boot: bool = True) -> ClusterOutcome:
        """Stop the nodes.

        :param boot: whether they are to start when the machine boots, once their state is another one.
        """
        found = by_node(there)
        owners = {node: item.labels.get(labels.CLUSTER) for node, item in found.items()}
        plan = plan_stopped(name, {node: item.labels.get(labels.ROLE, "") for node, item in found.items()})

        def run(operation: Operation) -> Done:
            if operation.kind == BOOT:
                # A daemon knows itself who was stopped.
                policies = {node: item.restart_policy for node, item in found.items()}
                goal = "disabled" if boot else "absent"
                return self.starts(BootSpec(name, goal), policies, {} if boot else created_with(found))
            return self.node(bare_node(operation.name, owners[operation.name], "stopped"))

        return self.outcome(plan, self.perform(plan, run))

    def paused(self, name: str, there: Sequence[Container]) -> ClusterOutcome:
        """Freeze the nodes."""
        if not self.engine.info.freezes:
            raise failure("pause_needs_freezer", engine=self.engine.name)
        found = by_node(there)
        roles = {node: item.labels.get(labels.ROLE, "") for node, item in found.items()}
        plan = plan_paused(name, roles, {node: item.status for node, item in found.items()}, self.engine.name)
        return self.outcome(plan, self.perform(plan, lambda item: self.node(bare_node(item.name, name, "paused"))))

    def absent(self, name: str, elsewhere: Callable[[str], bool]) -> ClusterOutcome:
        """Remove the nodes of the cluster, their volumes with the data, and its network."""
        nodes = find_nodes(self.engine, None, name, looks_inside=False)
        parts = next(iter(find_clusters(self.engine, nodes, name, elsewhere)), None)
        if not self.check_mode:
            forget(self.engine, name)
            # A copy that was interrupted still has its volumes.
            remove_stale(self.engine)
        # What starts nodes at boot is not in the engine.
        parts = parts or {"nodes": [], "volumes": [], "networks": []}
        plan = plan_absent(name, parts["nodes"], parts["volumes"], parts["networks"])
        gone, volumes = frozenset(parts["nodes"] if self.check_mode else ()), frozenset(parts["volumes"])

        def run(operation: Operation) -> Done:
            if operation.kind == NODE:
                return self.node(bare_node(operation.name, name, "absent"), volumes)
            if operation.kind == BOOT:
                return self.starts(BootSpec(name, "absent"), {}, {})
            if operation.kind == VOLUME:
                return self.converge(VolumeResource(absent_volume(operation.name, name), self.engine, gone))
            return self.converge(NetworkResource(absent_network(operation.name, name), self.engine, gone))

        return self.outcome(plan, self.perform(plan, run))
