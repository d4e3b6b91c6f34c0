# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes on a node, by kubeadm: named steps of which only those are done that do not stand.

A step stands when what it leaves behind is there: files in the node, objects in the API. So an interrupted run goes on
where it was, and a part that was broken later is made again alone. All of kubeadm's phases that are missing are one run
of kubeadm, which costs less than one run each.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from .._command import TIMED_OUT
from .._core import checks, labels
from .._core.diagnosis import KicError, failure
from .._core.plan import Action, Drift, Plan, Resource, converge, known
from .._engine import boot
from .._engine.base import Engine
from .._engine.model import Container
from . import configuration as conf
from . import reasons
from .configuration import ClusterShape
from .look import ADMIN, OBJECTS, POD_NETWORK, POD_NETWORK_TABLE, RECORD, STATE, ApiNode, Seen, look, pod_network_fits
from .steps import Deadline, last_lines

PATCHES = f"{STATE}/patches"
CONFIGURATION = f"{STATE}/kubeadm.conf"
HOSTS = f"{STATE}/hosts"
RECORD_VERSION = 1

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
"""What can not be made again: everything in the cluster is signed with it."""

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

NEVER = ("preflight", "upload-certs", "kubelet-finalize", "show-join-command")
"""Phases that are not for us: preflight judges the host and pulls images; certificates and tokens stay in the node;
kubelet-finalize starts kubelet anew just when it is about to become Ready."""

FINALIZE = r"""
pem=/var/lib/kubelet/pki/kubelet-client-current.pem
if [ -s $pem ]; then
  sed -i "s|^\( *\)client-certificate-data:.*|\1client-certificate: $pem|; s|^\( *\)client-key-data:.*|\1client-key: $pem|" \
    /etc/kubernetes/kubelet.conf
fi
"""
"""What kubeadm's phase kubelet-finalize writes: at its next start kubelet takes the certificate that it renews itself.
The one that runs renews it in any case (kubeadm's phases/kubelet/kubelet.go; no file where rotation is off)."""

LIMITS = {
    "boot": 300.0,
    "hosts": 30.0,
    "kubeadm": 240.0,
    "manifests": 60.0,
    "pod-network": 60.0,
    "schedulable": 30.0,
    "ready": 180.0,
}
"""Seconds that each step may take by itself; what is left of the total limits it too."""

_CLIENT_SECONDS = 60.0
"""How much longer the engine's client may take than what it runs inside, whose own limit is the one that tells why. On a
slow machine it takes seconds to begin."""

_LOOKED_FOR = tuple(path for step in STEPS for path in step.files)
_ROLE_LABEL = "node-role.kubernetes.io/control-plane"
_TAINT = f"{_ROLE_LABEL}:NoSchedule"


@dataclass(frozen=True)
class KubeadmSpec:
    """Kubernetes on one node as it was asked for."""

    node: str
    state: str
    """initialized, joined or reset."""
    shape: ClusterShape
    control_plane: str
    """The node that the API is asked from; of a control plane itself."""
    version: str | None
    user: Mapping[str, conf.Document]
    patches: Mapping[str, str]
    manifests: tuple[Mapping[str, str], ...]
    timeout: float

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> KubeadmSpec:
        """From a module's parameters; raises ``invalid_option`` before anything was looked at."""
        state, node = params["state"], checks.host_name("node", params["node"])
        cluster = checks.host_name("cluster", params["cluster"])
        pods = _ranges("pod_subnet", params["pod_subnet"])
        services = _ranges("service_subnet", params["service_subnet"])
        for one in pods:
            for other in services:
                if one.version == other.version and one.overlaps(other):
                    raise checks.invalid("pod_subnet", f"{one} overlaps the service range {other}", "name another")
        version = params["kubernetes_version"]
        if version is not None:
            version = "v" + str(version).lstrip("v")
            if not re.fullmatch(r"v\d+\.\d+\.\d+\S*", version):
                raise checks.invalid("kubernetes_version", f"{version!r} is no version", "write it like 1.35.4")
        endpoint = params["endpoint"] or f"{cluster}.kic.internal"
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", endpoint):
            raise checks.invalid("endpoint", f"{endpoint!r} is no domain name", "write it like lab.kic.internal")
        if params["timeout"] < 1:
            raise checks.invalid("timeout", "is no time", "give it in seconds, like 600")
        return cls(
            node=node,
            state=state,
            shape=ClusterShape(
                cluster=cluster,
                endpoint=endpoint,
                pod_subnet=params["pod_subnet"],
                service_subnet=params["service_subnet"],
                api_sans=tuple(params["api_sans"]),
                schedulable=params["schedulable"],
            ),
            control_plane=node if state == "initialized" else (params["control_plane"] or ""),
            version=version,
            user=conf.user_documents(params["configuration"]),
            patches=conf.user_patches(params["patches"]),
            manifests=tuple(_manifest(item) for item in params["manifests"]) if state == "initialized" else (),
            timeout=float(params["timeout"]),
        )

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


