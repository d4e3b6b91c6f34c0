# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a cluster into its state: runs the operations of its plan, and says what became of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Callable

from .._command import Runner
from .._core import checks, labels
from .._core.diagnosis import KicError, failure, keep_done
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER
from .._core.operations import PARALLEL, Operation, Performed, in_order, perform
from .._core.plan import Outcome, Plan, Resource, always, converge
from .._engine.base import Engine
from .._engine.model import Container
from .._engine.selection import cluster_nodes
from .._host.preflight import refuse_unfit
from .._kubernetes.access.balancer import configuration, configure
from .._kubernetes.bootstrap import staging
from .._kubernetes.bootstrap.kubeadm import KubeadmResource, converge_kubeadm, listed_nodes, network_state
from .._kubernetes.bootstrap.renewal import renews_access
from .._kubernetes.network.connect import PodNetwork, own_addresses
from .._node.boot import died
from .._resources.boot import BootSpec, BootUnit, RestartPolicies, policy_at_boot
from .._resources.network import NetworkResource
from .._resources.node import NodeResource
from .._resources.node_image import NodeImages
from .._resources.node_info import find_clusters, find_nodes
from .._resources.node_spec import NodeSpec, decode_asked
from .._resources.throw_away import remove_stale
from .._resources.volume import VolumeResource
from .._state.lock import lock_of
from .declared import balancer_name
from .kinds import (
    BALANCER,
    BOOT,
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
from .plan import ClusterPlan, plan_absent, plan_paused, plan_present, plan_restarted, plan_restored, plan_stopped
from .restoring import Restoring, Source, forget, refuse_planes, refuse_release
from .spec import BALANCER_CONFIGURATION, ClusterSpec, absent_network, absent_volume, bare_node
from .there import by_node
from .upgrading import Upgrading


@dataclass(frozen=True)
class Done:
    """What an operation found and did, or in check mode would do."""

    plan: Plan
    value: Mapping[str, Any]
    """What is there now, as the module for the one thing describes it."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterOutcome:
    """What a run did: the plan, and each operation's part in the order of the plan."""

    plan: ClusterPlan
    done: tuple[tuple[Operation, Done], ...]
    more: tuple[str, ...] = ()
    """What a person has to know of the whole."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What was changed, or in check mode would be."""
        return tuple(str(action) for _operation, item in self.done for action in item.plan.actions)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to know of each part, what was left as it is included."""
        texts: list[str] = [*self.more]
        for _operation, item in self.done:
            texts += item.warnings
        return tuple(dict.fromkeys(texts))

    @property
    def drift(self) -> list[dict[str, Any]]:
        """What differs from what was requested, with the thing that it is ``of``."""
        return [{"of": operation.subject, **vars(drift)} for operation, item in self.done for drift in item.plan.drift]

    def describe(self, spec: ClusterSpec) -> dict[str, Any]:
        """The cluster as it is now, or would be."""
        nodes, statuses = self.values(NODE), self.values(KUBERNETES)
        return {
            "name": spec.name,
            "control_plane": spec.control_plane,
            "control_planes": list(spec.planes),
            "load_balancer": nodes.get(spec.balancer.name, {}) if spec.balancer is not None else {},
            "network": self.values(NETWORK).get(spec.name, {}),
            "nodes": [nodes[name] for name in spec.nodes],
            "statuses": [statuses[name] for name in spec.nodes if statuses.get(name)],
            "created": list(self.plan.created),
            "surplus": list(self.plan.surplus),
            "pod_network": spec.pod_network,
            "renewed": self.renewed,
        }

    @property
    def renewed(self) -> bool:
        """Whether what the administrator's kubeconfigs hold is renewed."""
        steps = (
            action for operation, item in self.done if operation.kind == KUBERNETES for action in item.plan.actions
        )
        return renews_access((action.name, action.detail) for action in steps)

    def values(self, kind: str) -> dict[str, dict[str, Any]]:
        """Descriptions of the things of one kind, by name."""
        return {operation.name: dict(item.value) for operation, item in self.done if operation.kind == kind}

    @property
    def diff(self) -> list[dict[str, Any]]:
        """Ansible's diff, one part for each thing that changes."""
        return [
            {
                "before_header": operation.subject,
                "after_header": operation.subject,
                "before": dict(item.plan.before),
                "after": dict(item.plan.after),
            }
            for operation, item in self.done
            if item.plan.actions
        ]


@dataclass
class ClusterRun:
    """One run on an engine.

    :param report: told of the operations that run and how many are left, for the one who waits.
    """

    engine: Engine
    runner: Runner
    check_mode: bool
    report: Callable[[Collection[Operation], int], None] = lambda _running, _left: None

    def present(self, spec: ClusterSpec, there: Sequence[Container], source: Source | None = None) -> ClusterOutcome:
        """Create what is missing of the cluster, and start it unless its state is ``present``.

        :param there: the containers of the cluster's nodes.
        :param source: the snapshot that nodes get their data from.
        """
        found = by_node(there)
        _refuse_other_plane(spec, found)
        leaving = Leaving(self.engine, spec)
        upgrading = Upgrading(self.engine, spec)
        restoring: Restoring | None = None
        if source is not None:
            spec, restoring = self._restoring(spec, source, found)
        else:
            leaving.find(found)
            upgrading.find(found, [item.name for item in leaving.nodes])
        # As it is, nothing is surplus.
        states = {
            name: item.status
            for name, item in found.items()
            if name in spec.nodes or item.labels.get(labels.ROLE) in (*spec.counted, LOAD_BALANCER)
        }
        own = balancer_name(spec.name)
        plan = plan_present(
            spec.name,
            spec.control_plane,
            [name for name in spec.nodes if name not in spec.workers],
            spec.workers,
            states,
            state=spec.state if restoring is None else "started",
            network_given=spec.network_given,
            pod_network=spec.pod_network,
            boot=spec.boot,
            leavers=leaving.nodes,
            asked=leaving.asked,
            images=spec.images is not None,
            complete=spec.complete,
            staying=[name for name in spec.planes if name not in spec.nodes],
            balancer=spec.balancer.name if spec.balancer is not None else "",
            unbalanced=own if spec.balancer is None and own in states else "",
            upgrade=upgrading.upgrade,
            with_data=restoring.source.workers if restoring is not None else (),
        )
        inspected = {item.name for item in plan.operations if (item.verb, item.kind) == ("inspect", NODE)}
        nodes = {
            name: replace(node, state="present" if name in inspected else "started")
            for name, node in spec.containers.items()
        }
        replacements = {name: replace(nodes[name], replace=True) for name in upgrading.pending}
        # Until it is replaced, a container is as it was.
        bare = (*upgrading.pending, *(name for name in spec.planes if name not in nodes))
        nodes.update({name: bare_node(name, spec.name, "started") for name in bare})
        if spec.balancer is not None and upgrading.upgrade is not None:
            nodes[spec.balancer.name] = replace(nodes[spec.balancer.name], replace=True)
        restarts = spec.state == "restarted" and restoring is None
        if (
            restarts
            or restoring is not None
            or any((item.verb, item.kind) == ("ensure", VOLUME) for item in plan.operations)
        ):
            # Nodes that all run have what they need.
            refuse_unfit(self.engine.info, self.runner)
        stops: frozenset[str] = frozenset()
        if restarts:
            plan = plan_restarted(plan, spec.planes, states)
            stops = frozenset(item.name for item in plan.operations if item.verb == "stop")
            self._refuse_unstartable([nodes[name] for name in sorted(stops)])
        fills: tuple[str, ...] = ()
        if restoring is not None:
            fills = restoring.source.fills
            plan = plan_restored(plan, fills, states)
            stops = frozenset(item.name for item in plan.operations if item.verb == "stop")
            # Such as addresses of the data that others have now.
            self._refuse_unstartable([nodes[name] for name in sorted(states) if name in restoring.source.nodes])
        self._refuse_missing_image(spec, states)
        if restoring is not None and not self.check_mode:
            # From here on, whatever becomes of this run, the next one restores the data.
            restoring.begin()
        kubernetes: dict[str, Outcome] = {}
        acted: dict[str, Done] = {}

        def run(operation: Operation) -> Done:
            if operation.verb in ("stage", "upgrade") or upgrading.owns(operation):
                return self._upgrade(spec, upgrading, operation, kubernetes)
            if operation.verb == "replace":
                if not self.check_mode:
                    upgrading.remember(operation)
                acted[operation.name] = self._node(replacements[operation.name])
                upgrading.replaced.add(operation.name)
                return acted[operation.name]
            if operation.kind == REGISTERED or operation.verb == "remove":
                return self._leave(spec, leaving, operation)
            if operation.kind == DATA and restoring is not None:
                if not self.check_mode:
                    restoring.fill(operation.name)
                return Done(Plan((operation,), {}, {"snapshot": restoring.source.snapshot.volume}), {})
            if operation.kind == NETWORK:
                return self._converge(NetworkResource(spec.network, self.engine))
            if operation.kind == VOLUME:
                return self._converge(VolumeResource(spec.volumes[operation.name], self.engine))
            if operation.verb == "stop":
                return self._node(bare_node(operation.name, spec.name, "stopped"))
            if operation.kind == NODE:
                ended = self.check_mode and operation.name in stops
                try:
                    node = self._node(nodes[operation.name], ended=ended)
                except KicError as error:
                    raise _without_haproxy(error, spec, operation.name) from error
                acted[operation.name] = node
                return node
            if operation.kind == POD_NETWORK:
                if (
                    len(spec.planes) > 1
                    and not self.check_mode
                    and any(item.plan.changed for item in kubernetes.values())
                ):
                    # With several control planes nobody has waited for the last one that was restarted.
                    KubeadmResource(spec.kubernetes[spec.control_plane], self.engine).seam.await_api()
                started = any(item.plan.changed for item in acted.values())
                return self._connect(spec, kubernetes, bool(started or leaving.nodes or upgrading.upgrade))
            if operation.kind == BOOT:
                leavers = {item.name for item in leaving.nodes}
                others = [name for name in found if name not in (*nodes, *leavers, own)]
                return self._boot(spec, others, found, acted)
            if operation.kind == BALANCER:
                return self._balance(spec, acted)
            if operation.kind == IMAGES:
                wanted = replace(checks.taken(spec.images), nodes=plan.created)
                return self._converge(NodeImages(wanted, self.engine, there))
            if self.check_mode and restoring is not None and operation.name in restoring.source.as_it_was:
                # Kubernetes comes with the data.
                return Done(Plan(), {})
            kubeadm = replace(spec.kubernetes[operation.name], expected=_expected(spec, acted))
            if operation.name in upgrading.pending:
                kubeadm = replace(kubeadm, version=None)
            ready = converge_kubeadm(kubeadm, self.engine, check_mode=self.check_mode)
            kubernetes[operation.name] = ready
            return Done(ready.plan, ready.value, ready.warnings)

        performed = self._perform(plan, run)
        failed = performed.failed
        if failed is not None and not self.check_mode:
            # Data that was copied is not copied a second time into a cluster that has begun.
            if failed.kind in (NETWORK, VOLUME, NODE) and failed.verb != "remove" and restoring is None:
                performed = self._taken_back(spec, performed)
            performed = upgrading.taken_back(leaving.taken_back(performed))
        elif restoring is not None and not self.check_mode:
            restoring.end()
        outcome = self._outcome(plan, performed)
        return replace(outcome, more=upgrading.warnings)

    def _restoring(
        self, spec: ClusterSpec, source: Source, found: Mapping[str, Container]
    ) -> tuple[ClusterSpec, Restoring]:
        """The declaration with what the data of a snapshot requires, and the copies; raises what is in their way."""
        source = source.declared_by(spec)
        refuse_planes(self.engine, source, found)
        image = self.engine.image(spec.image)
        if image is not None:
            refuse_release(self.engine, source, spec.image, image.id)
        elif not self.check_mode:
            raise failure("image_missing", name=spec.image, engine=self.engine.name)
        identity = image.id if image is not None else ""
        spec = source.applied(spec, found, identity)
        scripts = spec.kubernetes[spec.control_plane].scripts
        return spec, Restoring(self.engine, source, scripts, identity)

    def _refuse_missing_image(self, spec: ClusterSpec, there: Collection[str]) -> None:
        """Raise where the image of an upgrade, or of a load balancer that is to be created, is missing, as long as nothing is
        changed."""
        balancer = spec.balancer
        if self.check_mode:
            return
        if spec.upgrade and there and self.engine.image(spec.image) is None:
            raise failure("image_missing", name=spec.image, engine=self.engine.name)
        if balancer is None or balancer.name in there:
            return
        if self.engine.image(str(balancer.image)) is None:
            raise failure("image_missing", name=balancer.image, engine=self.engine.name)

    def _refuse_unstartable(self, nodes: Sequence[NodeSpec]) -> None:
        """Raise what would keep one of these from starting, as long as none is stopped."""
        for node in nodes:
            resource = NodeResource(node, self.engine, runner=self.runner, ended=True)
            found = converge(resource, check_mode=True, lock=lock_of(resource.lock_name)).plan
            if found.missing and not self.check_mode:
                raise found.missing[0].error

    def _upgrade(
        self, spec: ClusterSpec, upgrading: Upgrading, operation: Operation, kubernetes: dict[str, Outcome]
    ) -> Done:
        """One operation of an upgrade, which reports itself and none of its steps."""
        name, target = operation.name, always(upgrading.upgrade).target
        before, after = CHANGED.get(operation.verb, ({}, {"kubernetes": target}))
        done = Done(Plan((operation,), before, after), {})
        if operation.kind == KUBERNETES:
            if self.check_mode:
                return replace(done, value={**kubernetes[name].value, "version": target})
            kubernetes[name] = converge_kubeadm(spec.kubernetes[name], self.engine, check_mode=False)
            staging.await_release(spec.kubernetes[name], self.engine, target)
            return replace(done, value=kubernetes[name].value, warnings=kubernetes[name].warnings)
        if self.check_mode:
            return done
        if operation.kind == REGISTERED:
            upgrading.drain(operation)
        elif operation.kind == RELEASE:
            upgrading.stage()
        else:
            first = spec.kubernetes[spec.control_plane]
            own = spec.node_names.get(name, "")
            other = replace(first, node=name, state="joined", role=CONTROL_PLANE, node_name=own)
            upgrading.control_plane(spec.kubernetes.get(name, other))
        return done

    def _leave(self, spec: ClusterSpec, leaving: Leaving, operation: Operation) -> Done:
        """One operation on a node that leaves the cluster."""
        name = operation.name
        if operation.kind == NODE:
            removed = self._node(bare_node(name, spec.name, "absent"))
            leaving.departed.append(name)
            return removed
        if operation.kind == VOLUME:
            gone = frozenset(item.name for item in leaving.nodes if self.check_mode)
            return self._converge(VolumeResource(absent_volume(name, spec.name), self.engine, gone))
        if not self.check_mode:
            leaving.run(operation)
        if operation.kind == ETCD:
            leaving.departed.append(name)
        actions = (operation,) if operation.changes else ()
        before, after = CHANGED.get(operation.verb, ({}, {}))
        return Done(Plan(actions, before, after), {}, leaving.warnings(operation))

    def _connect(self, spec: ClusterSpec, kubernetes: Mapping[str, Outcome], started: bool) -> Done:
        """Tell all nodes of each other. What a join or a start brings with it is part of that, not one more change."""
        changed = started or any(item.plan.changed for item in kubernetes.values())
        if changed and self.check_mode:
            return Done(Plan(), {})
        plane = kubernetes.get(spec.control_plane)
        network = PodNetwork(
            self.engine, spec.name, spec.control_plane, spec.kubernetes[spec.control_plane].shape.pod_subnet
        )
        found = network.connect(
            {name: network_state(item) for name, item in kubernetes.items()},
            None if changed or plane is None else listed_nodes(plane),
            check_mode=self.check_mode,
        )
        actions = () if changed else tuple(Operation("connect", POD_NETWORK, name) for name in found.nodes)
        return Done(Plan(actions), {}, found.warnings)

    def _balance(self, spec: ClusterSpec, acted: Mapping[str, Done]) -> Done:
        """Have the load balancer lead to the control planes. Of one that is new it is part of its creation.

        :param acted: what this run did to nodes, or in check mode would do.
        """
        name = always(spec.balancer).name
        node, container = acted[name], self.engine.container(name)
        if container is None:
            return Done(Plan(), {})
        planes = {item.name: own_addresses(item) for item in cluster_nodes(self.engine, spec.name)}
        found = {plane: planes[plane][0] for plane in spec.planes if planes.get(plane)}
        known = {**_expected(spec, acted), **found}
        wanted = configuration(known, ["::" if container.labels.get(labels.ADDRESS6) else "0.0.0.0"])
        text = self.engine.read_file(container.id, BALANCER_CONFIGURATION) or b""
        if text.decode("utf-8", "replace") == wanted:
            return Done(Plan(), {})
        if container.running and not self.check_mode:
            scripts = spec.kubernetes[spec.control_plane].scripts
            try:
                configure(self.engine, name, BALANCER_CONFIGURATION, wanted, scripts)
            except KicError as error:
                now = self.engine.container(container.id)
                if now is not None and now.running:
                    raise
                raise _without_haproxy(died(self.engine, name), spec, name) from error
        new = any(action.verb == "create" for action in node.plan.actions)
        idle = not container.running and not node.plan.changed
        return Done(Plan(() if new or idle else (Operation("configure", BALANCER, name),)), {})

    def _boot(
        self, spec: ClusterSpec, others: Sequence[str], there: Mapping[str, Container], acted: Mapping[str, Done]
    ) -> Done:
        """Have the nodes start when the machine boots, those too that the declaration does not name and that run.

        :param acted: what this run did to nodes: one that was created has the policy that it was declared with.
        """
        ids = {name: str(item.value.get("id") or "") for name, item in acted.items()}
        # In the order in which a boot starts them.
        known = {**{name: item.id for name, item in there.items()}, **{name: one for name, one in ids.items() if one}}
        nodes = {name: known.get(name, "") for name in (*spec.planes, *spec.containers)}
        nodes.update({name: there[name].id for name in others if there[name].running})
        changed = any(item.plan.changed for item in acted.values())
        boot = BootSpec(spec.name, "enabled" if spec.boot else "absent", nodes, changed)
        created = {
            name: spec.containers[name].restart_policy
            for name, item in acted.items()
            if any(action.verb == "create" for action in item.plan.actions)
        }
        found = {**{name: there[name].restart_policy for name in nodes if name in there}, **created}
        first = {**_created_with(there), **created}
        wanted = {
            name: policy_at_boot(first[name], spec.boot and name not in spec.own_policy)
            for name in nodes
            if name in first
        }
        return self._starts(boot, found, wanted)

    def _starts(self, boot: BootSpec, found: Mapping[str, str], wanted: Mapping[str, str]) -> Done:
        if self.engine.capabilities.restarts:
            return self._converge(RestartPolicies(boot, self.engine, found, wanted))
        return self._converge(BootUnit(boot, self.engine, self.runner))

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
                return self._starts(BootSpec(name, goal), policies, {} if boot else _created_with(found))
            return self._node(bare_node(operation.name, owners[operation.name], "stopped"))

        return self._outcome(plan, self._perform(plan, run))

    def paused(self, name: str, there: Sequence[Container]) -> ClusterOutcome:
        """Freeze the nodes."""
        if not self.engine.info.freezes:
            raise failure("pause_needs_freezer", engine=self.engine.name)
        found = by_node(there)
        roles = {node: item.labels.get(labels.ROLE, "") for node, item in found.items()}
        plan = plan_paused(name, roles, {node: item.status for node, item in found.items()}, self.engine.name)
        return self._outcome(plan, self._perform(plan, lambda item: self._node(bare_node(item.name, name, "paused"))))

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
                return self._node(bare_node(operation.name, name, "absent"), volumes)
            if operation.kind == BOOT:
                return self._starts(BootSpec(name, "absent"), {}, {})
            if operation.kind == VOLUME:
                return self._converge(VolumeResource(absent_volume(operation.name, name), self.engine, gone))
            return self._converge(NetworkResource(absent_network(operation.name, name), self.engine, gone))

        return self._outcome(plan, self._perform(plan, run))

    def _perform(self, plan: ClusterPlan, run: Callable[[Operation], Done]) -> Performed[Done]:
        # One after the other is enough for a forecast, and its order of actions is that of the plan.
        return perform(plan.operations, run, parallel=1 if self.check_mode else PARALLEL, report=self.report)

    def _converge(self, resource: Resource[Any, Any]) -> Done:
        outcome = converge(resource, check_mode=self.check_mode, lock=lock_of(resource.lock_name))
        return Done(outcome.plan, outcome.value, outcome.warnings)

    def _node(self, spec: NodeSpec, going: frozenset[str] = frozenset(), *, ended: bool = False) -> Done:
        return self._converge(NodeResource(spec, self.engine, runner=self.runner, going=going, ended=ended))

    def _outcome(self, plan: ClusterPlan, performed: Performed[Done]) -> ClusterOutcome:
        """What was done; raises the first failure, with what was done before and next to it."""
        ordered = [item for item in in_order(plan.operations) if item.key in performed.results]
        outcome = ClusterOutcome(plan, tuple((item, performed.results[item.key]) for item in ordered))
        if performed.error is None:
            return outcome
        if not self.check_mode:
            keep_done(performed.error, outcome.actions)
        raise performed.error

    def _taken_back(self, spec: ClusterSpec, performed: Performed[Done]) -> Performed[Done]:
        """Remove the volumes and the network that this run created for nothing; what remains of what was done.

        A node that failed before its first start removed itself. What a container uses, stays: then it did start.
        """
        resources: list[tuple[str, Resource[Any, Any]]] = [
            (f"ensure {VOLUME} {name}", VolumeResource(absent_volume(name, spec.name), self.engine))
            for name in spec.volumes
        ]
        resources.append(
            (f"ensure {NETWORK} {spec.name}", NetworkResource(absent_network(spec.name, spec.name), self.engine))
        )
        left = dict(performed.results)
        for key, resource in resources:
            # What goes wrong here must not hide why the nodes were not created.
            with suppress(KicError):
                if key in left and left[key].plan.changed and not left[key].plan.before:
                    self._converge(resource)
                    del left[key]
        return replace(performed, results=left)


def _refuse_other_plane(spec: ClusterSpec, found: Mapping[str, Container]) -> None:
    """Raise where the control plane is declared by another name than it has: it would be made a second time."""
    planes = sorted(name for name, item in found.items() if item.labels.get(labels.ROLE) == CONTROL_PLANE)
    declared = [name for name in spec.nodes if name not in spec.workers]
    if planes and not set(planes) & set(declared):
        problem = (
            f"the cluster {spec.name} has the control plane {', '.join(planes)}, and {', '.join(declared)} is declared"
        )
        raise checks.invalid("kic_cluster_nodes", problem, f"declare it there with the name {planes[0]}")


def _expected(spec: ClusterSpec, acted: Mapping[str, Done]) -> dict[str, str]:
    """The addresses that control planes have, or in check mode would have."""
    return {name: str(acted[name].value["ip"]) for name in spec.planes if name in acted and acted[name].value.get("ip")}


def _without_haproxy(error: KicError, spec: ClusterSpec, name: str) -> KicError:
    """What the end of a load balancer means that has only just begun: there is no other program in it."""
    if spec.balancer is None or name != spec.balancer.name or "haproxy_missing" not in error.diagnosis.output:
        return error
    return failure("haproxy_missing", output=error.diagnosis.output, image=spec.balancer.image)


def _created_with(nodes: Mapping[str, Container]) -> dict[str, str]:
    """The restart policies that nodes were created with."""
    return {name: str(decode_asked(item.labels.get(labels.SPEC, ""))["restart_policy"]) for name, item in nodes.items()}
