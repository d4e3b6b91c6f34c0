# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that creates and starts a cluster finds: what is requested and what is there. The plan follows from it, and what is
refused before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from .._core import checks, labels
from .._core.diagnosis import failure
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER
from .._engine.model import Container
from .._host.preflight import refuse_unfit
from .._resources.node import NodeResource
from .._resources.node_image import NodeImages
from .._resources.node_spec import NodeSpec
from .converging import Converging
from .declared import balancer_name
from .desired import Desired, plan_present
from .kinds import NODE, VOLUME
from .leaving import Leaving
from .plan import ClusterPlan, plan_restarted, plan_restored
from .restoring import Restoring, Source, refuse_planes, refuse_release
from .spec import ClusterSpec, bare_node
from .there import by_node
from .upgrading import Upgrading


@dataclass(frozen=True)
class Situation:
    """That of one run."""

    spec: ClusterSpec
    """The declaration, with what the data of a snapshot requires."""
    there: Sequence[Container]
    """The containers of the cluster's nodes."""
    found: Mapping[str, Container]
    """The same by the names of their nodes."""
    leaving: Leaving
    upgrading: Upgrading
    restoring: Restoring | None = None
    """The copies of a snapshot's data; None where no node gets any."""

    @property
    def states(self) -> dict[str, str]:
        """The states of the nodes that the plan is about."""
        spec = self.spec
        # As it is, nothing is surplus.
        return {
            name: item.status
            for name, item in self.found.items()
            if name in spec.nodes or item.labels.get(labels.ROLE) in (*spec.counted, LOAD_BALANCER)
        }

    @property
    def restarts(self) -> bool:
        """Whether nodes that run are stopped and started again."""
        return self.spec.state == "restarted" and self.restoring is None

    def plan(self) -> ClusterPlan:
        """What there is to do."""
        plan = self._plan_started()
        if self.restarts:
            return plan_restarted(plan, self.spec.planes, self.states)
        if self.restoring is not None:
            return plan_restored(plan, self.restoring.source.fills, self.states)
        return plan

    def _plan_started(self) -> ClusterPlan:
        """What there is to do where no node has to be stopped before."""
        spec, states, own = self.spec, self.states, balancer_name(self.spec.name)
        desired = Desired(
            spec.name,
            spec.control_plane,
            [name for name in spec.nodes if name not in spec.workers],
            spec.workers,
            states,
            state=spec.state if self.restoring is None else "started",
            network_given=spec.network_given,
            pod_network=spec.pod_network,
            boot=spec.boot,
            leavers=self.leaving.nodes,
            asked=self.leaving.asked,
            images=spec.images is not None,
            complete=spec.complete,
            staying=[name for name in spec.planes if name not in spec.nodes],
            balancer=spec.balancer.name if spec.balancer is not None else "",
            unbalanced=own if spec.balancer is None and own in states else "",
            upgrade=self.upgrading.upgrade,
            with_data=self.restoring.source.workers if self.restoring is not None else (),
        )
        return plan_present(desired)

    def nodes(self, plan: ClusterPlan) -> dict[str, NodeSpec]:
        """What is requested of the containers that the plan starts or inspects, by name."""
        spec, upgrading = self.spec, self.upgrading
        inspected = {item.name for item in plan.operations if (item.verb, item.kind) == ("inspect", NODE)}
        nodes = {
            name: replace(node, state="present" if name in inspected else "started")
            for name, node in spec.containers.items()
        }
        # Until it is replaced, a container is as it was.
        bare = (*upgrading.pending, *(name for name in spec.planes if name not in nodes))
        nodes.update({name: bare_node(name, spec.name, "started") for name in bare})
        if spec.balancer is not None and upgrading.upgrade is not None:
            nodes[spec.balancer.name] = replace(nodes[spec.balancer.name], replace=True)
        return nodes

    def started_again(self, plan: ClusterPlan) -> list[str]:
        """The nodes that are there and are stopped before they are started, or get data."""
        if self.restoring is not None:
            # Such as addresses of the data that others have now.
            return [name for name in sorted(self.states) if name in self.restoring.source.nodes]
        return sorted(plan.stops)


