# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a node: a script that runs inside it, asks the node and the API, and prints JSON.

An exec costs as much as all that it asks, so everything is asked in one. The script uses what every node image has:
bash, jq, kubectl.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._core.diagnosis import failure
from ..._engine.base import Engine
from ..._node.boot import Boot, decode_boot
from ..._node.certificates import PATHS, Certificate, decode_certificates
from ..._node.scripts import Scripts, script
from ..access.balancer import PROGRAM
from ..network import kic
from .alone import LOCK
from .configuration import NodeFacts

STATE = "/var/lib/nodeforge.kic"
"""Where a node keeps what it must remember; it is on the node's volume."""

RECORD = f"{STATE}/kubeadm.json"

BALANCER = f"{STATE}/haproxy.cfg"
"""The configuration of the node's own load balancer in front of the API."""

RENEWED = f"{STATE}/renewed"
"""What is still to be restarted for certificates that were renewed."""

_SECONDS = 60.0
"""How long a look at a system that is up may take."""
_REQUEST_SECONDS = 10.0
"""After which its requests to the API end by themselves."""

_ENVIRONMENT = {
    "STATE": STATE,
    "NETWORK": kic.PROGRAM,
    "BALANCER": PROGRAM,
    "LOCK": LOCK,
    "CERTIFICATES": " ".join(PATHS),
}


# Objects that kubeadm's later phases leave in the API, as kubectl's arguments. All in kube-system or cluster-wide, so
# that one request asks for them.
OBJECTS = {
    "configmap/kubeadm-config": "ConfigMap/kubeadm-config",
    "configmap/kubelet-config": "ConfigMap/kubelet-config",
    "clusterrolebinding/kubeadm:get-nodes": "ClusterRoleBinding/kubeadm:get-nodes",
    "serviceaccount/coredns": "ServiceAccount/coredns",
    "configmap/coredns": "ConfigMap/coredns",
    "deployment/coredns": "Deployment/coredns",
    "service/kube-dns": "Service/kube-dns",
    "clusterrole/system:coredns": "ClusterRole/system:coredns",
    "clusterrolebinding/system:coredns": "ClusterRoleBinding/system:coredns",
    "serviceaccount/kube-proxy": "ServiceAccount/kube-proxy",
    "configmap/kube-proxy": "ConfigMap/kube-proxy",
    "daemonset/kube-proxy": "DaemonSet/kube-proxy",
    "clusterrolebinding/kubeadm:node-proxier": "ClusterRoleBinding/kubeadm:node-proxier",
}


@dataclass(frozen=True)
class ApiNode:
    """A node as the API knows it."""

    name: str
    ready: bool
    why: str
    version: str
    address: str
    labels: Mapping[str, str]
    taints: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    leaving: bool = False
    """Whether a run that did not end cordoned it, as one that leaves the cluster."""
    taint_values: Mapping[str, str] = field(default_factory=dict)
    """The value of each of the taints."""
    heartbeat: float | None = None
    """When its kubelet said so, in seconds since 1970."""
    declared: str = ""
    """What former runs gave it of labels and taints, as JSON."""

    def ours(self, kind: str) -> frozenset[str]:
        """The ``labels`` or ``taints`` that former runs gave it. Whoever may change the node may write any text there."""
        found = (_json(self.declared) or {}).get(kind)
        return frozenset(item for item in found if isinstance(item, str)) if isinstance(found, list) else frozenset()

    def as_dict(self) -> dict[str, Any]:
        """What a task returns of it."""
        prefix = "node-role.kubernetes.io/"
        return {
            "name": self.name,
            "ready": self.ready,
            "why": "" if self.ready else self.why,
            "version": self.version,
            "address": self.address,
            "roles": sorted(key[len(prefix) :] for key in self.labels if key.startswith(prefix)),
            "pod_cidrs": list(self.pod_cidrs),
        }


@dataclass(frozen=True)
class Seen:
    """What one look found."""

    boot: Boot
    facts: NodeFacts
    stands: frozenset[str]
    """Those of the files that were looked for which are there and not empty."""
    record: Mapping[str, Any]
    """What a former run wrote when it was through (:data:`RECORD`); {} without one."""
    hosts: str
    names: str
    """/etc/hosts as it is."""
    rotating: bool
    """Whether kubelet's configuration names the certificate that it renews itself, or it is to renew none."""
    network: kic.State
    """Of the pod network's files in the node."""
    api: bool
    """Whether the API answered."""
    api_error: str
    objects: frozenset[str]
    changes: Mapping[str, str] = field(default_factory=dict)
    """Per manifest, what an apply would say of each of its objects; without those the node has no file for."""
    node: ApiNode | None = None
    nodes: tuple[kic.Registered, ...] = ()
    """All nodes of the API, where the node is a control plane."""
    certificates: tuple[Certificate, ...] = ()
    now: float = 0.0
    """The time in the node, in seconds since 1970."""
    renewed: str = ""
    """What is still to be restarted for certificates that a former run renewed."""
    members: frozenset[str] | None = None
    """The names of etcd's members, where one control plane says it of another; None where they are not known."""
    signs: bool = False
    """Whether the control plane that was asked has the key of the cluster's authority."""
    balancer: str | None = None
    """The configuration of the node's own load balancer; None where it cannot have one."""
    kubeadm: str = "free "
    """``held`` or ``free``, and who held the lock of the node last, before anything else was read there."""

    @property
    def kubernetes(self) -> str:
        """The release by which kubeadm made or upgraded the node last, such as v1.35.4; that of its image where nobody recorded it."""
        return str(self.record.get("kubernetes") or self.facts.version)


