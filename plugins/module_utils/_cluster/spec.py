# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as it was declared: everything that it is made of, checked before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from .._core import checks
from .._core.diagnosis import Diagnosis, KicError
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER, WORKER
from .._kubernetes.access.balancer import LOOPBACK, configuration
from .._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from .._resources.network import NetworkSpec
from .._resources.network_arguments import NETWORK
from .._resources.node_arguments import NODE
from .._resources.node_image_plan import NodeImagesSpec, images_of
from .._resources.node_spec import NO_VOLUME, NodeSpec
from .._resources.volume import VolumeSpec
from .declared import ALL, NOTHING, There
from .layout import layout
from .snapshot import Wanted

Completed = Callable[[Mapping[str, Any], Mapping[str, Any], str], dict[str, Any]]
"""Gives arguments of a module their types and defaults: the table, what was given, and the option it was given in."""

STORAGE = {"name": "storage", "path": "/kind/manifests/default-storage.yaml", "validate": False}
"""The default StorageClass, where kind's images keep it."""


BALANCER_PROGRAM = "/usr/local/lib/nodeforge.kic/load-balancer"
"""The first process of the container that offers the API on the host."""

BALANCER_CONFIGURATION = "/etc/nodeforge.kic/haproxy.cfg"
"""Where that container has what HAProxy is to do."""

