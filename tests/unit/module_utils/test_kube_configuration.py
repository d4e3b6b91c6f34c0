# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's configuration: how the user's fields come over ours, and what each kind of machine makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import configuration as conf
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import (
    node_labels,
    node_taints,
)

from .support import fails

FACTS = conf.NodeFacts(
    version="v1.35.4", cgroup_version=2, systemd_cgroup=True, lowers_oom_score=True, user_namespace=False
)
SHAPE = conf.ClusterShape(
    cluster="lab", endpoint="lab.kic.internal", pod_subnet="10.244.0.0/16", service_subnet="10.96.0.0/16"
)
TOKEN = "abcdef.0123456789abcdef"


def init(
    shape: conf.ClusterShape = SHAPE,
    facts: conf.NodeFacts = FACTS,
    skip_phases: tuple[str, ...] = ("preflight",),
    patches: str | None = None,
    seconds: float = 240.0,
    user: Any = None,
) -> dict[str, Any]:
    """Make the documents of an init as most tests want them."""
    return conf.init_documents(
        shape,
        facts,
        node="lab-control-plane-1",
        addresses=("192.168.128.2", "fd00::2"),
        sans=("lab.kic.internal", "127.0.0.1"),
        skip_phases=skip_phases,
        patches=patches,
        seconds=seconds,
        user=conf.user_documents(user),
    )


