# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes on a node, by kubeadm: named steps of which only those are done that are not complete.

A step is complete when what it leaves behind is there: files in the node, objects in the API. So an interrupted run goes
on where it was, and a part that was broken later is repaired alone.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Union

from ..._core import labels
from ..._core.diagnosis import KicError, failure
from ..._core.operations import Operation
from ..._core.plan import Missing, Outcome, Plan, Resource, converge
from ..._engine.base import Engine
from ..._engine.model import Container, Stored
from ..._engine.selection import cluster_nodes, is_control_plane
from ..._host.files import read
from ..._host.routes import routed
from ..._node import boot
from ..._node.certificates import KUBELET, PATHS, decode_files
from ..network import kic, ranges
from ..network.connect import PodNetwork, node_addresses, own_addresses
from . import kubeadm_run as run
from .alone import only_run
from .kubeadm_plan import (
    Booting,
    KubeadmSpec,
    Observed,
    Written,
    is_complete,
    plan_initialized,
    plan_joined,
    plan_new,
    plan_renewal,
    plan_reset,
    plan_started,
)
from .look import RENEWED, STATE, recorded_state
from .renewal import Age, keys_in
from .renewal_run import renew
from .seam import KubeadmSeam
from .steps import Deadline


@dataclass(frozen=True)
class NotRunning:
    """There is nothing to look into."""

    container: Container | None
    age: Age | None = None
    """Of its certificates, where a former run was through with the node, so that a start is all else that it takes."""


Found = Union[NotRunning, Booting, Observed]