def _ranges(option: str, value: str) -> list[checks.IPNetwork]:
    found = [checks.network(option, part) for part in value.split(",")]
    if len(found) > 2 or len({item.version for item in found}) != len(found):
        raise checks.invalid(option, f"{value!r} has more than one range of an IP version", "give one, or one of each")
    return found


def _manifest(item: Mapping[str, Any]) -> Mapping[str, str]:
    if not re.fullmatch(r"[a-z0-9-]+", item["name"]):
        raise checks.invalid("manifests", f"{item['name']!r} is no name", "use lower-case letters, digits and '-'")
    return {key: value for key, value in item.items() if value is not None}


@dataclass(frozen=True)
class Observed:
    """A node and what one look at it found."""

    container: Container
    seen: Seen | None
    """None where there is nothing to look into: the node does not run."""
    api_addresses: tuple[str, ...]
    """Of the control plane that the endpoint's name means."""
    addresses: tuple[str, ...]


def plan_initialized(spec: KubeadmSpec, observed: Observed) -> Plan:
    """The steps that do not stand, in their order."""
    seen = known(observed.seen)
    refuse_version(spec, seen)
    drift = find_drift(spec, seen)
    done = seen.record.get("state") == "initialized"
    if done:
        left_out = (spec.user.get("InitConfiguration") or {}).get("skipPhases") or ()
        lost = [path for path in AUTHORITIES if path not in seen.stands] if "certs" not in left_out else []
        if lost:
            raise failure("authority_lost", node=spec.node, files=", ".join(lost))
    steps: list[str] = []
    if not hosts_fit(spec, seen, observed.api_addresses):
        steps.append("hosts")
    steps += missing_phases(spec, seen)
    if seen.node is not None and seen.api:
        if spec.shape.schedulable == (_TAINT in seen.node.taints):
            steps.append("schedulable")
        # At first the pod network begins by itself; then it is there or broken.
        if done and _pod_network_broken(seen, seen.node):
            steps.append("pod-network")
    for item in spec.manifests:
        # A node that has no such file has nothing to apply.
        if not seen.api or (item["name"] in seen.changes and not unchanged(seen.changes[item["name"]])):
            steps.append(f"manifest-{item['name']}")
    if not done and not steps:
        steps.append("record")
    return _plan(spec, seen, steps, drift)


def plan_joined(spec: KubeadmSpec, observed: Observed) -> Plan:
    """What makes a worker of the node."""
    seen = known(observed.seen)
    refuse_version(spec, seen)
    steps = [] if hosts_fit(spec, seen, observed.api_addresses) else ["hosts"]
    joined = {"/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"} <= seen.stands
    if not joined or seen.record.get("state") != "joined" or (seen.api and seen.node is None):
        steps.append("join")
    elif seen.api and seen.node is not None and _pod_network_broken(seen, seen.node):
        steps.append("pod-network")
    return _plan(spec, seen, steps, find_drift(spec, seen))