def join(
    patches: str | None = None,
    seconds: float = 240.0,
    user: Any = None,
    control_plane: bool = False,
    schedulable: bool = False,
) -> dict[str, Any]:
    """Make the documents of a join."""
    return conf.join_documents(
        node="lab-worker-1",
        addresses=("192.168.128.3",),
        endpoint="lab.kic.internal",
        token=TOKEN,
        ca_hash="sha256:0123",
        patches=patches,
        seconds=seconds,
        user=conf.user_documents(user),
        control_plane=control_plane,
        schedulable=schedulable,
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param("v1.35.4", (1, 35), id="release"),
        pytest.param("1.31.0", (1, 31), id="without-v"),
        pytest.param("v1.36.0-alpha.1", (1, 36), id="prerelease"),
        pytest.param("v2.0", (2, 0), id="short"),
        pytest.param("latest", (0, 0), id="no-version"),
        pytest.param("", (0, 0), id="empty"),
    ],
)
def test_release(version: str, expected: tuple[int, int]) -> None:
    """Major and minor are read from a version, and what is none is older than all."""
    assert conf.release_of(version) == expected
    assert replace(FACTS, version=version).release == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}, id="field-replaced"),
        pytest.param({"a": 1}, {"b": 2}, {"a": 1, "b": 2}, id="field-added"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}, id="field-by-field"),
        pytest.param({"a": 1, "b": 2}, {"b": None}, {"a": 1}, id="null-removes"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"y": None}}, {"a": {"x": 1}}, id="null-removes-inside"),
        pytest.param({"a": 1}, {"b": None}, {"a": 1}, id="null-of-nothing"),
        pytest.param({"a": True}, {"a": False}, {"a": False}, id="false-is-no-null"),
        pytest.param({"a": 7}, {"a": 0}, {"a": 0}, id="zero-is-no-null"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="list-replaced"),
        pytest.param({"a": [1, 2]}, {"a": []}, {"a": []}, id="list-emptied"),
        pytest.param({"a": [1]}, {"a": {"x": 1}}, {"a": {"x": 1}}, id="kind-of-value-changed"),
        pytest.param(
            {"extraArgs": [{"name": "v", "value": "2"}, {"name": "w", "value": "1"}]},
            {"extraArgs": [{"name": "v", "value": "4"}]},
            {"extraArgs": [{"name": "w", "value": "1"}, {"name": "v", "value": "4"}]},
            id="argument-replaced-by-name",
        ),
        pytest.param(
            {"extraArgs": [{"name": "v", "value": "2"}]},
            {"extraArgs": [{"name": "x", "value": "1"}, {"name": "x", "value": "2"}]},
            {"extraArgs": [{"name": "v", "value": "2"}, {"name": "x", "value": "1"}, {"name": "x", "value": "2"}]},
            id="argument-given-twice",
        ),
        pytest.param(
            {"kubeletExtraArgs": [{"name": "node-ip", "value": "10.0.0.2"}]},
            {"kubeletExtraArgs": [{"name": "v", "value": "4"}]},
            {"kubeletExtraArgs": [{"name": "node-ip", "value": "10.0.0.2"}, {"name": "v", "value": "4"}]},
            id="argument-of-kubelet",
        ),
        pytest.param(
            {"extraEnvs": [{"name": "A", "value": "1"}]},
            {"extraEnvs": [{"name": "A", "value": "2"}]},
            {"extraEnvs": [{"name": "A", "value": "2"}]},
            id="environment-by-name",
        ),
        pytest.param(
            {"certSANs": ["a", "b"]}, {"certSANs": ["b", "c"]}, {"certSANs": ["a", "b", "c"]}, id="names-added-once"
        ),
        pytest.param(
            {"apiServer": {"certSANs": ["a"]}},
            {"apiServer": {"certSANs": ["b"], "extraArgs": [{"name": "v", "value": "2"}]}},
            {"apiServer": {"certSANs": ["a", "b"], "extraArgs": [{"name": "v", "value": "2"}]}},
            id="names-inside",
        ),
    ],
)
def test_merge(ours: dict[str, Any], theirs: dict[str, Any], expected: dict[str, Any]) -> None:
    """The user's fields come over ours by the documented rules, and neither side is changed by it."""
    before = json.dumps([ours, theirs])
    assert conf.merge(ours, theirs) == expected
    assert json.dumps([ours, theirs]) == before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param({}, {}, id="empty-mapping"),
        pytest.param([], {}, id="empty-list"),
        pytest.param(
            {"KubeProxyConfiguration": {"mode": "iptables"}},
            {"KubeProxyConfiguration": {"mode": "iptables"}},
            id="mapping",
        ),
        pytest.param(
            [{"kind": "KubeProxyConfiguration", "mode": "iptables"}, {"kind": "KubeletConfiguration", "maxPods": 50}],
            {"KubeProxyConfiguration": {"mode": "iptables"}, "KubeletConfiguration": {"maxPods": 50}},
            id="documents",
        ),
        pytest.param(
            [
                {
                    "apiVersion": "kubeadm.k8s.io/v1beta4",
                    "kind": "ClusterConfiguration",
                    "imageRepository": "here.example",
                }
            ],
            {"ClusterConfiguration": {"imageRepository": "here.example"}},
            id="right-api-version",
        ),
        pytest.param(
            [
                {"kind": "ClusterConfiguration", "apiServer": {"certSANs": ["a"]}, "clusterName": "x"},
                {"kind": "ClusterConfiguration", "apiServer": {"certSANs": ["b"]}},
            ],
            {"ClusterConfiguration": {"apiServer": {"certSANs": ["a", "b"]}, "clusterName": "x"}},
            id="same-kind-twice",
        ),
        pytest.param(
            {"kind": "ClusterConfiguration", "imageRepository": "here.example"},
            {"ClusterConfiguration": {"imageRepository": "here.example"}},
            id="one-document",
        ),
        pytest.param(
            [
                {
                    "apiVersion": "kubeadm.k8s.io/v1beta3",
                    "kind": "ClusterConfiguration",
                    "metadata": {"name": "config"},
                    "apiServer": {"extraArgs": {"enable-admission-plugins": "NodeRestriction"}},
                }
            ],
            {
                "ClusterConfiguration": {
                    "apiServer": {"extraArgs": [{"name": "enable-admission-plugins", "value": "NodeRestriction"}]}
                }
            },
            id="patch-of-kind-for-v1beta3",
        ),
        pytest.param(
            {"InitConfiguration": {"nodeRegistration": {"criSocket": "/run/containerd/containerd.sock"}}},
            {"InitConfiguration": {"nodeRegistration": {"criSocket": "/run/containerd/containerd.sock"}}},
            id="the-socket-itself",
        ),
        pytest.param(
            {"KubeletConfiguration": {"evictionHard": None}},
            {"KubeletConfiguration": {"evictionHard": None}},
            id="null-is-kept",
        ),
        pytest.param(
            [
                {"kind": "KubeletConfiguration", "evictionHard": {"nodefs.available": "5%"}, "maxPods": None},
                {"kind": "KubeletConfiguration", "evictionHard": None, "maxPods": 50},
            ],
            {"KubeletConfiguration": {"evictionHard": None, "maxPods": 50}},
            id="last-null-or-value-counts",
        ),
    ],
)
def test_user_documents(value: Any, expected: dict[str, Any]) -> None:
    """The option configuration is taken in each of its forms, as fields by kind."""
    assert conf.user_documents(value) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("text", "neither a mapping of kinds nor a list", id="text"),
        pytest.param([{"imageRepository": "here.example"}], "neither a mapping of kinds nor a list", id="no-kind"),
        pytest.param(["ClusterConfiguration"], "neither a mapping of kinds nor a list", id="list-of-text"),
        pytest.param({"Pod": {}}, "'Pod' is not a kind that kubeadm reads", id="other-kind"),
        pytest.param({"ClusterConfiguration": "x"}, "ClusterConfiguration has no fields", id="fields-are-text"),
        pytest.param({"ClusterConfiguration": None}, "ClusterConfiguration has no fields", id="fields-are-null"),
        pytest.param(
            {"ClusterConfiguration": {"apiVersion": "kubeadm.k8s.io/v1beta2"}},
            "ClusterConfiguration is of kubeadm.k8s.io/v1beta2",
            id="old-api-version",
        ),
        pytest.param(
            {"KubeletConfiguration": {"apiVersion": "kubeadm.k8s.io/v1beta3"}},
            "KubeletConfiguration is of kubeadm.k8s.io/v1beta3",
            id="api-version-of-another-kind",
        ),
        pytest.param(
            {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": "control-plane"}]},
            "Cluster is a kind of the tool kind",
            id="file-of-kind",
        ),
        pytest.param(
            [{"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}],
            "Cluster is a kind of the tool kind",
            id="document-of-kind",
        ),
        pytest.param(["kind: ClusterConfiguration\n"], "with a kind, but text", id="list-of-texts"),
    ],
)
def test_user_documents_refused(value: Any, said: str) -> None:
    """What kubeadm could not read is refused with the option's name, before anything is done."""
    with pytest.raises(KicError) as caught:
        conf.user_documents(value)
    assert caught.value.diagnosis.id == "invalid_option"
    assert caught.value.diagnosis.cause.startswith("configuration: ")
    assert said in caught.value.diagnosis.cause
    assert caught.value.diagnosis.fix


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param({"etcd.yaml": "a: 1"}, {"etcd.yaml": "a: 1"}, id="text-as-it-is"),
        pytest.param(
            {"kube-apiserver0+merge.json": {"b": 1, "a": 2}},
            {"kube-apiserver0+merge.json": '{"a": 2, "b": 1}'},
            id="mapping",
        ),
        pytest.param(
            {"kubeletconfiguration+json.json": [{"op": "remove", "path": "/x"}]},
            {"kubeletconfiguration+json.json": '[{"op": "remove", "path": "/x"}]'},
            id="json-patch",
        ),
        pytest.param(
            {"corednsdeployment-x+strategic.yaml": "a: 1"}, {"corednsdeployment-x+strategic.yaml": "a: 1"}, id="suffix"
        ),
    ],
)
def test_user_patches(value: dict[str, Any] | None, expected: dict[str, str]) -> None:
    """Patches become texts by file name."""
    assert conf.user_patches(value) == expected


