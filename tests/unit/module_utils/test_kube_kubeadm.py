# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes on a node: what is planned for what was seen, and what is said to the node while it is done."""

from __future__ import annotations

import base64
import io
import ipaddress
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._command import TIMED_OUT, CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Drift, Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container, Limits
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.access.balancer import configuration
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import (
    kubeadm,
    kubeadm_plan,
    kubeadm_run,
    staging,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.alone import (
    BUSY,
    only_run,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.configuration import NodeFacts
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import (
    RECORD,
    RENEWED,
    ApiNode,
    Seen,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network import kic
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.connect import node_addresses
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.kic import State
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.certificates import PATHS, Certificate
from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import MemoryEngine, Unplugged, der, fails

CONTROL_PLANE = "lab-control-plane-1"
SECOND = "lab-control-plane-2"
WORKER = "lab-worker-1"
PKI = "/etc/kubernetes/pki/"
MANIFESTS = "/etc/kubernetes/manifests/"
ETC = "/etc/kubernetes"
ROTATED = "/var/lib/kubelet/pki/kubelet-server-current.pem"
ROLE = "node-role.kubernetes.io/control-plane"
TAINT = f"{ROLE}:NoSchedule"
TOKEN = "abcdef.0123456789abcdef"

# Written out here, not taken from the code: this is what kubeadm leaves, and which step makes it.
AUTHORITIES = (
    *(f"{PKI}ca.crt", f"{PKI}ca.key", f"{PKI}front-proxy-ca.crt", f"{PKI}front-proxy-ca.key"),
    *(f"{PKI}etcd/ca.crt", f"{PKI}etcd/ca.key", f"{PKI}sa.key", f"{PKI}sa.pub"),
)
LEAVES = tuple(
    f"{PKI}{name}.{kind}"
    for name in (
        *("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client"),
        *("etcd/server", "etcd/peer", "etcd/healthcheck-client"),
    )
    for kind in ("crt", "key")
)
FILES = {
    **dict.fromkeys(LEAVES, "certificates"),
    **{f"/etc/kubernetes/{n}.conf": "kubeconfigs" for n in ("admin", "controller-manager", "scheduler", "kubelet")},
    f"{MANIFESTS}etcd.yaml": "etcd",
    **{f"{MANIFESTS}kube-{n}.yaml": "control-plane" for n in ("apiserver", "controller-manager", "scheduler")},
    "/var/lib/kubelet/config.yaml": "kubelet",
    "/var/lib/kubelet/kubeadm-flags.env": "kubelet",
}
OBJECTS = {
    "ConfigMap/kubeadm-config": "upload-config",
    "ConfigMap/kubelet-config": "upload-config",
    "ClusterRoleBinding/kubeadm:get-nodes": "bootstrap-token",
    "ServiceAccount/coredns": "coredns",
    "ConfigMap/coredns": "coredns",
    "Deployment/coredns": "coredns",
    "Service/kube-dns": "coredns",
    "ClusterRole/system:coredns": "coredns",
    "ClusterRoleBinding/system:coredns": "coredns",
    "ServiceAccount/kube-proxy": "kube-proxy",
    "ConfigMap/kube-proxy": "kube-proxy",
    "DaemonSet/kube-proxy": "kube-proxy",
    "ClusterRoleBinding/kubeadm:node-proxier": "kube-proxy",
}
LOCAL_STEPS = ["certificates", "kubeconfigs", "etcd", "control-plane", "kubelet"]
API_STEPS = [
    *("upload-config", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "coredns", "kube-proxy"),
]

PARAMS: dict[str, Any] = {
    "state": "initialized",
    "node": CONTROL_PLANE,
    "cluster": "lab",
    "control_plane": None,
    "kubernetes_version": None,
    "pod_subnet": "10.244.0.0/16",
    "service_subnet": "10.96.0.0/16",
    "api_sans": [],
    "endpoint": None,
    "schedulable": True,
    "configuration": None,
    "patches": None,
    "manifests": [],
    "timeout": 600,
    "scripts": node_scripts(),
}
FACTS = NodeFacts(version="v1.35.4", cgroup_version=2, systemd_cgroup=True, lowers_oom_score=True, user_namespace=False)
NO_FILES, DIFFERS, NO_PROGRAM = State("none"), State("differs", "0123"), State()
API_NODE = ApiNode(
    name=CONTROL_PLANE,
    ready=True,
    why="",
    version="v1.35.4",
    address="192.168.128.2",
    labels={ROLE: ""},
    taints=(),
    pod_cidrs=("10.244.0.0/24",),
)
HOSTS = "192.168.128.2 lab.kic.internal\n"
NODE_OBJECTS: list[dict[str, Any]] = [
    {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:0{number}Z"},
        "spec": {"podCIDRs": [f"10.244.{number}.0/24"]},
        "status": {},
    }
    for number, name in enumerate((CONTROL_PLANE, WORKER))
]
MANIFEST = {"name": "storage", "content": "kind: StorageClass"}


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd has taken the control group of every node here."""
    monkeypatch.setattr(boot, "read", lambda _path: "0::/machine.slice/libpod-x.scope/init.scope\n")


def spec(**changes: Any) -> kubeadm_plan.KubeadmSpec:
    """A control plane as it was requested, but for ``changes`` of the parameters."""
    return kubeadm_plan.KubeadmSpec.from_params({**PARAMS, **changes})


def worker(**changes: Any) -> kubeadm_plan.KubeadmSpec:
    """A worker as it was requested."""
    return spec(**{"state": "joined", "node": WORKER, "control_plane": CONTROL_PLANE, **changes})


def plane(**changes: Any) -> kubeadm_plan.KubeadmSpec:
    """A control plane that joins another one."""
    own = {"state": "joined", "role": "control-plane", "node": SECOND, "control_plane": CONTROL_PLANE}
    return spec(**{**own, "planes": [CONTROL_PLANE, SECOND], **changes})


def seen(asked: kubeadm_plan.KubeadmSpec | None = None, **changes: Any) -> Seen:
    """What a look finds at a control plane that is done."""
    whole = Seen(
        boot=Boot("running"),
        facts=FACTS,
        stands=frozenset((*AUTHORITIES, *FILES)),
        record={"version": 1, "state": "initialized", "asked": (asked or spec()).asked},
        hosts=HOSTS,
        names="127.0.0.1 localhost\n" + HOSTS,
        rotating=True,
        network=State("fits", "0123"),
        api=True,
        api_error="",
        objects=frozenset(OBJECTS),
        node=API_NODE,
    )
    return replace(whole, **changes)


def seen_worker(**changes: Any) -> Seen:
    """What a look finds at a worker that has joined."""
    return seen(
        **{
            "stands": frozenset(("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml")),
            "record": {"version": 1, "state": "joined", "asked": worker().asked},
            "node": replace(API_NODE, name=WORKER, labels={}, address="192.168.128.3"),
            **changes,
        }
    )


def seen_plane(**changes: Any) -> Seen:
    """What a look finds at a control plane that has joined."""
    hosts = "192.168.128.4 lab.kic.internal\n192.168.128.2 lab.kic.internal\n"
    own = {"hosts": hosts, "names": f"127.0.0.1 localhost\n{hosts}", "members": frozenset((CONTROL_PLANE, SECOND))}
    return seen(**{**own, "node": replace(API_NODE, name=SECOND, address="192.168.128.4"), **changes})


def fresh(**changes: Any) -> Seen:
    """What a look finds at a node that was just made."""
    return seen(
        **{
            "stands": frozenset(),
            "record": {},
            "hosts": "",
            "names": "127.0.0.1 localhost\n",
            "rotating": False,
            "network": NO_FILES,
            "api": False,
            "api_error": "no administrator configuration",
            "objects": frozenset(),
            "node": None,
            **changes,
        }
    )


def container(name: str = CONTROL_PLANE, address: str = "192.168.128.2", **changes: Any) -> Container:
    """A node's container that runs."""
    role = "worker" if "worker" in name else "control-plane"
    found = Container(
        id=name,
        name=name,
        image_id="sha256:0",
        image_name="kic-node",
        status="running",
        pid=1,
        exit_code=0,
        error="",
        oom_killed=False,
        labels={labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ROLE: role, labels.ADDRESS: address},
        environment={},
        addresses={"lab": (address,)},
        runtime="crun",
        limits=Limits(),
    )
    return replace(found, **changes)


SECOND_CONTAINER = container(SECOND, "192.168.128.4")


def observed(found: Seen, **changes: Any) -> kubeadm_plan.Observed:
    """A look at the control plane."""
    whole = kubeadm_plan.Observed(container(), found, ("192.168.128.2",), ("192.168.128.2",))
    return replace(whole, **changes)


def observed_plane(found: Seen, **changes: Any) -> kubeadm_plan.Observed:
    """A look at the second control plane."""
    own = {"container": SECOND_CONTAINER, "addresses": ("192.168.128.4",), "planes": {CONTROL_PLANE: "192.168.128.2"}}
    return observed(found, **{**own, "api_addresses": ("192.168.128.4", "192.168.128.2"), **changes})


def steps(plan: Plan) -> list[str]:
    """The steps of a plan, in their order."""
    assert all((action.verb, action.kind) == ("run", "step") for action in plan.actions)
    return [action.name for action in plan.actions]


# What a user may write.
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"node": "Lab_1"}, "node: ", id="node"),
        pytest.param({"cluster": "-lab"}, "cluster: ", id="cluster"),
        pytest.param({"pod_subnet": "10.244.0.0"}, "pod_subnet: '10.244.0.0' is not a CIDR", id="pods-no-cidr"),
        pytest.param(
            {"service_subnet": "10.96.0.1/16"}, "service_subnet: '10.96.0.1/16' has host bits", id="host-bits"
        ),
        pytest.param({"pod_subnet": "10.0.0.0/16,10.1.0.0/16"}, "pod_subnet: ", id="two-of-a-version"),
        pytest.param({"pod_subnet": "10.0.0.0/16,fd00::/64,fd01::/64"}, "pod_subnet: ", id="three"),
        pytest.param({"pod_subnet": "10.0.0.0/8"}, "pod_subnet: 10.0.0.0/8 overlaps the service range", id="overlap"),
        pytest.param(
            {"pod_subnet": "10.244.0.0/16,fd00::/56", "service_subnet": "10.96.0.0/16,fd00::/112"},
            "pod_subnet: fd00::/56 overlaps",
            id="overlap-of-ipv6",
        ),
        pytest.param({"kubernetes_version": "1.35"}, "kubernetes_version: 'v1.35' is not a version", id="version"),
        pytest.param({"kubernetes_version": "latest"}, "kubernetes_version: ", id="version-word"),
        pytest.param({"endpoint": "lab"}, "endpoint: 'lab' is not a domain name", id="endpoint-bare"),
        pytest.param({"endpoint": "lab.kic;reboot"}, "endpoint: ", id="endpoint-shell"),
        pytest.param({"endpoint": "lab.kic\nx"}, "endpoint: ", id="endpoint-line"),
        pytest.param({"timeout": 0}, "timeout: is not a time", id="timeout"),
        pytest.param({"configuration": {"Pod": {}}}, "configuration: ", id="configuration"),
        pytest.param({"patches": {"x": ""}}, "patches: ", id="patches"),
        pytest.param(
            {"manifests": [{"name": "a b", "content": "x"}]}, "manifests: 'a b' is not a name", id="manifest-name"
        ),
    ],
)
def test_spec_refused(changes: dict[str, Any], said: str) -> None:
    """What cannot be is refused with the option's name before anything is looked at."""
    with pytest.raises(KicError) as caught:
        spec(**changes)
    assert caught.value.diagnosis.id == "invalid_option"
    assert caught.value.diagnosis.cause.startswith(said)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), ("1.35.4", "v1.35.4"), ("v1.35.4", "v1.35.4"), ("1.36.0-rc.1", "v1.36.0-rc.1")],
    ids=["none", "bare", "with-v", "candidate"],
)
def test_spec_version(given: str | None, expected: str | None) -> None:
    """A version is understood with and without its v."""
    assert spec(kubernetes_version=given).version == expected


def test_spec_of_a_control_plane() -> None:
    """A control plane asks itself, its name is the cluster's, and empty fields of manifests are gone."""
    found = spec(control_plane="other", manifests=[{"name": "a", "content": "x", "path": None}])
    assert found.control_plane == CONTROL_PLANE
    assert found.shape.endpoint == "lab.kic.internal"
    assert found.manifests == ({"name": "a", "content": "x"},)


def test_spec_of_a_worker() -> None:
    """A worker asks the control plane and applies no manifests."""
    found = worker(manifests=[MANIFEST], endpoint="api.example.org")
    assert (found.control_plane, found.manifests) == (CONTROL_PLANE, ())
    assert found.shape.endpoint == "api.example.org"


@pytest.mark.parametrize(
    ("asked", "is_plane", "record_state"),
    [
        pytest.param(spec(), True, "initialized", id="first"),
        pytest.param(plane(), True, "initialized", id="joins"),
        pytest.param(worker(), False, "joined", id="worker"),
        pytest.param(spec(role="worker"), True, "initialized", id="the-state-decides"),
    ],
)
def test_all_control_planes_are_equal(asked: kubeadm_plan.KubeadmSpec, is_plane: bool, record_state: str) -> None:
    """When a run was through with them: each can be asked, and be the one that others join."""
    assert (asked.is_plane, asked.record_state) == (is_plane, record_state)


def test_spec_dual_stack() -> None:
    """One range of each IP version is a cluster of both."""
    found = spec(pod_subnet="10.244.0.0/16,fd00:1::/56", service_subnet="10.96.0.0/16,fd00:2::/112")
    assert found.shape.pod_subnet == "10.244.0.0/16,fd00:1::/56"


# Plans of a control plane.
def test_done_is_done() -> None:
    """Nothing is planned for a control plane at which everything stands."""
    plan = kubeadm_plan.plan_initialized(spec(), observed(seen()))
    assert plan.actions == () and not plan.drift
    assert plan.before == plan.after == {"state": "initialized", "missing": []}


def test_fresh_node() -> None:
    """All steps are planned for a node that was just made, in kubeadm's order, and manifests with them."""
    plan = kubeadm_plan.plan_initialized(spec(manifests=[MANIFEST]), observed(fresh()))
    assert steps(plan) == ["hosts", *LOCAL_STEPS, *API_STEPS, "manifest-storage"]
    assert plan.before == {"state": "absent", "missing": steps(plan)}
    assert plan.after == {"state": "initialized", "missing": []}


@pytest.mark.parametrize(("path", "step"), FILES.items(), ids=[path.replace("/", "_") for path in FILES])
def test_missing_file(path: str, step: str) -> None:
    """A file that is missing leads to its step and to no other."""
    found = seen(stands=frozenset((*AUTHORITIES, *FILES)) - {path})
    assert steps(kubeadm_plan.plan_initialized(spec(), observed(found))) == [step]


@pytest.mark.parametrize(("name", "step"), OBJECTS.items(), ids=[name.replace("/", "_") for name in OBJECTS])
def test_missing_object(name: str, step: str) -> None:
    """An object that is missing leads to its step and to no other."""
    found = seen(objects=frozenset(OBJECTS) - {name})
    assert steps(kubeadm_plan.plan_initialized(spec(), observed(found))) == [step]


@pytest.mark.parametrize("path", AUTHORITIES, ids=[path.replace("/", "_") for path in AUTHORITIES])
def test_authority_lost(path: str) -> None:
    """What everything is signed with is never made again in a cluster that is done: the loss is told."""
    found = seen(stands=frozenset((*AUTHORITIES, *FILES)) - {path})
    with pytest.raises(KicError) as caught:
        kubeadm_plan.plan_initialized(spec(), observed(found))
    assert caught.value.diagnosis.id == "authority_lost"
    assert f"{CONTROL_PLANE} lacks {path}." in caught.value.diagnosis.cause


@pytest.mark.parametrize("path", AUTHORITIES, ids=[path.replace("/", "_") for path in AUTHORITIES])
def test_authority_missing_before_the_end(path: str) -> None:
    """As long as no run was through, an authority that is missing is made."""
    found = seen(stands=frozenset((*AUTHORITIES, *FILES)) - {path}, record={})
    plan = kubeadm_plan.plan_initialized(spec(), observed(found))
    assert steps(plan) == ["certificates"]
    assert plan.before["state"] == "partial"


