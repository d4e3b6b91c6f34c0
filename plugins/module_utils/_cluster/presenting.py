# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run that creates and starts a cluster: how each kind of operation of its plan is done, and what is taken back of them
after a failure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from .._core import checks, labels
from .._core.diagnosis import KicError
from .._core.operations import Operation, Performed
from .._core.plan import Outcome, Plan, Resource, always
from .._engine.base import Engine
from .._kubernetes.bootstrap import staging
from .._kubernetes.bootstrap.kubeadm import KubeadmResource, converge_kubeadm, listed_nodes, made_with, network_state
from .._kubernetes.network.connect import PodNetwork
from .._resources.boot import BootSpec, policy_at_boot
from .._resources.network import NetworkResource
from .._resources.node_image import NodeImages
from .._resources.node_spec import NodeSpec
from .._resources.volume import VolumeResource
from .balancing import balance, without_haproxy
from .converging import Converging, created_with
from .declared import balancer_name
from .kinds import (
    BALANCER,
    BOOT,
    CONTROL_PLANE,
    DATA,
    ETCD,
    IMAGES,
    KUBERNETES,
    NETWORK,
    NODE,
    POD_NETWORK,
    REGISTERED,
    RELEASE,
    VOLUME,
)
from .leaving import CHANGED, Leaving
from .outcome import ClusterOutcome, Done
from .plan import ClusterPlan
from .restoring import Restoring
from .situation import Situation
from .spec import ClusterSpec, absent_network, absent_volume, bare_node
from .upgrading import Upgrading