@pytest.mark.parametrize(
    "name",
    [
        "kube-api.json",
        "etcd",
        "etcd.txt",
        "etcd+other.json",
        "../etcd.json",
        "etcd/x.json",
        "etcd0+merge.json\n",
        "Etcd.json",
    ],
    ids=["target", "no-ending", "ending", "patch-type", "leads-out", "folder", "line-end", "upper-case"],
)
def test_user_patches_refused(name: str) -> None:
    """A name that kubeadm would pass over, or that leads elsewhere, is refused."""
    with pytest.raises(KicError) as caught:
        conf.user_patches({name: "a: 1"})
    assert caught.value.diagnosis.cause.startswith(f"patches: {name!r} is not a name")


@pytest.mark.parametrize(
    "value", ["x", ["etcd.json"], [{"etcd.json": "a: 1"}], 5], ids=["text", "list", "list-of-mappings", "number"]
)
def test_user_patches_that_are_no_mapping(value: Any) -> None:
    """Patches without file names are refused with an example."""
    with pytest.raises(KicError) as caught:
        conf.user_patches(value)
    assert caught.value.diagnosis.id == "invalid_option"
    assert caught.value.diagnosis.cause == "patches: is not a mapping."
    assert "kube-apiserver0+merge.json" in caught.value.diagnosis.fix


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {"cgroupDriver": "systemd", "featureGates": None, "failCgroupV1": None}, id="root-v2"),
        pytest.param({"systemd_cgroup": False}, {"cgroupDriver": "cgroupfs"}, id="cgroupfs"),
        pytest.param({"cgroup_version": 1}, {"failCgroupV1": False, "cgroupDriver": "systemd"}, id="v1"),
        pytest.param({"cgroup_version": 1, "version": "v1.30.9"}, {"failCgroupV1": None}, id="v1-before-the-field"),
        pytest.param({"user_namespace": True}, {"featureGates": {"KubeletInUserNamespace": True}}, id="user-namespace"),
        pytest.param(
            {"lowers_oom_score": False}, {"featureGates": {"KubeletInUserNamespace": True}}, id="no-oom-score"
        ),
    ],
)
def test_kubelet(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """kubelet gets what the machine's control groups and user namespace ask for, and only that."""
    found = conf.kubelet(replace(FACTS, **changes))
    assert {key: found.get(key) for key in expected} == expected
    assert found["failSwapOn"] is False and found["cgroupRoot"] == "/kubelet"
    assert set(found["evictionHard"].values()) == {"0%"}


@pytest.mark.parametrize(("user_namespace", "liberal"), [(False, True), (True, None)], ids=["host", "user-namespace"])
def test_kube_proxy(user_namespace: bool, liberal: bool | None) -> None:
    """kube-proxy leaves the host's conntrack alone, and sets what it may only outside a user namespace."""
    found = conf.kube_proxy(replace(FACTS, user_namespace=user_namespace))
    assert found["mode"] == "nftables"
    assert found["conntrack"]["maxPerCore"] == 0
    assert found["conntrack"].get("tcpBeLiberal") is liberal


def test_init_documents() -> None:
    """The documents of an init name the node, its addresses, the cluster's name and ranges."""
    found = init()
    assert list(found) == [
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    ]
    start, cluster = found["InitConfiguration"], found["ClusterConfiguration"]
    assert start["localAPIEndpoint"] == {"advertiseAddress": "192.168.128.2", "bindPort": 6443}
    assert start["nodeRegistration"]["name"] == "lab-control-plane-1"
    # One address of each IP version of the pods, which the caller chose.
    assert start["nodeRegistration"]["kubeletExtraArgs"] == [{"name": "node-ip", "value": "192.168.128.2,fd00::2"}]
    assert start["skipPhases"] == ["preflight"]
    assert "patches" not in start
    assert cluster["controlPlaneEndpoint"] == "lab.kic.internal:6443"
    assert cluster["kubernetesVersion"] == "v1.35.4"
    assert cluster["clusterName"] == "lab"
    assert cluster["apiServer"]["certSANs"] == ["lab.kic.internal", "127.0.0.1"]
    assert cluster["networking"] == {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/16"}


@pytest.mark.parametrize(
    ("changes", "driver", "fail_v1", "gates", "liberal"),
    [
        pytest.param({}, "systemd", None, None, True, id="v2-systemd-root"),
        pytest.param(
            {"user_namespace": True, "lowers_oom_score": False},
            "systemd",
            None,
            {"KubeletInUserNamespace": True},
            None,
            id="v2-systemd-rootless",
        ),
        pytest.param(
            {"cgroup_version": 1, "systemd_cgroup": False}, "cgroupfs", False, None, True, id="v1-cgroupfs-root"
        ),
    ],
)
def test_init_documents_of_machines(
    changes: dict[str, Any], driver: str, fail_v1: bool | None, gates: dict[str, bool] | None, liberal: bool | None
) -> None:
    """An init carries kubelet's and kube-proxy's settings of the machine it is made on."""
    found = init(facts=replace(FACTS, **changes))
    kubelet = found["KubeletConfiguration"]
    assert kubelet["cgroupDriver"] == driver
    assert kubelet.get("failCgroupV1") is fail_v1
    assert kubelet.get("featureGates") == gates
    assert found["KubeProxyConfiguration"]["conntrack"].get("tcpBeLiberal") is liberal


@pytest.mark.parametrize(("schedulable", "taints"), [(True, []), (False, None)], ids=["takes-pods", "takes-none"])
def test_init_taints(schedulable: bool, taints: list[Any] | None) -> None:
    """A control plane that takes pods has an empty list of taints; without the list kubeadm sets its own."""
    found = init(shape=replace(SHAPE, schedulable=schedulable))
    assert found["InitConfiguration"]["nodeRegistration"].get("taints") == taints


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(240.0, "237s"), (12.9, "9s"), (6.0, "5s"), (1.0, "5s")],
    ids=["usual", "cut", "least", "less"],
)
def test_timeouts(seconds: float, expected: str) -> None:
    """kubeadm's own waits end a little before ours, but not at once."""
    for document in (init(seconds=seconds)["InitConfiguration"], join(seconds=seconds)["JoinConfiguration"]):
        assert set(document["timeouts"].values()) == {expected}


