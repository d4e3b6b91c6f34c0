# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes on a node as it was requested, and which of kubeadm's steps it takes for what was seen there. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..._core import checks
from ..._core.diagnosis import failure
from ..._core.labels import CONTROL_PLANE, WORKER
from ..._core.operations import Operation
from ..._core.plan import Drift, Plan
from ..._engine.model import Container
from ..access.balancer import LOOPBACK, configuration
from ..network import kic, ranges
from . import configuration as conf
from .configuration import ClusterShape
from .look import OBJECTS, ApiNode, Seen
from .renewal import Age, Renewal, find_renewal, keys_in

_PKI = "/etc/kubernetes/pki/"
_MANIFESTS = "/etc/kubernetes/manifests/"


@dataclass(frozen=True)
class Step:
    """A part of kubeadm's init: its phases, and what it leaves behind."""

    name: str
    phases: tuple[str, ...]
    files: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    switch: str = ""
    """The field of ClusterConfiguration whose ``disabled`` leaves it out."""


def _pair(*names: str) -> tuple[str, ...]:
    return tuple(f"{_PKI}{name}.{kind}" for name in names for kind in ("crt", "key"))


AUTHORITIES = (*_pair("ca", "front-proxy-ca", "etcd/ca"), f"{_PKI}sa.key", f"{_PKI}sa.pub")
"""What cannot be made again: everything in the cluster is signed with it."""

STEPS = (
    Step(
        "certificates",
        ("certs",),
        (
            *AUTHORITIES,
            *_pair("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client"),
            *_pair("etcd/server", "etcd/peer", "etcd/healthcheck-client"),
        ),
    ),
    Step(
        "kubeconfigs",
        ("kubeconfig",),
        tuple(f"/etc/kubernetes/{name}.conf" for name in ("admin", "controller-manager", "scheduler", "kubelet")),
    ),
    Step("etcd", ("etcd",), (f"{_MANIFESTS}etcd.yaml",)),
    Step(
        "control-plane",
        ("control-plane",),
        tuple(f"{_MANIFESTS}kube-{name}.yaml" for name in ("apiserver", "controller-manager", "scheduler")),
    ),
    Step("kubelet", ("kubelet-start",), ("/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env")),
    Step("upload-config", ("upload-config",), objects=("configmap/kubeadm-config", "configmap/kubelet-config")),
    Step("mark-control-plane", ("mark-control-plane",)),
    Step("bootstrap-token", ("bootstrap-token",), objects=("clusterrolebinding/kubeadm:get-nodes",)),
    # Done without kubeadm, see FINALIZE.
    Step("kubelet-finalize", ()),
    Step(
        "coredns",
        ("addon/coredns",),
        objects=tuple(name for name in OBJECTS if "dns" in name),
        switch="dns",
    ),
    Step(
        "kube-proxy",
        ("addon/kube-proxy",),
        objects=tuple(name for name in OBJECTS if "proxy" in name or "proxier" in name),
        switch="proxy",
    ),
)

LOOKED_FOR = tuple(path for step in STEPS for path in step.files)
"""Files that tell which steps stand."""
_ROLE_LABEL = "node-role.kubernetes.io/control-plane"
TAINT = f"{_ROLE_LABEL}:NoSchedule"