def test_only_the_record_is_missing() -> None:
    """A run that was ended before its last word writes that word and nothing else."""
    assert steps(kubeadm_plan.plan_initialized(spec(), observed(seen(record={})))) == ["record"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"rotating": False}, ["kubelet-finalize"], id="kubelet-certificate"),
        pytest.param({"node": replace(API_NODE, labels={})}, ["mark-control-plane"], id="role-label"),
        pytest.param({"node": None}, ["mark-control-plane"], id="node-not-in-the-api"),
        pytest.param({"hosts": "", "names": ""}, ["hosts"], id="cluster-name"),
        pytest.param({"network": NO_FILES}, ["pod-network"], id="pod-network-never-written"),
        pytest.param({"network": DIFFERS}, ["pod-network"], id="pod-network-broken"),
        pytest.param({"network": NO_FILES, "node": replace(API_NODE, pod_cidrs=())}, [], id="no-range-yet"),
        pytest.param({"network": NO_PROGRAM}, [], id="pod-network-of-the-user"),
        pytest.param({"network": NO_FILES, "record": {}}, ["record"], id="pod-network-comes-with-the-rest"),
        pytest.param({"node": replace(API_NODE, ready=False)}, [], id="not-ready-is-no-step"),
    ],
)
def test_broken_part(changes: dict[str, Any], expected: list[str]) -> None:
    """A part that is broken is repaired alone; what is not ours to repair is left."""
    assert steps(kubeadm_plan.plan_initialized(spec(), observed(seen(**changes)))) == expected


def test_api_that_does_not_answer() -> None:
    """Of a node that is not whole, what the API does not answer for is not complete; what the node itself shows still is. Of a
    complete one nothing is known until its API answers, which may start just now."""
    silent: dict[str, Any] = {"api": False, "api_error": "refused", "objects": frozenset(), "node": None}
    asked = spec(manifests=[MANIFEST])
    plan = kubeadm_plan.plan_initialized(asked, observed(seen(**silent, record={})))
    expected = ["upload-config", "mark-control-plane", "bootstrap-token", "coredns", "kube-proxy", "manifest-storage"]
    assert steps(plan) == expected
    for changes in ({}, {MANIFEST["name"]: REFUSED}):
        plan = kubeadm_plan.plan_initialized(asked, observed(seen(**silent, changes=changes)))
        assert not steps(plan) and "does not answer" in plan.warnings[0]
    assert steps(kubeadm_plan.plan_initialized(asked, observed(seen(**silent, hosts="")))) == ["hosts"]


@pytest.mark.parametrize(
    ("schedulable", "taints", "expected"),
    [
        pytest.param(True, (), [], id="takes-pods-and-shall"),
        pytest.param(True, (TAINT,), ["schedulable"], id="takes-none-but-shall"),
        pytest.param(False, (TAINT,), [], id="takes-none-and-shall-not"),
        pytest.param(False, (), ["schedulable"], id="takes-pods-but-shall-not"),
        pytest.param(True, ("other:NoSchedule",), [], id="taint-of-the-user"),
        pytest.param(False, ("other:NoSchedule",), ["schedulable"], id="only-a-taint-of-the-user"),
        pytest.param(True, (f"{ROLE}:NoExecute",), [], id="other-effect"),
    ],
)
def test_schedulable(schedulable: bool, taints: tuple[str, ...], expected: list[str]) -> None:
    """The control plane's own taint comes and goes with the option; others are the user's."""
    found = seen(node=replace(API_NODE, taints=taints))
    assert steps(kubeadm_plan.plan_initialized(spec(schedulable=schedulable), observed(found))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"storage": "storageclass/standard unchanged (server dry run)\n"}, [], id="unchanged"),
        pytest.param(
            {"storage": "storageclass/standard configured (server dry run)\n"}, ["manifest-storage"], id="changed"
        ),
        pytest.param(
            {"storage": "storageclass/standard created (server dry run)\n"}, ["manifest-storage"], id="missing"
        ),
        pytest.param({"storage": "failed\nerror: no such kind\n"}, ["manifest-storage"], id="failed"),
        pytest.param({}, [], id="file-the-node-has-not"),
    ],
)
def test_manifests(changes: dict[str, str], expected: list[str]) -> None:
    """A manifest is applied when an apply would change something, and the others are left."""
    found = seen(changes={"other": "x unchanged\n", **changes})
    plan = kubeadm_plan.plan_initialized(spec(manifests=[{"name": "other", "content": "x"}, MANIFEST]), observed(found))
    assert steps(plan) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a unchanged\nb unchanged (server dry run)\n", True, id="all"),
        pytest.param("Warning: old\na unchanged\n\n", True, id="warning-and-empty-line"),
        pytest.param("a unchanged\nb created\n", False, id="one-created"),
        pytest.param("a configured (server dry run)\n", False, id="configured"),
        pytest.param("a unchanged\nfailed\n", False, id="failed"),
        pytest.param("", False, id="nothing-said"),
        pytest.param("Warning: old\n", False, id="only-a-warning"),
        pytest.param("unchanged-thing configured\n", False, id="word-in-a-name"),
    ],
)
def test_unchanged(text: str, expected: bool) -> None:
    """An apply changes nothing only when it says so of every object."""
    assert kubeadm_plan.unchanged(text) is expected


@pytest.mark.parametrize(
    ("configuration", "gone", "expected"),
    [
        pytest.param({"InitConfiguration": {"skipPhases": ["addon/coredns"]}}, ["coredns"], [], id="one-addon"),
        pytest.param({"InitConfiguration": {"skipPhases": ["addon"]}}, ["coredns", "kube-proxy"], [], id="all-addons"),
        pytest.param(
            {"InitConfiguration": {"skipPhases": ["addon/coredns"]}},
            ["coredns", "kube-proxy"],
            ["kube-proxy"],
            id="not-the-other",
        ),
        pytest.param(
            {"InitConfiguration": {"skipPhases": ["upload-config"]}}, ["upload-config"], [], id="upload-config"
        ),
        pytest.param(
            {"InitConfiguration": {"skipPhases": ["bootstrap-token"]}}, ["bootstrap-token"], [], id="bootstrap-token"
        ),
        pytest.param({"ClusterConfiguration": {"dns": {"disabled": True}}}, ["coredns"], [], id="dns-disabled"),
        pytest.param({"ClusterConfiguration": {"proxy": {"disabled": True}}}, ["kube-proxy"], [], id="proxy-disabled"),
        pytest.param(
            {"ClusterConfiguration": {"proxy": {"disabled": True}}}, ["coredns"], ["coredns"], id="other-disabled"
        ),
        pytest.param(
            {"ClusterConfiguration": {"dns": {"disabled": False}}}, ["coredns"], ["coredns"], id="dns-enabled"
        ),
        pytest.param({"ClusterConfiguration": {"dns": {}}}, ["coredns"], ["coredns"], id="dns-not-said"),
    ],
)
def test_left_out_by_the_user(configuration: dict[str, Any], gone: list[str], expected: list[str]) -> None:
    """What the user leaves out is not missing, and what the user does not leave out is."""
    asked = spec(configuration=configuration)
    found = seen(asked, objects=frozenset(name for name, step in OBJECTS.items() if step not in gone))
    assert steps(kubeadm_plan.plan_initialized(asked, observed(found))) == expected


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("certs", "certificates"),
        ("kubeconfig", "kubeconfigs"),
        ("etcd", "etcd"),
        ("control-plane", "control-plane"),
        ("kubelet-start", "kubelet"),
    ],
    ids=["certs", "kubeconfig", "etcd", "control-plane", "kubelet-start"],
)
def test_phase_of_files_left_out(phase: str, step: str) -> None:
    """A phase that leaves files in the node is not missed where the user leaves it out, and else it is."""
    gone = {path for path, name in FILES.items() if name == step}
    found = frozenset((*AUTHORITIES, *FILES)) - gone - (set(AUTHORITIES) if phase == "certs" else set())
    asked = spec(configuration={"InitConfiguration": {"skipPhases": [phase]}})
    assert steps(kubeadm_plan.plan_initialized(asked, observed(seen(asked, stands=found)))) == []
    assert steps(kubeadm_plan.plan_initialized(spec(), observed(seen(stands=found, record={})))) == [step]
    assert step not in steps(kubeadm_plan.plan_initialized(asked, observed(fresh())))


@pytest.mark.parametrize(
    ("phase", "changes"),
    [("mark-control-plane", {"node": replace(API_NODE, labels={})}), ("kubelet-finalize", {"rotating": False})],
    ids=["mark-control-plane", "kubelet-finalize"],
)
def test_phase_without_object_left_out(phase: str, changes: dict[str, Any]) -> None:
    """Phases that leave no object of their own can be left out too."""
    asked = spec(configuration={"InitConfiguration": {"skipPhases": [phase]}})
    assert steps(kubeadm_plan.plan_initialized(asked, observed(seen(asked, **changes)))) == []


@pytest.mark.parametrize(
    ("asked", "found", "condition"),
    [
        pytest.param(None, "v1.35.4", "", id="none-asked"),
        pytest.param("1.35.4", "v1.35.4", "", id="same"),
        pytest.param("1.35.5", "v1.35.4", "version_differs", id="other-patch"),
        pytest.param("1.35.4", "v1.34.0", "version_differs", id="other-minor"),
        pytest.param(None, "v1.31.0", "", id="oldest"),
        pytest.param(None, "v1.30.14", "version_too_old", id="too-old"),
        pytest.param("1.30.14", "v1.30.14", "version_too_old", id="too-old-and-asked-for"),
        pytest.param(None, "unknown", "version_too_old", id="no-version"),
    ],
)
def test_versions(asked: str | None, found: str, condition: str) -> None:
    """An image of another or of too old a Kubernetes is refused by both plans, with the versions in the message."""
    node = replace(FACTS, version=found)
    for plan, one, whole in (
        (kubeadm_plan.plan_initialized, spec(kubernetes_version=asked), seen(facts=node)),
        (kubeadm_plan.plan_joined, worker(kubernetes_version=asked), seen_worker(facts=node)),
    ):
        if not condition:
            assert not plan(one, observed(whole)).actions
            continue
        with pytest.raises(KicError) as caught:
            plan(one, observed(whole))
        assert caught.value.diagnosis.id == condition
        assert found in caught.value.diagnosis.cause


@pytest.mark.parametrize(
    ("changes", "field", "value", "before"),
    [
        pytest.param({"endpoint": "api.lab.example"}, "endpoint", "api.lab.example", "lab.kic.internal", id="endpoint"),
        pytest.param({"pod_subnet": "10.1.0.0/16"}, "pod_subnet", "10.1.0.0/16", "10.244.0.0/16", id="pods"),
        pytest.param({"service_subnet": "10.2.0.0/16"}, "service_subnet", "10.2.0.0/16", "10.96.0.0/16", id="services"),
        pytest.param({"api_sans": ["b", "a"]}, "api_sans", ["a", "b"], [], id="names"),
        pytest.param(
            {"configuration": {"KubeletConfiguration": {"maxPods": 5}}},
            "configuration",
            {"KubeletConfiguration": {"maxPods": 5}},
            {},
            id="configuration",
        ),
        pytest.param({"patches": {"etcd.json": {"a": 1}}}, "patches", {"etcd.json": '{"a": 1}'}, {}, id="patches"),
    ],
)
def test_drift(changes: dict[str, Any], field: str, value: Any, before: Any) -> None:
    """A setting that kubeadm does not change later is reported as drift and leads to no step of its own."""
    asked = spec(**changes)
    found = seen()
    assert kubeadm_plan.find_drift(asked, found) == (Drift(field, value, before),)
    if field != "endpoint":
        plan = kubeadm_plan.plan_initialized(asked, observed(found))
        assert plan.drift == (Drift(field, value, before),) and not plan.actions


def test_the_pod_subnet_that_a_cluster_was_made_with() -> None:
    """Where another one is declared now, that is drift: nodes that join get ranges of the one that is there, and are connected by it."""
    other = "10.20.0.0/16"
    done = kubeadm.converge_kubeadm(spec(pod_subnet=other), Fake(container(), looks=[seen()]), check_mode=False)
    assert kubeadm.made_with(done, other) == spec().shape.pod_subnet != other
    new = kubeadm.converge_kubeadm(spec(pod_subnet=other), Fake(container(), looks=[fresh()]), check_mode=True)
    assert kubeadm.made_with(new, other) == other
    seam = kubeadm.KubeadmResource(spec(pod_subnet=other), Fake(container())).seam
    assert seam.pod_network.pods == ""


SECRETS: list[dict[str, Any]] = [
    {"InitConfiguration": {"bootstrapTokens": [{"token": "S3CRET"}]}},
    {"InitConfiguration": {"certificateKey": "S3CRET"}},
    {"ClusterConfiguration": {"apiServer": {"extraEnvs": [{"name": "HTTPS_PROXY", "value": "http://u:S3CRET@p"}]}}},
]


def test_how_others_join_is_no_drift() -> None:
    """A mistake there is found by the first worker, and its correction is for the next one: the control plane stays as it is."""
    kubelet = {"KubeletConfiguration": {"maxPods": 5}}
    record = {
        "version": 1,
        "state": "initialized",
        "asked": spec(configuration={"JoinConfiguration": {"x": 1}, **kubelet}).asked,
    }
    for given in (kubelet, {"JoinConfiguration": {"discovery": {"tlsBootstrapToken": "S3CRET"}}, **kubelet}):
        assert kubeadm_plan.find_drift(spec(configuration=given), seen(record=record)) == ()
    (drift,) = kubeadm_plan.find_drift(
        spec(configuration={"KubeletConfiguration": {"maxPods": 6}}), seen(record=record)
    )
    assert drift.field == "configuration"


@pytest.mark.parametrize("configuration", SECRETS, ids=lambda given: str(next(iter(given.values()))))
def test_drift_shows_no_secrets(configuration: dict[str, Any]) -> None:
    """What lets somebody into the cluster, and values of variables, are compared and not shown."""
    asked = spec(configuration=configuration)
    before = json.loads(json.dumps({"asked": asked.asked}))
    assert kubeadm_plan.find_drift(asked, seen(record=before)) == ()
    before = json.loads(json.dumps(before).replace("S3CRET", "0THER"))
    for record in (before, {"asked": spec().asked}):
        (drift,) = kubeadm_plan.find_drift(asked, seen(record=record))
        text = str(drift)
        assert drift.asked != drift.found and "S3CRET" not in text and "0THER" not in text
        assert next(iter(configuration)) in text


@pytest.mark.parametrize(
    ("asked", "record"),
    [
        pytest.param(spec(api_sans=["b", "a"]), {"asked": spec(api_sans=["a", "b"]).asked}, id="order-of-names"),
        pytest.param(spec(schedulable=False), {"asked": spec().asked}, id="what-is-repaired"),
        pytest.param(spec(timeout=5), {"asked": spec().asked}, id="what-is-not-kept"),
        pytest.param(spec(pod_subnet="10.1.0.0/16"), {}, id="no-record"),
        pytest.param(spec(pod_subnet="10.1.0.0/16"), {"state": "initialized"}, id="record-without-words"),
        pytest.param(spec(patches={"etcd.json": ""}), {"asked": {"endpoint": "lab.kic.internal"}}, id="older-record"),
        pytest.param(worker(pod_subnet="10.1.0.0/16"), {"asked": worker().asked}, id="cluster-setting-at-a-worker"),
    ],
)
def test_no_drift(asked: kubeadm_plan.KubeadmSpec, record: dict[str, Any]) -> None:
    """What is the same, is repaired, was never recorded or is not of this node is no drift."""
    assert kubeadm_plan.find_drift(asked, seen(record=record)) == ()


def test_record_survives_its_file() -> None:
    """What a run records is, read back from JSON, no drift for the same words."""
    asked = spec(
        api_sans=["b", "a"],
        configuration=[{"kind": "ClusterConfiguration", "apiServer": {"certSANs": ["x"]}}],
        patches={"etcd.json": {"a": 1}},
    )
    record = json.loads(json.dumps({"asked": asked.asked}))
    assert kubeadm_plan.find_drift(asked, seen(record=record)) == ()