def test_patches_directory() -> None:
    """The directory of the patches is named when there are some."""
    assert init(patches="/p")["InitConfiguration"]["patches"] == {"directory": "/p"}
    assert join(patches="/p")["JoinConfiguration"]["patches"] == {"directory": "/p"}
    assert "patches" not in join()["JoinConfiguration"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(None, ["preflight", "certs"], id="ours"),
        pytest.param(["addon"], ["addon", "preflight", "certs"], id="both"),
        pytest.param(["certs", "addon"], ["certs", "addon", "preflight"], id="shared"),
        pytest.param([], ["preflight", "certs"], id="emptied"),
    ],
)
def test_init_skip_phases(user: list[str] | None, expected: list[str]) -> None:
    """Phases that we leave out to go on where a run ended are left out whatever the user leaves out too."""
    given = None if user is None else {"InitConfiguration": {"skipPhases": user}}
    assert init(skip_phases=("preflight", "certs"), user=given)["InitConfiguration"]["skipPhases"] == expected


def test_init_with_the_users_fields() -> None:
    """The user's fields are in the documents of an init, next to ours."""
    found = init(
        user={
            "ClusterConfiguration": {
                "apiServer": {"certSANs": ["api.example"], "extraArgs": [{"name": "audit-log-maxage", "value": "7"}]},
                "scheduler": {"extraArgs": [{"name": "leader-elect-retry-period", "value": "2s"}]},
                "controllerManager": {"extraArgs": None},
            },
            "KubeletConfiguration": {"maxPods": 50, "evictionHard": {"nodefs.available": "5%"}},
            "KubeProxyConfiguration": {"mode": "iptables"},
        }
    )
    cluster, kubelet = found["ClusterConfiguration"], found["KubeletConfiguration"]
    assert cluster["apiServer"]["certSANs"] == ["lab.kic.internal", "127.0.0.1", "api.example"]
    assert cluster["apiServer"]["extraArgs"] == [{"name": "audit-log-maxage", "value": "7"}]
    assert cluster["scheduler"]["extraArgs"] == [{"name": "leader-elect-retry-period", "value": "2s"}]
    assert cluster["controllerManager"] == {}
    assert kubelet["maxPods"] == 50
    assert kubelet["evictionHard"] == {"nodefs.available": "5%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"}
    assert found["KubeProxyConfiguration"]["mode"] == "iptables"
    assert "maxPerCore" in found["KubeProxyConfiguration"]["conntrack"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("InitConfiguration", "timeouts"),
        ("ClusterConfiguration", "encryptionAlgorithm"),
        ("KubeletConfiguration", "evictionHard"),
        ("KubeProxyConfiguration", "conntrack"),
    ],
    ids=["init", "cluster", "kubelet", "kube-proxy"],
)
@pytest.mark.parametrize("listed", [False, True], ids=["mapping", "documents"])
def test_null_of_the_user_removes_a_field_of_ours(kind: str, field: str, listed: bool) -> None:
    """A null directly below a kind removes our field of that name and nothing else."""
    found = init(user=[{"kind": kind, field: None}] if listed else {kind: {field: None}})
    expected = init()
    del expected[kind][field]
    assert found == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(["kubelet-start"], ["kubelet-start", "preflight"], id="other"),
        pytest.param(["preflight", "kubelet-start"], ["preflight", "kubelet-start"], id="named-too"),
        pytest.param([], ["preflight"], id="emptied"),
        pytest.param(None, ["preflight"], id="null"),
    ],
)
def test_join_skip_phases(user: list[str] | None, expected: list[str]) -> None:
    """preflight, which judges the host, is left out of a join whatever the user leaves out too."""
    found = join(user={"JoinConfiguration": {"skipPhases": user}})
    assert found["JoinConfiguration"]["skipPhases"] == expected