@dataclass(frozen=True)
class KubeadmSpec:
    """Kubernetes on one node as it was requested."""

    node: str
    """The name of its container."""
    state: str
    """initialized, joined or reset."""
    shape: ClusterShape
    control_plane: str
    """The node that the API is asked from; of a control plane itself."""
    version: str | None
    user: Mapping[str, conf.Document]
    patches: Mapping[str, str]
    manifests: tuple[Mapping[str, Any], ...]
    timeout: float
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the node in the API that it has to have; of others, those that former runs gave it go."""
    taints: Mapping[str, str] = field(default_factory=dict)
    """Likewise its taints, as ``KEY:EFFECT`` with the value."""
    wait: bool = True
    """Whether a node that is not Ready is waited for; else only until it has registered."""
    pod_network: bool = True
    """Whether the pod network is ours. Without one no node becomes Ready."""

    scripts: Mapping[str, str] = field(default_factory=dict)
    """What is run in nodes, by name."""
    role: str = WORKER
    """Of a node that joins: control-plane or worker."""
    planes: tuple[str, ...] = ()
    """The names of all control planes of the cluster; () where they are to be found by their labels."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """Of a forecast: the addresses of control planes that an earlier operation would create, by name."""
    upgrade: bool = False
    """Whether what an older release made is upgraded to that of the node's image."""
    node_name: str = ""
    """Its name in Kubernetes, where that is another one: of a node of a clone."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> KubeadmSpec:
        """From a module's parameters; raises ``invalid_option`` before anything was looked at."""
        problems = checks.Problems()
        node = problems.take(checks.host_name, "node", params["node"])
        cluster = problems.take(checks.host_name, "cluster", params["cluster"])
        user = problems.take(conf.user_documents, params["configuration"]) or {}
        own = (user.get("ClusterConfiguration") or {}).get("networking") or {}
        pods, services = (
            str(own.get(field) or params[option])
            for field, option in (("podSubnet", "pod_subnet"), ("serviceSubnet", "service_subnet"))
        )
        ranges.check(pods, services, user, problems)
        version = problems.take(_version, params["kubernetes_version"])
        endpoint = problems.take(_endpoint, params["endpoint"] or f"{cluster or 'cluster'}.kic.internal")
        patches = problems.take(conf.user_patches, params["patches"])
        manifests = [problems.take(_manifest, item) for item in params["manifests"]]
        for item in params["api_sans"]:
            problems.take(_certificate_name, "api_sans", item)
        for item in ((user.get("ClusterConfiguration") or {}).get("apiServer") or {}).get("certSANs") or ():
            problems.take(_certificate_name, "configuration.ClusterConfiguration.apiServer.certSANs", item)
        labels = problems.take(node_labels, params.get("labels") or {})
        taints = problems.take(node_taints, params.get("taints") or ())
        with problems.collect():
            if params["timeout"] < 1:
                raise checks.invalid("timeout", "is not a time", "give it in seconds, like 600")
        problems.finish()
        state = params["state"]
        return cls(
            node=node,
            state=state,
            shape=ClusterShape(
                cluster=cluster,
                endpoint=endpoint,
                pod_subnet=pods,
                service_subnet=services,
                api_sans=tuple(params["api_sans"]),
                schedulable=params["schedulable"],
            ),
            control_plane=node if state == "initialized" else (params["control_plane"] or ""),
            version=version,
            user=user,
            patches=patches,
            manifests=tuple(manifests) if state == "initialized" else (),
            timeout=float(params["timeout"]),
            labels=labels,
            taints=taints,
            wait=params.get("wait", True),
            pod_network=params.get("pod_network", "kic") == "kic",
            scripts=params.get("scripts") or {},
            role=CONTROL_PLANE if state == "initialized" else params.get("role", WORKER),
            planes=tuple(params.get("planes") or ()),
            upgrade=bool(params.get("upgrade")),
        )

    @property
    def registered(self) -> str:
        """The name of the node in Kubernetes."""
        return self.node_name or self.node

    @property
    def takes_over(self) -> bool:
        """Whether it begins a cluster with the data of another one."""
        return self.state == "initialized" and bool(self.node_name)

    @property
    def is_plane(self) -> bool:
        """Whether the node is a control plane."""
        return self.role == CONTROL_PLANE

    @property
    def record_state(self) -> str:
        """What the record of a node says that a run was through with. All control planes are equal then."""
        return "initialized" if self.is_plane else self.state

    @property
    def asked(self) -> dict[str, Any]:
        """What a later run compares with: the user's own words, none of our defaults."""
        return {
            "endpoint": self.shape.endpoint,
            "pod_subnet": self.shape.pod_subnet,
            "service_subnet": self.shape.service_subnet,
            "api_sans": sorted(self.shape.api_sans),
            "configuration": {kind: dict(fields) for kind, fields in self.user.items()},
            "patches": dict(self.patches),
        }