# Plans of a worker and of a reset.
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(seen_worker(), [], id="done"),
        pytest.param(fresh(), ["hosts", "join"], id="fresh"),
        pytest.param(seen_worker(stands=frozenset(("/etc/kubernetes/kubelet.conf",))), ["join"], id="no-settings"),
        pytest.param(seen_worker(stands=frozenset(("/var/lib/kubelet/config.yaml",))), ["join"], id="no-kubeconfig"),
        pytest.param(seen_worker(record={}), ["join"], id="interrupted"),
        pytest.param(seen_worker(record={"state": "initialized"}), ["join"], id="was-something-else"),
        pytest.param(seen_worker(node=None), ["reset", "join"], id="removed-from-the-api"),
        pytest.param(
            seen_worker(node=None, record={}, stands=frozenset(("/etc/kubernetes/pki/ca.crt",))),
            ["reset", "join"],
            id="authority-of-before",
        ),
        pytest.param(seen_worker(node=None, api=False), [], id="api-does-not-answer"),
        pytest.param(seen_worker(hosts=""), ["hosts"], id="cluster-name"),
        pytest.param(seen_worker(network=NO_FILES), ["pod-network"], id="pod-network-never-written"),
        pytest.param(seen_worker(network=DIFFERS), ["pod-network"], id="pod-network-broken"),
        pytest.param(seen_worker(network=NO_PROGRAM), [], id="pod-network-of-the-user"),
        pytest.param(seen_worker(network=NO_FILES, node=None), ["reset", "join"], id="join-comes-first"),
        pytest.param(seen_worker(rotating=False, objects=frozenset()), [], id="what-is-of-control-planes"),
    ],
)
def test_joined(found: Seen, expected: list[str]) -> None:
    """A worker joins when it is no part of the cluster, and else only what is broken is repaired."""
    plan = kubeadm_plan.plan_joined(worker(), observed(found))
    assert steps(plan) == expected
    assert plan.after == {"state": "joined", "missing": []}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(seen_plane(), [], id="done"),
        pytest.param(fresh(), ["hosts", "join"], id="fresh"),
        pytest.param(fresh(api=True), ["hosts", "join"], id="fresh-and-the-api-answers"),
        pytest.param(
            seen_plane(record={}, node=None, stands=frozenset((f"{PKI}ca.crt",))), ["reset", "join"], id="one-file"
        ),
        pytest.param(seen_plane(record={}), ["reset", "join"], id="interrupted"),
        pytest.param(seen_plane(record={}, api=False, node=None), ["reset", "join"], id="interrupted-and-no-answer"),
        pytest.param(seen_plane(record={"state": "joined"}), ["reset", "join"], id="was-a-worker"),
        pytest.param(seen_plane(node=None), ["reset", "join"], id="removed-from-the-api"),
        pytest.param(seen_plane(api=False, node=None), [], id="api-does-not-answer"),
        *(
            pytest.param(seen_plane(stands=frozenset((*AUTHORITIES, *FILES)) - {path}), [step], id=f"no-{step}")
            for path, step in (
                (f"{MANIFESTS}etcd.yaml", "etcd"),
                (f"{MANIFESTS}kube-apiserver.yaml", "control-plane"),
                (f"{PKI}etcd/peer.crt", "certificates"),
                ("/etc/kubernetes/admin.conf", "kubeconfigs"),
                ("/var/lib/kubelet/config.yaml", "kubelet"),
            )
        ),
        pytest.param(seen_plane(hosts=""), ["hosts"], id="cluster-name"),
        pytest.param(seen_plane(rotating=False), ["kubelet-finalize"], id="kubelet-certificate"),
        pytest.param(
            seen_plane(node=replace(API_NODE, name=SECOND, labels={})), ["mark-control-plane"], id="role-label"
        ),
        pytest.param(
            seen_plane(node=replace(API_NODE, name=SECOND, taints=(TAINT,))), ["schedulable"], id="takes-no-pods"
        ),
        pytest.param(seen_plane(network=DIFFERS), ["pod-network"], id="pod-network-broken"),
        pytest.param(seen_plane(members=frozenset((CONTROL_PLANE,))), ["reset", "join"], id="no-member-of-etcd"),
        pytest.param(
            seen_plane(members=frozenset(), node=replace(API_NODE, name=SECOND, leaving=True)),
            ["reset", "join", "uncordon"],
            id="no-member-and-was-to-leave",
        ),
        pytest.param(seen_plane(members=None), [], id="members-not-known"),
        pytest.param(seen_plane(members=frozenset(), api=False, node=None), [], id="no-member-and-no-answer"),
        pytest.param(seen_plane(objects=frozenset()), [], id="objects-are-the-others-to-make"),
        pytest.param(
            seen_plane(objects=frozenset(), stands=frozenset((*AUTHORITIES, *FILES)) - {f"{MANIFESTS}etcd.yaml"}),
            ["etcd"],
            id="no-etcd-and-objects-are-the-others-to-make",
        ),
    ],
)
def test_joined_control_plane(found: Seen, expected: list[str]) -> None:
    """What was begun is undone before it joins, as etcd and kubelet keep what they had; what a run was through with is repaired
    part by part."""
    plan = kubeadm_plan.plan_joined(plane(), observed_plane(found))
    assert steps(plan) == expected
    assert plan.after == {"state": "joined", "missing": []}


@pytest.mark.parametrize(("asked", "name"), [(spec(), CONTROL_PLANE), (plane(), SECOND)], ids=["asked", "joined"])
def test_a_control_plane_that_was_to_leave_takes_pods_again(asked: kubeadm_plan.KubeadmSpec, name: str) -> None:
    """Its mark is of a run that did not end."""
    found = seen_plane(node=replace(API_NODE, name=name, leaving=True))
    make = kubeadm_plan.plan_initialized if asked.state == "initialized" else kubeadm_plan.plan_joined
    assert "uncordon" in steps(make(asked, observed_plane(found)))


def test_members_are_asked_for_by_joined_control_planes_alone() -> None:
    """The one that is asked itself answers only with a majority of them; a worker is none."""
    for asked, expected in ((spec(), ""), (plane(), "yes"), (worker(), "")):
        engine = Fake(container(), SECOND_CONTAINER, WORKER_CONTAINER, looks=[seen()])
        kubeadm.KubeadmResource(asked, engine).seam.look()
        found = [word for _purpose, _node, command, _stdin in engine.calls[-1:] for word in command]
        assert f"MEMBERS={expected}" in found, asked.node


def test_a_control_plane_that_etcd_lost_joins_once_more() -> None:
    """What it remembers is undone first, as of one that the API forgot; it takes pods again."""
    leaving = replace(API_NODE, name=SECOND, address="192.168.128.4", leaving=True)
    engine = joining()
    engine.looks = [seen_plane(members=frozenset((CONTROL_PLANE,)), node=leaving)]
    found = kubeadm.converge_kubeadm(plane(), engine, check_mode=False)
    assert steps(found.plan) == ["reset", "join", "uncordon"]
    done = engine.done()
    order = [
        done.index(name) for name in ("reset", "etcd-remove", "authorities", "unready", "join", "record", "uncordon")
    ]
    assert order == sorted(order)
    (node,) = [node for purpose, node, _command, _stdin in engine.calls if purpose == "reset"]
    assert node == SECOND


def test_a_control_plane_that_is_asked_takes_pods_again() -> None:
    """Nothing else is done to it."""
    engine = Fake(container(), looks=[seen(node=replace(API_NODE, leaving=True))])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert steps(found.plan) == ["uncordon"]
    assert [purpose for purpose in engine.done() if purpose not in ("look", "record", "ready")] == ["uncordon"]


def test_authority_of_a_joined_control_plane_is_lost() -> None:
    """It is not made again there either."""
    found = seen_plane(stands=frozenset((*AUTHORITIES, *FILES)) - {f"{PKI}ca.key"})
    with fails("authority_lost", SECOND, f"{PKI}ca.key"):
        kubeadm_plan.plan_joined(plane(), observed_plane(found))


def test_joined_control_plane_whose_api_is_silent() -> None:
    """What it lacks is said by its own name, with the one that was asked."""
    plan = kubeadm_plan.plan_joined(plane(), observed_plane(seen_plane(api=False, node=None)))
    assert plan.warnings[-1].startswith(f"the API of {CONTROL_PLANE} does not answer: what {SECOND} lacks")


def test_joined_drift() -> None:
    """A worker reports another endpoint than it was made with."""
    plan = kubeadm_plan.plan_joined(worker(endpoint="api.lab.example"), observed(seen_worker()))
    assert plan.drift == (Drift("endpoint", "api.lab.example", "lab.kic.internal"),)
    assert steps(plan) == ["hosts"]


@pytest.mark.parametrize(
    ("found", "before"),
    [
        pytest.param(observed(seen()), {"state": "initialized"}, id="control-plane"),
        pytest.param(observed(seen_worker()), {"state": "joined"}, id="worker"),
        pytest.param(observed(seen(record={})), {"state": "partial"}, id="interrupted"),
        pytest.param(observed(fresh(network=DIFFERS)), {"state": "partial"}, id="only-pod-network"),
        pytest.param(observed(fresh(record={"state": "joined"})), {"state": "joined"}, id="only-record"),
    ],
)
def test_reset(found: kubeadm_plan.Observed, before: dict[str, str]) -> None:
    """Whatever is left of Kubernetes is undone."""
    plan = kubeadm_plan.plan_reset(found)
    assert steps(plan) == ["reset"]
    assert (plan.before, plan.after) == (before, {"state": "reset"})


@pytest.mark.parametrize("found", [observed(fresh())], ids=["nothing-there"])
def test_nothing_to_reset(found: kubeadm_plan.Observed) -> None:
    """Nothing is undone where nothing is."""
    assert not kubeadm_plan.plan_reset(found).operations


# Pure functions.
@pytest.mark.parametrize(
    ("addresses", "hosts", "names", "expected"),
    [
        pytest.param(("10.0.0.2",), "10.0.0.2 lab.kic.internal\n", "10.0.0.2 lab.kic.internal\n", True, id="both"),
        pytest.param(
            ("10.0.0.2",), "10.0.0.2 lab.kic.internal", "::1 x\n10.0.0.2 lab.kic.internal", True, id="no-line-end"
        ),
        pytest.param(("10.0.0.2",), "", "10.0.0.2 lab.kic.internal\n", False, id="not-after-a-start"),
        pytest.param(("10.0.0.2",), "10.0.0.2 lab.kic.internal\n", "", False, id="not-now"),
        pytest.param(
            ("10.0.0.9",), "10.0.0.2 lab.kic.internal\n", "10.0.0.2 lab.kic.internal\n", False, id="old-address"
        ),
        pytest.param(
            ("10.0.0.2", "fd00::2"),
            "10.0.0.2 lab.kic.internal\n",
            "10.0.0.2 lab.kic.internal\n",
            False,
            id="one-of-two",
        ),
        pytest.param(
            ("10.0.0.2", "fd00::2"),
            "10.0.0.2 lab.kic.internal\nfd00::2 lab.kic.internal\n",
            "10.0.0.2 lab.kic.internal\nfd00::2 lab.kic.internal\n",
            True,
            id="two-of-two",
        ),
        pytest.param(
            ("10.0.0.2",), "10.0.0.2 old.kic.internal\n", "10.0.0.2 old.kic.internal\n", False, id="other-name"
        ),
    ],
)
def test_endpoint_fits(addresses: tuple[str, ...], hosts: str, names: str, expected: bool) -> None:
    """The cluster's name must lead to its API now and after the next start."""
    found = seen_worker(hosts=hosts, names=names)
    assert kubeadm_plan.endpoint_fits(worker(), observed(found, api_addresses=addresses)) is expected
    own = observed(seen(hosts=hosts, names=names), api_addresses=addresses, addresses=addresses)
    assert kubeadm_plan.endpoint_fits(spec(), own) is expected


OWN, BEHIND = "192.168.128.4 lab.kic.internal\n", "192.168.128.2 lab.kic.internal\n"
DONE: dict[str, Any] = {"record": {"state": "initialized"}}


@pytest.mark.parametrize(
    ("hosts", "names", "record", "expected"),
    [
        pytest.param(OWN + BEHIND, OWN + BEHIND, {}, True, id="joins"),
        pytest.param(OWN, OWN, {}, False, id="joins-by-itself"),
        pytest.param(OWN + BEHIND, OWN + BEHIND, DONE, True, id="done"),
        pytest.param(OWN, OWN, DONE, True, id="done-alone"),
        pytest.param(OWN + "192.168.128.9 lab.kic.internal\n", OWN, DONE, True, id="joined-by-one-that-is-gone"),
        pytest.param(BEHIND + OWN, OWN, DONE, False, id="another-first"),
        pytest.param(OWN, BEHIND, DONE, False, id="not-now"),
        pytest.param("", OWN, DONE, False, id="not-after-a-start"),
    ],
)
def test_endpoint_of_a_control_plane(hosts: str, names: str, record: dict[str, Any], expected: bool) -> None:
    """It leads to its own API first. Those by which it joined may be gone when a run was through with it."""
    found = observed_plane(seen_plane(**{"record": {}, "hosts": hosts, "names": names, **record}))
    assert kubeadm_plan.endpoint_fits(plane(), found) is expected


LOCAL = "127.0.0.1 lab.kic.internal\n"
TO_PLANES = {CONTROL_PLANE: "192.168.128.2", SECOND: "192.168.128.4"}
BALANCED = configuration(TO_PLANES, ["127.0.0.1"])


@pytest.mark.parametrize(
    ("hosts", "balancer", "expected"),
    [
        pytest.param(LOCAL, BALANCED, True, id="fits"),
        pytest.param(LOCAL, BALANCED.rstrip("\n"), True, id="no-line-end"),
        pytest.param(LOCAL, "", False, id="not-configured"),
        pytest.param(LOCAL, configuration({CONTROL_PLANE: "192.168.128.2"}, ["127.0.0.1"]), False, id="one-more"),
        pytest.param(BEHIND + OWN, BALANCED, False, id="not-by-the-balancer"),
        pytest.param(BEHIND + OWN, None, True, id="cannot-have-one"),
        pytest.param(BEHIND, None, False, id="cannot-have-one-and-one-more"),
        pytest.param(LOCAL, None, False, id="has-lost-it"),
    ],
)
def test_endpoint_of_a_worker(hosts: str, balancer: str | None, expected: bool) -> None:
    """It leads to the load balancer on its loopback, which knows all control planes; without one to each of them."""
    found = observed(
        seen_worker(hosts=hosts, names=f"127.0.0.1 localhost\n{hosts}", balancer=balancer),
        api_addresses=("192.168.128.2", "192.168.128.4"),
        planes=TO_PLANES,
    )
    asked = worker(planes=[CONTROL_PLANE, SECOND])
    assert kubeadm_plan.endpoint_fits(asked, found) is expected
    assert ("hosts" in steps(kubeadm_plan.plan_joined(asked, found))) is not expected


def test_a_control_plane_has_no_load_balancer_of_its_own() -> None:
    """Also where its image has the program."""
    assert not kubeadm_plan.balances(plane(), seen_plane(balancer=""))
    assert kubeadm_plan.balancer_configuration(plane(), observed_plane(seen_plane(balancer=""))) == ""


@pytest.mark.parametrize(
    ("addresses", "own", "expected"),
    [
        pytest.param({"a": ("10.0.0.2",)}, "10.0.0.2", ["10.0.0.2"], id="one"),
        pytest.param({"a": ("fd00::2", "10.0.0.2")}, "10.0.0.2", ["10.0.0.2", "fd00::2"], id="ipv4-first"),
        pytest.param({"b": ("10.9.0.2",), "a": ("10.0.0.2",)}, "10.0.0.2", ["10.0.0.2", "10.9.0.2"], id="own-first"),
        pytest.param({"b": ("fd09::2", "10.9.0.2")}, None, ["10.9.0.2", "fd09::2"], id="no-label"),
        pytest.param({"a": ()}, "10.0.0.2", [], id="not-running"),
        pytest.param({}, None, [], id="no-network"),
    ],
)
def test_node_addresses(addresses: dict[str, tuple[str, ...]], own: str | None, expected: list[str]) -> None:
    """The address that the node was made with comes first, then IPv4 before IPv6."""
    marks = {labels.ADDRESS: own} if own else {}
    assert node_addresses(container(addresses=addresses, labels=marks)) == expected


@pytest.mark.parametrize(
    ("bindings", "more"),
    [
        pytest.param([{"HostIp": "192.0.2.7", "HostPort": "6443"}], ["192.0.2.7"], id="address"),
        pytest.param([{"HostIp": "0.0.0.0", "HostPort": "6443"}], [], id="everywhere"),
        pytest.param([{"HostIp": "::", "HostPort": "6443"}], [], id="everywhere-ipv6"),
        pytest.param([{"HostIp": "", "HostPort": "6443"}], [], id="not-said"),
        pytest.param([{"HostIp": "127.0.0.1", "HostPort": "6443"}], [], id="there-already"),
        pytest.param([{"HostIp": "192.0.2.7"}, {"HostIp": "2001:db8::7"}], ["192.0.2.7", "2001:db8::7"], id="two"),
        pytest.param(None, [], id="not-published"),
    ],
)
def test_certificate_names(bindings: list[dict[str, str]] | None, more: list[str]) -> None:
    """The certificate has every name and address by which the API is reached, each once."""
    raw = {"HostConfig": {"PortBindings": {"6443/tcp": bindings, "80/tcp": [{"HostIp": "198.51.100.1"}]}}}
    asked = spec(api_sans=["api.example.org", "localhost"])
    found = kubeadm_run.certificate_names(
        asked, observed(seen(), container=container(raw=raw), addresses=("192.168.128.2", "fd00::2"))
    )
    ours = ["lab.kic.internal", CONTROL_PLANE, "192.168.128.2", "fd00::2", "127.0.0.1", "localhost", "api.example.org"]
    assert found == ours + more


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("[certs] Generating\n[kubeconfig] Writing\nerror: no space\n", "kubeconfig", id="last-phase"),
        pytest.param("[wait-control-plane] Waiting\n[kubelet-check] not healthy\n", "wait-control-plane", id="a-check"),
        pytest.param("[control-plane-check] not healthy\nerror\n", "wait-control-plane", id="only-a-check"),
        pytest.param("[addons] Applied\n[upload-config/kubelet] no\n", "upload-config", id="part-of-a-phase"),
        pytest.param("[WARNING X]: y\n\t[certs] indented\n", "", id="no-phase"),
        pytest.param("said [etcd] in a line\n", "", id="inside-a-line"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_step_of(said: str, expected: str) -> None:
    """The step that failed is the one that kubeadm named last."""
    assert kubeadm_run.step_of(said) == expected


# The resource, on an engine in memory whose nodes answer what a test prepared.
Answer = Callable[[str, Sequence[str], bytes], CommandResult]


DONE_BEFORE = "[certs] a\n[kubeconfig] b\n[etcd] c\n"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(DONE_BEFORE, ["certificates", "kubeconfigs"], id="last-phase-is-the-failing-one"),
        pytest.param("[kubelet-start] a\n[wait-control-plane] b\n[kubelet-check] c\n", ["kubelet"], id="a-check"),
        pytest.param(
            "[bootstrap-token] a\n[addons] Applied essential addon: CoreDNS\n",
            ["bootstrap-token", "coredns"],
            id="addon",
        ),
        pytest.param("", [], id="nothing"),
    ],
)
def test_finished_steps(said: str, expected: list[str]) -> None:
    """A phase is over when the next one says something."""
    assert kubeadm_run.finished_steps(said) == expected