def _pod_network_broken(seen: Seen, node: ApiNode) -> bool:
    """Whether a pod network of ours that could work does not."""
    if not seen.pod_network or not node.pod_cidrs:
        return False
    return not pod_network_fits(seen.cni, node.pod_cidrs) or not seen.masquerades


def plan_reset(observed: Observed | None) -> Plan:
    """Whether there is something of Kubernetes to be undone."""
    if observed is None or observed.seen is None:
        return Plan()
    seen = observed.seen
    if not seen.stands and not seen.record and seen.cni is None:
        return Plan()
    before = {"state": seen.record.get("state", "partial")}
    return Plan((Action("run", "step", "reset"),), before, {"state": "reset"})


def _plan(spec: KubeadmSpec, seen: Seen, steps: Sequence[str], drift: tuple[Drift, ...]) -> Plan:
    before = {"state": seen.record.get("state") or ("partial" if seen.stands else "absent"), "missing": list(steps)}
    failed = ", ".join(seen.boot.failed_units)
    warnings = (f"the systemd of {spec.node} is up, but these units failed: {failed}.",) if failed else ()
    actions = tuple(Action("run", "step", name) for name in steps)
    return Plan(actions, before, {"state": spec.state, "missing": []}, drift, warnings)


def refuse_version(spec: KubeadmSpec, seen: Seen) -> None:
    """Raise when the node's image holds another Kubernetes than was asked for, or one older than we configure."""
    if spec.version is not None and spec.version != seen.facts.version:
        raise failure("version_differs", node=spec.node, asked=spec.version, found=seen.facts.version)
    if seen.facts.release < conf.OLDEST:
        oldest = ".".join(str(part) for part in conf.OLDEST)
        raise failure("version_too_old", node=spec.node, found=seen.facts.version, minimum=oldest)


def missing_phases(spec: KubeadmSpec, seen: Seen) -> list[str]:
    """Names of kubeadm's steps that do not stand. What the API can not be asked for does not stand."""
    left_out = set((spec.user.get("InitConfiguration") or {}).get("skipPhases") or ())
    cluster = spec.user.get("ClusterConfiguration") or {}
    missing = []
    # What kubeadm does on the node comes before what it does in the API.
    for step in sorted(STEPS, key=lambda item: not item.files):
        if left_out.intersection((step.name, *step.phases, *(phase.partition("/")[0] for phase in step.phases))):
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


def hosts_lines(spec: KubeadmSpec, addresses: Sequence[str]) -> str:
    """What the node's unit adds to /etc/hosts at each start: the cluster's name, for each address of its API."""
    return "".join(f"{address} {spec.shape.endpoint}\n" for address in addresses)


def hosts_fit(spec: KubeadmSpec, seen: Seen, addresses: Sequence[str]) -> bool:
    """Whether the cluster's name leads to its API, now and after the next start."""
    lines = hosts_lines(spec, addresses)
    return seen.hosts.strip() == lines.strip() and set(lines.splitlines()) <= set(seen.names.splitlines())