def _version(value: Any) -> str | None:
    if value is None:
        return None
    found = "v" + str(value).lstrip("v")
    if not re.fullmatch(r"v\d+\.\d+\.\d+\S*", found):
        raise checks.invalid("kubernetes_version", f"{found!r} is not a version", "write it like 1.35.4")
    return found


def _endpoint(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", value):
        raise checks.invalid("endpoint", f"{value!r} is not a domain name", "write it like lab.kic.internal")
    return value


_DOMAIN_PART = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_CERTIFICATE_NAME = re.compile(rf"(\*\.)?{_DOMAIN_PART}(\.{_DOMAIN_PART})*")


def _certificate_name(option: str, value: Any) -> None:
    """Raise for what kubeadm refuses in a certificate, when the node is there (ValidateCertSANs)."""
    text = str(value)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if len(text) > 253 or not _CERTIFICATE_NAME.fullmatch(text):
            problem = f"{text!r} is neither an IP address nor a DNS name in lower case"
            fix = "write each without protocol and port, like lab.example, *.lab.example or 192.0.2.7"
            raise checks.invalid(option, problem, fix) from None


# Kubernetes, Labels and Selectors: syntax and character set.
_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_LABEL_NAME}")


def node_labels(given: Mapping[str, Any]) -> dict[str, str]:
    """Labels of a node in Kubernetes; raises ``invalid_option`` for what the API would refuse."""
    return checks.entries(_node_label, given)


def _node_label(key: str, content: object) -> str:
    value = checks.label_value("labels", key, content)
    if not _LABEL_KEY.fullmatch(key):
        raise checks.invalid("labels", f"{key!r} is not a label key of Kubernetes", "write it like example.com/zone")
    if value and not re.fullmatch(_LABEL_NAME, value):
        problem = f"{value!r} is not a label value of Kubernetes"
        raise checks.invalid("labels", problem, "use letters, digits, '-', '_' and '.', at most 63")
    return value


_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def node_taints(given: Sequence[Any]) -> dict[str, str]:
    """Taints of a node, written as kubectl takes them; raises ``invalid_option`` for what the API would refuse."""
    if not isinstance(given, (list, tuple)):
        raise checks.invalid("taints", "is not a list", "write it like ['dedicated=db:NoSchedule']")
    return dict(checks.items(_node_taint, given))


def _node_taint(item: Any) -> tuple[str, str]:
    pair, _colon, effect = str(item).rpartition(":")
    key, _equal, value = pair.partition("=")
    if not _LABEL_KEY.fullmatch(key) or (value and not re.fullmatch(_LABEL_NAME, value)) or effect not in _EFFECTS:
        fix = f"write it like dedicated=db:NoSchedule, or without a value; effects are {', '.join(_EFFECTS)}"
        raise checks.invalid("taints", f"{item!r} is not a taint of Kubernetes", fix)
    if f"{key}:{effect}" == TAINT:
        raise checks.invalid("taints", f"{item!r} is set by the role", "leave it out")
    return f"{key}:{effect}", value


def _differs(wanted: Mapping[str, str], have: Mapping[str, str], ours: Collection[str]) -> bool:
    """Whether something that has to be there is missing or other, or something of ours has to go."""
    return any(have.get(key) != value for key, value in wanted.items()) or any(
        key in have for key in ours if key not in wanted
    )


def _declared_differs(spec: KubeadmSpec, seen: Seen) -> list[str]:
    """The steps for labels and taints of the node in the API."""
    node = seen.node if seen.api else None
    labels = _differs(spec.labels, node.labels if node else {}, node.ours("labels") if node else ())
    taints = _differs(spec.taints, node.taint_values if node else {}, node.ours("taints") if node else ())
    return [name for name, differs in (("labels", labels), ("taints", taints)) if differs]


def _manifest(item: Mapping[str, Any]) -> Mapping[str, Any]:
    if not re.fullmatch(r"[a-z0-9-]+", item["name"]):
        raise checks.invalid("manifests", f"{item['name']!r} is not a name", "use lower-case letters, digits and '-'")
    return {key: value for key, value in item.items() if value is not None}