def said(out: str = "", rc: int = 0, err: str = "") -> CommandResult:
    """An answer of a node."""
    return CommandResult((), rc, out.encode(), err.encode())


WORDS = (("--subresource=status", "unready"), ("systemctl", "kubelet"))
"""What a command holds, and what it is for."""


class Fake(Unplugged):
    """Holds containers; a command in one is answered by ``answers`` by what it is for, and all are remembered."""

    def __init__(self, *containers: Container, looks: Sequence[Seen] = (), **answers: CommandResult) -> None:
        super().__init__()
        self.held = {item.name: item for item in containers}
        self.looks = list(looks)
        self.answers = answers
        self.calls: list[tuple[str, str, list[str], str]] = []
        self.file: bytes | None = None

    def container(self, name: str) -> Container | None:  # type: ignore[override]
        return self.held.get(name)

    def containers(self, label: str) -> list[Container]:
        assert label == f"{labels.CLUSTER}=lab"
        return list(self.held.values())

    def read_file(self, identity: str, path: str) -> bytes | None:  # type: ignore[override]
        assert path in (RECORD, RENEWED) and not self.held[identity].running
        return self.file if path == RECORD else None

    @staticmethod
    def purpose(command: Sequence[str]) -> str:
        """What a command is for, in one word."""
        if "bash" in command:
            begin = command.index("bash") + 3
            if command[begin] == "alone":
                return Fake.purpose(command[begin + 3 :])
            other = {"declare": "labels", "wait-api": "wait", "wait-for-other": "other"}
            return other.get(command[begin], command[begin])
        if command[0] == "timeout":
            return Fake.purpose(command[3:])
        if command[0] == "kubeadm":
            return f"token_{command[3]}"
        words = (
            *WORDS,
            (kic.PROGRAM, "network"),
            ("--raw", "nodes"),
            ("--filename=-", "create"),
            ("journalctl", "logs"),
        )
        return next((name for word, name in words if word in command), "taint")

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        words = [word for word in arguments[1:] if word != "--interactive"]
        node, command = words[0], words[1:]
        purpose = self.purpose(command)
        if purpose != "other" or purpose in self.answers:
            # Asked before each change of a node; what most tests are about comes after it.
            self.calls.append((purpose, node, command, (stdin or b"").decode()))
        if purpose == "look":
            found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            parts = next(word for word in command if word.startswith("PARTS="))
            local = boot_line(found) + local_line(found)
            return said(local * ("local" in parts) + api_line(found) * ("api" in parts))
        if purpose == "nodes":
            return self.answers.get("nodes", said(json.dumps({"items": NODE_OBJECTS})))
        if purpose == "ready" and "ready" not in self.answers:
            node_object = {
                "metadata": {"name": node, "labels": {ROLE: ""}},
                "spec": {"podCIDRs": ["10.244.0.0/24"]},
                "status": {
                    "nodeInfo": {"kubeletVersion": "v1.35.4"},
                    "addresses": [
                        {"type": "Hostname", "address": "x"},
                        {"type": "InternalIP", "address": "192.168.128.2"},
                    ],
                },
            }
            return said(json.dumps(node_object))
        return self.answers.get(purpose, said())

    def done(self) -> list[str]:
        """What was asked of the nodes, in order."""
        return [purpose for purpose, _node, _command, _stdin in self.calls]

    def written(self) -> list[dict[str, str]]:
        """The files of each time the pod network was written."""
        return [files_in(stdin) for purpose, _node, _command, stdin in self.calls if purpose == "network"]

    def stdin_of(self, purpose: str) -> str:
        """What the only command of this purpose was told on standard input."""
        (found,) = [stdin for one, _node, _command, stdin in self.calls if one == purpose]
        return found


def files_in(text: str) -> dict[str, str]:
    """The files of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(text.encode())) as found:
        return {item.name: (found.extractfile(item) or io.BytesIO()).read().decode() for item in found.getmembers()}


def cni_ranges(files: dict[str, str]) -> list[str]:
    """The ranges of a node's CNI configuration."""
    (ptp, _portmap) = json.loads(files["10-kic.conflist"])["plugins"]
    return [item["subnet"] for choices in ptp["ipam"]["ranges"] for item in choices]


def boot_line(found: Seen) -> str:
    """What the script prints of systemd."""
    lines = [found.boot.state, *(f"failed {unit}" for unit in found.boot.failed_units)]
    return json.dumps({"boot": "\n".join([*lines, *(f"waits {unit}" for unit in found.boot.waits_for), ""])}) + "\n"


def local_line(found: Seen) -> str:
    """What the script prints of the node itself."""
    local = {
        "kubeadm": found.kubeadm,
        "stands": ["", *sorted(found.stands)],
        "version": found.facts.version,
        "record": json.dumps(found.record) if found.record else "",
        "hosts": found.hosts,
        "names": found.names,
        "network": f"{found.network.word} {found.network.digest}",
        "systemd_cgroup": found.facts.systemd_cgroup,
        "cgroup_version": found.facts.cgroup_version,
        "lowers": found.facts.lowers_oom_score,
        "mapped": found.facts.user_namespace,
        "rotating": found.rotating,
        "certificates": certificate_lines(found.certificates),
        "now": found.now,
        "renewed": found.renewed,
        "balancer": found.balancer,
    }
    return json.dumps({"local": local}) + "\n"


def certificate_lines(found: Sequence[Certificate]) -> str:
    """What the script prints of certificates."""
    paths = {name: path for path, name in PATHS.items() if path not in (f"{ETC}/kubelet.conf", ROTATED)}
    return "".join(
        f"{ROTATED if item.rotated else paths[item.name]} {int(item.issued)}"
        f" {base64.b64encode(der(item.issued, item.ends)).decode()}\n"
        for item in found
    )


def api_line(found: Seen) -> str:
    """What the script prints of the API."""
    if not found.api:
        return json.dumps({"api": {"error": found.api_error, "signs": found.signs}}) + "\n"
    node = None
    if found.node is not None:
        taints = [dict(zip(("key", "effect"), item.split(":"))) for item in found.node.taints]
        ready = "True" if found.node.ready else "False"
        node = {**vars(found.node), "ready": ready, "taints": taints, "pod_cidrs": list(found.node.pod_cidrs)}
    api: dict[str, Any] = {"error": "", "objects": sorted(found.objects), "changes": dict(found.changes), "node": node}
    api["signs"] = found.signs
    api["members"] = None if found.members is None else sorted(found.members)
    return json.dumps({"api": api}) + "\n"


def kubeadm_documents(text: str) -> dict[str, Any]:
    """The documents that kubeadm was given, by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all(text)}


def test_nothing_to_do_costs_one_look() -> None:
    """A control plane that is done is looked at once and nothing else is asked of it."""
    engine = Fake(container(), looks=[seen()])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look"]
    assert not found.plan.operations and not found.plan.drift
    assert found.value == {
        "name": CONTROL_PLANE,
        "ready": True,
        "why": "",
        "version": "v1.35.4",
        "address": "192.168.128.2",
        "roles": ["control-plane"],
        "pod_cidrs": ["10.244.0.0/24"],
    }
    assert found.diff["before"] == found.diff["after"]


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([{"type": "Ready", "message": "no network yet"}], "no network yet"),
        ([{"type": "Ready"}], ""),
        ([{"type": "MemoryPressure", "message": "enough"}], "kubelet has not reported yet"),
    ],
)
def test_why_a_node_that_was_waited_for_is_not_ready(conditions: list[dict[str, str]], why: str) -> None:
    """kubelet's words are kept for the summary."""
    assert kubeadm_run._why(conditions) == why


def test_a_node_that_kubelet_has_not_described_yet() -> None:
    """A joining node is created in the API before its kubelet runs: without a wait it has neither addresses nor conditions."""
    created = {"metadata": {"name": CONTROL_PLANE}, "spec": {}, "status": {"nodeInfo": {"kubeletVersion": ""}}}
    for found in (created, {"metadata": {"name": CONTROL_PLANE}}):
        engine = Fake(container(), looks=[fresh()], ready=said(json.dumps(found)))
        value = kubeadm.converge_kubeadm(spec(wait=False), engine, check_mode=False).value
        assert (value["ready"], value["address"], value["version"], value["pod_cidrs"]) == (False, "", "", [])
    engine = Fake(container(), looks=[fresh()], ready=said("no JSON"))
    with fails("node_unreadable"):
        kubeadm.converge_kubeadm(spec(), engine, check_mode=False)


@pytest.mark.parametrize(
    ("configuration", "checked"),
    [
        pytest.param({}, False, id="ours"),
        pytest.param({"KubeletConfiguration": {"maxPods": 50}}, True, id="the-user's"),
        pytest.param({"JoinConfiguration": {"nodeRegistration": {"taints": []}}}, False, id="for-a-join"),
    ],
)
def test_fields_of_the_user_are_checked(configuration: dict[str, Any], checked: bool) -> None:
    """Where fields of the user's are in what kubeadm reads, one that it does not know is refused; it would go on without it."""
    engine = Fake(container(), looks=[fresh()])
    kubeadm.converge_kubeadm(spec(configuration=configuration), engine, check_mode=False)
    (command,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "init"]
    assert (command[-1] == "checked") == checked


def test_init_of_a_fresh_node() -> None:
    """A fresh node gets its names, one run of kubeadm with all phases, its manifests and the record, then is Ready."""
    asked = spec(manifests=[MANIFEST], patches={"etcd.json": {"a": 1}}, api_sans=["api.example.org"])
    engine = Fake(container(), looks=[fresh()])
    found = kubeadm.converge_kubeadm(asked, engine, check_mode=False)
    assert engine.done() == ["look", "hosts", "patches", "network", "init", "apply", "finalize", "record", "ready"]
    assert json.loads(engine.stdin_of("hosts")) == {"hosts": HOSTS, "balancer": ""}
    assert json.loads(engine.stdin_of("patches")) == {"etcd.json": '{"a": 1}'}
    documents = kubeadm_documents(engine.stdin_of("init"))
    assert documents["InitConfiguration"]["skipPhases"] == [
        *("preflight", "upload-certs", "kubelet-finalize", "show-join-command")
    ]
    assert documents["InitConfiguration"]["patches"] == {"directory": "/var/lib/nodeforge.kic/patches"}
    assert "api.example.org" in documents["ClusterConfiguration"]["apiServer"]["certSANs"]
    assert json.loads(engine.stdin_of("apply")) == [MANIFEST]
    record = json.loads(engine.stdin_of("record"))
    assert record == {"version": 1, "state": "initialized", "asked": asked.asked, "kubernetes": "v1.35.4"}
    assert found.plan.changed and found.value["ready"] is True and found.value["roles"] == ["control-plane"]


@pytest.mark.parametrize(
    ("given", "changes", "expected"),
    [
        pytest.param({}, {}, ["192.168.128.2", "10.244.0.0/24"], id="first-range"),
        pytest.param({"pod_subnet": "10.8.0.0/14"}, {}, ["192.168.128.2", "10.8.0.0/24"], id="larger-range"),
        pytest.param({}, {"network": NO_PROGRAM}, None, id="without-the-program"),
        pytest.param({"pod_network": "none"}, {}, None, id="another-pod-network"),
        pytest.param({}, {"network": DIFFERS}, None, id="already-there"),
        pytest.param(
            {
                "configuration": {
                    "ClusterConfiguration": {
                        "controllerManager": {"extraArgs": [{"name": "node-cidr-mask-size", "value": "25"}]}
                    }
                }
            },
            {},
            None,
            id="cut-otherwise",
        ),
    ],
)
def test_range_of_the_first_node(given: dict[str, Any], changes: dict[str, Any], expected: list[str] | None) -> None:
    """The pod network is written before kubelet starts where it is ours, and the range is known."""
    engine = Fake(container(), looks=[replace(fresh(), **changes)])
    kubeadm.converge_kubeadm(spec(**given), engine, check_mode=False)
    before = engine.done()[: engine.done().index("init")]
    assert ("network" in before) is (expected is not None)
    if expected is not None:
        files = engine.written()[0]
        assert [files["address"].strip(), cni_ranges(files)[0]] == expected and files["routes"] == ""


@pytest.mark.parametrize(
    ("changes", "left", "waits"),
    [
        pytest.param({"objects": frozenset(OBJECTS) - {"Deployment/coredns"}}, ["addon/coredns"], False, id="addon"),
        pytest.param(
            {"stands": frozenset((*AUTHORITIES, *FILES)) - {f"{MANIFESTS}etcd.yaml"}}, ["etcd"], True, id="file"
        ),
    ],
)
def test_init_goes_on(changes: dict[str, Any], left: list[str], waits: bool) -> None:
    """Only the phases that are missing are run; the control plane is waited for where one of them touches it."""
    engine = Fake(container(), looks=[seen(**changes)])
    kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    skipped = kubeadm_documents(engine.stdin_of("init"))["InitConfiguration"]["skipPhases"]
    phases = {
        *("certs", "kubeconfig", "etcd", "control-plane", "kubelet-start", "upload-config", "mark-control-plane"),
        *("bootstrap-token", "addon/coredns", "addon/kube-proxy"),
    }
    assert phases - set(skipped) == set(left)
    assert ("wait-control-plane" not in skipped) is waits


SLOW = "failed\nUnable to connect to the server: net/http: TLS handshake timeout"
REFUSED = (
    'failed\nE1130 02:09:58 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list: unknown"\n'
    'error: unable to recognize "storage.yaml": unknown'
)
"""What kubectl says of an API that has not read its roles: of a 403 to its discovery it has no more than this word."""


@pytest.mark.parametrize("check_mode", [False, True], ids=["run", "check"])
def test_api_that_is_starting(check_mode: bool) -> None:
    """A complete node whose API refuses everything at once is waited for by the run, and foretold as unchanged."""
    asked = spec(manifests=[MANIFEST])
    name = MANIFEST["name"]
    starting = seen(api=False, api_error="Forbidden", objects=frozenset(), node=None, changes={name: REFUSED})
    started = seen(changes={name: "role x unchanged (server dry run)"})
    engine = Fake(container(), looks=[starting, started])
    found = kubeadm.converge_kubeadm(asked, engine, check_mode=check_mode)
    assert engine.done() == (["look"] if check_mode else ["look", "wait", "look"]) and not found.plan.changed


@pytest.mark.parametrize("check_mode", [False, True], ids=["run", "check"])
def test_api_that_is_slow_to_judge_its_manifests(check_mode: bool) -> None:
    """An API that did not say what an apply would do is asked again: its silence is no difference."""
    asked = spec(manifests=[MANIFEST], timeout=1800)
    slow, fast = (seen(changes={MANIFEST["name"]: text}) for text in (SLOW, "role x unchanged (server dry run)"))
    engine = Fake(container(), looks=[slow, slow, fast])
    found = kubeadm.converge_kubeadm(asked, engine, check_mode=check_mode)
    # Each time when it says that it is ready, not at once: one that is starting refuses everything in no time.
    assert engine.done() == ["look", "wait", "look", "wait", "look"] and not found.plan.changed
    assert all("REQUEST=30" in command for purpose, _node, command, _stdin in engine.calls if purpose == "look")
    with pytest.raises(KicError, match="TLS handshake timeout"):
        kubeadm.converge_kubeadm(asked, Fake(container(), looks=[slow]), check_mode=check_mode)
    # What never was made whole is made now, whatever the API said of it.
    fresh_one = Fake(container(), looks=[seen(changes=slow.changes, record={})])
    assert kubeadm.converge_kubeadm(asked, fresh_one, check_mode=True).plan.changed


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        ("role x unchanged (server dry run)", False),
        ("role x configured (server dry run)", False),
        ('failed\nError from server (NotFound): namespaces "local-path-storage" not found', False),
        ("failed\nError from server (Timeout): the server was unable to return a response", True),
        ("failed\nerror: etcdserver: request timed out", True),
        (SLOW, True),
    ],
)
def test_unanswered(text: str, slow: bool) -> None:
    """What an API could not say is told from what it said."""
    assert bool(kubeadm_plan.unanswered(seen(changes={"x": text}))) is slow