class KubeadmResource(Resource[Found, tuple[str, ...]]):
    """Kubernetes on the node of a :class:`KubeadmSpec`."""

    kind = "Kubernetes on node"
    # Two runs on one node wait for each other inside the node (alone.py).
    lock_name = ""

    def __init__(self, spec: KubeadmSpec, engine: Engine) -> None:
        self.name = spec.node
        self.seam = KubeadmSeam(spec, engine, Deadline(spec.timeout))
        self._spec = spec
        self._engine = engine

    def observe(self) -> Found:
        spec = self._spec
        container = self._engine.container(spec.node)
        if container is not None:
            _refuse_foreign(spec, container)
            spec = self._named(container)
        if container is None or not container.running:
            if container is None or recorded_state(self._engine, container.id) != spec.record_state:
                return NotRunning(container)
            return NotRunning(container, self._age(container))
        addresses, planes = node_addresses(container), self._planes()
        api_addresses = _api_addresses(spec, addresses, planes)
        if not addresses or not api_addresses:
            raise failure("node_without_address", node=spec.node)
        first = {name: found[0] for name, found in planes.items() if found}
        if spec.state != "reset":
            _refuse_other_versions(spec, addresses)
            if not boot.entered(self._engine, container):
                return Booting(container, tuple(api_addresses), tuple(addresses), first)
        seen = self.seam.answered(self.seam.look())
        return Observed(container, seen, tuple(api_addresses), tuple(addresses), planes=first)

    def _named(self, container: Container) -> KubeadmSpec:
        """The specification with the name that the node has in Kubernetes, which its container knows."""
        name = labels.node_name("", container.labels)
        if name != self._spec.node_name:
            self._spec = replace(self._spec, node_name=name)
            self.seam = replace(self.seam, spec=self._spec)
        return self._spec

    def _age(self, container: Container) -> Age:
        """The age of certificates in a node that does not run, for a forecast."""
        files: dict[str, Stored] = {}
        # What lies below /etc/kubernetes in a node that runs is kept on its volume.
        for place, there in (("/etc/kubernetes", f"{STATE}/etc/kubernetes"), (KUBELET, KUBELET)):
            wanted = {path[len(place) + 1 :] for path in PATHS if path.startswith(f"{place}/")}
            found = self._engine.read_directory(container.id, there, wanted)
            files.update({f"{place}/{path}": item for path, item in found.items()})
        # A worker's authority has its key on the control plane.
        keys = keys_in(files) if self._spec.is_plane else frozenset({"ca"})
        left = (self._engine.read_file(container.id, RENEWED) or b"").decode("utf-8", "replace")
        return Age(decode_files(files), time.time(), left.strip(), keys)

    def _planes(self) -> dict[str, list[str]]:
        """The addresses of the cluster's control planes, by name; {} of the node that is asked itself."""
        spec = self._spec
        if spec.control_plane in ("", spec.node):
            return {}
        container = self._engine.container(spec.control_plane)
        if container is None:
            raise failure("node_missing", node=spec.control_plane)
        # Another cluster's would take the node in without a word.
        _refuse_foreign(spec, container)
        if spec.is_plane:
            return {container.name: node_addresses(container)}
        others = cluster_nodes(self._engine, spec.shape.cluster) if len(spec.planes) != 1 else []
        planes = {
            item.name: own_addresses(item)
            for item in others
            if item.name in spec.planes or (not spec.planes and is_control_plane(item))
        }
        expected = {name: [address] for name, address in spec.expected.items() if name in spec.planes}
        return dict(sorted({**expected, **planes, container.name: node_addresses(container)}.items()))

    def exists(self, observed: Found | None) -> bool:
        # Kubernetes is in its node, whose absence is the plan's to name.
        return True

    def survey(self, observed: Found | None, refused: frozenset[Any] = frozenset()) -> tuple[str, ...]:
        return _hidden(self._spec) if self._spec.state == "initialized" else ()

    def plan(self, observed: Found | None, survey: tuple[str, ...]) -> Plan:
        spec = self._spec
        if observed is None or isinstance(observed, NotRunning):
            plan = self._plan_ahead(observed or NotRunning(None))
        elif isinstance(observed, Booting):
            plan = _plan_booting(spec, observed)
        elif spec.state == "reset":
            plan = plan_reset(observed)
            plan = replace(plan, operations=(run.reset(),) if plan.operations else ())
        else:
            plan = _plan_observed(spec, observed)
        return plan.warned(*survey) if any(item.name == "certificates" for item in plan.actions) else plan

    def _plan_ahead(self, observed: NotRunning) -> Plan:
        """Of a node that does not run: what it takes when an earlier task of a play has started it."""
        spec, container = self._spec, observed.container
        if spec.state == "reset":
            return Plan()
        if container is None:
            error = failure("node_missing", node=spec.node)
        else:
            error = failure("node_not_running", node=spec.node, status=container.status, engine=self._engine.name)
        if observed.age is not None:
            return replace(plan_started(spec, observed.age), missing=(Missing(error),))
        lacks = f"the node {spec.node} does not {'exist' if container is None else 'run'}"
        return replace(
            plan_new(spec), missing=(Missing(error, f"{lacks}; what would be done is said as if it were new."),)
        )

    def inspect(self, results: Mapping[str, Any]) -> Found | None:
        observed: Observed | None = results.get(run.ready_key(self.name))
        if observed is None:
            return None
        written = [item for item in results.values() if isinstance(item, Written)]
        return replace(observed, written=written[-1]) if written else observed

    def describe(self, observed: Found | None, plan: Plan) -> dict[str, Any]:
        if self._spec.state == "reset" or not isinstance(observed, Observed):
            return {}
        return observed.seen.node.as_dict() if observed.seen.node else {}

    def drift_warning(self, plan: Plan) -> str:
        differences = "; ".join(str(item) for item in plan.drift)
        return (
            f"{self.name} was made with other settings, which kubeadm does not change later: {differences}."
            " They take effect in a new cluster."
        )


def _plan_booting(spec: KubeadmSpec, observed: Booting) -> Plan:
    plan = plan_new(spec)
    return replace(plan, operations=(run.wait_for_boot(observed), *plan.operations))


def _plan_observed(spec: KubeadmSpec, observed: Observed) -> Plan:
    try:
        plan = (plan_initialized if spec.state == "initialized" else plan_joined)(spec, observed)
    except KicError:
        if observed.seen.boot.ready:
            raise
        # What a recreated node remembers is on its volume, and is put into its place while the system comes up.
        return _plan_booting(spec, observed.booting)
    return bound(spec, observed, plan)


def bound(spec: KubeadmSpec, observed: Observed, plan: Plan) -> Plan:
    """The plan with the operations that do its steps and those that wait, in the order in which they are done.

    The steps keep their order in the report.
    """
    seen, steps = observed.seen, [item.name for item in plan.actions]
    renewal, waits = plan_renewal(spec, seen), []
    if not seen.boot.ready:
        waits.append(run.wait_for_boot(observed.booting))
    elif not is_complete(spec, seen):
        # Nobody can be in the middle of making a node that is complete.
        waits.append(run.wait_for_other_run(spec.node, seen))
    elif not seen.api and not renewal.steps:
        waits.append(run.wait_for_api(spec.node))
    if renewal.steps:
        # The rest is planned again after it.
        waits += renew(observed, renewal, several=len(spec.planes) > 1)
    if steps[len(renewal.steps) :]:
        joins = spec.state == "joined" and ("join" in steps or not spec.is_plane)
        operations = (run.join if joins else run.initialize)(spec, observed, steps)
        return replace(plan, operations=_reported_as(steps, (*waits, *operations)))
    if renewal.steps:
        return replace(plan, operations=_reported_as(steps, waits))
    unready = spec.wait and seen.api and seen.node is not None and not observed.ready
    return replace(plan, operations=(*waits, *((run.wait_for_ready(observed),) if unready else ())))