@dataclass(frozen=True)
class Booting:
    """A node in which nothing may be run yet."""

    container: Container
    api_addresses: tuple[str, ...]
    """Of the control planes that the endpoint's name means."""
    addresses: tuple[str, ...]
    planes: Mapping[str, str] = field(default_factory=dict)
    """An address of each control plane, by name."""


@dataclass(frozen=True)
class Written:
    """What was written of the pod network in this run."""

    state: kic.State
    refused: tuple[str, ...] = ()
    """For a person: what the node could not apply."""


@dataclass(frozen=True)
class Observed:
    """A node and what one look at it found."""

    container: Container
    seen: Seen
    api_addresses: tuple[str, ...]
    """Of the control planes that the endpoint's name means."""
    addresses: tuple[str, ...]
    written: Written | None = None
    planes: Mapping[str, str] = field(default_factory=dict)
    """An address of each control plane, by name."""

    @property
    def since(self) -> int:
        """When the node was started, in seconds since 1970. What the API says of it from before, is of its life before."""
        started = int(self.container.started)
        # A clock that was set back says nothing.
        return started if started <= self.seen.now else 0

    @property
    def ready(self) -> bool:
        """Whether the kubelet that runs now has said that the node is Ready."""
        node = self.seen.node
        return node is not None and node.ready and (node.heartbeat is None or node.heartbeat >= self.since)

    @property
    def booting(self) -> Booting:
        """What is known of the node as long as its system comes up."""
        return Booting(self.container, self.api_addresses, self.addresses, self.planes)


def plan_new(spec: KubeadmSpec) -> Plan:
    """The steps of a node that nothing is known of yet."""
    names = ["hosts", *(step.name for step in STEPS)] if spec.state == "initialized" else ["hosts", "join"]
    names += [f"manifest-{item['name']}" for item in spec.manifests]
    names = taken_over(names) if spec.takes_over else names
    names += [name for name, asked in (("labels", spec.labels), ("taints", spec.taints)) if asked]
    operations = tuple(Operation("run", "step", name) for name in names)
    return Plan(operations, {"state": "absent", "missing": names}, {"state": spec.state, "missing": []})


def plan_initialized(spec: KubeadmSpec, observed: Observed) -> Plan:
    """The steps that do not stand, in their order."""
    seen = observed.seen
    refuse_version(spec, seen)
    drift = find_drift(spec, seen)
    done = seen.record.get("state") == "initialized"
    if done:
        left_out = (spec.user.get("InitConfiguration") or {}).get("skipPhases") or ()
        lost = [path for path in AUTHORITIES if path not in seen.stands] if "certs" not in left_out else []
        if lost:
            raise failure("authority_lost", node=spec.node, files=", ".join(lost))
    steps, upgrade = [] if endpoint_fits(spec, observed) else ["hosts"], upgrade_steps(spec, seen) if done else []
    if is_complete(spec, seen) and not seen.api:
        # Starting, most of the time. The run waits for it and looks again.
        what = "it" if spec.node == spec.control_plane else spec.node
        unknown = f"the API of {spec.control_plane} does not answer: what {what} lacks is not known until it does."
        return _plan(spec, seen, steps, drift).warned(unknown)
    steps += upgrade + missing_phases(spec, seen)
    if seen.node is not None and seen.api:
        if spec.shape.schedulable == (TAINT in seen.node.taints):
            steps.append("schedulable")
        # A run that makes the node part of a cluster writes it too.
        if done and _pod_network_broken(spec, seen, seen.node):
            steps.append("pod-network")
    for item in spec.manifests:
        # A node that has no such file has nothing to apply.
        if not seen.api or (item["name"] in seen.changes and not unchanged(seen.changes[item["name"]])):
            steps.append(f"manifest-{item['name']}")
    if spec.takes_over and not done:
        steps = taken_over(steps)
    steps += _declared_differs(spec, seen)
    if seen.node is not None and seen.node.leaving:
        steps.append("uncordon")
    if not done and not steps:
        steps.append("record")
    return _plan(spec, seen, steps, drift)


IN_DATA = ("mark-control-plane", "coredns")
"""What of kubeadm's steps the data of another cluster has, whatever became of it there; and so the manifests."""