def test_join_documents() -> None:
    """The document of a join names the worker and where it finds the API, and leaves preflight out."""
    found = join(user={"JoinConfiguration": {"nodeRegistration": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}})
    assert list(found) == ["JoinConfiguration"]
    document = found["JoinConfiguration"]
    assert document["discovery"]["bootstrapToken"] == {
        "apiServerEndpoint": "lab.kic.internal:6443",
        "token": TOKEN,
        "caCertHashes": ["sha256:0123"],
    }
    assert document["skipPhases"] == ["preflight"]
    registration = document["nodeRegistration"]
    assert registration["name"] == "lab-worker-1"
    assert registration["kubeletExtraArgs"] == [{"name": "node-ip", "value": "192.168.128.3"}]
    assert registration["taints"] == [{"key": "a", "effect": "NoSchedule"}]


@pytest.mark.parametrize(("schedulable", "taints"), [(False, None), (True, [])], ids=["takes-no-pods", "takes-pods"])
def test_join_of_a_control_plane(schedulable: bool, taints: list[Any] | None) -> None:
    """It offers its API by its own address, and has no taint where it takes pods; else the document is that of a worker."""
    found = join(control_plane=True, schedulable=schedulable)["JoinConfiguration"]
    assert found.pop("controlPlane") == {
        "localAPIEndpoint": {"advertiseAddress": "192.168.128.3", "bindPort": 6443},
    }
    assert found["nodeRegistration"].pop("taints", None) == taints
    assert {"JoinConfiguration": found} == join()


