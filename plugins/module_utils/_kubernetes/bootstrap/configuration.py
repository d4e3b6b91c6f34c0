# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm's configuration (v1beta4): what a node in a container needs, and the user's own fields over it. Pure.

JSON is YAML, so the documents are written with ``json`` and no YAML parser is needed on the managed machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..._core import checks
from ..access.paths import API_PORT

KUBEADM = "kubeadm.k8s.io/v1beta4"
API_VERSIONS = {
    "InitConfiguration": KUBEADM,
    "ClusterConfiguration": KUBEADM,
    "JoinConfiguration": KUBEADM,
    "KubeletConfiguration": "kubelet.config.k8s.io/v1beta1",
    "KubeProxyConfiguration": "kubeproxy.config.k8s.io/v1alpha1",
}

_EARLIER = "kubeadm.k8s.io/v1beta3"
"""Its documents are read too: they differ in arguments as mappings and in the fields of ``_MOVED``."""

OLDEST = (1, 31)
"""kubeadm reads v1beta4 from this release on."""

CRI_SOCKET = "unix:///run/containerd/containerd.sock"

# Lists whose items are told apart by their name (v1beta4: Arg, a list because an argument may be given twice).
_BY_NAME = ("extraArgs", "kubeletExtraArgs", "extraEnvs")

# What a field of kubeadm's own kinds holds, by its name; in none of them a name means two things. A wrong one would
# replace all of ours, and kubeadm would refuse it only when the node exists.
_MAPPINGS = frozenset(
    (
        *("nodeRegistration", "localAPIEndpoint", "timeouts", "patches", "apiServer", "controllerManager", "scheduler"),
        *("etcd", "local", "external", "networking", "dns", "proxy", "discovery", "bootstrapToken", "featureGates"),
        *("evictionHard", "conntrack", "nftables", "iptables", "ipvs", "controlPlane"),
    )
)
_LISTS_OF_MAPPINGS = frozenset(("taints", "extraVolumes", "bootstrapTokens"))
_SECRETS = frozenset(("bootstrapToken", "bootstrapTokens", "extraEnvs"))
"""Fields that no message shows: what is in them may let somebody into the cluster, or be a password."""
_LISTS = _LISTS_OF_MAPPINGS | {"skipPhases", "certSANs", "serverCertSANs", "peerCertSANs", "ignorePreflightErrors"}

# Fields that v1beta3 had and v1beta4 has elsewhere (kubernetes, cmd/kubeadm/app/apis/kubeadm/v1beta4/doc.go).
_MOVED = {
    ("ClusterConfiguration", "apiServer.timeoutForControlPlane"): (
        "InitConfiguration: {timeouts: {controlPlaneComponentHealthCheck: 4m0s}}"
    ),
    ("JoinConfiguration", "discovery.timeout"): "JoinConfiguration: {timeouts: {discovery: 5m0s}}",
}

_PATHS = ("/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock")
_SOCKET = (
    (*_PATHS, *(f"unix://{path}" for path in _PATHS)),
    "is not the socket of the node's containerd",
    f"leave it out; it is {CRI_SOCKET}",
)
_NAME = ((), "is set for each node to the name by which it is found again", "leave it out")

# Fields that a file of another cluster has and that here follow from the node, with the values that are no difference.
# kubeadm, or what looks at the node afterwards, would fail by another one only when everything is made.
_FIXED: Mapping[tuple[str, str], tuple[tuple[str, ...], str, str]] = {
    ("InitConfiguration", "nodeRegistration.name"): _NAME,
    ("JoinConfiguration", "nodeRegistration.name"): _NAME,
    ("InitConfiguration", "nodeRegistration.criSocket"): _SOCKET,
    ("JoinConfiguration", "nodeRegistration.criSocket"): _SOCKET,
    ("ClusterConfiguration", "certificatesDir"): (
        ("/etc/kubernetes/pki",),
        "is not where the certificates of a node are",
        "leave it out; it is /etc/kubernetes/pki",
    ),
    ("ClusterConfiguration", "controlPlaneEndpoint"): (
        (),
        "is set to the name under which the nodes of the cluster reach its API",
        "leave it out; further names and addresses go to api_sans (in the role: kic_cluster_api_sans)",
    ),
    ("ClusterConfiguration", "kubernetesVersion"): (
        (),
        "is the release that the node's image has",
        "leave it out; kubernetes_version (in the role: kic_cluster_kubernetes_version) refuses an image with another",
    ),
}