@dataclass
class Presenting:
    """What the run knows, and how it does each operation: the table ``METHODS`` says which method that is.

    :param nodes: what is requested of the containers, by name.
    """

    run: Converging
    situation: Situation
    plan: ClusterPlan
    nodes: Mapping[str, NodeSpec]
    acted: dict[str, Done] = field(default_factory=dict)
    """What this run did to containers, or in check mode would do, by name."""
    kubernetes: dict[str, Outcome] = field(default_factory=dict)
    """What became of Kubernetes in each node."""

    @property
    def engine(self) -> Engine:
        """Where the cluster is."""
        return self.run.engine

    @property
    def check_mode(self) -> bool:
        """Whether nothing may be changed."""
        return self.run.check_mode

    @property
    def spec(self) -> ClusterSpec:
        """The declaration."""
        return self.situation.spec

    @property
    def leaving(self) -> Leaving:
        """The nodes that leave the cluster."""
        return self.situation.leaving

    @property
    def upgrading(self) -> Upgrading:
        """The upgrade, where there is one."""
        return self.situation.upgrading

    @property
    def restoring(self) -> Restoring | None:
        """The copies of a snapshot's data, where there are some."""
        return self.situation.restoring

    def present(self) -> ClusterOutcome:
        """Run the plan; raises the first failure, when what was done for nothing is taken back."""
        if self.restoring is not None and not self.check_mode:
            # From here on, whatever becomes of this run, the next one restores the data.
            self.restoring.begin()
        performed = self.run.perform(self.plan, self._do)
        if not self.check_mode:
            performed = self._completed(performed)
        outcome = self.run.outcome(self.plan, performed)
        return replace(outcome, more=self.upgrading.warnings)

    def _do(self, operation: Operation) -> Done:
        return METHODS[operation.verb, operation.kind](self, operation)

    def _ensure_network(self, _operation: Operation) -> Done:
        return self.run.converge(NetworkResource(self.spec.network, self.engine))

    def _ensure_volume(self, operation: Operation) -> Done:
        return self.run.converge(VolumeResource(self.spec.volumes[operation.name], self.engine))

    def _fill(self, operation: Operation) -> Done:
        """Give a node its data from the snapshot."""
        restoring = always(self.restoring)
        if not self.check_mode:
            restoring.fill(operation.name)
        return Done(Plan((operation,), {}, {"snapshot": restoring.source.snapshot.volume}), {})

    def _stop_node(self, operation: Operation) -> Done:
        return self.run.node(bare_node(operation.name, self.spec.name, "stopped"))

    def _start_node(self, operation: Operation) -> Done:
        """Create a container where it is missing, and start it; or compare one that is left as it is."""
        name = operation.name
        ended = self.check_mode and name in self.plan.stops
        try:
            node = self.run.node(self.nodes[name], ended=ended)
        except KicError as error:
            raise without_haproxy(error, self.spec, name) from error
        self.acted[name] = node
        return node

    def _replace_node(self, operation: Operation) -> Done:
        """Give a node a container of the new release."""
        name = operation.name
        if not self.check_mode:
            self.upgrading.remember(operation)
        self.acted[name] = self.run.node(replace(self.spec.nodes[name], state="started", replace=True))
        self.upgrading.replaced.add(name)
        return self.acted[name]

    def _remove_node(self, operation: Operation) -> Done:
        removed = self.run.node(bare_node(operation.name, self.spec.name, "absent"))
        self.leaving.departed.append(operation.name)
        return removed

    def _remove_volume(self, operation: Operation) -> Done:
        gone = frozenset(item.name for item in self.leaving.nodes if self.check_mode)
        return self.run.converge(VolumeResource(absent_volume(operation.name, self.spec.name), self.engine, gone))

    def _load_images(self, _operation: Operation) -> Done:
        wanted = replace(checks.taken(self.spec.images), nodes=self.plan.created)
        return self.run.converge(NodeImages(wanted, self.engine, self.situation.there))

    def _join(self, operation: Operation) -> Done:
        """Make a node part of the cluster, or the first one the cluster."""
        name, restoring = operation.name, self.restoring
        if self.check_mode and restoring is not None and name in restoring.source.as_it_was:
            # Kubernetes comes with the data.
            return Done(Plan(), {})
        kubeadm = replace(self.spec.kubernetes[name], expected=self._expected())
        if name in self.upgrading.pending:
            kubeadm = replace(kubeadm, version=None)
        ready = converge_kubeadm(kubeadm, self.engine, check_mode=self.check_mode)
        self.kubernetes[name] = ready
        return Done(ready.plan, ready.value, ready.warnings)

    def _expected(self) -> dict[str, str]:
        """The addresses that control planes have, or in check mode would have."""
        acted = self.acted
        return {
            name: str(acted[name].value["ip"])
            for name in self.spec.planes
            if name in acted and acted[name].value.get("ip")
        }

    def _stage(self, operation: Operation) -> Done:
        """Bring the images of the new release into the nodes."""
        if not self.check_mode:
            self.upgrading.stage()
        return self._upgraded(operation)

    def _upgrade_plane(self, operation: Operation) -> Done:
        """Upgrade a control plane, also one that is not declared, in the container that it has."""
        name, spec = operation.name, self.spec
        if not self.check_mode:
            first = spec.kubernetes[spec.control_plane]
            own = spec.node_names.get(name, "")
            other = replace(first, node=name, state="joined", role=labels.CONTROL_PLANE, node_name=own)
            self.upgrading.control_plane(spec.kubernetes.get(name, other))
        return self._upgraded(operation)

    def _upgrade_node(self, operation: Operation) -> Done:
        """Bring Kubernetes in a container that was replaced to the new release."""
        name, target = operation.name, always(self.upgrading.upgrade).target
        done = self._upgraded(operation)
        if self.check_mode:
            return replace(done, value={**self.kubernetes[name].value, "version": target})
        kubeadm = self.spec.kubernetes[name]
        ready = converge_kubeadm(kubeadm, self.engine, check_mode=False)
        self.kubernetes[name] = ready
        staging.await_release(kubeadm, self.engine, target)
        return replace(done, value=ready.value, warnings=ready.warnings)

    def _upgraded(self, operation: Operation) -> Done:
        """One operation of an upgrade, which reports itself and none of its steps."""
        before, after = CHANGED.get(operation.verb, ({}, {"kubernetes": always(self.upgrading.upgrade).target}))
        return Done(Plan((operation,), before, after), {})

    def _registered(self, operation: Operation) -> Done:
        """Do something to a node in Kubernetes whose container is about to be replaced, or that leaves the cluster."""
        if not self.upgrading.owns(operation):
            return self._leave(operation)
        if not self.check_mode:
            self.upgrading.drain(operation)
        return self._upgraded(operation)

    def _leave(self, operation: Operation) -> Done:
        """One operation in Kubernetes on a node that leaves the cluster."""
        if not self.check_mode:
            self.leaving.run(operation)
        actions = (operation,) if operation.changes else ()
        before, after = CHANGED.get(operation.verb, ({}, {}))
        return Done(Plan(actions, before, after), {}, self.leaving.warnings(operation))

    def _remove_member(self, operation: Operation) -> Done:
        """Remove a control plane that leaves from etcd."""
        done = self._leave(operation)
        self.leaving.departed.append(operation.name)
        return done

    def _connect(self, _operation: Operation) -> Done:
        """Tell all nodes of each other. What a join or a start brings with it is part of that, not one more change."""
        spec, kubernetes = self.spec, self.kubernetes
        self._await_api()
        changed = self._changed
        if changed and self.check_mode:
            return Done(Plan(), {})
        plane = kubernetes.get(spec.control_plane)
        # Of a control plane that is left as it is, nobody has asked.
        pod_subnet = made_with(plane, spec.kubernetes[spec.control_plane].shape.pod_subnet) if plane is not None else ""
        found = PodNetwork(self.engine, spec.name, spec.control_plane, pod_subnet).connect(
            {name: network_state(item) for name, item in kubernetes.items()},
            None if changed or plane is None else listed_nodes(plane),
            check_mode=self.check_mode,
        )
        actions = () if changed else tuple(Operation("connect", POD_NETWORK, name) for name in found.nodes)
        return Done(Plan(actions), {}, found.warnings)

    def _await_api(self) -> None:
        """Wait until the nodes can be told of each other by the API."""
        if len(self.spec.planes) > 1 and not self.check_mode and self._joined:
            # With several control planes nobody has waited for the last one that was restarted.
            KubeadmResource(self.spec.kubernetes[self.spec.control_plane], self.engine).seam.await_api()

    @property
    def _changed(self) -> bool:
        """Whether this run changed, or in check mode would change, nodes or Kubernetes in them."""
        return bool(self._started or self._joined or self.leaving.nodes or self.upgrading.upgrade)

    @property
    def _started(self) -> bool:
        return any(item.plan.changed for item in self.acted.values())

    @property
    def _joined(self) -> bool:
        return any(item.plan.changed for item in self.kubernetes.values())

    def _balance(self, _operation: Operation) -> Done:
        return balance(self.run, self.spec, self.acted, self._expected())

    def _boot(self, _operation: Operation) -> Done:
        """Have the nodes start when the machine boots, those too that the declaration does not name and that run."""
        spec, nodes = self.spec, self._booted()
        boot = BootSpec(spec.name, "enabled" if spec.boot else "absent", nodes, self._started)
        there, created = self.situation.found, self._created()
        found = {**{name: there[name].restart_policy for name in nodes if name in there}, **created}
        first = {**created_with(there), **created}
        wanted = {
            name: policy_at_boot(first[name], spec.boot and name not in spec.own_policy)
            for name in nodes
            if name in first
        }
        return self.run.starts(boot, found, wanted)

    def _booted(self) -> dict[str, str]:
        """The nodes that a boot starts, with the ids of their containers."""
        spec, there = self.spec, self.situation.found
        own = (*self.nodes, *(item.name for item in self.leaving.nodes), balancer_name(spec.name))
        ids = {name: str(item.value.get("id") or "") for name, item in self.acted.items()}
        # In the order in which a boot starts them.
        known = {**{name: item.id for name, item in there.items()}, **{name: one for name, one in ids.items() if one}}
        nodes = {name: known.get(name, "") for name in (*spec.planes, *spec.containers)}
        nodes.update({name: item.id for name, item in there.items() if name not in own and item.running})
        return nodes

    def _created(self) -> dict[str, str]:
        """The restart policies of containers that this run created: those that they are declared with."""
        return {
            name: self.spec.containers[name].restart_policy
            for name, item in self.acted.items()
            if any(action.verb == "create" for action in item.plan.actions)
        }

    def _completed(self, performed: Performed[Done]) -> Performed[Done]:
        """After a failure, what remains of what was done; else the data is complete."""
        failed = performed.failed
        if failed is None:
            if self.restoring is not None:
                self.restoring.end()
            return performed
        # Data that was copied is not copied a second time into a cluster that has begun.
        if failed.kind in (NETWORK, VOLUME, NODE) and failed.verb != "remove" and self.restoring is None:
            performed = self._taken_back(performed)
        return self.upgrading.taken_back(self.leaving.taken_back(performed))

    def _taken_back(self, performed: Performed[Done]) -> Performed[Done]:
        """Remove the volumes and the network that this run created for nothing; what remains of what was done.

        A node that failed before its first start removed itself. What a container uses, stays: then it did start.
        """
        spec = self.spec
        resources: list[tuple[str, Resource[Any, Any]]] = [
            (f"ensure {VOLUME} {name}", VolumeResource(absent_volume(name, spec.name), self.engine))
            for name in spec.volumes
        ]
        resources.append(
            (f"ensure {NETWORK} {spec.name}", NetworkResource(absent_network(spec.name, spec.name), self.engine))
        )
        left = dict(performed.results)
        for key, resource in resources:
            # What goes wrong here, also in the system, must not hide why the nodes were not created.
            with suppress(Exception):
                if key in left and left[key].plan.changed and not left[key].plan.before:
                    self.run.converge(resource)
                    del left[key]
        return replace(performed, results=left)


