# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upgrade of a cluster in one run: which releases are there, what is refused, and what is done to each node in Kubernetes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from .._core import labels
from .._core.diagnosis import KicError, failure
from .._core.labels import CONTROL_PLANE, WORKER
from .._core.operations import Operation, Performed
from .._engine.base import Engine
from .._engine.model import Container
from .._kubernetes.bootstrap import staging
from .._kubernetes.bootstrap.configuration import release_of, version_of
from .._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from .._kubernetes.bootstrap.leave import Departure
from .._kubernetes.bootstrap.look import read_record
from .._resources.throw_away import container_of
from .kinds import REGISTERED
from .spec import ClusterSpec
from .upgrade import Member, Upgrade


@dataclass
class Upgrading:
    """That of one run."""

    engine: Engine
    spec: ClusterSpec
    upgrade: Upgrade | None = None
    """What is upgraded; None where nothing is."""
    replaced: set[str] = field(default_factory=set)
    """The nodes whose containers this run replaced."""

    @property
    def pending(self) -> frozenset[str]:
        """The nodes whose container is replaced, and is left as it is until then."""
        return frozenset(item.name for item in self.upgrade.containers) if self.upgrade is not None else frozenset()

    def find(self, there: Mapping[str, Container], leaving: Collection[str]) -> None:
        """What there is to upgrade; raises for what Kubernetes does not support, and for another release that nobody requested.

        :param leaving: nodes that leave the cluster.
        """
        spec = self.spec
        nodes = {name: item for name, item in there.items() if item.labels.get(labels.ROLE) in (CONTROL_PLANE, WORKER)}
        image = self.engine.image(spec.image) if nodes and spec.image else None
        if image is None or all(item.image_id == image.id for item in nodes.values()):
            return
        replaces = [name for name, node in spec.nodes.items() if node.replace and name in nodes]
        creates = [name for name in spec.nodes if name not in nodes]
        if not (spec.upgrade or replaces or creates):
            return
        with container_of(self.engine, image.id) as source:
            target = staging.release_of_container(self.engine, source)
        if not target:
            raise failure("upgrade_without_kubernetes", image=spec.image)
        members = (
            self._member(name, item, target, leaves=name in leaving)
            for name, item in sorted(nodes.items())
            if item.running or name not in leaving
        )
        found = Upgrade(target, spec.control_plane, tuple(item for item in members if item is not None))
        if not spec.upgrade:
            self._refuse_unrequested(found, replaces, creates)
            return
        if spec.kubernetes[spec.control_plane].version not in (None, target):
            asked = spec.kubernetes[spec.control_plane].version
            raise failure("version_differs", node=spec.control_plane, asked=asked, found=target)
        found.refuse()
        if not found.needed:
            return
        self._refuse_lost(nodes, creates)
        if spec.state == "present":
            raise failure("upgrade_needs_nodes", cluster=spec.name)
        self.upgrade = found
        self._refuse_bare_pods(nodes)

    def _member(self, name: str, container: Container, target: str, *, leaves: bool) -> Member | None:
        """The releases in a node; None of one that has none, or is not part of the cluster: what never joined is a new node where it
        has the new release, and of a control plane that leaves, an interrupted run has already removed the member of etcd."""
        kubelet = staging.release_of_container(self.engine, container.id)
        record = read_record(self.engine, container.id)
        made_by = str(record.get("kubernetes") or kubelet)
        joined = record.get("state") or (not leaves and version_of(kubelet) < version_of(target))
        if not made_by or not joined:
            return None
        plane = container.labels.get(labels.ROLE) == CONTROL_PLANE
        return Member(name, made_by, kubelet, plane, declared=name in self.spec.nodes and not leaves, leaves=leaves)

    def _refuse_unrequested(self, found: Upgrade, replaces: list[str], creates: list[str]) -> None:
        """Raise where a container of a newer minor release would become a node, or a control plane one of an older."""
        planes = [item.made_by for item in found.members if item.plane]
        oldest = min(planes, key=version_of, default=found.target)
        if release_of(oldest) < release_of(found.target):
            nodes = ", ".join([*replaces, *creates])
            raise failure("upgrade_not_requested", nodes=nodes, found=oldest, target=found.target)
        back = [f"{name} ({oldest})" for name in (*replaces, *creates) if name in self.spec.planes]
        if back and release_of(oldest) > release_of(found.target):
            raise failure("upgrade_goes_back", target=found.target, nodes=", ".join(back))

    def _refuse_lost(self, nodes: Mapping[str, Container], creates: list[str]) -> None:
        """Raise for nodes of the cluster that have lost their container: a new one would start with the new kubelet at once."""
        lost = [name for name in creates if self.engine.volume(name) is not None]
        plane = nodes.get(self.spec.control_plane)
        if lost and plane is not None and plane.running:
            # An API that does not answer does not say which of them are nodes.
            with suppress(KicError):
                registered = self.spec.containers_of(self._departure.ask(()).nodes)
                lost = [name for name in lost if name in registered]
        if lost:
            raise failure("upgrade_node_lost", nodes=", ".join(lost))

    def _refuse_bare_pods(self, nodes: Mapping[str, Container]) -> None:
        """Raise for pods that a drain would remove for ever. Of an API that does not answer yet, the drain itself says it."""
        plane = nodes.get(self.spec.control_plane)
        pending = sorted(map(self.spec.node_name, self.pending))
        if plane is None or not plane.running or len(nodes) < 2:
            return
        try:
            pods = self._departure.ask(pending).bare_on(pending)
        except KicError:
            return
        if pods:
            words = "; ".join(f"kubectl --namespace={item.namespace} delete pod {item.name}" for item in pods)
            raise failure("upgrade_drains", pods=", ".join(map(str, pods)), fix=words)

    @property
    def _departure(self) -> Departure:
        spec = self.spec
        return Departure(
            self.engine, spec.control_plane, spec.kubernetes[spec.control_plane].scripts, spec.drain_timeout
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to know of what stays as it is."""
        if self.upgrade is None or not self.upgrade.left:
            return ()
        left = ", ".join(self.upgrade.left)
        return (
            f"These nodes are not declared, so that their kubelet stays of an older release than {self.upgrade.target}: {left}.",
        )

    def owns(self, operation: Operation) -> bool:
        """Whether the operation in Kubernetes is part of the upgrade, and not of a node that leaves."""
        # The question for the pods of those that leave bears the cluster's name, which may be a node's.
        return operation.kind == REGISTERED and operation.verb != "ask" and operation.name in self.pending

    def drain(self, operation: Operation) -> None:
        """Take the pods off a node whose container is about to be replaced."""
        run = self._departure.cordon if operation.verb == "cordon" else self._departure.drain
        run(self.spec.node_name(operation.name))

    def stage(self) -> None:
        """Bring the images of the control plane, and kubeadm, of the new release into the nodes that run."""
        if self.upgrade is None:
            return
        names = sorted({item.name for item in (*self.upgrade.planes, *self.upgrade.containers)})
        planes = [item.name for item in self.upgrade.planes]
        seconds = self.spec.kubernetes[self.spec.control_plane].timeout
        scripts = self.spec.kubernetes[self.spec.control_plane].scripts
        with container_of(self.engine, self.spec.image) as source:
            self.engine.start_container(source)
            staging.stage(self.engine, source, self.upgrade.target, names, planes, scripts, seconds)

    def remember(self, operation: Operation) -> None:
        """Have a node that nobody recorded the release of keep it: its next container is of another one."""
        spec, known = self.spec.kubernetes[operation.name], staging.recorded_release(self.engine, operation.name)
        if self.upgrade is not None and not known:
            made_by = next(item.made_by for item in self.upgrade.members if item.name == operation.name)
            staging.record(spec, self.engine, made_by)

    def control_plane(self, kubeadm: KubeadmSpec) -> None:
        """Upgrade the control plane in a node, in the container that it has."""
        if self.upgrade is not None:
            staging.upgrade(kubeadm, self.engine, self.upgrade.target)

    def taken_back(self, performed: Performed[Any]) -> Performed[Any]:
        """After a failure: a node that still has its old container takes pods again. What remains of what was done."""
        cordons = {f"cordon {REGISTERED} {name}": name for name in self.pending - self.replaced}
        failed = performed.failed.key if performed.failed is not None else ""
        done = [key for key in cordons if key in performed.results or key == failed]
        if not done:
            return performed
        # What goes wrong here must not hide why the run failed.
        try:
            self._departure.uncordon(*(self.spec.node_name(cordons[key]) for key in done))
        except Exception:
            return performed
        return replace(performed, results={key: item for key, item in performed.results.items() if key not in cordons})