def unchanged(text: str) -> bool:
    """Whether an apply would leave every object as it is."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Warning:")]
    return bool(lines) and all(re.search(r" unchanged( \(server dry run\))?$", line) for line in lines)


def find_drift(spec: KubeadmSpec, seen: Seen) -> tuple[Drift, ...]:
    """What was asked for when the node was made and is asked for otherwise now. kubeadm changes none of it later."""
    before = seen.record.get("asked")
    if not before:
        return ()
    fields = spec.asked if spec.state == "initialized" else {"endpoint": spec.shape.endpoint}
    return tuple(
        Drift(key, value, before.get(key)) for key, value in fields.items() if key in before and before[key] != value
    )


class KubeadmResource(Resource[Observed]):
    """Kubernetes on the node of a :class:`KubeadmSpec`."""

    kind = "Kubernetes on node"

    def __init__(self, spec: KubeadmSpec, engine: Engine, *, check_mode: bool) -> None:
        self.name = spec.node
        self._spec = spec
        self._engine = engine
        self._check_mode = check_mode
        self._deadline = Deadline(spec.timeout)
        self._observed: Observed | None = None
        self._node: ApiNode | None = None
        self.prerequisite = ""
        """In check mode: what an earlier task of the play would make and is not there yet."""
        self.steps: list[str] = []

    # Looking.
    def observe(self) -> Observed | None:
        if self._observed is not None:
            # Nobody else changes Kubernetes on this node meanwhile; a look costs half a second.
            return self._observed
        spec = self._spec
        container = self._engine.container(spec.node)
        if container is None or not container.running:
            if spec.state == "reset" or self._check_mode:
                self.prerequisite = f"the node {spec.node} " + (
                    "does not exist" if container is None else "does not run"
                )
                return None
            if container is None:
                raise failure("node_missing", node=spec.node)
            raise failure("node_not_running", node=spec.node, status=container.status, engine=self._engine.name)
        self._refuse_foreign(container)
        addresses = node_addresses(container)
        api_addresses = addresses if spec.control_plane in ("", spec.node) else self._control_plane_addresses()
        if not addresses or not api_addresses:
            raise failure("node_without_address", node=spec.node)
        waits = not self._check_mode and spec.state != "reset"
        seen = self._boot(container) if waits else self._look()
        found = Observed(container, seen, tuple(api_addresses), tuple(addresses))
        if waits:
            found = self._settle(found)
        self._observed = found
        return found

    def _boot(self, container: Container) -> Seen:
        """The first look at a node, which may have been started a moment ago: it waits until the system is up."""
        limit = self._deadline.limit("boot", LIMITS["boot"])
        boot.enter(self._engine, container, limit)
        with boot.noticing_death(self._engine, container, limit):
            seen = self._look(seconds=limit)
        boot.refuse_unready(self._engine, container, seen.boot, limit)
        return seen

    def _refuse_foreign(self, container: Container) -> None:
        owner = container.labels.get(labels.CLUSTER)
        if owner != self._spec.shape.cluster:
            raise failure(
                "other_cluster",
                kind="container",
                name=container.name,
                owner=owner or "(none)",
                cluster=self._spec.shape.cluster,
            )

    def _control_plane_addresses(self) -> list[str]:
        name = self._spec.control_plane
        container = self._engine.container(name)
        if container is None:
            raise failure("node_missing", node=name)
        return node_addresses(container)

    def _look(self, *, seconds: float = 0) -> Seen:
        spec = self._spec
        api_node = spec.control_plane if spec.state == "joined" else spec.node
        return look(self._engine, spec.node, api_node or spec.node, _LOOKED_FOR, spec.manifests, seconds=seconds)

    def _settle(self, found: Observed) -> Observed:
        """Of a node that is part of a cluster and was just started: wait until it answers, and is Ready or has a reason
        to be mended. Waiting changes nothing."""
        spec, seen = self._spec, known(found.seen)
        if not seen.record or not set(_LOOKED_FOR if spec.state == "initialized" else ()) <= seen.stands:
            return found
        if not seen.api or (seen.pod_network and not seen.masquerades):
            limit = self._deadline.limit("ready", LIMITS["ready"])
            self._wait("api", _WAIT_API, limit, soft=seen.api)
            found = Observed(found.container, self._look(), found.api_addresses, found.addresses)
            seen = known(found.seen)
        if seen.api and seen.node is not None and not seen.node.ready and not self._draft(found).actions:
            self._ready()
            found = Observed(found.container, self._look(), found.api_addresses, found.addresses)
        return found

    def _draft(self, found: Observed) -> Plan:
        return (plan_initialized if self._spec.state == "initialized" else plan_joined)(self._spec, found)

    # Planning.
    def plan(self, observed: Observed | None) -> Plan:
        spec = self._spec
        if spec.state == "reset":
            return plan_reset(observed)
        if observed is None:
            names = ["hosts", *(step.name for step in STEPS)] if spec.state == "initialized" else ["hosts", "join"]
            names += [f"manifest-{item['name']}" for item in spec.manifests]
            actions = tuple(Action("run", "step", name) for name in names)
            return Plan(actions, {"state": "absent", "missing": names}, {"state": spec.state, "missing": []})
        return self._draft(observed)

    # Doing.
    def apply(self, plan: Plan) -> None:
        observed = known(self._observed)
        self.steps = [action.name for action in plan.actions]
        if self._spec.state == "reset":
            self._reset()
            return
        if "hosts" in self.steps:
            self._hosts(observed)
        if self._spec.state == "joined":
            if "join" in self.steps:
                self._join(observed)
        else:
            self._init(observed)
        self._record()
        if "pod-network" in self.steps:
            self._run("pod-network", ["systemctl", "restart", POD_NETWORK])
            self._wait("pod-network", _WAIT_POD_NETWORK, self._deadline.limit("pod-network", LIMITS["pod-network"]))
        self._ready()

    def _hosts(self, observed: Observed) -> None:
        script = 'umask 022; mkdir -p "${0%/*}"; cat >"$0"; new=$(grep -vE "[[:space:]]$1$" /etc/hosts; cat "$0"); echo "$new" >/etc/hosts'
        self._run(
            "hosts",
            ["bash", "-c", script, HOSTS, self._spec.shape.endpoint.replace(".", r"\.")],
            stdin=hosts_lines(self._spec, observed.api_addresses).encode(),
        )

    def _init(self, observed: Observed) -> None:
        spec, seen = self._spec, known(observed.seen)
        missing = [step for step in STEPS if step.phases and step.name in self.steps]
        if missing:
            limit = self._deadline.limit("kubeadm", LIMITS["kubeadm"])
            skipped = [phase for step in STEPS if step not in missing for phase in step.phases]
            if not any(step.files or step.name == "mark-control-plane" for step in missing):
                # Nothing of the control plane itself is touched.
                skipped.append("wait-control-plane")
            documents = conf.init_documents(
                spec.shape,
                seen.facts,
                node=spec.node,
                addresses=observed.addresses,
                sans=certificate_names(spec, observed),
                skip_phases=(*NEVER, *skipped),
                patches=PATCHES if spec.patches else None,
                seconds=limit,
                user=spec.user,
            )
            self._write_patches()
            # The configuration stays for those who look into the node; what it holds is no secret, who reads it is root.
            script = 'umask 077; cat >"$0"; exec kubeadm init --config "$0" --skip-token-print 2>&1'
            self._kubeadm(["bash", "-c", script, CONFIGURATION], conf.render(documents), limit, "init")
        manifests = [item for item in spec.manifests if f"manifest-{item['name']}" in self.steps]
        if manifests:
            self._apply_manifests(manifests)
        if "schedulable" in self.steps:
            taint = f"{_TAINT}-" if spec.shape.schedulable else _TAINT
            self._run("schedulable", ["kubectl", f"--kubeconfig={ADMIN}", "taint", "node", spec.node, taint])
        if "kubelet-finalize" in self.steps:
            self._run("kubelet-finalize", ["bash", "-c", FINALIZE])

    def _write_patches(self) -> None:
        if not self._spec.patches:
            return
        script = (
            'umask 077; rm -rf "$0"; mkdir -p "$0"; input=$(cat); jq -r "keys[]" <<<"$input" | while read -r name; do'
            ' jq -r --arg name "$name" ".[\\$name]" <<<"$input" >"$0/$name"; done'
        )
        self._run("patches", ["bash", "-c", script, PATCHES], stdin=json.dumps(self._spec.patches).encode())

    def _apply_manifests(self, manifests: Sequence[Mapping[str, str]]) -> None:
        # Each in a call of its own: the failure of one names that one.
        limit = self._deadline.limit("manifests", LIMITS["manifests"])
        script = r"""