IMAGE_SECONDS = 1800.0
"""In which what one source of images holds has to be in all nodes, as the module kic_node_image has it."""


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster that has to be there. The parts have the names of nodes as keys."""

    name: str
    state: str
    """``started``, ``restarted``, ``restored`` or ``present``."""
    control_plane: str
    """By which the API is asked; of a new cluster the one that begins it."""
    planes: tuple[str, ...]
    """All control planes, those that are not declared and stay included."""
    workers: tuple[str, ...]
    network: NetworkSpec
    network_given: bool
    """Whether anything was requested of the network."""
    volumes: Mapping[str, VolumeSpec]
    nodes: Mapping[str, NodeSpec]
    kubernetes: Mapping[str, KubeadmSpec]
    pod_network: bool
    """Whether the pod network is ours."""
    balancer: NodeSpec | None = None
    """The container that offers the API on the host; None where its control plane does."""
    complete: frozenset[str] = frozenset()
    """The control planes that a former run was through with."""
    boot: bool = True
    """Whether its nodes are started when the machine boots."""
    own_policy: frozenset[str] = frozenset()
    """Nodes of which the user requested a restart policy, so that it is not ours to change."""
    counted: frozenset[str] = frozenset((CONTROL_PLANE, WORKER))
    """The roles of which a number of nodes is declared. Without one they are those that are there, and none is surplus."""
    upgrade: bool = False
    """Whether it is brought to another release of Kubernetes, where its image has one."""
    prune: bool = False
    """Whether nodes that are not declared leave the cluster."""
    prune_data: bool = False
    """Whether data that only they have may be lost."""
    drain_timeout: int = 300
    """Seconds that the pods of a node that leaves may take to end."""
    snapshot: Wanted | None = None
    """Which one a new cluster gets its data from, or one that is restored."""
    node_names: Mapping[str, str] = field(default_factory=dict)
    """The names in Kubernetes of nodes of a clone, by container."""
    images: NodeImagesSpec | None = None
    """The user's images, which all nodes have to have; None where none are named."""

    def node_name(self, name: str) -> str:
        """The name in Kubernetes of the node in a container."""
        return self.node_names.get(name, name)

    def containers_of(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What the API says of nodes, by their containers."""
        names = {text: name for name, text in self.node_names.items()}
        return {names.get(name, name): item for name, item in found.items()}

    @property
    def image(self) -> str:
        """That of its nodes; "" where it has none."""
        return next((str(node.image) for node in self.nodes.values()), "")

    @property
    def containers(self) -> dict[str, NodeSpec]:
        """The nodes and the load balancer."""
        return {**self.nodes, **({self.balancer.name: self.balancer} if self.balancer is not None else {})}

    @classmethod
    def from_params(
        cls,
        params: Mapping[str, Any],
        facts: Mapping[str, Any],
        completed: Completed,
        there: There = NOTHING,
    ) -> ClusterSpec:
        """From the module's parameters; raises ``invalid_option`` with all problems, in the names of the role's variables.

        :param facts: of the engine, against which limits are checked; {} where none is there.
        :param there: what of the cluster is there.
        """
        problems = checks.Problems()
        if not params["image"]:
            problems.add(
                "kic_cluster_image", "is empty", "run the role nodeforge.kic.kic_image before, or name a node image"
            )
        found: Mapping[str, Any] = problems.take(layout, {**params, "engine_facts": facts, "there": there}) or {}
        if not found:
            problems.finish()
        given = params["network"] or {}
        network: NetworkSpec | None = None
        asked = problems.take(_network, params, found, completed)
        with problems.collect(prefix="kic_cluster_network."):
            network = NetworkSpec.from_params(asked) if asked else None
        nodes: dict[str, NodeSpec] = {}
        kubernetes: dict[str, KubeadmSpec] = {}
        volumes: dict[str, VolumeSpec] = {}
        for item in found["nodes"]:
            name = item["name"]
            options = problems.take(_node, params, found, item, completed)
            node = problems.take(_in_its_place, item["sources"], NodeSpec.from_params, options) if options else None
            nodes.update({name: node} if node else {})
            with problems.collect(prefix="kic_cluster_"):
                kubernetes[name] = KubeadmSpec.from_params(_kubeadm(params, found, name))
            volumes[name] = _volume(name, params["name"], "present")
        plane = found["control_plane"]
        if plane not in kubernetes:
            with problems.collect(prefix="kic_cluster_"):
                kubernetes[plane] = KubeadmSpec.from_params(_kubeadm(params, found, plane))
        balancer = problems.take(_balancer, params, found, completed) if found["balancer"] else None
        images = _images(params, problems)
        snapshot = _snapshot(params, problems)
        problems.finish()
        spec = cls(
            name=params["name"],
            state=params["state"],
            control_plane=found["control_plane"],
            planes=tuple(found["control_planes"]),
            complete=frozenset(there.complete),
            workers=tuple(found["workers"]),
            network=checks.taken(network),
            network_given=any(value is not None for value in given.values()),
            volumes=volumes,
            nodes=nodes,
            kubernetes=kubernetes,
            pod_network=found["pod_network"],
            balancer=balancer,
            boot=params["boot"],
            own_policy=frozenset(item["name"] for item in found["nodes"] if item["options"].get("restart_policy")),
            counted=frozenset(
                role
                for role, key in ((CONTROL_PLANE, "control_planes"), (WORKER, "workers"))
                if params[key] is not None or params["nodes"] is not None
            ),
            upgrade=params["upgrade"],
            prune=params["prune"],
            prune_data=params["prune_data"],
            drain_timeout=params["drain_timeout"],
            images=images,
            snapshot=snapshot,
        )
        return spec.named(there.node_names)

    def named(self, names: Mapping[str, str]) -> ClusterSpec:
        """The same with nodes that have another name in Kubernetes than their containers.

        :param names: by container.
        """
        if not names:
            return self
        own = {name: text for name, text in names.items() if name in self.nodes}
        nodes = {name: replace(self.nodes[name], node_name=text, hostname=text) for name, text in own.items()}
        volumes = {name: replace(self.volumes[name], node_name=text) for name, text in own.items()}
        return replace(
            self,
            nodes={**self.nodes, **nodes},
            volumes={**self.volumes, **volumes},
            # The one by which the API is asked may be a control plane that is not declared.
            kubernetes={name: replace(item, node_name=names.get(name, "")) for name, item in self.kubernetes.items()},
            node_names=dict(names),
        )


def _snapshot(params: Mapping[str, Any], problems: checks.Problems) -> Wanted | None:
    """That of which nodes get their data; restored is a cluster from its own alone."""
    found = problems.optional(Wanted.parse, "kic_cluster_snapshot", params["snapshot"], params["name"])
    if params["state"] != "restored":
        return found
    if params["snapshot"] is None:
        fix = "name one that nodeforge.kic.kic_snapshot has taken"
        problems.add("kic_cluster_snapshot", "is needed for the state restored", fix)
    if found is not None and found.cluster != params["name"]:
        problem = f"it is one of the cluster {found.cluster}, and {params['name']} is to be restored"
        fix = f"name one of {params['name']}; or create a clone: kic_cluster_state: started, with another kic_cluster_name"
        problems.add("kic_cluster_snapshot", problem, fix)
    return found


def _balancer(params: Mapping[str, Any], found: Mapping[str, Any], completed: Completed) -> NodeSpec:
    """HAProxy in a container that is no machine: it has neither privileges nor a volume."""
    program = [item for item in params["node_files"] or () if item["path"] == BALANCER_PROGRAM]
    options = {
        **found["balancer"],
        "cluster": params["name"],
        "role": LOAD_BALANCER,
        "image": params["load_balancer_image"] or params["image"],
        "network": params["name"],
        "volume": NO_VOLUME,
        "privileged": "false",
        "command": [BALANCER_PROGRAM],
        "files": [*program, {"path": BALANCER_CONFIGURATION, "content": configuration({}, [LOOPBACK]), "mode": "0644"}],
        "recreate": (params["node"] or {}).get("recreate") or "never",
        "wait": False,
    }
    return NodeSpec.from_params(completed(NODE, options, "kic_cluster_api_address"))


def _images(params: Mapping[str, Any], problems: checks.Problems) -> NodeImagesSpec | None:
    """What all nodes have to have; a part of the same run creates those that are not there."""
    if not params["images"]:
        return None
    names, archives, references = images_of("kic_cluster_images", params["images"], problems)
    scripts = params["scripts"] or {}
    cluster = params["name"]
    return NodeImagesSpec(cluster, (), True, names, archives, IMAGE_SECONDS, references, scripts, expected=True)


def validate(params: Mapping[str, Any], completed: Completed) -> None:
    """Raise ``invalid_option`` with all problems that can be known without asking the machine."""
    if params["state"] in ("absent", "stopped", "paused"):
        checks.host_name("kic_cluster_name", params["name"])
    else:
        ClusterSpec.from_params(params, {}, completed)


def _network(params: Mapping[str, Any], found: Mapping[str, Any], completed: Completed) -> dict[str, Any]:
    given = {key: value for key, value in (params["network"] or {}).items() if value is not None}
    own = {"name": params["name"], "cluster": params["name"], "avoid": found["avoid"]}
    return completed(NETWORK, {**given, **own}, "kic_cluster_network")


def _volume(name: str, cluster: str, state: str) -> VolumeSpec:
    return VolumeSpec.from_params(
        {"name": name, "cluster": cluster, "state": state, "labels": {}, "options": None, "recreate": "never"}
    )


def absent_volume(name: str, cluster: str) -> VolumeSpec:
    """A volume of the cluster that has to go."""
    return _volume(name, cluster, "absent")


def absent_network(name: str, cluster: str) -> NetworkSpec:
    """A network of the cluster that has to go."""
    return NetworkSpec.from_params({**_defaults(NETWORK), "name": name, "cluster": cluster, "state": "absent"})


def bare_node(name: str, cluster: str | None, state: str) -> NodeSpec:
    """A node of which only the state is requested."""
    return NodeSpec.from_params({**_defaults(NODE), "name": name, "cluster": cluster, "state": state, "wait": False})


def _defaults(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: argument.get("default") for name, argument in arguments.items()}


def _node(
    params: Mapping[str, Any], found: Mapping[str, Any], item: Mapping[str, Any], completed: Completed
) -> dict[str, Any]:
    own = {
        "name": item["name"],
        "cluster": params["name"],
        "role": item["role"],
        # Where there is none, that is one problem, and not one more of each node.
        "image": params["image"] or "missing",
        "network": params["name"],
        "files": list(params["node_files"] or ()),
        "publish": item["publish"],
        "env": item["env"],
        "no_proxy": found["no_proxy"],
        # All boot at once; the operation on Kubernetes waits for each.
        "wait": False,
    }
    return completed(NODE, {**item["options"], **own}, item["source"])


def _in_its_place(sources: Mapping[str, str], make: Callable[..., NodeSpec], options: Mapping[str, Any]) -> NodeSpec:
    """The node; its problems are of the variables that each option is from."""

    def placed(found: Diagnosis) -> Diagnosis:
        key = re.match(r"\w+", found.cause)
        return replace(found, cause=f"{sources.get(key[0] if key else '', ALL)}.{found.cause}")

    try:
        return make(options)
    except checks.InvalidOptions as error:
        raise checks.InvalidOptions(tuple(placed(item) for item in error.problems)) from error
    except KicError as error:
        if error.diagnosis.id != "invalid_option":
            raise
        raise KicError(placed(error.diagnosis)) from error


def _kubeadm(params: Mapping[str, Any], found: Mapping[str, Any], name: str) -> dict[str, Any]:
    first = name == found["control_plane"]
    plane = name in found["control_planes"]
    return {
        "state": "initialized" if first else "joined",
        "node": name,
        "role": CONTROL_PLANE if plane else WORKER,
        "cluster": params["name"],
        "control_plane": None if first else found["control_plane"],
        "planes": found["control_planes"],
        "kubernetes_version": params["kubernetes_version"],
        "pod_subnet": params["pod_subnet"],
        "service_subnet": params["service_subnet"],
        "api_sans": params["api_sans"] if plane else [],
        "endpoint": None,
        "schedulable": not found["workers"],
        "configuration": params["configuration"],
        "patches": params["patches"],
        # Nothing in it is the user's, and all of it is tested.
        "manifests": [STORAGE] if first else [],
        "labels": found["labels"].get(name, {}),
        "taints": found["taints"].get(name, ()),
        "scripts": params["scripts"],
        "wait": found["pod_network"],
        "pod_network": params["pod_network"],
        "timeout": params["timeout"],
        "upgrade": params["upgrade"],
    }