METHODS: dict[tuple[str, str], Callable[[Presenting, Operation], Done]] = {
    ("ensure", NETWORK): Presenting._ensure_network,
    ("ensure", VOLUME): Presenting._ensure_volume,
    ("restore", DATA): Presenting._fill,
    ("stop", NODE): Presenting._stop_node,
    ("start", NODE): Presenting._start_node,
    ("inspect", NODE): Presenting._start_node,
    ("configure", BALANCER): Presenting._balance,
    ("load", IMAGES): Presenting._load_images,
    ("initialize", KUBERNETES): Presenting._join,
    ("join", KUBERNETES): Presenting._join,
    # An upgrade.
    ("stage", RELEASE): Presenting._stage,
    ("upgrade", CONTROL_PLANE): Presenting._upgrade_plane,
    ("replace", NODE): Presenting._replace_node,
    ("upgrade", KUBERNETES): Presenting._upgrade_node,
    # An upgrade, and nodes that leave.
    ("cordon", REGISTERED): Presenting._registered,
    ("drain", REGISTERED): Presenting._registered,
    # Nodes that leave.
    ("ask", REGISTERED): Presenting._registered,
    ("remove", ETCD): Presenting._remove_member,
    ("remove", NODE): Presenting._remove_node,
    ("remove", VOLUME): Presenting._remove_volume,
    ("delete", REGISTERED): Presenting._registered,
    # When all nodes are there.
    ("connect", POD_NETWORK): Presenting._connect,
    ("enable", BOOT): Presenting._boot,
    ("disable", BOOT): Presenting._boot,
}
"""How an operation is done, by its verb and its kind."""