def look(
    engine: Engine,
    node: str,
    api_node: str,
    files: Sequence[str],
    manifests: Sequence[Mapping[str, Any]],
    *,
    seconds: float = 0,
    patience: float = 1,
    scripts: Scripts,
    name: str = "",
    member: bool = False,
) -> Seen:
    """Look at ``node``; the API is asked from ``api_node``, a control plane, which may be the same.

    For a system that is still coming up it waits up to ``seconds``. A machine that is ``patience`` times as slow as others
    gets so much more time to answer.

    :param name: of the node in Kubernetes, where its container has another one.
    :param member: whether the node has to be a member of etcd, so that etcd's members are queried.
    """
    words = {**_ENVIRONMENT, "NODE": name or node, "OBJECTS": " ".join(OBJECTS), "BOOT": str(int(seconds))}
    words["ALL"] = "yes" if node == api_node else ""
    words["MEMBERS"] = "yes" if member else ""
    words["REQUEST"] = str(int(_REQUEST_SECONDS * patience))
    stdin = json.dumps(list(manifests)).encode()
    action, limit = f"looking at {node}", seconds + _SECONDS * patience
    if node == api_node:
        command = _command(scripts, {**words, "PARTS": "boot local api"}, *files)
        out = engine.exec(node, command, action=action, stdin=stdin, timeout=limit).out
    else:
        command = _command(scripts, {**words, "PARTS": "boot local"}, *files)
        out = engine.exec(node, command, action=action, timeout=limit).out
        command = _command(scripts, {**words, "PARTS": "api"})
        asking = f"asking {api_node} for {node}"
        out += engine.exec(api_node, command, action=asking, stdin=stdin, timeout=limit).out
    return decode(out, node)


def _command(scripts: Scripts, words: Mapping[str, str], *files: str) -> list[str]:
    return ["env", *(f"{key}={value}" for key, value in words.items()), *script(scripts, "look", *files)]


def decode(out: str, node: str) -> Seen:
    """What the script printed."""
    parts: dict[str, Any] = {}
    try:
        # By the line's end that jq writes alone: what a node says may hold others (U+2028, U+0085), within JSON's strings.
        for line in out.removesuffix("\n").split("\n"):
            parts.update(json.loads(line))
        if set(parts) != {"boot", "local", "api"}:
            raise ValueError(set(parts))
        if not parts["local"]["version"]:
            raise failure("no_kubernetes", node=node)
        return _seen(decode_boot(parts["boot"]), parts["local"], parts["api"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise failure("node_unreadable", node=node, output=out) from None


def _seen(boot: Boot, local: Mapping[str, Any], api: Mapping[str, Any]) -> Seen:
    found = api.get("node")
    return Seen(
        boot=boot,
        facts=NodeFacts(
            version=local["version"],
            cgroup_version=local["cgroup_version"],
            systemd_cgroup=local["systemd_cgroup"],
            lowers_oom_score=local["lowers"],
            user_namespace=local["mapped"],
        ),
        stands=frozenset(path for path in local["stands"] if path),
        record=_json(local["record"]) or {},
        hosts=local["hosts"],
        names=local["names"],
        rotating=local["rotating"],
        network=kic.State.parse(local["network"]),
        api=not api["error"],
        api_error=api["error"],
        objects=frozenset(api.get("objects", ())),
        changes=api.get("changes", {}),
        node=ApiNode(
            name=found["name"],
            ready=found["ready"] == "True",
            why=found["why"],
            version=found["version"],
            address=found["address"],
            labels=found["labels"],
            taints=tuple(f"{item['key']}:{item['effect']}" for item in found["taints"]),
            pod_cidrs=tuple(found["pod_cidrs"]),
            leaving=found.get("leaving", False),
            taint_values={f"{item['key']}:{item['effect']}": item.get("value", "") for item in found["taints"]},
            heartbeat=found.get("heartbeat"),
            declared=found.get("declared", ""),
        )
        if found
        else None,
        nodes=kic.decode(api.get("nodes") or ()),
        certificates=decode_certificates(local["certificates"]),
        now=float(local["now"]),
        renewed=local["renewed"].strip(),
        members=frozenset(api["members"]) if api.get("members") is not None else None,
        signs=bool(api.get("signs")),
        balancer=local["balancer"],
        kubeadm=local["kubeadm"],
    )


def recorded_state(engine: Engine, identity: str) -> str:
    """What the record of a node says that a run was through with, also of one that does not run; ``""`` where it has none."""
    return str(read_record(engine, identity).get("state") or "")


def read_record(engine: Engine, identity: str) -> Mapping[str, Any]:
    """The record of a node, also of one that does not run; {} where it has none."""
    found: Mapping[str, Any] = _json((engine.read_file(identity, RECORD) or b"").decode("utf-8", "replace")) or {}
    return found


def _json(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