def _reported_as(steps: Sequence[str], operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operations, each after the one before it; and in the order of their report."""
    keys = [item.key for item in operations]
    chained = [replace(item, needs=tuple(keys[max(0, at - 1) : at])) for at, item in enumerate(operations)]
    return tuple(sorted(chained, key=lambda item: steps.index(item.name) if item.changes else -1))


def _api_addresses(spec: KubeadmSpec, addresses: list[str], planes: Mapping[str, list[str]]) -> list[str]:
    """What the endpoint's name means in the node: a control plane itself, before another one as long as it joins; in a worker
    all control planes."""
    return [*(addresses if spec.is_plane or not planes else ()), *(item for found in planes.values() for item in found)]


def _refuse_foreign(spec: KubeadmSpec, container: Container) -> None:
    owner, cluster = container.labels.get(labels.CLUSTER), spec.shape.cluster
    if owner != cluster:
        raise failure("other_cluster", kind="container", name=container.name, owner=owner or "(none)", cluster=cluster)


def _refuse_other_versions(spec: KubeadmSpec, addresses: Sequence[str]) -> None:
    """Raise where pods have an IP version that the node has no address of: no other node would reach them."""
    pods = spec.shape.pod_subnet
    have = {ipaddress.ip_address(item).version for item in addresses}
    for version in ranges.versions(pods):
        if version not in have:
            raise failure("node_without_ip_version", node=spec.node, version=version, pods=pods)


def converge_kubeadm(spec: KubeadmSpec, engine: Engine, *, check_mode: bool) -> Outcome:
    """Bring Kubernetes on a node into its state. Nothing is allocated, so the host's lock is not needed; two runs on one
    node wait for each other."""
    resource = KubeadmResource(spec, engine)
    with nullcontext() if check_mode else only_run(engine, spec.node, spec.timeout):
        outcome = converge(resource, check_mode=check_mode, lock=nullcontext)
    written = outcome.observed.written if isinstance(outcome.observed, Observed) else None
    return replace(outcome, warnings=(*outcome.warnings, *written.refused)) if written is not None else outcome


def network_state(outcome: Outcome) -> kic.State:
    """What the node has of the pod network; its word is empty where nobody has seen it."""
    found = outcome.observed
    if not isinstance(found, Observed):
        return kic.State()
    return found.written.state if found.written is not None else found.seen.network


def made_with(outcome: Outcome, asked: str) -> str:
    """The pod subnet that the cluster was made with, which stays; of a new one what is ``asked`` for."""
    found = outcome.observed
    before = found.seen.record.get("asked") if isinstance(found, Observed) else None
    return str((before or {}).get("pod_subnet") or asked)


def listed_nodes(outcome: Outcome) -> tuple[kic.Registered, ...] | None:
    """The nodes that the API listed, where it listed all and nothing was done or waited for since."""
    found = outcome.observed
    return found.seen.nodes or None if isinstance(found, Observed) and not outcome.plan.operations else None


def connect_others(spec: KubeadmSpec, engine: Engine, done: Outcome, *, check_mode: bool) -> tuple[str, ...]:
    """Tell the other nodes of the cluster of one that became part of it; what a person has to know of it.

    A node at which nothing changed is no news for the others.
    """
    if check_mode or not done.plan.changed or spec.state == "reset" or not spec.pod_network:
        return ()
    network = PodNetwork(engine, spec.shape.cluster, spec.control_plane, "")
    return network.connect({spec.node: network_state(done)}, None, check_mode=False).warnings


def _hidden(spec: KubeadmSpec) -> tuple[str, ...]:
    """Of a new cluster: what of this machine's surroundings its pods will not reach."""
    # systemd-resolved names itself in the first, and its servers in the second.
    texts = [read(path) or "" for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")]
    asked = {"pod_subnet": spec.shape.pod_subnet, "service_subnet": spec.shape.service_subnet}
    return ranges.hidden(asked, routed(), ranges.resolvers("\n".join(texts)))
