# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes that the variables of the role kic_cluster declare, by number or by name, and what each is made with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from .._core import checks
from .._core.diagnosis import KicError
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER, WORKER
from .._kubernetes.bootstrap.kubeadm_plan import node_labels, node_taints
from .._resources.node_options import PASSED_ON

CONTROL_PLANE_MEMORY = 1700 * 1000 * 1000
"""Bytes below which kubeadm refuses a control plane (kubeadm's constants: ControlPlaneMem = 1700 MB)."""

# What the role sets of each node itself.
_OWN = frozenset(
    (
        "name",
        "state",
        "cluster",
        "role",
        "image",
        "network",
        "ip",
        "ip6",
        "hostname",
        "volume",
        "files",
        "no_proxy",
        "wait",
        "wait_timeout",
        "engine",
        "engine_facts",
    )
)
NODE_OPTIONS = frozenset(
    (
        *(
            "mounts",
            "tmpfs",
            "publish",
            "devices",
            "memory",
            "cpus",
            "pids_limit",
            "ulimits",
            "sysctls",
            "security_opts",
        ),
        *("env", "labels", "privileged", "runtime", "restart_policy", "recreate"),
        *(option.name for option in PASSED_ON),
    )
)
"""Options of kic_node that the role's variables may set for nodes."""

_MEANT: Mapping[str, str] = {
    **dict.fromkeys(("extraMounts", "volumes", "volume"), "mounts"),
    **dict.fromkeys(("extraPortMappings", "ports", "published_ports", "port"), "publish"),
    **dict.fromkeys(("environment", "envs"), "env"),
    **dict.fromkeys(("mem_limit", "mem"), "memory"),
    **dict.fromkeys(("cpu", "cpu_limit"), "cpus"),
    "host_alias": "extra_hosts",
    "etc_hosts": "extra_hosts",
    "dns_servers": "dns",
}
"""Words of kind, k3d and compose for an option of kic_node."""

_OF_KUBEADM = ("kubeadmConfigPatches", "kubeadmConfigPatchesJSON6902")

_FORMS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "mounts": (("source", "target"), "{source: /srv, target: /data, read_only: true}"),
    "publish": (("port",), "{port: 80, host_port: 8080, address: 0.0.0.0}"),
}
"""What an item of an option has to have, and how it is written."""

_OF_KIND = frozenset(("hostPath", "containerPath", "containerPort", "hostPort", "listenAddress"))
"""What an item of kind's has."""

_OF_ITEM = frozenset(("name", "role", "labels", "taints"))
"""What an item of kic_cluster_nodes has besides them; its labels and taints are those in Kubernetes."""

ALL = "kic_cluster_node"


@dataclass(frozen=True)
class Declared:
    """One node."""

    name: str
    role: str
    options: Mapping[str, Any]
    """Of kic_node."""
    sources: Mapping[str, str]
    """The variable that each option is from."""
    labels: Mapping[str, str]
    """In Kubernetes."""
    taints: tuple[str, ...] = ()
    """Likewise, as kubectl takes them."""

    @property
    def source(self) -> str:
        """The variable that is the most about this node."""
        return max(self.sources.values(), key=lambda name: (name.endswith("]"), name != ALL), default=ALL)


def number(option: str, value: Any) -> float:
    """A number of a variable."""
    try:
        found = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise checks.invalid(option, f"{value!r} is not a number", "set it to one")
    return found


def count(given: Mapping[str, Any], key: str, least: int) -> int:
    """A number of nodes."""
    try:
        found = int(given[key])
    except (TypeError, ValueError):
        found = -1
    if not least <= found <= 99:
        raise checks.invalid(
            f"kic_cluster_{key}", f"{given[key]!r} is not a number from {least} to 99", "set it to one"
        )
    return found


def counted_name(cluster: str, role: str, number: int) -> str:
    """The name of a node that is counted."""
    return f"{cluster}-{role}-{number}"


def counted_names(cluster: str, role: str) -> re.Pattern[str]:
    """What the names of nodes of a role look like that are counted."""
    return re.compile(rf"{re.escape(cluster)}-{role}-([1-9][0-9]*)")


def balancer_name(cluster: str) -> str:
    """The name of the cluster's load balancer."""
    return f"{cluster}-{LOAD_BALANCER}"