def taken_over(steps: Sequence[str]) -> list[str]:
    """The steps of a control plane that begins a cluster with the data of another one."""
    own = [name for name in steps if name not in IN_DATA and not name.startswith("manifest-")]
    return [*own, "tokens"]


def plan_joined(spec: KubeadmSpec, observed: Observed) -> Plan:
    """What makes the node a member of the cluster."""
    seen = observed.seen
    # Nor is one complete that etcd does not know any more, as an interrupted run has left it.
    forgotten = seen.api and (seen.node is None or (seen.members is not None and spec.registered not in seen.members))
    done = seen.record.get("state") == spec.record_state
    if spec.is_plane and done and not forgotten:
        # What is missing of it is made as on the first one; what is the cluster's is there.
        return plan_initialized(spec, observed)
    refuse_version(spec, seen)
    steps = [] if endpoint_fits(spec, observed) else ["hosts"]
    joined = {"/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"} <= seen.stands
    if joined and done and not seen.api:
        unknown = f"the API of {spec.control_plane} does not answer: what {spec.node} lacks is not known until it does."
        return _plan(spec, seen, steps, find_drift(spec, seen)).warned(unknown)
    if not joined or not done or forgotten:
        # kubeadm keeps the authority and kubelet its credentials, which may be those of a cluster that was.
        stale = seen.stands if forgotten or spec.is_plane else ()
        steps += ["reset", "join"] if stale else ["join"]
        return _with_declared(spec, seen, steps)
    steps += upgrade_steps(spec, seen)
    if seen.api and seen.node is not None and _pod_network_broken(spec, seen, seen.node):
        steps.append("pod-network")
    return _with_declared(spec, seen, steps)


def _with_declared(spec: KubeadmSpec, seen: Seen, steps: list[str]) -> Plan:
    """The plan of a node that joins, or has joined, with what is declared of it in the API."""
    steps = [*steps, *_declared_differs(spec, seen)]
    if seen.node is not None and seen.node.leaving:
        steps.append("uncordon")
    return _plan(spec, seen, steps, find_drift(spec, seen))


def upgrade_steps(spec: KubeadmSpec, seen: Seen) -> list[str]:
    """The step that brings what an older release made to that of the node's image; raises ``upgrade_not_requested``."""
    if conf.version_of(seen.facts.version) <= conf.version_of(seen.kubernetes):
        return []
    if spec.upgrade:
        return ["upgrade"]
    if seen.facts.release == conf.release_of(seen.kubernetes):
        # A correction within a release runs next to the one before it.
        return []
    raise failure("upgrade_not_requested", nodes=spec.node, found=seen.kubernetes, target=seen.facts.version)


def _pod_network_broken(spec: KubeadmSpec, seen: Seen, node: ApiNode) -> bool:
    """Whether a pod network of ours that could work does not."""
    return spec.pod_network and bool(node.pod_cidrs) and seen.network.broken


def creates_node_object(spec: KubeadmSpec) -> bool:
    """Whether a joining node may be created in the API before its kubelet runs.

    What the user has kubelet register counts only where kubelet creates the node itself.
    """
    kubelet = spec.user.get("KubeletConfiguration") or {}
    registration = (spec.user.get("JoinConfiguration") or {}).get("nodeRegistration") or {}
    arguments = {item["name"] for item in registration.get("kubeletExtraArgs") or ()}
    return not (
        kubelet.keys() & {"registerWithTaints", "registerNode", "providerID"}
        or arguments & {"node-labels", "register-with-taints", "register-node", "provider-id"}
        or registration.get("taints")
        or any(name.startswith("kubeletconfiguration") for name in spec.patches)
    )


def plan_reset(observed: Observed) -> Plan:
    """Whether there is something of Kubernetes to be undone."""
    seen = observed.seen
    if not seen.stands and not seen.record and not seen.network.digest:
        return Plan()
    before = {"state": seen.record.get("state", "partial")}
    return Plan((Operation("run", "step", "reset"),), before, {"state": "reset"})