_PATCH = re.compile(
    r"(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubeletconfiguration|corednsdeployment)"
    r"[a-z0-9.-]*?(\+(strategic|merge|json))?\.(json|yaml)"
)

Document = dict[str, Any]


@dataclass(frozen=True)
class NodeFacts:
    """What the configuration depends on and only the node itself can tell."""

    version: str
    """Kubernetes of its image, as in ``/kind/version``: v1.35.4."""
    cgroup_version: int
    systemd_cgroup: bool
    """Whether its containerd lets systemd make control groups; kubelet has to do the same."""
    lowers_oom_score: bool
    """Whether a process of it may make itself less likely to be killed (needs CAP_SYS_RESOURCE)."""
    user_namespace: bool

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        return release_of(self.version)


@dataclass(frozen=True)
class ClusterShape:
    """What all nodes of a cluster share."""

    cluster: str
    endpoint: str
    """A name of the cluster, never an address: nodes come and go behind it."""
    pod_subnet: str
    service_subnet: str
    api_sans: tuple[str, ...] = ()
    schedulable: bool = True
    """Whether the control plane takes any pod."""


def version_of(version: str) -> tuple[int, int, int]:
    """Major, minor and patch of ``v1.35.4``; (0, 0, 0) of anything else."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(match.group(1)), int(match.group(2)), int(match.group(3))) if match else (0, 0, 0)


def release_of(version: str) -> tuple[int, int]:
    """Major and minor of ``v1.35.4``; (0, 0) of anything else."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def merge(ours: Any, theirs: Any, key: str = "") -> Any:
    """``theirs`` over ``ours``: mappings field by field (null removes one), named arguments by name, names of the
    certificate added, any other value replaced."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        result = dict(ours)
        for field, value in theirs.items():
            if value is None:
                result.pop(field, None)
            else:
                result[field] = merge(result.get(field), value, field)
        return result
    if isinstance(ours, list) and isinstance(theirs, list):
        if key in _BY_NAME:
            names = {item.get("name") for item in theirs if isinstance(item, Mapping)}
            return [item for item in ours if item.get("name") not in names] + theirs
        if key == "certSANs":
            return ours + [item for item in theirs if item not in ours]
    return theirs


def _complete(value: Any, key: str = "") -> Any:
    """A merged document without the arguments whose null took one of ours away."""
    if isinstance(value, Mapping):
        return {field: _complete(item, field) for field, item in value.items()}
    if key in _BY_NAME and isinstance(value, list):
        return [item for item in value if "value" not in item or item["value"] is not None]
    return value


def _normal(kind: str, value: Any, path: str, problems: checks.Problems) -> Any:
    """A user's field in the form of v1beta4, with that of v1beta3 understood: arguments as a mapping."""
    key = path.rpartition(".")[2]
    option = f"configuration.{kind}.{path}" if path else f"configuration.{kind}"
    if value is None:
        return value
    with problems.collect():
        if (kind, path) in _MOVED:
            problem = "was moved with kubeadm's API v1beta4"
            raise checks.invalid(option, problem, f"write {_MOVED[kind, path]}")
        if (kind, path) in _FIXED and value not in _FIXED[kind, path][0]:
            _values, problem, fix = _FIXED[kind, path]
            raise checks.invalid(option, f"{value!r} cannot be set, it {problem}", fix)
        if API_VERSIONS[kind] == KUBEADM and key in _BY_NAME:
            return _arguments(option, value)
        if key in _MAPPINGS and not isinstance(value, Mapping):
            problem = f"{_shown(key, value)} is not a mapping"
            raise checks.invalid(option, problem, f"write its fields as {key}: {{field: value}}")
        if key in _LISTS and not isinstance(value, list):
            inner = "{field: value}" if key in _SECRETS else json.dumps(value)
            raise checks.invalid(option, f"{_shown(key, value)} is not a list", f"write it as {key}: [{inner}]")
        if key in _LISTS_OF_MAPPINGS and not all(isinstance(item, Mapping) for item in value):
            raise checks.invalid(option, "is not a list of mappings", "see kubeadm's documentation of this field")
        if isinstance(value, Mapping):
            return {
                str(field): _normal(kind, item, f"{path}.{field}" if path else str(field), problems)
                for field, item in value.items()
            }
    return value