def test_certificate_that_renews_itself() -> None:
    """kubelet's configuration is changed without a run of kubeadm, and kubelet runs on."""
    engine = Fake(container(), looks=[seen(rotating=False)])
    kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "finalize", "record", "ready"]


@pytest.mark.parametrize(
    ("asked", "own", "node", "server"),
    [
        pytest.param(spec(), False, CONTROL_PLANE, [], id="asked"),
        pytest.param(spec(), True, CONTROL_PLANE, [], id="asked-its-own"),
        pytest.param(plane(), False, CONTROL_PLANE, [], id="joined"),
        pytest.param(plane(), True, SECOND, ["--server=https://127.0.0.1:6443"], id="joined-its-own"),
        pytest.param(worker(), False, CONTROL_PLANE, [], id="worker"),
    ],
)
def test_whose_api_is_waited_for(asked: kubeadm_plan.KubeadmSpec, own: bool, node: str, server: list[str]) -> None:
    """The cluster's name may lead to another control plane: its own API is asked by its address."""
    engine = Fake(container(), SECOND_CONTAINER, WORKER_CONTAINER, looks=[seen()])
    kubeadm.KubeadmResource(asked, engine).seam.await_api(own=own)
    ((purpose, where, command, _stdin),) = engine.calls
    begin = command.index("wait-api") + 1
    assert (purpose, where, command[begin + 1 :]) == ("wait", node, server)
    assert int(command[begin]) > 0


def test_system_that_does_not_come_up() -> None:
    """A node whose systemd does not come up in time is told as that, and nothing is done to it."""
    engine = Fake(container(), looks=[seen(boot=Boot("starting", (), ("slow.service",)))])
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert caught.value.diagnosis.id == "node_not_ready"
    assert "it waits for slow.service" in caught.value.diagnosis.cause
    assert engine.done() == ["look", "look"], "the second one waits"


def test_node_that_is_recreated() -> None:
    """Its files come from its volume while its system comes up: until then none of them is lost, which would be refused."""
    early = seen(
        boot=Boot("starting"), stands=frozenset(), api=False, api_error="refused", objects=frozenset(), node=None
    )
    engine = Fake(container(), looks=[early, seen()])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert found.plan.actions == () and found.plan.drift == ()
    lost = replace(early, boot=Boot("running"))
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(spec(), Fake(container(), looks=[lost, lost]), check_mode=False)
    assert caught.value.diagnosis.id == "authority_lost"


def test_system_with_failed_units() -> None:
    """Units that failed are a warning: the node goes on."""
    engine = Fake(container(), looks=[seen(boot=Boot("degraded", ("a.service",)))])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert found.plan.actions == ()
    assert any("a.service" in text for text in found.warnings)


@pytest.mark.parametrize("state", [NO_FILES, DIFFERS], ids=["never-written", "broken"])
def test_pod_network_is_repaired(state: State) -> None:
    """A broken pod network is written again, from what the API says of the cluster, without a run of kubeadm."""
    engine = Fake(container(), WORKER_CONTAINER, looks=[seen(network=state)])
    kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "record", "nodes", "network", "ready"]
    (files,) = engine.written()
    assert cni_ranges(files) == ["10.244.0.0/24"] and files["routes"] == f"10.244.1.0/24 192.168.128.3 {WORKER}\n"


@pytest.mark.parametrize(("schedulable", "word"), [(True, f"{TAINT}-"), (False, TAINT)], ids=["taken-off", "put-on"])
def test_taint_is_changed(schedulable: bool, word: str) -> None:
    """The taint is taken off or put on without a run of kubeadm."""
    node = replace(API_NODE, taints=(TAINT,) if schedulable else ())
    engine = Fake(container(), looks=[seen(node=node)])
    kubeadm.converge_kubeadm(spec(schedulable=schedulable), engine, check_mode=False)
    (command,) = [command for purpose, _n, command, _s in engine.calls if purpose == "taint"]
    assert command[-4:] == ["taint", "node", CONTROL_PLANE, word]
    assert "init" not in engine.done()


JOIN_COMMAND = f"kubeadm join lab.kic.internal:6443 --token {TOKEN} --discovery-token-ca-cert-hash sha256:0123 \n"
WORKER_CONTAINER = container(WORKER, "192.168.128.3")


def test_join() -> None:
    """A worker joins with a token made for it, which goes by standard input only and is ended after it."""
    engine = Fake(container(), WORKER_CONTAINER, looks=[fresh()], token_create=said(JOIN_COMMAND))
    kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    begin = ["look", "look", "hosts", "create", "token_create", "nodes", "network"]
    assert engine.done() == [*begin, "join", "token_delete", "record", "ready"]
    nodes = {purpose: node for purpose, node, _command, _stdin in engine.calls}
    assert nodes["token_create"] == nodes["token_delete"] == nodes["ready"] == CONTROL_PLANE
    assert nodes["join"] == nodes["hosts"] == nodes["record"] == WORKER
    document = kubeadm_documents(engine.stdin_of("join"))["JoinConfiguration"]
    assert document["discovery"]["bootstrapToken"]["token"] == TOKEN
    assert document["nodeRegistration"]["kubeletExtraArgs"] == [{"name": "node-ip", "value": "192.168.128.3"}]
    assert json.loads(engine.stdin_of("hosts")) == {"hosts": HOSTS, "balancer": ""}
    for purpose, _node, command, stdin in engine.calls:
        assert TOKEN not in " ".join(command)
        assert purpose == "join" or TOKEN not in stdin


SECRET = "LS0tLS1CRUdJTiBFQyBQUklWQVRF"


class Sharing(Fake):
    """Its first control plane gives out what the cluster is signed with."""

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        answer = super().call(arguments, **given)
        purpose, node, command, stdin = self.calls[-1]
        if purpose != "look" and node == CONTROL_PLANE and any(word.endswith("ca.key") for word in command):
            return self.answers.get("given", said(SECRET))
        return self.answers.get("taken", said()) if stdin == SECRET else answer


def joining(**answers: CommandResult) -> Sharing:
    """A control plane that is to join."""
    metadata = {"name": SECOND, "creationTimestamp": "2026-01-01T00:00:01Z"}
    nodes = json.dumps({"items": [NODE_OBJECTS[0], {**NODE_OBJECTS[1], "metadata": metadata}]})
    usual = {"token_create": said(JOIN_COMMAND), "nodes": said(nodes)}
    return Sharing(container(), SECOND_CONTAINER, looks=[fresh()], **{**usual, **answers})


def test_join_of_a_control_plane() -> None:
    """A member of etcd that it was before goes first; then it has the cluster's keys, and joins as a control plane."""
    engine = joining()
    found = kubeadm.converge_kubeadm(plane(), engine, check_mode=False)
    assert steps(found.plan) == ["hosts", "join"]
    done = engine.done()
    assert done[:4] == ["look", "look", "hosts", "etcd-remove"] and done[-4:] == [
        *("join", "token_delete", "record", "ready")
    ]
    ((where, removed),) = [
        (node, command[-4:]) for what, node, command, _stdin in engine.calls if what == "etcd-remove"
    ]
    assert (where, removed) == (CONTROL_PLANE, ["etcd-remove", "30", SECOND, "192.168.128.4"])
    assert json.loads(engine.stdin_of("hosts")) == {"hosts": OWN + BEHIND, "balancer": ""}
    document = kubeadm_documents(engine.stdin_of("join"))["JoinConfiguration"]
    assert document["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "192.168.128.4"
    assert document["nodeRegistration"]["taints"] == []
    assert json.loads(engine.stdin_of("record"))["state"] == "initialized"


def test_keys_go_from_node_to_node() -> None:
    """By standard output and input of one command each, and nowhere else; each authority is named to the one that gives."""
    engine = joining()
    kubeadm.converge_kubeadm(plane(), engine, check_mode=False)
    ((purpose, node, taken, _stdin),) = [call for call in engine.calls if SECRET in call[3]]
    assert (purpose, node, taken[-2:]) == ("authorities", SECOND, ["authorities", PKI.rstrip("/")])
    assert SECRET not in " ".join(taken)
    (asked,) = [command for purpose, _n, command, _s in engine.calls if purpose != "look" and "etcd/ca.key" in command]
    assert {path.removeprefix(PKI) for path in AUTHORITIES} <= {*asked}
    worker_joins = Sharing(container(), WORKER_CONTAINER, looks=[fresh()], token_create=said(JOIN_COMMAND))
    kubeadm.converge_kubeadm(worker(), worker_joins, check_mode=False)
    assert not any(SECRET in stdin for _purpose, _node, _command, stdin in worker_joins.calls)
    assert "etcd-remove" not in worker_joins.done()


def test_keys_are_written_for_root_alone(tmp_path: Path) -> None:
    """With the directories that are missing, whoever owned them before."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as made:
        for name in ("sa.key", "etcd/ca.key"):
            item = tarfile.TarInfo(name)
            item.size, item.mode, item.uid = len(SECRET), 0o600, 4711
            made.addfile(item, io.BytesIO(SECRET.encode()))
    folder = tmp_path / "etc" / "a b"
    command = ["bash", "-c", node_scripts()["authorities"], "authorities", str(folder)]
    subprocess.run(command, input=archive.getvalue(), check=True, capture_output=True)
    for path in (folder / "sa.key", folder / "etcd" / "ca.key"):
        assert path.read_text() == SECRET and path.stat().st_uid == os.getuid()
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    broken = subprocess.run(command, input=archive.getvalue()[:700], check=False, capture_output=True)
    assert broken.returncode != 0


@pytest.mark.parametrize("server", [[], ["--server=https://127.0.0.1:6443"]], ids=["of-the-configuration", "named"])
def test_an_api_that_is_waited_for(server: list[str], tmp_path: Path) -> None:
    """Until it is ready; where it is not in time, its last words are said."""
    (tmp_path / "kubectl").write_text(
        '#!/bin/sh\nprintf "<%s>" "$@"\necho x >>"$0.asked"\n[ "$(wc -l <"$0.asked")" -ge 2 ]\n'
    )
    (tmp_path / "kubectl").chmod(0o755)
    command = ["bash", "-c", node_scripts()["wait-api"], "wait-api", "30", *server]
    words = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=words, check=True, capture_output=True, text=True)
    assert done.stdout == "" and (tmp_path / "kubectl.asked").read_text() == "x\nx\n"
    (tmp_path / "kubectl.asked").unlink()
    late = subprocess.run([*command[:4], "0", *server], env=words, check=False, capture_output=True, text=True)
    asked = ["--kubeconfig=/etc/kubernetes/admin.conf", *server, "get", "--raw", "/readyz"]
    assert (late.returncode, late.stdout) == (1, "".join(f"<{word}>" for word in asked) + "\n")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        pytest.param({"given": said(SECRET, rc=1, err="no such file")}, ["step join", "no such file"], id="given"),
        pytest.param({"taken": said(SECRET, rc=1, err="no space")}, ["step join", "no space"], id="taken"),
        pytest.param({"join": said("[etcd] x", rc=1)}, ["step etcd"], id="join"),
        pytest.param({"etcd-remove": said("no leader", rc=1)}, ["step etcd", "no leader"], id="etcd"),
    ],
)
def test_keys_are_in_no_error(answers: dict[str, CommandResult], words: list[str]) -> None:
    """Whatever fails, and whatever was printed before."""
    engine = joining(**answers)
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(plane(), engine, check_mode=False)
    text = f"{caught.value} {vars(caught.value)}"
    assert caught.value.diagnosis.id == "step_failed" and SECRET not in text
    assert all(word in text for word in words), text
    assert "record" not in engine.done()


def test_a_lost_manifest_of_a_joined_control_plane() -> None:
    """That phase is done again, by the node's own name and address; it does not join once more."""
    found = seen_plane(stands=frozenset((*AUTHORITIES, *FILES)) - {f"{MANIFESTS}etcd.yaml"})
    engine = Sharing(container(), SECOND_CONTAINER, looks=[found])
    done = kubeadm.converge_kubeadm(plane(), engine, check_mode=False)
    assert steps(done.plan) == ["etcd"] and engine.done() == ["look", "look", "init", "record", "ready"]
    (where,) = [node for purpose, node, _command, _stdin in engine.calls if purpose == "init"]
    document = kubeadm_documents(engine.stdin_of("init"))["InitConfiguration"]
    assert where == SECOND and document["localAPIEndpoint"]["advertiseAddress"] == "192.168.128.4"
    assert "etcd" not in document["skipPhases"] and "certs" in document["skipPhases"]
    assert json.loads(engine.stdin_of("record"))["state"] == "initialized"


def test_a_worker_knows_all_control_planes() -> None:
    """Those of the declaration, those too that do not run; without names all that are control planes by their labels."""
    stopped = replace(SECOND_CONTAINER, status="exited", addresses={})
    other = container("lab-control-plane-9", "192.168.128.9")
    for names, expected in (
        ([CONTROL_PLANE, SECOND], TO_PLANES),
        ([], {**TO_PLANES, other.name: "192.168.128.9"}),
        ([CONTROL_PLANE], {CONTROL_PLANE: "192.168.128.2"}),
    ):
        looks = [fresh(balancer="")]
        engine = Fake(container(), stopped, other, WORKER_CONTAINER, looks=looks, token_create=said(JOIN_COMMAND))
        kubeadm.converge_kubeadm(worker(planes=names), engine, check_mode=False)
        told = json.loads(engine.stdin_of("hosts"))
        assert told == {"hosts": LOCAL, "balancer": configuration(expected, ["127.0.0.1"])}


def test_check_mode_knows_addresses_of_control_planes_to_come() -> None:
    """A forecast compares with what an earlier operation would create; what is there has its own address."""
    kept = configuration(TO_PLANES, ["127.0.0.1"])
    found = seen_worker(hosts=LOCAL, names=LOCAL, balancer=kept)
    asked = replace(
        worker(planes=[CONTROL_PLANE, SECOND]), expected={SECOND: "192.168.128.4", CONTROL_PLANE: "10.9.9.9", "x": "y"}
    )
    engine = Fake(container(), WORKER_CONTAINER, looks=[found])
    assert not kubeadm.converge_kubeadm(asked, engine, check_mode=True).plan.changed
    unknown = kubeadm.converge_kubeadm(replace(asked, expected={}), engine, check_mode=True)
    assert steps(unknown.plan) == ["hosts"]


def test_a_node_that_the_api_forgot_joins_once_more() -> None:
    """What it remembers is undone first; the lines for /etc/hosts stay."""
    missing = CommandResult((), 1, b"", b'Error from server (NotFound): nodes "x" not found')
    looks = [seen_worker(node=None)]
    engine = Fake(container(), WORKER_CONTAINER, looks=looks, token_create=said(JOIN_COMMAND), unready=missing)
    found = kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    assert [str(item) for item in found.plan.actions] == ["run step reset", "run step join"]
    done = engine.done()
    # Its kubelet may have registered it meanwhile.
    assert done.index("reset") < done.index("unready") < done.index("create") < done.index("join")
    ((node, command),) = [(node, command) for purpose, node, command, _stdin in engine.calls if purpose == "reset"]
    assert node == WORKER and RECORD in command and RECORD.replace("kubeadm.json", "hosts") not in command


def test_a_node_that_is_still_said_to_be_ready() -> None:
    """kubeadm refuses its name, so the API is told before that it is not; its labels and its range stay."""
    engine = Fake(container(), WORKER_CONTAINER, looks=[seen_worker(record={})], token_create=said(JOIN_COMMAND))
    kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    done = engine.done()
    assert done.index("kubelet") < done.index("unready") < done.index("join")
    failing = Fake(container(), WORKER_CONTAINER, looks=[seen_worker(record={})], unready=said("no", rc=1))
    with fails("step_failed", "kubectl patch ended with exit code 1"):
        kubeadm.converge_kubeadm(worker(), failing, check_mode=False)


def test_a_node_that_was_to_leave_takes_pods_again() -> None:
    """Its mark is of a run that did not end."""
    leaving = replace(API_NODE, name=WORKER, labels={}, address="192.168.128.3", leaving=True)
    engine = Fake(container(), WORKER_CONTAINER, looks=[seen_worker(node=leaving)])
    found = kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    assert [str(item) for item in found.plan.actions] == ["run step uncordon"]
    assert [node for purpose, node, _command, _stdin in engine.calls if purpose == "uncordon"] == [CONTROL_PLANE]
    failing = Fake(container(), WORKER_CONTAINER, looks=[seen_worker(node=leaving)], uncordon=said("no", rc=1))
    with fails("step_failed", "uncordon", "exit code 1"):
        kubeadm.converge_kubeadm(worker(), failing, check_mode=False)


def registered_with(**fields: Any) -> dict[str, Any]:
    """A configuration of the user's for what a joining node registers."""
    return {"configuration": {"JoinConfiguration": {"nodeRegistration": fields}}}


@pytest.mark.parametrize(
    ("given", "early"),
    [
        pytest.param({}, True, id="nothing-of-the-user"),
        pytest.param(registered_with(kubeletExtraArgs={"v": "4"}), True, id="another-argument"),
        pytest.param({"configuration": {"KubeletConfiguration": {"maxPods": 50}}}, True, id="another-setting"),
        pytest.param({"patches": {"etcd.json": {}}}, True, id="another-patch"),
        pytest.param(registered_with(taints=[{"key": "a", "effect": "NoSchedule"}]), False, id="taints"),
        pytest.param(registered_with(kubeletExtraArgs={"node-labels": "a=b"}), False, id="labels-of-kubelet"),
        pytest.param({"configuration": {"KubeletConfiguration": {"registerWithTaints": []}}}, False, id="setting"),
        pytest.param({"patches": {"kubeletconfiguration+merge.json": {}}}, False, id="patch"),
    ],
)
def test_who_creates_a_joining_node(given: dict[str, Any], early: bool) -> None:
    """The run does, so that the node is Ready when it registers; but what the user has kubelet register counts only where
    kubelet creates the node, and then the pod network comes after the join."""
    engine = Fake(container(), WORKER_CONTAINER, looks=[fresh()], token_create=said(JOIN_COMMAND))
    kubeadm.converge_kubeadm(worker(**given), engine, check_mode=False)
    done = engine.done()
    assert ("create" in done) is early and (done.index("network") < done.index("join")) is early
    assert done.count("network") == 1 and done.index("network") < done.index("ready")


@pytest.mark.parametrize("given", [{"pod_network": "none", "wait": False}, {}], ids=["of-the-user", "no-program"])
def test_join_without_a_pod_network_of_ours(given: dict[str, Any]) -> None:
    """Nothing is created or written for it."""
    network = NO_FILES if given else NO_PROGRAM
    engine = Fake(container(), WORKER_CONTAINER, looks=[fresh(network=network)], token_create=said(JOIN_COMMAND))
    kubeadm.converge_kubeadm(worker(**given), engine, check_mode=False)
    assert not {"create", "nodes", "network"} & set(engine.done())


def test_others_are_told_of_a_join(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A node that joined is news for all that run; what is as it was is none."""
    monkeypatch.setattr(lock, "state_directory", lambda: str(tmp_path / "state"))
    answers = {"token_create": said(JOIN_COMMAND), "network": said("none\n")}
    engine = Fake(container(), WORKER_CONTAINER, looks=[fresh()], **answers)
    done = kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    before = len(engine.calls)
    assert kubeadm.connect_others(worker(), engine, done, check_mode=False) == ()
    told = [(purpose, node, command[-1]) for purpose, node, command, _stdin in engine.calls[before:]]
    plane = CONTROL_PLANE
    assert told == [
        *(("nodes", plane, "/api/v1/nodes"), ("network", plane, "status"), ("network", plane, "take")),
    ]
    quiet = Fake(container(), WORKER_CONTAINER, looks=[seen_worker()])
    again = kubeadm.converge_kubeadm(worker(), quiet, check_mode=False)
    assert kubeadm.connect_others(worker(), quiet, again, check_mode=False) == () and quiet.done() == ["look", "look"]


@pytest.mark.parametrize(
    "out", ["", "token created\n", f"{TOKEN}\n"], ids=["nothing", "other-words", "a-token-without-its-command"]
)
def test_no_token_for_a_join(out: str) -> None:
    """A control plane that gives no token is a failed join with its words, and nothing is joined or recorded."""
    engine = Fake(
        container(), WORKER_CONTAINER, looks=[fresh()], token_create=said(out, err="the API is slow\n"), logs=said("x")
    )
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    found = caught.value.diagnosis
    assert found.id == "step_failed"
    assert found.cause == f"step join failed on {WORKER}: kubeadm made no token."
    assert found.output == "the API is slow"
    assert f"exec {WORKER} " in found.fix and TOKEN not in str(caught.value)
    assert engine.done()[-1] == "token_create"


def test_failed_join_hides_the_token() -> None:
    """A join that fails names its step, hides the token and still ends it."""
    engine = Fake(
        container(),
        WORKER_CONTAINER,
        looks=[fresh()],
        token_create=said(JOIN_COMMAND),
        join=said(f"[discovery] failed with {TOKEN}\n", rc=1),
        logs=said("kubelet is sad\n"),
    )
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    found = caught.value.diagnosis
    assert found.id == "step_failed"
    assert found.cause == f"step discovery failed on {WORKER}: kubeadm join ended with exit code 1."
    assert "failed with (token)" in found.output and "kubelet is sad" in found.output
    assert TOKEN not in str(caught.value)
    assert "token_delete" in engine.done() and "record" not in engine.done()


@pytest.mark.parametrize("well", [False, True])
def test_token_that_cannot_be_ended(well: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by itself: the failure of the join is reported, and a join that succeeded has succeeded."""
    join = said("" if well else "[discovery] failed\n", rc=0 if well else 1)
    engine = Fake(
        container(), WORKER_CONTAINER, looks=[fresh(), seen_worker()], token_create=said(JOIN_COMMAND), join=join
    )
    call = engine.call

    def hanging(arguments: Sequence[str], **given: Any) -> CommandResult:
        if engine.purpose([word for word in arguments[1:] if word != "--interactive"][1:]) == "token_delete":
            raise failure("timed_out", action="x", seconds=30, why="", fix="")
        return call(arguments, **given)

    monkeypatch.setattr(engine, "call", hanging)
    if well:
        assert kubeadm.converge_kubeadm(worker(), engine, check_mode=False).plan.actions
        return
    with fails("step_failed", "step discovery failed"):
        kubeadm.converge_kubeadm(worker(), engine, check_mode=False)


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        pytest.param(
            {"init": said("[certs] x\n[wait-control-plane] y\n", rc=1)},
            "step wait-control-plane failed on lab-control-plane-1: kubeadm init ended with exit code 1.",
            id="phase",
        ),
        pytest.param(
            {"init": said("", rc=TIMED_OUT)},
            "step init failed on lab-control-plane-1: it did not end within 240 seconds.",
            id="time",
        ),
        pytest.param(
            {"init": said("", rc=137)},
            "step init failed on lab-control-plane-1: it did not end within 240 seconds.",
            id="time, and it ignored the request to end",
        ),
        pytest.param(
            {"hosts": said("", rc=1, err="read-only")},
            "step hosts failed on lab-control-plane-1: bash ended with exit code 1.",
            id="hosts",
        ),
        pytest.param(
            {"apply": said("manifest-storage: no such kind\n", rc=1)},
            "step manifest-storage failed on lab-control-plane-1: kubectl apply ended with exit code 1.",
            id="manifest",
        ),
        pytest.param(
            {"ready": said("timed out\n", rc=1)},
            "step ready failed on lab-control-plane-1: the node was not Ready within 180 seconds.",
            id="ready",
        ),
    ],
)
def test_failed_step(answers: dict[str, CommandResult], cause: str) -> None:
    """A step that fails is named with the node and the reason, and what the node said comes with it."""
    engine = Fake(container(), looks=[fresh()], **answers)
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(spec(manifests=[MANIFEST]), engine, check_mode=False)
    assert caught.value.diagnosis.id == "step_failed"
    assert caught.value.diagnosis.cause == cause
    words = next(iter(answers.values())).words
    assert words in caught.value.diagnosis.output