def _plan(spec: KubeadmSpec, seen: Seen, steps: Sequence[str], drift: tuple[Drift, ...]) -> Plan:
    before = {"state": seen.record.get("state") or ("partial" if seen.stands else "absent"), "missing": list(steps)}
    failed = ", ".join(seen.boot.failed_units)
    warnings = (f"the systemd of {spec.node} is up, but these units failed: {failed}.",) if failed else ()
    actions = tuple(Operation("run", "step", name) for name in steps)
    plan = Plan(actions, before, {"state": spec.state, "missing": []}, drift, warnings)
    return _with_renewal(plan, plan_renewal(spec, seen))


def plan_renewal(spec: KubeadmSpec, seen: Seen) -> Renewal:
    """What of the node's certificates is renewed."""
    if not seen.record:
        return Renewal()
    # A worker's certificate is signed on its control plane.
    keys = keys_in(seen.stands) if spec.is_plane else frozenset({"ca"} if seen.signs else ())
    age = Age(seen.certificates, seen.now, seen.renewed, keys)
    return find_renewal(spec.node, age, control_plane=spec.is_plane)


def plan_started(spec: KubeadmSpec, age: Age) -> Plan:
    """What a node that a former run was through with takes when it has been started, as far as its files show it."""
    renewal = find_renewal(spec.node, age, control_plane=spec.is_plane)
    return _with_renewal(Plan((), {"state": spec.state, "missing": []}, {"state": spec.state, "missing": []}), renewal)


def _with_renewal(plan: Plan, renewal: Renewal) -> Plan:
    """The plan after it: nothing else may work without the certificates."""
    before, after = {**plan.before, "missing": [*renewal.steps, *plan.before["missing"]]}, dict(plan.after)
    if renewal.ends:
        before["certificates"], after["certificates"] = dict(renewal.ends), dict.fromkeys(renewal.ends, "renewed")
    first = tuple(Operation("run", "step", name, detail) for name, detail in renewal.steps.items())
    warnings = (*plan.warnings, *renewal.warnings)
    return replace(plan, operations=(*first, *plan.operations), before=before, after=after, warnings=warnings)


def refuse_version(spec: KubeadmSpec, seen: Seen) -> None:
    """Raise when the node's image holds another Kubernetes than was requested, or one older than we configure."""
    if spec.version is not None and spec.version != seen.facts.version:
        raise failure("version_differs", node=spec.node, asked=spec.version, found=seen.facts.version)
    if seen.facts.release < conf.OLDEST:
        oldest = ".".join(str(part) for part in conf.OLDEST)
        raise failure("version_too_old", node=spec.node, found=seen.facts.version, minimum=oldest)


def missing_phases(spec: KubeadmSpec, seen: Seen) -> list[str]:
    """Names of kubeadm's steps that are not complete. What the API does not answer for is not complete."""
    left_out = set((spec.user.get("InitConfiguration") or {}).get("skipPhases") or ())
    cluster = spec.user.get("ClusterConfiguration") or {}
    missing = []
    # What kubeadm does on the node comes before what it does in the API.
    for step in sorted(STEPS, key=lambda item: not item.files):
        if left_out.intersection((step.name, *step.phases, *(phase.partition("/")[0] for phase in step.phases))):
            continue
        if step.objects and spec.state != "initialized":
            # What is the cluster's is seen to on one control plane.
            continue
        if step.switch and (cluster.get(step.switch) or {}).get("disabled"):
            continue
        if step.files:
            stands = set(step.files) <= seen.stands
        elif step.name == "mark-control-plane":
            stands = seen.node is not None and _ROLE_LABEL in seen.node.labels
        elif step.name == "kubelet-finalize":
            stands = seen.rotating
        else:
            stands = {OBJECTS[name] for name in step.objects} <= seen.objects
        if not stands:
            missing.append(step.name)
    return missing


def balances(spec: KubeadmSpec, seen: Seen) -> bool:
    """Whether the node has a load balancer of its own between itself and the API. A control plane is its own."""
    return not spec.is_plane and seen.balancer is not None