def _shown(key: str, value: Any) -> str:
    """A value of a field for a message, unless it may be a secret."""
    return "the value" if key in _SECRETS else repr(value)


def _arguments(option: str, value: Any) -> list[Document]:
    """Named arguments as the list of v1beta4. A value of null removes the argument from ours."""
    key = option.rpartition(".")[2]
    if isinstance(value, Mapping):
        value = [{"name": name, "value": content} for name, content in value.items()]
    if not isinstance(value, list):
        problem = f"{_shown(key, value)} is neither a list nor a mapping of arguments"
        raise checks.invalid(option, problem, "write it like [{name: v, value: '4'}]")
    return [_argument(option, key, item) for item in value]


def _argument(option: str, key: str, item: Any) -> Document:
    name = item.get("name") if isinstance(item, Mapping) else None
    if not isinstance(name, str) or not name.strip("-"):
        problem = f"{_shown(key, item)} is not an argument with a name"
        raise checks.invalid(option, problem, "write it like {name: v, value: '4'}")
    if "valueFrom" in item:
        return dict(item)
    content = item.get("value")
    if set(item) - {"name", "value"} or not isinstance(content, (str, int, float, bool, type(None))):
        problem = f"the value of {name!r} is not a string"
        raise checks.invalid(option, problem, f"write it like {{name: {name}, value: 'text'}}")
    # kubeadm takes strings only; YAML makes numbers and booleans of what is written without quotes.
    if isinstance(content, bool):
        content = str(content).lower()
    return {"name": name.lstrip("-"), "value": content if content is None else str(content)}


def user_documents(value: Any) -> dict[str, Document]:
    """The option ``configuration`` as fields by kind. It may be a mapping of kinds, a document or a list of documents."""
    if not value:
        return {}
    found: dict[str, Document] = {}
    if isinstance(value, Mapping) and isinstance(value.get("kind"), str):
        value = [value]
    if isinstance(value, Mapping):
        items = [(str(kind), fields) for kind, fields in value.items()]
    elif isinstance(value, list) and all(isinstance(item, Mapping) and item.get("kind") for item in value):
        items = [(str(item["kind"]), {k: v for k, v in item.items() if k != "kind"}) for item in value]
    else:
        text = isinstance(value, str) or (isinstance(value, list) and any(isinstance(item, str) for item in value))
        raise checks.invalid(
            "configuration",
            "is neither a mapping of kinds nor a list of documents with a kind" + (", but text" if text else ""),
            "leave out the '|' above the text, so that YAML reads it"
            if text
            else "write it like configuration: {ClusterConfiguration: {imageRepository: registry.example}}",
        )
    problems = checks.Problems()
    for kind, fields in items:
        with problems.collect():
            own = _own_fields(kind, fields, problems)
            # A null is kept: it is ours that it removes, later.
            nulls = {key: None for key, value in own.items() if value is None}
            found[kind] = {**merge(found.get(kind, {}), own), **nulls}
    problems.finish()
    return found