OF_KUBEADM = ["hosts", "certificates", "kubeconfigs", "etcd", "control-plane", "kubelet", "upload-config"]


@pytest.mark.parametrize(
    ("answers", "done"),
    [
        ({"hosts": said("", rc=1)}, []),
        ({"init": said(DONE_BEFORE, rc=1)}, ["hosts", "certificates", "kubeconfigs"]),
        ({"apply": said("manifest-storage: no such kind\n", rc=1)}, [*OF_KUBEADM, "manifest-second"]),
        ({"ready": said("", rc=1)}, [*OF_KUBEADM, "manifest-storage", "manifest-second"]),
    ],
    ids=["first", "phases", "manifest", "all"],
)
def test_failure_says_which_steps_are_done(answers: dict[str, CommandResult], done: list[str]) -> None:
    """Those of kubeadm's phases too, and manifests that the API took next to one that it refused."""
    engine = Fake(container(), looks=[fresh()], **answers)
    manifests = [MANIFEST, {**MANIFEST, "name": "second"}]
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(spec(manifests=manifests), engine, check_mode=False)
    found = [text.removeprefix("run step ") for text in caught.value.done]
    assert [name for name in found if name in (*OF_KUBEADM, "manifest-storage", "manifest-second")] == done


@pytest.mark.parametrize(
    ("held", "asked", "condition"),
    [
        pytest.param([], spec(), "node_missing", id="missing"),
        pytest.param([container(status="exited")], spec(), "node_not_running", id="stopped"),
        pytest.param([container(labels={labels.CLUSTER: "other"})], spec(), "other_cluster", id="other-cluster"),
        pytest.param([container(labels={})], spec(), "other_cluster", id="foreign"),
        pytest.param([container(addresses={})], spec(), "node_without_address", id="no-address"),
        pytest.param([WORKER_CONTAINER], worker(), "node_missing", id="no-control-plane"),
        pytest.param([WORKER_CONTAINER, container(addresses={})], worker(), "node_without_address", id="its-address"),
        pytest.param(
            [WORKER_CONTAINER, container(labels={labels.CLUSTER: "other"})],
            worker(),
            "other_cluster",
            id="control-plane-of-another-cluster",
        ),
        pytest.param(
            [WORKER_CONTAINER, container(labels={})], worker(), "other_cluster", id="control-plane-not-of-ours"
        ),
        pytest.param(
            [container()],
            spec(pod_subnet="10.244.0.0/16,fd00:1::/56", service_subnet="10.96.0.0/16,fd00:2::/112"),
            "node_without_ip_version",
            id="dual-stack-on-a-network-of-one",
        ),
        pytest.param([container(labels={})], spec(state="reset"), "other_cluster", id="foreign-is-not-reset"),
    ],
)
def test_node_that_can_not_be_used(held: list[Container], asked: kubeadm_plan.KubeadmSpec, condition: str) -> None:
    """A node that is not there, does not run or is not of the cluster is refused, and nothing is run in it."""
    engine = Fake(*held, looks=[seen()])
    with pytest.raises(KicError) as caught:
        kubeadm.converge_kubeadm(asked, engine, check_mode=False)
    assert caught.value.diagnosis.id == condition
    assert engine.calls == []


@pytest.mark.parametrize(
    ("held", "word"),
    [([], "does not exist"), ([container(status="exited")], "does not run")],
    ids=["missing", "stopped"],
)
def test_check_mode_before_there_is_a_node(held: list[Container], word: str) -> None:
    """In check mode the plan for a node that is still to come is that of a new one, and a warning says so."""
    engine = Fake(*held)
    found = kubeadm.converge_kubeadm(spec(manifests=[MANIFEST]), engine, check_mode=True)
    assert steps(found.plan) == ["hosts", *LOCAL_STEPS, *API_STEPS, "manifest-storage"]
    assert len(found.warnings) == 1 and f"the node {CONTROL_PLANE} {word}" in found.warnings[0]
    joined = kubeadm.converge_kubeadm(worker(), Fake(), check_mode=True)
    assert steps(joined.plan) == ["hosts", "join"]


@pytest.mark.parametrize(
    ("content", "asked", "foretold"),
    [
        (b'{"state": "initialized"}', spec(), []),
        (b'{"state": "joined"}', worker(), []),
        (b'{"state": "initialized"}', plane(), []),
        (b'{"state": "joined"}', spec(), ["hosts"]),
        (b'{"state": "joined"}', plane(), ["hosts"]),
        (b"{", spec(), ["hosts"]),
        (None, spec(), ["hosts"]),
    ],
    ids=["initialized", "joined", "control-plane", "other", "was-a-worker", "damaged", "nothing"],
)
def test_check_mode_of_a_stopped_node(
    content: bytes | None, asked: kubeadm_plan.KubeadmSpec, foretold: list[str]
) -> None:
    """Where a former run was through with it, a start is all that it takes: nothing is predicted, and nothing warned of."""
    engine = Fake(container(asked.node, status="exited"))
    engine.file = content
    found = kubeadm.converge_kubeadm(asked, engine, check_mode=True)
    assert steps(found.plan)[:1] == foretold and bool(found.warnings) is bool(foretold)


def test_check_mode_only_looks() -> None:
    """In check mode a node is looked at and nothing is run in it."""
    engine = Fake(container(), looks=[fresh()])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=True)
    assert found.plan.changed and engine.done() == ["look"]


def test_drift_is_warned_of() -> None:
    """Settings that take effect in a new cluster only are a warning and no change."""
    engine = Fake(container(), looks=[seen()])
    found = kubeadm.converge_kubeadm(spec(pod_subnet="10.1.0.0/16"), engine, check_mode=False)
    assert not found.plan.changed
    assert len(found.warnings) == 1
    assert "pod_subnet is '10.244.0.0/16', expected '10.1.0.0/16'" in found.warnings[0]
    (drift,) = found.plan.drift
    assert vars(drift) == {"field": "pod_subnet", "asked": "10.1.0.0/16", "found": "10.244.0.0/16"}


def test_a_kubeadm_that_an_ended_run_left_is_waited_for() -> None:
    """A node that is half made is not planned for before the kubeadm in it has ended, and then looked at again."""
    running = replace(fresh(), kubeadm="held process 7")
    engine = Fake(container(), looks=[running, seen()], other=said("waited\n"))
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "other", "look"] and not found.plan.changed
    # So that one that ends between the look and the wait is known of.
    (wait,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "other"]
    assert wait[-1] == "held process 7"


def test_a_kubeadm_that_does_not_end() -> None:
    """It is named by who started it."""
    engine = Fake(container(), looks=[fresh()], other=said("process 7 of host, since 10:00:00\n", rc=BUSY))
    with fails("node_busy", "process 7 of host, since 10:00:00", "pkill kubeadm", "240 seconds"):
        kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "other"]


class Overtaken(Fake):
    """Another user's run begins after the look: the first kubeadm finds the node's lock held."""

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        answer = super().call(arguments, **given)
        if self.calls and self.calls[-1][0] in ("init", "reset"):
            return self.answers.pop("overtaken", answer)
        return answer


def test_overtaken_after_the_look() -> None:
    """No second kubeadm is run over the files of the first: the node is looked at again, and what is left is done."""
    left = seen(objects=frozenset(OBJECTS) - {"Deployment/coredns"})
    engine = Overtaken(container(), looks=[fresh(), left, left, seen()], overtaken=said("", rc=BUSY))
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    first, second = [text for purpose, _node, _command, text in engine.calls if purpose == "init"]
    assert steps(found.plan) == ["hosts", "coredns"], "what was done before is reported too"
    assert "certs" not in kubeadm_documents(first)["InitConfiguration"]["skipPhases"]
    assert "certs" in kubeadm_documents(second)["InitConfiguration"]["skipPhases"]


def test_runs_wait_for_each_other() -> None:
    """Two runs of this machine on one node: the second waits, and after its limit names the first."""
    engine = Fake(container(), looks=[seen()])
    with only_run(engine, CONTROL_PLANE, 1):
        with fails("node_busy", f"process {os.getpid()} of the user {os.geteuid()}"):
            kubeadm.converge_kubeadm(spec(timeout=1), engine, check_mode=False)
        kubeadm.converge_kubeadm(spec(), engine, check_mode=True)
    kubeadm.converge_kubeadm(spec(), engine, check_mode=False)


def test_reset_runs_once() -> None:
    """A reset is one command in the node, and none where nothing is left or the node is gone."""
    engine = Fake(container(), looks=[seen()])
    found = kubeadm.converge_kubeadm(spec(state="reset"), engine, check_mode=False)
    assert engine.done() == ["look", "reset"] and found.value == {}
    for other in (Fake(container(), looks=[fresh()]), Fake(container(status="exited")), Fake()):
        again = kubeadm.converge_kubeadm(spec(state="reset"), other, check_mode=False)
        assert not again.plan.changed and "reset" not in other.done() and again.warnings == ()