def hosts_lines(spec: KubeadmSpec, observed: Observed) -> str:
    """What the node's unit adds to /etc/hosts at each start: the cluster's name, for each address of its API.

    kubelet copies the file for each pod of the node's network when it starts one, so that what changes is better not in it.
    """
    addresses = (LOOPBACK,) if balances(spec, observed.seen) else observed.api_addresses
    return "".join(f"{address} {spec.shape.endpoint}\n" for address in addresses)


def balancer_configuration(spec: KubeadmSpec, observed: Observed) -> str:
    """That of the node's own load balancer; ``""`` where it has none."""
    return configuration(observed.planes, [LOOPBACK]) if balances(spec, observed.seen) else ""


def endpoint_fits(spec: KubeadmSpec, observed: Observed) -> bool:
    """Whether the cluster's name leads to its API, now and after the next start."""
    seen, lines = observed.seen, hosts_lines(spec, observed).splitlines()
    kept = seen.hosts.splitlines()
    if spec.is_plane and seen.record.get("state") == spec.record_state:
        # Its own API answers for it. Those behind, by which it joined, need not be there any more.
        lines = [f"{address} {spec.shape.endpoint}" for address in observed.addresses]
        kept = kept[: len(lines)]
    fits = (seen.balancer or "").strip() == balancer_configuration(spec, observed).strip()
    return fits and kept == lines and set(lines) <= set(seen.names.splitlines())


def is_complete(spec: KubeadmSpec, seen: Seen) -> bool:
    """Whether a former run was through with the node, and of its files none is missing."""
    return bool(seen.record) and set(LOOKED_FOR if spec.is_plane else ()) <= seen.stands


def unchanged(text: str) -> bool:
    """Whether an apply would leave every object as it is."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("Warning:")]
    return bool(lines) and all(re.search(r" unchanged( \(server dry run\))?$", line) for line in lines)


_NO_ANSWER = re.compile(
    # Go's net and net/http, etcd's client, and the API's own reasons (apimachinery, api/errors/errors.go).
    r"handshake timeout|i/o timeout|context deadline exceeded|Client\.Timeout|request timed out|connection refused"
    r"|connection reset|connection lost|\bEOF\b|Unable to connect to the server|couldn't get current server API group list"
    r"|Error from server \((?:Timeout|ServerTimeout|TooManyRequests|ServiceUnavailable)\)"
    r"|unable to return a response in the time allotted"
)


def unanswered(seen: Seen) -> str:
    """What was said of a manifest where the API was too slow to tell what an apply would do; ``""`` where it told.
    That is no difference: nothing may be done for it."""
    return next((text for text in seen.changes.values() if not unchanged(text) and _NO_ANSWER.search(text)), "")


def find_drift(spec: KubeadmSpec, seen: Seen) -> tuple[Drift, ...]:
    """What was requested when the node was made and is requested otherwise now. kubeadm changes none of it later."""
    before = seen.record.get("asked")
    if not before:
        return ()
    fields = spec.asked if spec.state == "initialized" else {"endpoint": spec.shape.endpoint}
    pairs = {key: (_made_with(value), _made_with(before[key])) for key, value in fields.items() if key in before}
    return tuple(_drift(key, value, then) for key, (value, then) in pairs.items() if then != value)


def _made_with(value: Any) -> Any:
    """What of a request the node was made with: how others join is that of the nodes that join next."""
    if isinstance(value, Mapping):
        return {key: item for key, item in value.items() if key != "JoinConfiguration"}
    return value


HIDDEN = "(hidden)"
_SECRET = frozenset(("token", "tlsBootstrapToken", "certificateKey"))
"""Fields of kubeadm's documents that let somebody into the cluster."""
_VARIABLE = frozenset(("value",))


def _drift(field: str, asked: Any, found: Any) -> Drift:
    shown, before = _without_secrets(asked), _without_secrets(found)
    return Drift(field, shown, before if before != shown else f"{HIDDEN}, another value")


def _without_secrets(value: Any, hidden: frozenset[str] = _SECRET) -> Any:
    """A user's words as they may be shown: without credentials and values of variables."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if key in hidden else _without_secrets(item, _VARIABLE if key == "extraEnvs" else hidden)
            for key, item in value.items()
        }
    return [_without_secrets(item, hidden) for item in value] if isinstance(value, list) else value