def _own_fields(kind: str, fields: Any, problems: checks.Problems) -> Document:
    if kind == "Cluster":
        raise checks.invalid(
            "configuration",
            "Cluster is a kind of the tool kind, not of kubeadm",
            "take over what its kubeadmConfigPatches hold; docs/migration.md names the variable for each of its other fields",
        )
    if kind not in API_VERSIONS:
        raise checks.invalid(
            "configuration", f"{kind!r} is not a kind that kubeadm reads", f"use {', '.join(API_VERSIONS)}"
        )
    if not isinstance(fields, Mapping):
        raise checks.invalid("configuration", f"{kind} has no fields", "give it a mapping of its fields")
    version = fields.get("apiVersion", API_VERSIONS[kind])
    if version != API_VERSIONS[kind] and not (version == _EARLIER and API_VERSIONS[kind] == KUBEADM):
        problem, fix = f"{kind} is of {version}", f"write it for {API_VERSIONS[kind]} and leave apiVersion out"
        raise checks.invalid("configuration", problem, fix)
    # Patches for kind have a name that only its own tools read.
    kept = {key: value for key, value in fields.items() if key not in ("apiVersion", "metadata")}
    own: Document = _normal(kind, kept, "", problems)
    return own


def user_patches(value: Mapping[str, Any] | None) -> dict[str, str]:
    """The option ``patches`` as texts by file name, the names as kubeadm reads them."""
    if value and not isinstance(value, Mapping):
        raise checks.invalid("patches", "is not a mapping", "write it like patches: {kube-apiserver0+merge.json: {…}}")
    return checks.entries(_patch, value or {})


def _patch(name: str, content: Any) -> str:
    if not _PATCH.fullmatch(name):
        raise checks.invalid(
            "patches",
            f"{name!r} is not a name that kubeadm reads",
            "name it target[suffix][+patchtype].json, like kube-apiserver0+merge.json",
        )
    return content if isinstance(content, str) else json.dumps(content, sort_keys=True)


def _registration(node: str, addresses: Sequence[str]) -> Document:
    return {
        "name": node,
        "criSocket": CRI_SOCKET,
        "imagePullPolicy": "IfNotPresent",
        # Without it kubelet takes what the node's name resolves to, and engines write more names than one there.
        # One of each IP version of the pods: an address that kubelet does not report, no other node has a route to.
        "kubeletExtraArgs": [{"name": "node-ip", "value": ",".join(addresses)}],
    }


def _timeouts(seconds: float) -> Document:
    # kubeadm ends its own waits a little earlier than we would end kubeadm: then it says what it waited for.
    limit = f"{max(5, int(seconds) - 3)}s"
    waits = ("controlPlaneComponentHealthCheck", "kubeletHealthCheck", "tlsBootstrap", "discovery", "etcdAPICall")
    return dict.fromkeys(waits, limit)


def kubelet(facts: NodeFacts) -> Document:
    """Settings of kubelet in a container."""
    gates = {"KubeletInUserNamespace": True} if facts.user_namespace or not facts.lowers_oom_score else {}
    found: Document = {
        "cgroupDriver": "systemd" if facts.systemd_cgroup else "cgroupfs",
        # The groups outside it are the host's.
        "cgroupRoot": "/kubelet",
        # Swap and disk are the host's: a node must neither refuse to start nor throw pods out because of them.
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
    }
    if gates:
        found["featureGates"] = gates
    if facts.cgroup_version == 1 and facts.release >= (1, 31):
        found["failCgroupV1"] = False
    return found