def test_failed_reset() -> None:
    """A reset that fails says so with kubeadm's words."""
    engine = Fake(container(), looks=[seen()], reset=said("cannot unmount\n", rc=1))
    with pytest.raises(KicError, match="kubeadm reset ended with exit code 1") as caught:
        kubeadm.converge_kubeadm(spec(state="reset"), engine, check_mode=False)
    assert caught.value.diagnosis.output == "cannot unmount"


def test_a_node_that_just_started_is_waited_for() -> None:
    """The API of a node that is done and just started is waited for, and what it then shows is planned from."""
    starting = seen(api=False, api_error="refused", objects=frozenset(), node=None)
    engine = Fake(container(), looks=[starting, seen()])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "wait", "look"] and not found.plan.changed


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_node_in_which_nothing_may_be_run_yet(check_mode: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not entered before systemd has taken its control group; check mode predicts what a new node takes."""
    groups = iter(["0::/machine.slice/libpod-x.scope\n"] * 4)
    settled = "0::/machine.slice/libpod-x.scope/init.scope\n"
    monkeypatch.setattr(boot, "read", lambda _path: next(groups, settled))
    engine = Fake(container(), looks=[seen()])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=check_mode)
    assert engine.done() == ([] if check_mode else ["look"])
    assert steps(found.plan) == (["hosts", *LOCAL_STEPS, *API_STEPS] if check_mode else [])


def test_a_node_that_is_not_ready_yet_is_waited_for() -> None:
    """A node at which everything stands and that is not Ready yet is waited for, without a step."""
    engine = Fake(container(), looks=[seen(node=replace(API_NODE, ready=False, why="starting")), seen()])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "ready"] and not found.plan.changed
    assert found.value["ready"] is True


LABELS = {"ingress-ready": "true", "example.com/zone": "a"}


@pytest.mark.parametrize("make", [spec, worker], ids=["control-plane", "worker"])
def test_labels_of_a_node(make: Callable[..., kubeadm_plan.KubeadmSpec]) -> None:
    """Labels are set where one is missing or other, by the API's node; a node that has them is left as it is."""
    asked = make(labels=LABELS)
    name, state = asked.node, "initialized" if make is spec else "joined"
    held = [container()] if make is spec else [WORKER_CONTAINER, container()]
    record = {"state": state, "asked": asked.asked}
    names = f"127.0.0.1 localhost\n{HOSTS}"
    for have, done in (({**LABELS, "other": "x"}, False), ({"ingress-ready": "false"}, True)):
        node = replace(API_NODE, name=name, labels={ROLE: "", **have})
        engine = Fake(*held, looks=[seen(asked, node=node, record=record, names=names)])
        found = kubeadm.converge_kubeadm(asked, engine, check_mode=False)
        assert ("labels" in steps(found.plan)) is done
        assert ("labels" in engine.done()) is done
        if done:
            _purpose, where, command, stdin = next(call for call in engine.calls if call[0] == "labels")
            assert where == CONTROL_PLANE and command[-1] == name
            assert json.loads(stdin) == {"labels": LABELS, "taints": []}


@pytest.mark.parametrize(
    ("have", "declared", "expected"),
    [
        pytest.param({"labels": {"a": "1", "x": "y"}, "taint_values": {"d:NoExecute": "2"}}, {}, [], id="all-there"),
        pytest.param({"labels": {"a": "1"}}, {}, ["taints"], id="taint-missing"),
        pytest.param({"labels": {}, "taint_values": {"d:NoExecute": "3"}}, {}, ["labels", "taints"], id="both-other"),
        pytest.param(
            {"labels": {"a": "1", "old": "x"}, "taint_values": {"d:NoExecute": "2", "old:NoSchedule": ""}},
            {"labels": ["a", "old", "gone"], "taints": ["old:NoSchedule", "gone:NoSchedule"]},
            ["labels", "taints"],
            id="not-declared-any-more",
        ),
        pytest.param(
            {"labels": {"a": "1"}, "taint_values": {"d:NoExecute": "2"}},
            {"labels": ["gone"], "taints": ["gone:NoSchedule"]},
            [],
            id="already-gone",
        ),
        pytest.param(
            {"labels": {"a": "1", "b": "1"}, "taint_values": {"d:NoExecute": "2"}}, {"labels": "b"}, [], id="no-list"
        ),
    ],
)
def test_labels_and_taints_follow_the_declaration(
    have: dict[str, Any], declared: dict[str, Any], expected: list[str]
) -> None:
    """What is missing or other is set, and what a former run set goes; what others set stays."""
    asked = worker(labels={"a": "1"}, taints=["d=2:NoExecute"])
    node = replace(API_NODE, name=WORKER, address="192.168.128.3", declared=json.dumps(declared), **have)
    assert steps(kubeadm_plan.plan_joined(asked, observed(seen_worker(node=node)))) == expected


def test_labels_and_taints_are_one_operation() -> None:
    """The node has them from its first moment in the API; after the join they are made sure of."""
    engine = Fake(container(), WORKER_CONTAINER, looks=[fresh()], token_create=said(JOIN_COMMAND))
    found = kubeadm.converge_kubeadm(
        worker(labels={"a": "1"}, taints=["d=2:NoExecute", "e:NoSchedule"]), engine, check_mode=False
    )
    assert steps(found.plan)[-2:] == ["labels", "taints"]
    taints = [{"key": "d", "effect": "NoExecute", "value": "2"}, {"key": "e", "effect": "NoSchedule"}]
    created = json.loads(engine.stdin_of("create"))
    assert created["spec"] == {"taints": taints} and created["metadata"]["labels"] == {"a": "1"}
    ours = json.loads(created["metadata"]["annotations"]["nodeforge.kic/declared"])
    assert ours == {"labels": ["a"], "taints": ["d:NoExecute", "e:NoSchedule"]}
    assert json.loads(engine.stdin_of("labels")) == {"labels": {"a": "1"}, "taints": taints}


@pytest.mark.parametrize(
    "taint",
    ["d", "d:", "d=x y:NoSchedule", "d:Never", ":NoSchedule", "node-role.kubernetes.io/control-plane:NoSchedule"],
)
def test_taints_refused(taint: str) -> None:
    """What the API would refuse, and what the role sets itself."""
    with fails("invalid_option", "taints: "):
        worker(taints=[taint])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        pytest.param({"a b": "x"}, "labels: ", id="blank"),
        pytest.param({"a": "x y"}, "'x y' is not a label value", id="value"),
        pytest.param({"-a": "x"}, "'-a' is not a label key", id="dash"),
        pytest.param({"A.example/x": "y"}, "is not a label key", id="prefix"),
        pytest.param({"a": True}, "labels: the value of 'a' is a boolean", id="boolean"),
        pytest.param({"a": "x" * 64}, "is not a label value", id="long"),
    ],
)
def test_labels_refused(labels: dict[str, Any], said: str) -> None:
    """What the API would refuse is refused before anything is made."""
    with pytest.raises(KicError, match=re.escape(said)):
        spec(labels=labels)


def test_without_a_pod_network_nothing_waits_for_ready() -> None:
    """A node that no pod network makes Ready is made, and reported as it is."""
    engine = Fake(container(), looks=[fresh(), seen(node=replace(API_NODE, ready=False))])
    found = kubeadm.converge_kubeadm(spec(wait=False, pod_network="none"), engine, check_mode=False)
    assert "init" in engine.done() and not {"network", "nodes"} & set(engine.done())
    (waited,) = [command[-2:] for purpose, _node, command, _stdin in engine.calls if purpose == "ready"]
    assert waited == ["create", "0"] and found.value["ready"] is False
    again = Fake(container(), looks=[seen(node=replace(API_NODE, ready=False))])
    assert not kubeadm.converge_kubeadm(spec(wait=False), again, check_mode=False).plan.changed
    assert again.done() == ["look"]


def test_a_new_cluster_is_compared_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a cluster that is made now is warned of: in another one it is known."""
    monkeypatch.setattr(kubeadm, "routed", lambda: [ipaddress.ip_network("10.244.7.0/24")])
    monkeypatch.setattr(kubeadm, "read", lambda _path: "nameserver 10.96.0.10\n")
    found = kubeadm.converge_kubeadm(spec(), Fake(container(), looks=[fresh()]), check_mode=True)
    assert len(found.warnings) == 2
    assert "this machine routes 10.244.7.0/24" in found.warnings[0]
    assert "the name server 10.96.0.10 of this machine is in 10.96.0.0/16" in found.warnings[1]
    assert kubeadm.converge_kubeadm(spec(), Fake(container(), looks=[seen()]), check_mode=True).warnings == ()


OLD_RELEASE = {"kubernetes": "v1.34.9"}


def made_by(found: Seen, release: str | None) -> Seen:
    """The same node, whose record names the release by which kubeadm made it; None names none."""
    return replace(found, record={**found.record, **({"kubernetes": release} if release else {})})


NODES_THERE = [
    pytest.param(kubeadm_plan.plan_initialized, spec, seen, observed, id="first"),
    pytest.param(kubeadm_plan.plan_joined, plane, seen_plane, observed_plane, id="control-plane"),
    pytest.param(kubeadm_plan.plan_joined, worker, seen_worker, observed, id="worker"),
]


@pytest.mark.parametrize(
    ("release", "upgrade", "expected"),
    [
        pytest.param("v1.34.9", True, ["upgrade"], id="older-minor"),
        pytest.param("v1.34.9", False, None, id="older-minor-not-requested"),
        pytest.param("v1.33.0", False, None, id="two-minors-not-requested"),
        pytest.param("v1.35.3", True, ["upgrade"], id="older-patch"),
        pytest.param("v1.35.3", False, [], id="older-patch-not-requested"),
        pytest.param("v1.35.4", True, [], id="same"),
        pytest.param("v1.35.4", False, [], id="same-not-requested"),
        pytest.param("v1.36.0", True, [], id="upgraded-and-its-container-is-older"),
        pytest.param("v1.36.0", False, [], id="upgraded-and-its-container-is-older-not-requested"),
        pytest.param(None, True, [], id="not-recorded"),
        pytest.param(None, False, [], id="not-recorded-and-not-requested"),
    ],
)
@pytest.mark.parametrize(("make", "asked", "found", "look"), NODES_THERE)
def test_upgrade(
    release: str | None,
    upgrade: bool,
    expected: list[str] | None,
    make: Callable[..., Plan],
    asked: Callable[..., kubeadm_plan.KubeadmSpec],
    found: Callable[..., Seen],
    look: Callable[..., kubeadm_plan.Observed],
) -> None:
    """What an older kubeadm made is upgraded to the release of the node's image, where that is requested; another minor release is
    refused where it is not."""
    one, there = asked(upgrade=upgrade), made_by(found(), release)
    if expected is None:
        with fails("upgrade_not_requested", one.node, str(release), "v1.35.4", "upgrade: true"):
            make(one, look(there))
        return
    plan = make(one, look(there))
    assert steps(plan) == expected
    assert plan.before["missing"] == expected and plan.after["missing"] == []


@pytest.mark.parametrize(
    ("make", "asked", "there", "expected"),
    [
        pytest.param(
            kubeadm_plan.plan_initialized,
            spec(upgrade=True),
            observed(seen(record={**seen().record, **OLD_RELEASE}, hosts="", rotating=False)),
            ["hosts", "upgrade", "kubelet-finalize"],
            id="first",
        ),
        pytest.param(
            kubeadm_plan.plan_joined,
            plane(upgrade=True),
            observed_plane(seen_plane(record={**seen().record, **OLD_RELEASE}, network=DIFFERS)),
            ["upgrade", "pod-network"],
            id="control-plane",
        ),
        pytest.param(
            kubeadm_plan.plan_joined,
            worker(upgrade=True),
            observed(
                seen_worker(
                    record={**seen_worker().record, **OLD_RELEASE},
                    network=DIFFERS,
                    node=replace(API_NODE, name=WORKER, labels={}, leaving=True),
                )
            ),
            ["upgrade", "pod-network", "uncordon"],
            id="worker-that-was-drained",
        ),
        pytest.param(
            kubeadm_plan.plan_joined,
            worker(),
            observed(seen_worker(record={**seen_worker().record, **OLD_RELEASE}, node=None)),
            ["reset", "join"],
            id="a-worker-that-the-api-forgot",
        ),
        pytest.param(
            kubeadm_plan.plan_joined,
            plane(),
            observed_plane(seen_plane(record={**seen().record, **OLD_RELEASE}, members=frozenset())),
            ["reset", "join"],
            id="a-control-plane-that-etcd-forgot",
        ),
        pytest.param(
            kubeadm_plan.plan_initialized, spec(), observed(seen(record=OLD_RELEASE)), ["record"], id="never-made-whole"
        ),
    ],
)
def test_upgrade_and_what_else_is_to_do(
    make: Callable[..., Plan],
    asked: kubeadm_plan.KubeadmSpec,
    there: kubeadm_plan.Observed,
    expected: list[str],
) -> None:
    """It comes before what else is missing; what joins once more is of the release of its image."""
    assert steps(make(asked, there)) == expected


@pytest.mark.parametrize(
    "asked", [spec(upgrade=True), plane(upgrade=True), worker(upgrade=True)], ids=["first", "control-plane", "worker"]
)
def test_upgrade_waits_for_the_api(asked: kubeadm_plan.KubeadmSpec) -> None:
    """Of a node whose API does not answer yet nothing is planned but the wait for it."""
    silent: dict[str, Any] = {"api": False, "api_error": "refused", "objects": frozenset(), "node": None}
    there = {CONTROL_PLANE: seen, SECOND: seen_plane, WORKER: seen_worker}[asked.node]
    starting, started = (made_by(there(**changes), "v1.34.9") for changes in (silent, {}))
    engine = Fake(container(), SECOND_CONTAINER, WORKER_CONTAINER, looks=[starting, starting, started])
    found = kubeadm.converge_kubeadm(asked, engine, check_mode=False)
    assert "upgrade" in steps(found.plan) and engine.done().count("upgrade") == 1
    assert engine.done().index("wait") < engine.done().index("upgrade")


@pytest.mark.parametrize(
    ("asked", "found", "words"),
    [
        pytest.param(spec(upgrade=True), seen(), ["", "v1.35.4", "first", "", "yes", CONTROL_PLANE], id="first"),
        pytest.param(
            plane(upgrade=True), seen_plane(), ["", "v1.35.4", "further", "", "yes", SECOND], id="control-plane"
        ),
        pytest.param(
            worker(upgrade=True, planes=[CONTROL_PLANE]),
            seen_worker(),
            ["", "v1.35.4", "", "", "yes", WORKER],
            id="worker",
        ),
        pytest.param(
            spec(upgrade=True, patches={"etcd.json": {"a": 1}}),
            seen(spec(patches={"etcd.json": {"a": 1}})),
            ["", "v1.35.4", "first", "/var/lib/nodeforge.kic/patches", "yes", CONTROL_PLANE],
            id="with-patches",
        ),
    ],
)
def test_what_is_told_to_upgrade(asked: kubeadm_plan.KubeadmSpec, found: Seen, words: list[str]) -> None:
    """The image's own kubeadm runs in the node, alone; then it is recorded, and the node is waited for."""
    engine = Fake(container(), SECOND_CONTAINER, WORKER_CONTAINER, looks=[made_by(found, "v1.34.9")])
    done = kubeadm.converge_kubeadm(asked, engine, check_mode=False)
    assert steps(done.plan) == ["upgrade"]
    looks = engine.done().index("upgrade")
    expected = [*(["patches"] if asked.patches else []), "upgrade", "record", "ready"]
    assert {*engine.done()[: looks - len(asked.patches)]} == {"look"}
    assert engine.done()[looks - len(asked.patches) :] == expected
    ((node, command),) = [(node, command) for what, node, command, _stdin in engine.calls if what == "upgrade"]
    assert node == asked.node and command[3] == "alone" and command[command.index("upgrade") + 1 :] == words
    assert [node for what, node, _command, _stdin in engine.calls if what == "record"] == [asked.node]
    record = json.loads(engine.stdin_of("record"))
    assert record == {"version": 1, "state": asked.record_state, "asked": asked.asked, "kubernetes": "v1.35.4"}


def test_an_upgrade_that_fails_is_not_recorded() -> None:
    """The next run does it again."""
    engine = Fake(container(), looks=[made_by(seen(), "v1.34.9")], upgrade=said("[upgrade/health] FATAL: no", rc=1))
    with fails("step_failed", "upgrade", "kubeadm upgrade ended with exit code 1"):
        kubeadm.converge_kubeadm(spec(upgrade=True), engine, check_mode=False)
    assert "record" not in engine.done()


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        pytest.param(spec(), made_by(seen(rotating=False), "v1.36.0"), "v1.36.0", id="first"),
        pytest.param(plane(), made_by(seen_plane(rotating=False), "v1.36.0"), "v1.36.0", id="control-plane"),
        pytest.param(worker(), made_by(seen_worker(hosts=""), "v1.36.0"), "v1.36.0", id="worker"),
        pytest.param(spec(), seen(rotating=False), "v1.35.4", id="not-recorded"),
        pytest.param(worker(), made_by(seen_worker(node=None), "v1.36.0"), "v1.35.4", id="joins-once-more"),
    ],
)
def test_release_in_the_record(asked: kubeadm_plan.KubeadmSpec, found: Seen, expected: str) -> None:
    """A control plane that was upgraded, and whose container is older, is repaired with the newer release in its record."""
    engine = Fake(*(container(), SECOND_CONTAINER, WORKER_CONTAINER), looks=[found], token_create=said(JOIN_COMMAND))
    kubeadm.converge_kubeadm(asked, engine, check_mode=False)
    assert json.loads(engine.stdin_of("record"))["kubernetes"] == expected