@dataclass(frozen=True)
class There:
    """What of a cluster is there already."""

    planes: tuple[str, ...] = ()
    """Its control planes."""
    workers: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    """The control planes with which a former run was through, those first that run."""
    api_ports: Mapping[str, int] = field(default_factory=dict)
    """The ports of the host on which control planes, and the load balancer, offer the API, by name."""
    node_names: Mapping[str, str] = field(default_factory=dict)
    """The names in Kubernetes of nodes of a clone, by container."""

    def of(self, role: str) -> tuple[str, ...]:
        """The nodes of a role."""
        return self.planes if role == CONTROL_PLANE else self.workers


NOTHING = There()


def declared(given: Mapping[str, Any], name: str) -> list[Declared]:
    """The nodes, the control plane first; raises ``invalid_option`` with all problems.

    :param name: of the cluster.
    """
    problems = checks.Problems()
    labels = {
        role: problems.take(_labels_of, given, f"{role.replace('-', '_')}_labels") or {}
        for role in (CONTROL_PLANE, WORKER)
    }
    layers = {
        variable: problems.take(_options, given.get(variable) or {}, f"kic_cluster_{variable}", given) or {}
        for variable in ("node", "control_plane_node", "worker_node")
    }
    items = problems.take(_named if given.get("nodes") is not None else _counted, given, name) or []
    found = []
    for at, item in enumerate(items):
        place = f"kic_cluster_nodes[{at}]"
        own = {key: value for key, value in item.items() if key not in _OF_ITEM}
        role = item["role"]
        # A port of the host leads to one node only; those for all nodes are the first control plane's.
        first = {key: value for key, value in layers["node"].items() if at == 0 or key != "publish"}
        second = f"{role.replace('-', '_')}_node"
        stack = {ALL: first, f"kic_cluster_{second}": layers[second]}
        stack[place] = problems.take(_options, own, place, given) or {}
        more = problems.take(_in_kubernetes, node_labels, item.get("labels") or {}, f"{place}.labels") or {}
        problems.take(_in_kubernetes, node_taints, item.get("taints") or [], f"{place}.taints")
        found.append(_merged(item, stack, {**labels[role], **more}))
    for role in (CONTROL_PLANE, WORKER):
        variable = f"{role.replace('-', '_')}_node"
        using = [item for item in found if item.sources.get("publish") == f"kic_cluster_{variable}"]
        problems.take(_check_ports, variable, layers[variable], using)
    for node in found:
        if node.role == CONTROL_PLANE:
            problems.take(_check_memory, node, given)
    problems.finish()
    return found


_FOR_KUBERNETES = re.compile(r"ingress-ready$|([a-z0-9-]+\.)*(kubernetes|k8s)\.io/")
"""Names of labels that only Kubernetes and what runs in it reads; the first is that of kind's documentation."""


def misplaced_labels(given: Mapping[str, Any]) -> str:
    """What is said of labels of containers that are meant for Kubernetes, by their names; "" where there are none."""
    found = {
        variable: sorted(key for key in labels if _FOR_KUBERNETES.match(str(key)))
        for variable in ("node", "control_plane_node", "worker_node")
        for labels in [(given.get(variable) or {}).get("labels")]
        if isinstance(labels, Mapping)
    }
    texts = [f"{', '.join(keys)} in kic_cluster_{variable}" for variable, keys in found.items() if keys]
    if not texts:
        return ""
    return (
        f"Labels of a container, which Kubernetes does not see: {'; '.join(texts)}. Fix: write them into"
        " kic_cluster_control_plane_labels or kic_cluster_worker_labels, or into labels of the node in kic_cluster_nodes"
    )


def _merged(item: Mapping[str, Any], stack: Mapping[str, Mapping[str, Any]], labels: Mapping[str, str]) -> Declared:
    """Each option from the variable that is the most about the node; mappings, such as env, from all of them."""
    options: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for variable, layer in stack.items():
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(options.get(key), Mapping)
            options[key] = {**options[key], **value} if both else value
            sources[key] = variable
    given = item.get("taints")
    # Anything else is a problem that has been noted.
    taints = tuple(map(str, given)) if isinstance(given, list) else ()
    return Declared(item["name"], item["role"], options, sources, labels, taints)