def test_a_worker_takes_pods_by_itself() -> None:
    """Only of a control plane it is said."""
    assert join(schedulable=True) == join()
    assert "controlPlane" not in join()["JoinConfiguration"] and "taints" not in join()["JoinConfiguration"]


def test_control_plane_of_the_user() -> None:
    """What the user says of a joining control plane is merged with ours."""
    user = {"JoinConfiguration": {"controlPlane": {"localAPIEndpoint": {"bindPort": 7443}, "certificateKey": "k"}}}
    assert join(user=user, control_plane=True)["JoinConfiguration"]["controlPlane"] == {
        "localAPIEndpoint": {"advertiseAddress": "192.168.128.3", "bindPort": 7443},
        "certificateKey": "k",
    }


def test_other_kinds_of_the_user_stay_out_of_a_join() -> None:
    """Fields of an init's kinds have no place in a join."""
    user = {"ClusterConfiguration": {"clusterName": "x"}, "KubeletConfiguration": {"maxPods": 50}}
    assert join(user=user) == join()


def test_only_a_join_holds_the_token() -> None:
    """The token is in the text of a join, and the text of an init has no word of a token."""
    assert TOKEN in conf.render(join())
    assert "token" not in conf.render(init()).lower()


def test_render() -> None:
    """The text is YAML documents with the kind and version that kubeadm asks for, and is JSON for who has no YAML."""
    documents = init()
    text = conf.render(documents)
    found = list(yaml.safe_load_all(text))
    assert [item["kind"] for item in found] == list(documents)
    assert [item["apiVersion"] for item in found] == [conf.API_VERSIONS[kind] for kind in documents]
    assert {key: value for key, value in found[1].items() if key not in ("apiVersion", "kind")} == documents[
        "ClusterConfiguration"
    ]
    assert [json.loads(part) for part in text.split("\n---\n")] == found


ARGUMENTS = [
    pytest.param({"v": "4"}, [{"name": "v", "value": "4"}], id="mapping"),
    pytest.param({"v": 4, "b": True, "f": 1.5}, None, id="mapping-of-numbers"),
    pytest.param([{"name": "v", "value": "4"}], [{"name": "v", "value": "4"}], id="list"),
    pytest.param([{"name": "v", "value": 4}], [{"name": "v", "value": "4"}], id="list-of-numbers"),
    pytest.param({"--v": "4"}, [{"name": "v", "value": "4"}], id="dashes"),
    pytest.param({"node-labels": "a=b,c=d"}, [{"name": "node-labels", "value": "a=b,c=d"}], id="commas"),
    pytest.param({"empty": ""}, [{"name": "empty", "value": ""}], id="empty-value"),
]
PLACES = [
    pytest.param("InitConfiguration", ("nodeRegistration", "kubeletExtraArgs"), id="kubelet-init"),
    pytest.param("JoinConfiguration", ("nodeRegistration", "kubeletExtraArgs"), id="kubelet-join"),
    pytest.param("ClusterConfiguration", ("apiServer", "extraArgs"), id="apiserver"),
    pytest.param("ClusterConfiguration", ("controllerManager", "extraArgs"), id="controller-manager"),
    pytest.param("ClusterConfiguration", ("scheduler", "extraArgs"), id="scheduler"),
    pytest.param("ClusterConfiguration", ("etcd", "local", "extraArgs"), id="etcd"),
    pytest.param("ClusterConfiguration", ("apiServer", "extraEnvs"), id="environment"),
]