class Staged(Fake):
    """A node with a record, that was brought the kubeadm of another release."""

    def __init__(self, record: dict[str, Any], **answers: CommandResult) -> None:
        super().__init__(container(), SECOND_CONTAINER, WORKER_CONTAINER, looks=[seen()], **answers)
        self.file = json.dumps(record).encode()

    def read_file(self, identity: str, path: str) -> bytes | None:  # type: ignore[override]
        """It runs."""
        return self.file if path == RECORD else None

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        """The record is kept."""
        answer = super().call(arguments, **given)
        if self.calls[-1][0] == "record" and answer.rc == 0:
            self.file = given["stdin"]
        return answer


RECORDED = {"version": 1, "state": "initialized", "asked": {"endpoint": "x"}, "more": 1, "kubernetes": "v1.34.9"}


@pytest.mark.parametrize(
    ("asked", "plane_word", "server"),
    [(spec(), "first", []), (plane(), "further", ["--server=https://127.0.0.1:6443"])],
    ids=["first", "further"],
)
def test_upgrade_of_a_control_plane_in_its_old_container(
    asked: kubeadm_plan.KubeadmSpec, plane_word: str, server: list[str]
) -> None:
    """By the kubeadm that was brought, between two waits for its own API; kubelet goes on. What else is recorded stays."""
    engine = Staged(RECORDED)
    staging.upgrade(asked, engine, "v1.35.4")
    removal = [at for at, call in enumerate(engine.calls) if call[2] == ["rm", "-f", staging.PROGRAM]]
    assert removal in ([3], [4])
    assert [what for at, what in enumerate(engine.done()) if at not in removal] == ["wait", "upgrade", "wait", "record"]
    assert {node for _what, node, _command, _stdin in engine.calls} == {asked.node}
    waits = [command for what, _node, command, _stdin in engine.calls if what == "wait"]
    assert all(
        command[-len(server) :] == server if server else "--server" not in " ".join(command) for command in waits
    )
    (command,) = [command for what, _node, command, _stdin in engine.calls if what == "upgrade"]
    expected = [staging.PROGRAM, "v1.35.4", plane_word, "", "", asked.node]
    assert command[command.index("upgrade") + 1 :] == expected
    assert json.loads(engine.stdin_of("record")) == {**RECORDED, "kubernetes": "v1.35.4"}


def test_a_control_plane_that_another_run_has_upgraded() -> None:
    """It is not upgraded once more."""
    engine = Staged({**RECORDED, "kubernetes": "v1.35.4"})
    staging.upgrade(spec(), engine, "v1.35.4")
    assert all(command == ["rm", "-f", staging.PROGRAM] for _what, _node, command, _stdin in engine.calls)


def test_a_failed_upgrade_keeps_what_was_brought() -> None:
    """Neither is it recorded."""
    engine = Staged(RECORDED, upgrade=said("[upgrade] FATAL", rc=1))
    with fails("step_failed", "kubeadm upgrade ended with exit code 1"):
        staging.upgrade(spec(), engine, "v1.35.4")
    assert "record" not in engine.done() and not [call for call in engine.calls if call[2][0] == "rm"]


@pytest.mark.parametrize(
    ("asked", "waits"),
    [(spec(), ["wait"]), (plane(), ["wait"]), (worker(), [])],
    ids=["first", "further", "worker"],
)
def test_release_that_is_waited_for(asked: kubeadm_plan.KubeadmSpec, waits: list[str]) -> None:
    """A node is Ready when its new kubelet has said so, and the API of a control plane by itself."""
    engine = Staged(RECORDED)
    staging.await_release(asked, engine, "v1.35.4")
    assert engine.done() == [*waits, "ready-release"]
    _what, node, command, _stdin = engine.calls[-1]
    assert node == asked.control_plane and command[-3:] == [asked.node, "180", "v1.35.4"]
    late = {"ready-release": said("v1.34.9", rc=1)}
    with fails("step_failed", asked.node, "was not Ready with v1.35.4 within 180 seconds"):
        staging.await_release(asked, Staged(RECORDED, **late), "v1.35.4")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, ""),
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b'{"state": "joined"}', ""),
        (b'{"kubernetes": null}', ""),
        (json.dumps(RECORDED).encode(), "v1.34.9"),
    ],
    ids=["none", "empty", "broken", "list", "older", "null", "recorded"],
)
def test_recorded_release(record: bytes | None, expected: str) -> None:
    """What cannot be read says nothing."""
    engine = Staged({})
    engine.file = record
    assert staging.recorded_release(engine, "x") == expected


def test_release_of_a_container() -> None:
    """That of its image, and of one without Kubernetes none."""
    engine = MemoryEngine()
    engine.contents["x", "/kind/version"] = b"v1.35.4\n"
    assert (staging.release_of_container(engine, "x"), staging.release_of_container(engine, "y")) == ("v1.35.4", "")


def test_images_and_kubeadm_are_brought() -> None:
    """The images into all nodes, the program into control planes; the failure of a node is its own."""
    engine = MemoryEngine()
    given = ("source", "v1.35.4", (CONTROL_PLANE, WORKER), (CONTROL_PLANE,), node_scripts(), 60.0)
    staging.stage(engine, *given)
    assert engine.done == [
        f"feed upgrade-source images of source to {CONTROL_PLANE} {WORKER}",
        f"feed upgrade-source kubeadm of source to {CONTROL_PLANE}",
    ]
    staging.stage(engine, "source", "v1.35.4", (WORKER,), (), node_scripts(), 60.0)
    assert engine.done[2:] == [f"feed upgrade-source images of source to {WORKER}"]
    engine.load_fails[WORKER] = said("no space left on device", rc=1)
    with fails("image_not_loaded", WORKER, "of Kubernetes v1.35.4", "no space left"):
        staging.stage(engine, *given)


# Nodes whose names are not those of their containers.
NAMED, NAMED_WORKER = "origin-control-plane-1", "origin-worker-1"


def registered_by_other_names() -> CommandResult:
    """What the API answers of the nodes of a clone."""
    names = zip(NODE_OBJECTS, (NAMED, NAMED_WORKER))
    items = [{**item, "metadata": {**item["metadata"], "name": name}} for item, name in names]
    return said(json.dumps({"items": items}))


def named(found: Container, name: str) -> Container:
    """The container of a node with another name."""
    return replace(found, labels={**found.labels, labels.NODE_NAME: name})


def taking_over(**given: Any) -> kubeadm_plan.KubeadmSpec:
    """A control plane that begins a cluster with the data of another one."""
    return replace(spec(**given), node_name=NAMED)


def test_names_of_a_node() -> None:
    """It has that of its container, unless another one is given; only the one that begins the cluster takes over its data."""
    assert (spec().registered, taking_over().registered) == (CONTROL_PLANE, NAMED)
    joined = [replace(item, node_name=NAMED) for item in (worker(), plane())]
    found = [spec().takes_over, taking_over().takes_over, *(item.takes_over for item in joined)]
    assert found == [False, True, False, False]


def test_data_of_another_cluster_is_taken_over() -> None:
    """etcd's data is made that of the new one, and the pod network gets the addresses of its nodes, before it starts; tokens are
    issued again. What is in the data is left as it is."""
    engine = Fake(named(container(), NAMED), looks=[fresh()])
    found = kubeadm.converge_kubeadm(taking_over(manifests=[MANIFEST]), engine, check_mode=False)
    begin = ["look", "hosts", "etcd-adopt", "network-move", "init", "tokens-renew", "finalize", "record"]
    assert engine.done() == [*begin, "ready"]
    (adopted,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "etcd-adopt"]
    assert adopted[-2:] == [NAMED, "192.168.128.2"]
    documents = kubeadm_documents(engine.stdin_of("init"))
    assert documents["InitConfiguration"]["nodeRegistration"]["name"] == NAMED
    assert {NAMED, CONTROL_PLANE} <= {*documents["ClusterConfiguration"]["apiServer"]["certSANs"]}
    skipped = documents["InitConfiguration"]["skipPhases"]
    assert {"mark-control-plane", "addon/coredns"} <= {*skipped} and "addon/kube-proxy" not in skipped
    assert "tokens" in steps(found.plan) and found.value["name"] == NAMED
    moved = json.loads(engine.stdin_of("network-move"))
    assert moved == {"own": "192.168.128.2", "nodes": {NAMED: ["192.168.128.2"]}}


def joining_by_data() -> Seen:
    """A worker of a clone, whose API is not there yet."""
    return replace(fresh(), stands=frozenset({"/var/lib/kubelet/config.yaml"}), api=False, api_error="none")


def test_a_worker_with_data_needs_no_api() -> None:
    """It gets credentials that the control plane signs, and the pod network of its data; no kubeadm and no token."""
    engine = Fake(named(WORKER_CONTAINER, NAMED_WORKER), container(), looks=[joining_by_data()])
    engine.answers["kubelet-credentials"] = said("kubeconfig")
    found = kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    assert steps(found.plan) == ["hosts", "join"]
    assert engine.done() == [
        "look",
        "look",
        "hosts",
        "network-move",
        "kubelet-credentials",
        "worker-adopt",
        "record",
        "ready",
    ]
    assert engine.stdin_of("worker-adopt") == "kubeconfig"
    (adopted,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "worker-adopt"]
    (signed,) = [(node, command) for purpose, node, command, _stdin in engine.calls if purpose == "kubelet-credentials"]
    assert adopted[-1] == "192.168.128.3"
    assert signed[0] == CONTROL_PLANE and signed[1][-3] == NAMED_WORKER and int(signed[1][-1]) > 0


def test_a_worker_without_data_joins_by_kubeadm() -> None:
    """One of a clone that has lost its volume, or that was reset."""
    containers = named(WORKER_CONTAINER, NAMED_WORKER), container()
    engine = Fake(*containers, looks=[fresh()], token_create=said(JOIN_COMMAND), nodes=registered_by_other_names())
    kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    assert "join" in engine.done() and "worker-adopt" not in engine.done()


def test_data_that_cannot_be_taken_over() -> None:
    """kubeadm is not run on it."""
    engine = Fake(named(container(), NAMED), looks=[fresh()], **{"etcd-adopt": said("etcd ended", rc=1)})
    with fails("step_failed", "etcd", "etcd ended"):
        kubeadm.converge_kubeadm(taking_over(), engine, check_mode=False)
    assert "init" not in engine.done()


def test_steps_of_data_that_is_taken_over() -> None:
    """They are predicted; of a cluster that is complete no token is issued again."""
    asked = taking_over()
    assert "tokens" in steps(kubeadm_plan.plan_new(asked)) and "tokens" not in steps(kubeadm_plan.plan_new(spec()))
    assert "tokens" in steps(kubeadm_plan.plan_initialized(asked, observed(fresh())))
    interrupted = seen(asked, record={}, node=replace(API_NODE, name=NAMED))
    assert "tokens" in steps(kubeadm_plan.plan_initialized(asked, observed(interrupted)))
    assert steps(kubeadm_plan.plan_initialized(asked, observed(seen(asked, node=replace(API_NODE, name=NAMED))))) == []
    assert "tokens" not in steps(kubeadm_plan.plan_joined(replace(worker(), node_name=NAMED_WORKER), observed(fresh())))


@pytest.mark.parametrize("given", ["", "other", NAMED], ids=["none", "another", "the-same"])
def test_a_container_knows_the_name_of_its_node(given: str) -> None:
    """Whatever is declared: by it the API is asked, and what is run in the node has it."""
    asked = replace(spec(labels={"tier": "one"}), node_name=given)
    found = seen(asked, node=replace(API_NODE, name=NAMED))
    engine = Fake(named(container(), NAMED), looks=[found])
    outcome = kubeadm.converge_kubeadm(asked, engine, check_mode=False)
    assert outcome.value["name"] == NAMED
    looks = [command for purpose, _node, command, _stdin in engine.calls if purpose == "look"]
    assert looks and all(f"NODE={NAMED}" in command for command in looks)
    (declared,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "labels"]
    assert declared[-1] == NAMED


def test_a_container_without_another_name() -> None:
    """It was created before there was one, or is no clone's."""
    engine = Fake(container(), looks=[seen()])
    assert kubeadm.converge_kubeadm(taking_over(), engine, check_mode=False).value["name"] == CONTROL_PLANE
    (look,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "look"]
    assert f"NODE={CONTROL_PLANE}" in look


def test_join_of_a_node_with_another_name() -> None:
    """The API has it by that name before kubelet starts, and kubelet has the name too."""
    containers = named(container(), NAMED), named(WORKER_CONTAINER, NAMED_WORKER)
    engine = Fake(*containers, looks=[fresh()], token_create=said(JOIN_COMMAND), nodes=registered_by_other_names())
    kubeadm.converge_kubeadm(worker(), engine, check_mode=False)
    assert json.loads(engine.stdin_of("create"))["metadata"]["name"] == NAMED_WORKER
    document = kubeadm_documents(engine.stdin_of("join"))["JoinConfiguration"]
    assert document["nodeRegistration"]["name"] == NAMED_WORKER
    nodes = {purpose: node for purpose, node, _command, _stdin in engine.calls}
    assert nodes["join"] == nodes["network"] == WORKER and nodes["create"] == CONTROL_PLANE
    (ready,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "ready"]
    assert ready[-4] == NAMED_WORKER


def test_a_member_of_etcd_with_another_name() -> None:
    """etcd knows a control plane by the name of its node."""
    known = replace(plane(), node_name="origin-control-plane-2")
    there = seen_plane(node=replace(API_NODE, name="origin-control-plane-2", address="192.168.128.4"))
    complete = replace(there, members=frozenset((NAMED, "origin-control-plane-2")))
    assert steps(kubeadm_plan.plan_joined(known, observed_plane(complete))) == []
    forgotten = replace(there, members=frozenset((NAMED, SECOND)))
    assert "join" in steps(kubeadm_plan.plan_joined(known, observed_plane(forgotten)))


# What the API says of a node from before it was started.
STARTED = "2026-11-30T12:00:00.5Z"
AT = 1796040000


@pytest.mark.parametrize(
    ("started", "now", "heartbeat", "since", "ready"),
    [
        pytest.param(STARTED, AT + 60, AT + 30, AT, True, id="reported-since"),
        pytest.param(STARTED, AT + 60, AT, AT, True, id="in-the-same-second"),
        pytest.param(STARTED, AT + 60, AT - 1, AT, False, id="reported-before"),
        pytest.param(STARTED, AT + 60, None, AT, True, id="nobody-knows-when"),
        pytest.param(STARTED, AT - 60, AT - 90, 0, True, id="clock-was-set-back"),
        pytest.param("", AT, AT - 90, 0, True, id="never-started"),
        pytest.param("x", AT, AT - 90, 0, True, id="garbage"),
    ],
)
def test_a_report_from_before(started: str, now: int, heartbeat: float | None, since: int, ready: bool) -> None:
    """It is that of the kubelet before: it says nothing of this one."""
    own = container(raw={"State": {"StartedAt": started}})
    found = observed(seen(now=float(now), node=replace(API_NODE, heartbeat=heartbeat)), container=own)
    assert (found.since, found.ready) == (since, ready)
    assert not replace(found, seen=replace(found.seen, node=None)).ready
    unready = replace(API_NODE, ready=False, heartbeat=float(now))
    assert not replace(found, seen=replace(found.seen, node=unready)).ready


def test_a_node_whose_report_is_from_before_is_waited_for() -> None:
    """The limit of what it is waited for is when it was started."""
    own = container(raw={"State": {"StartedAt": STARTED}})
    stale = seen(now=float(AT + 60), node=replace(API_NODE, heartbeat=AT - 20))
    engine = Fake(own, looks=[stale])
    found = kubeadm.converge_kubeadm(spec(), engine, check_mode=False)
    assert engine.done() == ["look", "ready"] and not found.plan.changed
    (command,) = [command for purpose, _node, command, _stdin in engine.calls if purpose == "ready"]
    assert command[-1] == str(AT)
    fresh_one = replace(stale, node=replace(API_NODE, heartbeat=AT + 20))
    again = Fake(own, looks=[fresh_one])
    kubeadm.converge_kubeadm(spec(), again, check_mode=False)
    assert again.done() == ["look"]