def _counted(given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """As many as there are to be; where no number is given, those that are ``there``."""
    problems = checks.Problems()
    planes = problems.take(_planes, given, name) or []
    workers = problems.take(_workers, given, name) or []
    problems.finish()
    found = [{"name": item, "role": CONTROL_PLANE} for item in planes]
    return found + [{"name": item, "role": WORKER} for item in workers]


def _planes(given: Mapping[str, Any], name: str) -> list[str]:
    if given.get("control_planes") is not None:
        wanted = count(given, "control_planes", 1)
        check_odd("kic_cluster_control_planes", wanted)
    else:
        found = _there(given, name, CONTROL_PLANE) or [(1, "")]
        wanted, _last = found[-1]
        if wanted > 5:
            return [item for _number, item in found]
        # One whose container was lost is still a member of etcd: it comes back.
        wanted += 1 - wanted % 2
    return [counted_name(name, CONTROL_PLANE, index + 1) for index in range(wanted)]


def _workers(given: Mapping[str, Any], name: str) -> list[str]:
    if given.get("workers") is not None:
        return [counted_name(name, WORKER, index + 1) for index in range(count(given, "workers", 0))]
    return [found for _number, found in _there(given, name, WORKER)]


def _there(given: Mapping[str, Any], name: str, role: str) -> list[tuple[int, str]]:
    """The numbers and names of the nodes of a role that are there."""
    there: There = given.get("there") or NOTHING
    found = (counted_names(name, role).fullmatch(item) for item in there.of(role))
    return sorted((int(item[1]), item[0]) for item in found if item)


def _named(given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Those of the list, in its order."""
    problems = checks.Problems()
    if not isinstance(given["nodes"], list) or not all(isinstance(item, Mapping) for item in given["nodes"]):
        example = "write it like kic_cluster_nodes: [{name: lab-1, role: control-plane}, {name: lab-2}]"
        raise checks.invalid("kic_cluster_nodes", "is not a list of mappings", example)
    for key in ("control_planes", "workers"):
        if given.get(key) is not None:
            problems.add(f"kic_cluster_{key}", "kic_cluster_nodes names the nodes already", "give one of the two")
    # A name of digits alone is a number to YAML.
    items = [{"role": WORKER, **item, "name": str(item.get("name") or "")} for item in given["nodes"]]
    for at, item in enumerate(items):
        place = f"kic_cluster_nodes[{at}]"
        problems.take(checks.host_name, f"{place}.name", item["name"])
        if item["name"] == balancer_name(name):
            problems.add(f"{place}.name", "it is that of the cluster's load balancer", "choose another")
        if item["role"] not in (CONTROL_PLANE, WORKER):
            problems.add(f"{place}.role", f"{item['role']!r} is not a valid choice", "use control-plane or worker")
    names = [item["name"] for item in items if item["name"]]
    twice = sorted({item for item in names if names.count(item) > 1})
    if twice:
        problems.add(
            "kic_cluster_nodes", f"{', '.join(twice)} is named more than once", "give each node a name of its own"
        )
    planes = [item for item in items if item["role"] == CONTROL_PLANE]
    problems.take(check_odd, "kic_cluster_nodes", len(planes))
    problems.finish()
    return [*planes, *(item for item in items if item["role"] == WORKER)]


def check_odd(option: str, planes: int) -> None:
    """Refuse a number of control planes that etcd gains nothing by."""
    if planes == 0:
        raise checks.invalid(option, "no control plane is declared", "give one node, or three, the role control-plane")
    if planes % 2 == 0 or planes > 5:
        why = "an even number adds no safety to etcd's majority" if planes % 2 == 0 else "more than five make etcd slow"
        raise checks.invalid(option, f"{planes} control planes are declared, and {why}", "declare 1, 3 or 5")


def _labels_of(given: Mapping[str, Any], key: str) -> dict[str, str]:
    return _in_kubernetes(node_labels, given.get(key) or {}, f"kic_cluster_{key}")


def _in_kubernetes(check: Callable[[Any], dict[str, str]], value: Any, option: str) -> dict[str, str]:
    """Labels or taints, whose problems are of the variable that they are in."""
    if check is node_labels and not isinstance(value, Mapping):
        raise checks.invalid(option, "is not a mapping", "write it like {ingress-ready: 'true'}")
    try:
        return check(value)
    except KicError as error:
        cause = error.diagnosis.cause.partition(": ")[2].rstrip(".")
        raise checks.invalid(option, cause, error.diagnosis.fix) from error


def _options(node: Any, option: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of kic_node in a variable, as far as they can be judged alone."""
    if not isinstance(node, Mapping):
        raise checks.invalid(option, "is not a mapping of options", f"write it like {option}: {{memory: 4g}}")
    problems = checks.Problems()
    forms = {}
    for key, kind, word in (("env", Mapping, "mapping"), ("publish", list, "list"), ("mounts", list, "list")):
        if node.get(key) is not None and not isinstance(node[key], kind):
            fix = (
                f"write it like {key}: [{_FORMS[key][1]}]"
                if key in _FORMS
                else f"write it like {key}: {{NAME: 'value'}}"
            )
            problems.add(f"{option}.{key}", f"is not a {word}", fix)
        elif key in _FORMS:
            forms[key] = node.get(key) or ()
    for key in node:
        problems.take(_check_key, key, option)
    for key, items in forms.items():
        needed, form = _FORMS[key]
        for item in items:
            # What an item of ours lacks is for the check of kic_node's own arguments, next to all else that is wrong there.
            if not isinstance(item, Mapping) or set(item) & _OF_KIND:
                problem = f"{item!r} does not have {' and '.join(needed)}"
                problems.add(f"{option}.{key}", problem, f"write each as {form}")
    problems.take(_check_size, node, option, given)
    problems.finish()
    return {key: value for key, value in node.items() if value is not None}


def _check_key(key: str, option: str) -> None:
    """Raise for a key that is not a valid option of a node."""
    if key in _OWN:
        raise checks.invalid(f"{option}.{key}", "is set by the role for each node", "leave it out")
    if key in _OF_KUBEADM:
        fix = "take over what it holds into kic_cluster_configuration, which is the same for all nodes"
        raise checks.invalid(f"{option}.{key}", "is not an option of kic_node", fix)
    if key in _MEANT:
        written = _FORMS.get(_MEANT[key])
        fix = f"write {_MEANT[key]}" + (f", each as {written[1]}" if written else "")
        raise checks.invalid(f"{option}.{key}", "is not an option of kic_node", fix)
    if key not in NODE_OPTIONS:
        close = checks.closest(str(key), NODE_OPTIONS)
        fix = f"write {close}, or leave it out" if close else f"use {', '.join(sorted(NODE_OPTIONS))}"
        raise checks.invalid(f"{option}.{key}", "is not an option of kic_node", fix)


def _check_size(node: Mapping[str, Any], option: str, given: Mapping[str, Any]) -> None:
    """Refuse more than the machine has; all problems of it."""
    problems = checks.Problems()
    problems.take(_check_cpus, node.get("cpus"), f"{option}.cpus", given)
    problems.take(_check_most_memory, node.get("memory"), f"{option}.memory", given)
    problems.finish()


def _check_cpus(cpus: Any, option: str, given: Mapping[str, Any]) -> None:
    facts = _facts(given)
    have = int(facts["cpus"]) if facts else 100_000
    if cpus is not None and number(option, cpus) > have:
        problem = f"{cpus} is more than the {have} processors of this machine"
        raise checks.invalid(option, problem, f"set it to {have} or less")


def _check_most_memory(memory: Any, option: str, given: Mapping[str, Any]) -> None:
    facts = _facts(given)
    most = int(facts["memory"]) if facts else math.inf
    if memory is not None and checks.size(option, str(memory)) > most:
        problem = f"{memory} is more than the {int(most) >> 20} MiB of this machine"
        raise checks.invalid(option, problem, "set it to less")


def _facts(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the engine; {} where none was there yet when they were taken (check mode)."""
    facts: Mapping[str, Any] = given.get("engine_facts") or {}
    return facts if facts.get("version") != "0" else {}


def _check_ports(variable: str, options: Mapping[str, Any], using: Sequence[Declared]) -> None:
    fixed = [item for item in options.get("publish") or () if isinstance(item, Mapping) and item.get("host_port")]
    if fixed and len(using) > 1:
        what = "workers" if using[0].role == WORKER else "control planes"
        problem = f"its host_port can lead to one node, and {len(using)} {what} would have it"
        fix = "leave host_port out to have free ones chosen, or publish it of one node in kic_cluster_nodes"
        raise checks.invalid(f"kic_cluster_{variable}.publish", problem, fix)


def _check_memory(plane: Declared, given: Mapping[str, Any]) -> None:
    facts = _facts(given)
    memory, minimum = plane.options.get("memory"), f"{CONTROL_PLANE_MEMORY // 1000 // 1000} MB"
    if memory is not None:
        option = f"{plane.sources['memory']}.memory"
        if checks.size(option, str(memory)) < CONTROL_PLANE_MEMORY:
            written = f"{memory} bytes" if str(memory).isdigit() else memory
            problem = f"{written} is less than the {minimum} that a control plane of Kubernetes needs"
            fix = "set it to 2g or more"
            if plane.sources["memory"] == ALL:
                fix += ", or give less to the workers alone: kic_cluster_worker_node"
            raise checks.invalid(option, problem, fix)
    elif facts and int(facts["memory"]) < CONTROL_PLANE_MEMORY:
        problem = f"this machine has {int(facts['memory']) >> 20} MiB, a control plane of Kubernetes needs {minimum}"
        raise checks.invalid(f"{ALL}.memory", problem, "use a machine with more memory")