def made(kind: str, path: tuple[str, ...], value: Any) -> list[dict[str, str]]:
    """The arguments that kubeadm gets where the user wrote ``value``."""
    user: Any = value
    for field in reversed(path):
        user = {field: user}
    found: Any = (join if kind == "JoinConfiguration" else init)(user={kind: user})[kind]
    for field in path:
        found = found[field]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(("kind", "path"), PLACES)
@pytest.mark.parametrize(("value", "expected"), ARGUMENTS)
def test_arguments_in_each_form(kind: str, path: tuple[str, ...], value: Any, expected: Any) -> None:
    """A mapping as in v1beta3 becomes the list of v1beta4, next to our own arguments; every value is a string."""
    ours = [item for item in made(kind, path, []) if path[-1] != "extraEnvs"]
    wanted = expected or [{"name": "v", "value": "4"}, {"name": "b", "value": "true"}, {"name": "f", "value": "1.5"}]
    assert made(kind, path, value) == ours + wanted


def test_a_mapping_is_merged_with_our_arguments() -> None:
    """What we need stays, what the user names again is the user's, and a null removes it."""
    path = ("nodeRegistration", "kubeletExtraArgs")
    assert made("JoinConfiguration", path, {"v": "4"}) == [
        {"name": "node-ip", "value": "192.168.128.3"},
        {"name": "v", "value": "4"},
    ]
    assert made("JoinConfiguration", path, {"node-ip": "10.0.0.9"}) == [{"name": "node-ip", "value": "10.0.0.9"}]
    assert made("JoinConfiguration", path, {"node-ip": None, "v": "1"}) == [{"name": "v", "value": "1"}]
    both = [
        {"kind": "JoinConfiguration", "nodeRegistration": {"kubeletExtraArgs": {"v": "1", "a": "b"}}},
        {"kind": "JoinConfiguration", "nodeRegistration": {"kubeletExtraArgs": [{"name": "v", "value": "2"}]}},
    ]
    found = join(user=both)["JoinConfiguration"]["nodeRegistration"]["kubeletExtraArgs"]
    assert [item["name"] for item in found] == ["node-ip", "a", "v"] and found[-1]["value"] == "2"


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        pytest.param("ClusterConfiguration", {"apiServer": {"extraArgs": "v=4"}}, "apiServer.extraArgs: ", id="text"),
        pytest.param("ClusterConfiguration", {"apiServer": {"extraArgs": ["v=4"]}}, "'v=4' is not an arg", id="words"),
        pytest.param(
            "ClusterConfiguration",
            {"apiServer": {"extraArgs": {"feature-gates": {"A": True}}}},
            "the value of 'feature-gates' is not a string",
            id="mapping-as-value",
        ),
        pytest.param(
            "ClusterConfiguration",
            {"apiServer": {"extraArgs": [{"v": "4"}]}},
            "is not an argument with a name",
            id="list-of-mappings",
        ),
        pytest.param("ClusterConfiguration", {"apiServer": []}, "apiServer: [] is not a mapping", id="no-mapping"),
        pytest.param("ClusterConfiguration", {"networking": "x"}, "networking: 'x' is not a mapping", id="networking"),
        pytest.param("InitConfiguration", {"nodeRegistration": ["x"]}, "nodeRegistration: ", id="registration"),
        pytest.param(
            "InitConfiguration", {"skipPhases": "addon/kube-proxy"}, "write it as skipPhases: [", id="phase-as-text"
        ),
        pytest.param("InitConfiguration", {"nodeRegistration": {"taints": ["a"]}}, "list of mappings", id="taints"),
        pytest.param(
            "InitConfiguration", {"bootstrapTokens": True}, "bootstrapTokens: the value is not a list", id="tokens"
        ),
        pytest.param(
            "ClusterConfiguration", {"apiServer": {"extraVolumes": 5}}, "extraVolumes: 5 is not a list", id="volumes"
        ),
        pytest.param(
            "ClusterConfiguration",
            {"apiServer": {"timeoutForControlPlane": "4m"}},
            "controlPlaneComponentHealthCheck",
            id="timeout-of-v1beta3",
        ),
        pytest.param("JoinConfiguration", {"discovery": {"timeout": "5m"}}, "timeouts: {discovery", id="join-timeout"),
        # As "kubeadm config print init-defaults" and files of other clusters have them.
        pytest.param("InitConfiguration", {"nodeRegistration": {"name": "node"}}, "leave it out", id="name"),
        pytest.param(
            "JoinConfiguration",
            {"nodeRegistration": {"criSocket": "unix:///var/run/cri-dockerd.sock"}},
            "leave it out; it is unix:///run/containerd/containerd.sock",
            id="another-runtime",
        ),
        pytest.param("ClusterConfiguration", {"kubernetesVersion": "1.30.0"}, "kubernetes_version", id="version"),
        pytest.param("ClusterConfiguration", {"controlPlaneEndpoint": "lb:6443"}, "api_sans", id="endpoint"),
        pytest.param("ClusterConfiguration", {"certificatesDir": "/srv/pki"}, "/etc/kubernetes/pki", id="certificates"),
    ],
)
def test_fields_that_kubeadm_would_refuse_later(kind: str, fields: dict[str, Any], said: str) -> None:
    """A field of the wrong kind is refused before anything is made, with its path and what to write."""
    with pytest.raises(KicError) as caught:
        conf.user_documents({kind: fields})
    found = caught.value.diagnosis
    assert found.id == "invalid_option" and found.cause.startswith(f"configuration.{kind}.")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param("InitConfiguration", {"bootstrapTokens": {"token": "S3CRET"}}, id="no-list"),
        pytest.param("InitConfiguration", {"bootstrapTokens": ["S3CRET"]}, id="no-mapping"),
        pytest.param("JoinConfiguration", {"discovery": {"bootstrapToken": "S3CRET"}}, id="token"),
        pytest.param("ClusterConfiguration", {"apiServer": {"extraEnvs": [{"A": "S3CRET"}]}}, id="no-name"),
        pytest.param("ClusterConfiguration", {"apiServer": {"extraEnvs": "A=S3CRET"}}, id="text"),
        pytest.param(
            "ClusterConfiguration", {"apiServer": {"extraEnvs": [{"name": "A", "value": ["S3CRET"]}]}}, id="value"
        ),
    ],
)
def test_a_refusal_shows_no_secrets(kind: str, fields: dict[str, Any]) -> None:
    """What is wrong with a token or a variable is said without it."""
    with pytest.raises(KicError) as caught:
        conf.user_documents({kind: fields})
    assert caught.value.diagnosis.id == "invalid_option" and "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("check", "value", "said"),
    [
        (conf.user_patches, {"a.json": "", "b.json": ""}, ["'a.json' is not a name", "'b.json' is not a name"]),
        (node_labels, {"-a": "1", "b": "c d"}, ["'-a' is not a label key", "'c d' is not a label value"]),
        (node_labels, {"-a": "1", "b": True}, ["'-a' is not a label key", "the value of 'b' is a boolean"]),
        (node_taints, ["a", "b=c"], ["'a' is not a taint", "'b=c' is not a taint"]),
    ],
    ids=["patches", "labels", "labels-of-two-kinds", "taints"],
)
def test_all_entries_of_an_option_at_once(check: Callable[[Any], object], value: Any, said: list[str]) -> None:
    """Of a list or mapping each wrong entry is told, not the first one."""
    with fails("invalid_option", "2 problems: ", *said):
        check(value)


def test_all_problems_of_a_configuration_at_once() -> None:
    """One message names everything that is wrong, in each document."""
    with pytest.raises(KicError) as caught:
        conf.user_documents(
            {
                "Pod": {},
                "InitConfiguration": {"skipPhases": "x", "nodeRegistration": {"kubeletExtraArgs": 5}},
                "ClusterConfiguration": {"apiServer": {"extraArgs": "v"}},
            }
        )
    assert caught.value.diagnosis.cause.startswith("4 problems: ")