set -uo pipefail
input=$(cat)
status=0
for name in $(jq -r '.[].name' <<<"$input"); do
  path=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .path // empty' <<<"$input")
  if [ -n "$path" ] && [ ! -s "$path" ]; then continue; fi
  # A slow API takes longer to describe its types for the first time than kubectl waits; asked again, it has them.
  until said=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .content // empty' <<<"$input" |
    kubectl --kubeconfig=/etc/kubernetes/admin.conf apply -f "${path:--}" 2>&1); do
    if [ "$SECONDS" -lt "$1" ] && grep -q "Client.Timeout" <<<"$said"; then continue; fi
    echo "manifest-$name: $said"
    status=1
    break
  done
done
exit $status
"""
        result = self._engine.exec(
            self._spec.node,
            # No other try begins when half of the limit is over.
            ["bash", "-c", script, "manifests", str(int(limit / 2))],
            action=f"applying manifests in {self._spec.node}",
            stdin=json.dumps(list(manifests)).encode(),
            timeout=limit,
            check=False,
        )
        if result.rc != 0:
            step = result.out.partition(":")[0] if result.out.startswith("manifest-") else "manifests"
            raise self._failed(step, f"kubectl apply ended with exit code {result.rc}", result.words)

    def _join(self, observed: Observed) -> None:
        spec = self._spec
        limit = self._deadline.limit("kubeadm", LIMITS["kubeadm"])
        made = self._engine.exec(
            spec.control_plane,
            ["kubeadm", f"--kubeconfig={ADMIN}", "token", "create", "--ttl=10m", "--print-join-command"],
            action=f"making a token in {spec.control_plane}",
            timeout=limit,
        )
        # "kubeadm join lab.kic.internal:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:…"
        match = re.search(r"--token (\S+) --discovery-token-ca-cert-hash (\S+)", made.out)
        if match is None:
            raise self._failed("join", "kubeadm made no token", made.err)
        token, ca_hash = match.groups()
        documents = conf.join_documents(
            node=spec.node,
            address=observed.addresses[0],
            endpoint=spec.shape.endpoint,
            token=token,
            ca_hash=ca_hash,
            patches=PATCHES if spec.patches else None,
            seconds=limit,
            user=spec.user,
        )
        self._write_patches()
        try:
            # What an interrupted join left behind; kubeadm refuses to join over it only in the preflight that we skip.
            script = "rm -f /etc/kubernetes/bootstrap-kubelet.conf; exec kubeadm join --config /dev/stdin 2>&1"
            self._kubeadm(["bash", "-c", script], conf.render(documents), limit, "join", secret=token)
        finally:
            # It ends by itself in ten minutes; a failure to end it now must not hide the first cause.
            self._engine.exec(
                spec.control_plane,
                ["kubeadm", f"--kubeconfig={ADMIN}", "token", "delete", token.partition(".")[0]],
                check=False,
                timeout=30,
            )

    def _kubeadm(self, command: Sequence[str], stdin: str, limit: float, verb: str, secret: str = "") -> None:
        # Ended from outside, the engine's client would be gone and kubeadm would go on inside: the limit is kept there.
        result = self._engine.exec(
            self._spec.node,
            ["timeout", "--kill-after=5", f"{limit:.1f}", *command],
            action=f"kubeadm {verb} in {self._spec.node}",
            stdin=stdin.encode(),
            timeout=limit + _CLIENT_SECONDS,
            check=False,
        )
        if result.rc == 0:
            return
        said, reason = result.words, f"kubeadm {verb} ended with exit code {result.rc}"
        if result.rc == TIMED_OUT:
            reason = f"it did not end within {limit:.0f} seconds"
        if secret:
            said = said.replace(secret, "(token)")
        raise self._failed(step_of(said) or verb, reason, said, logs=True)

    def _ready(self) -> None:
        limit = self._deadline.limit("ready", LIMITS["ready"])
        script = r"""