def kube_proxy(facts: NodeFacts) -> Document:
    """Settings of kube-proxy in a container: it must not touch what is the whole host's."""
    conntrack: Document = {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    if not facts.user_namespace:
        # nftables mode drops what conntrack calls invalid; without this, long transfers break (kubernetes #117924).
        conntrack["tcpBeLiberal"] = True
    return {"mode": "nftables", "conntrack": conntrack}


def init_documents(
    shape: ClusterShape,
    facts: NodeFacts,
    *,
    node: str,
    addresses: Sequence[str],
    sans: Sequence[str],
    skip_phases: Sequence[str],
    patches: str | None,
    seconds: float,
    user: Mapping[str, Document],
) -> dict[str, Document]:
    """The documents of ``kubeadm init`` on the control plane ``node``, by kind."""
    registration = _registration(node, addresses)
    if shape.schedulable:
        # An empty list is "no taint"; none at all would be kubeadm's default.
        registration["taints"] = []
    # controller-manager starts forty controllers at once, each with requests of its own; at 20 a second they take five
    # seconds until the first one works. The lease is asked for at first when the API knows no rules yet.
    eager = [{"name": "leader-elect-retry-period", "value": "500ms"}]
    hurried = [{"name": "kube-api-qps", "value": "200"}, {"name": "kube-api-burst", "value": "400"}]
    ours: dict[str, Document] = {
        "InitConfiguration": {
            "localAPIEndpoint": {"advertiseAddress": addresses[0], "bindPort": API_PORT},
            "nodeRegistration": registration,
            "skipPhases": list(skip_phases),
            "timeouts": _timeouts(seconds),
            **({"patches": {"directory": patches}} if patches else {}),
        },
        "ClusterConfiguration": {
            "kubernetesVersion": facts.version,
            "clusterName": shape.cluster,
            "controlPlaneEndpoint": f"{shape.endpoint}:{API_PORT}",
            # RSA keys take seconds to find, these milliseconds.
            "encryptionAlgorithm": "ECDSA-P256",
            "apiServer": {"certSANs": list(sans)},
            "controllerManager": {"extraArgs": eager + hurried},
            "scheduler": {"extraArgs": eager},
            "networking": {"podSubnet": shape.pod_subnet, "serviceSubnet": shape.service_subnet},
        },
        "KubeletConfiguration": kubelet(facts),
        "KubeProxyConfiguration": kube_proxy(facts),
    }
    merged = {kind: _complete(merge(fields, user.get(kind, {}))) for kind, fields in ours.items()}
    # What we leave out to go on where a run was interrupted, is left out whatever the user leaves out too.
    wanted = merged["InitConfiguration"].get("skipPhases") or []
    merged["InitConfiguration"]["skipPhases"] = [*wanted, *(phase for phase in skip_phases if phase not in wanted)]
    return merged


def join_documents(
    *,
    node: str,
    addresses: Sequence[str],
    endpoint: str,
    token: str,
    ca_hash: str,
    patches: str | None,
    seconds: float,
    user: Mapping[str, Document],
    control_plane: bool = False,
    schedulable: bool = False,
) -> dict[str, Document]:
    """The document of ``kubeadm join`` for the ``node``. It holds a secret: it goes by standard input only.

    :param schedulable: whether a control plane takes any pod.
    """
    registration = _registration(node, addresses)
    if control_plane and schedulable:
        registration["taints"] = []
    ours: Document = {
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": f"{endpoint}:{API_PORT}",
                "token": token,
                "caCertHashes": [ca_hash],
            }
        },
        "nodeRegistration": registration,
        "timeouts": _timeouts(seconds),
        **({"patches": {"directory": patches}} if patches else {}),
    }
    if control_plane:
        ours["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": addresses[0], "bindPort": API_PORT}}
    merged: Document = _complete(merge(ours, user.get("JoinConfiguration", {})))
    wanted = merged.get("skipPhases") or []
    # Preflight judges the host and pulls images, whatever else the user leaves out.
    merged["skipPhases"] = wanted if "preflight" in wanted else [*wanted, "preflight"]
    return {"JoinConfiguration": merged}


def render(documents: Mapping[str, Document]) -> str:
    """The documents as one file that kubeadm reads."""
    return "\n---\n".join(
        json.dumps({"apiVersion": API_VERSIONS[kind], "kind": kind, **fields}, indent=1)
        for kind, fields in documents.items()
    )