def look(run: Converging, spec: ClusterSpec, there: Sequence[Container], source: Source | None) -> Situation:
    """What the run finds; raises for a declaration that does not fit to it.

    :param there: the containers of the cluster's nodes.
    :param source: the snapshot that nodes get their data from.
    """
    found = by_node(there)
    _refuse_other_plane(spec, found)
    leaving, upgrading = Leaving(run.engine, spec), Upgrading(run.engine, spec)
    if source is not None:
        spec, restoring = _restoring(run, spec, source, found)
        return Situation(spec, there, found, leaving, upgrading, restoring)
    leaving.find(found)
    upgrading.find(found, [item.name for item in leaving.nodes])
    return Situation(spec, there, found, leaving, upgrading)


def _refuse_other_plane(spec: ClusterSpec, found: Mapping[str, Container]) -> None:
    """Raise where the control plane is declared by another name than it has: it would be made a second time."""
    planes = sorted(name for name, item in found.items() if item.labels.get(labels.ROLE) == CONTROL_PLANE)
    declared = [name for name in spec.nodes if name not in spec.workers]
    if planes and not set(planes) & set(declared):
        problem = (
            f"the cluster {spec.name} has the control plane {', '.join(planes)}, and {', '.join(declared)} is declared"
        )
        raise checks.invalid("kic_cluster_nodes", problem, f"declare it there with the name {planes[0]}")


def _restoring(
    run: Converging, spec: ClusterSpec, source: Source, found: Mapping[str, Container]
) -> tuple[ClusterSpec, Restoring]:
    """The declaration with what the data of a snapshot requires, and the copies; raises what is in their way."""
    source = source.declared_by(spec)
    refuse_planes(run.engine, source, found)
    image = run.engine.image(spec.image)
    if image is not None:
        refuse_release(run.engine, source, spec.image, image.id)
    elif not run.check_mode:
        raise failure("image_missing", name=spec.image, engine=run.engine.name)
    identity = image.id if image is not None else ""
    spec = source.applied(spec, found, identity)
    scripts = spec.kubernetes[spec.control_plane].scripts
    return spec, Restoring(run.engine, source, scripts, identity)


def refuse(run: Converging, situation: Situation, plan: ClusterPlan, nodes: Mapping[str, NodeSpec]) -> None:
    """Raise what would make the plan fail, as long as nothing is changed.

    :param nodes: what is requested of the containers.
    """
    creates = any((item.verb, item.kind) == ("ensure", VOLUME) for item in plan.operations)
    if situation.restarts or situation.restoring is not None or creates:
        # Nodes that all run have what they need.
        refuse_unfit(run.engine.info, run.runner)
    _refuse_unstartable(run, [nodes[name] for name in situation.started_again(plan)])
    _refuse_missing_image(run, situation.spec, situation.states)
    if creates and not run.check_mode:
        _refuse_missing_images(run, situation.spec)


def _refuse_unstartable(run: Converging, nodes: Sequence[NodeSpec]) -> None:
    """Raise what would keep one of these from starting, as long as none is stopped."""
    for node in nodes:
        found = run.forecast(NodeResource(node, run.engine, runner=run.runner, ended=True))
        if found.missing and not run.check_mode:
            raise found.missing[0].error


def _refuse_missing_image(run: Converging, spec: ClusterSpec, there: Collection[str]) -> None:
    """Raise where the image of an upgrade, or of a load balancer that is to be created, is missing, as long as nothing is
    changed."""
    balancer = spec.balancer
    if run.check_mode:
        return
    if spec.upgrade and there and run.engine.image(spec.image) is None:
        raise failure("image_missing", name=spec.image, engine=run.engine.name)
    if balancer is None or balancer.name in there:
        return
    if run.engine.image(str(balancer.image)) is None:
        raise failure("image_missing", name=balancer.image, engine=run.engine.name)


def _refuse_missing_images(run: Converging, spec: ClusterSpec) -> None:
    """Raise where an image that all nodes have to have can be found nowhere, or not be read: without it the run would end when
    most of the cluster is there."""
    if spec.images is None:
        return
    found = NodeImages(spec.images, run.engine).survey(None)
    if found.problems:
        raise found.problems[0]
    if found.missing:
        raise failure("image_missing", name=", ".join(found.missing), engine=run.engine.name)