end=$((SECONDS + $2))
while :; do
  said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf wait --for=condition=Ready "node/$1" --timeout=$((end - SECONDS))s 2>&1) && break
  # A node that has not registered yet and an API that starts anew pass; the limit ends what does not.
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.2
done
kubectl --kubeconfig=/etc/kubernetes/admin.conf get "node/$1" -o json
"""
        api_node = self._spec.control_plane if self._spec.state == "joined" else self._spec.node
        result = self._engine.exec(
            api_node,
            ["bash", "-c", script, "ready", self.name, str(int(limit))],
            check=False,
            timeout=limit + _CLIENT_SECONDS,
        )
        if result.rc != 0:
            raise self._failed("ready", f"the node was not Ready within {limit:g} seconds", result.words, logs=True)
        found = json.loads(result.out)
        self._node = ApiNode(
            name=self.name,
            ready=True,
            why="",
            version=found["status"]["nodeInfo"]["kubeletVersion"],
            address=next((a["address"] for a in found["status"]["addresses"] if a["type"] == "InternalIP"), ""),
            labels=found["metadata"].get("labels", {}),
            taints=(),
            pod_cidrs=tuple(found["spec"].get("podCIDRs", ())),
        )

    def _wait(self, step: str, script: str, limit: float, *, soft: bool = False) -> None:
        api_node = self._spec.control_plane if self._spec.state == "joined" else self._spec.node
        node = self._spec.node if step == "pod-network" else api_node
        command = ["env", f"TABLE={POD_NETWORK_TABLE}", f"UNIT={POD_NETWORK}", f"SOFT={'yes' if soft else ''}"]
        result = self._engine.exec(
            node,
            [*command, "bash", "-c", script, "wait", str(int(limit))],
            check=False,
            timeout=limit + _CLIENT_SECONDS,
        )
        if result.rc != 0:
            raise self._failed(step, f"nothing within {limit:g} seconds", result.words, logs=True)

    def _record(self) -> None:
        content = {"version": RECORD_VERSION, "state": self._spec.state, "asked": self._spec.asked}
        script = 'umask 077; cat >"$0.new" && mv "$0.new" "$0"'
        self._run("record", ["bash", "-c", script, RECORD], stdin=json.dumps(content, sort_keys=True).encode())

    def _reset(self) -> None:
        script = (
            f"systemctl stop {POD_NETWORK} 2>/dev/null; kubeadm reset --force 2>&1 || exit 1; "
            f"nft delete table ip {POD_NETWORK_TABLE} 2>/dev/null; nft delete table ip6 {POD_NETWORK_TABLE} 2>/dev/null; "
            # The directory itself is a mount of ours.
            f"rm -rf /etc/cni/net.d/10-kic.conflist {RECORD} {CONFIGURATION} {PATCHES} {HOSTS}; exit 0"
        )
        limit = self._deadline.limit("reset", LIMITS["kubeadm"])
        result = self._engine.exec(self.name, ["bash", "-c", script], check=False, timeout=limit)
        if result.rc != 0:
            raise self._failed("reset", f"kubeadm reset ended with exit code {result.rc}", result.words)

    def _run(self, step: str, command: Sequence[str], stdin: bytes | None = None) -> None:
        limit = self._deadline.limit(step, LIMITS.get(step, 30.0))
        result = self._engine.exec(
            self.name, command, action=f"step {step} in {self.name}", stdin=stdin, timeout=limit, check=False
        )
        if result.rc != 0:
            raise self._failed(step, f"{command[0]} ended with exit code {result.rc}", result.words)

    def _failed(self, step: str, reason: str, output: str, *, logs: bool = False) -> KicError:
        if logs:
            output = f"{output}\n{last_lines(self._engine, self.name)}"
        known_reason = reasons.reason(output, step=step, node=self.name, engine=self._engine.name)
        if known_reason is not None:
            return known_reason
        return failure("step_failed", step=step, node=self.name, reason=reason, engine=self._engine.name, output=output)

    def describe(self, observed: Observed | None, plan: Plan) -> dict[str, Any]:
        if self._spec.state == "reset" or observed is None:
            return {}
        node = self._node or (observed.seen.node if observed.seen else None)
        return node.as_dict() if node else {}


@dataclass(frozen=True)
class Converged:
    """What a run found and did."""

    plan: Plan
    node: dict[str, Any]
    warnings: tuple[str, ...]

    def result(self, *, diff: bool) -> dict[str, Any]:
        """The module's result."""
        plan = self.plan
        found: dict[str, Any] = {
            "changed": plan.changed,
            "actions": [str(action) for action in plan.actions],
            "steps": [action.name for action in plan.actions],
            "drift": [vars(item) for item in plan.drift],
            "node_status": self.node,
        }
        if diff:
            found["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
        return found


def converge_kubeadm(spec: KubeadmSpec, engine: Engine, *, check_mode: bool) -> Converged:
    """Bring Kubernetes on a node into its state. Nothing is allocated, so the host's lock is not needed."""
    resource = KubeadmResource(spec, engine, check_mode=check_mode)
    outcome = converge(resource, check_mode=check_mode, lock=nullcontext)
    warnings = list(outcome.plan.warnings)
    if resource.prerequisite and spec.state != "reset":
        warnings.append(f"{resource.prerequisite}; what would be done is said as if it were new.")
    if outcome.plan.drift:
        warnings.append(
            f"{spec.node} was made with other settings, which kubeadm does not change later: "
            + "; ".join(str(item) for item in outcome.plan.drift)
            + ". They take effect in a new cluster."
        )
    return Converged(outcome.plan, outcome.value, tuple(warnings))


def node_addresses(container: Container) -> list[str]:
    """A node's own addresses: those of the network it was made on come first, IPv4 before IPv6."""
    own = container.labels.get(labels.ADDRESS)
    found = [address for group in container.addresses.values() for address in group]
    found.sort(key=lambda item: (item != own, ipaddress.ip_address(item).version))
    return found


def certificate_names(spec: KubeadmSpec, observed: Observed) -> list[str]:
    """Every name and address by which the API may be reached."""
    names = [spec.shape.endpoint, spec.node, *observed.addresses, "127.0.0.1", "localhost", *spec.shape.api_sans]
    bindings = ((observed.container.raw.get("HostConfig") or {}).get("PortBindings") or {}).get(f"{conf.API_PORT}/tcp")
    for binding in bindings or ():
        address = binding.get("HostIp") or ""
        # 0.0.0.0 is no name of anything.
        if address and not ipaddress.ip_address(address).is_unspecified:
            names.append(address)
    return list(dict.fromkeys(names))


def step_of(said: str) -> str:
    """The step that kubeadm was in when it ended, from the phase it last named: ``[wait-control-plane] …``."""
    found = re.findall(r"^\[([a-z][a-z-]*)(?:/[a-z-]+)?\] ", said, re.MULTILINE)
    # What it checks there is part of a wait.
    return "wait-control-plane" if found and found[-1].endswith("-check") else found[-1] if found else ""


_WAIT_API = r"""
end=$((SECONDS + $1))
until said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf get --raw /readyz 2>&1); do
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.3
done
# The pod network begins with the API's first answer; one that stays away is for the plan to find, not for this wait.
for _ in $(seq 30); do
  if ! systemctl cat "$UNIT" >/dev/null 2>&1 || nft list table ip "$TABLE" >/dev/null 2>&1; then break; fi
  sleep 0.2
done
exit 0
"""

_WAIT_POD_NETWORK = r"""
end=$((SECONDS + $1))
until [ -s /etc/cni/net.d/10-kic.conflist ] && nft list table ip "$TABLE" >/dev/null 2>&1; do
  if [ $SECONDS -ge $end ]; then journalctl --unit "$UNIT" --lines 10 --no-pager --output cat; exit 1; fi
  sleep 0.1
done
"""
