# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All problems of an input are in one message: of every module that takes more than one thing that can be wrong."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins import module_utils
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshotting import SnapshotSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import DelegationSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.plan import HostSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.image import ImageSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image_plan import NodeImagesSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import VolumeSpec
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    image_params,
    network_params,
    node_params,
    volume_params,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.test_kube_kubeadm import PARAMS as KUBEADM

BAD_LABEL = {"a b": "c"}
HOST: dict[str, Any] = {"user": None, "sub_ids": 0, "sysctls": {}, "modules": [], "units": [], "packages": []}
DELEGATION = {"user": "dev", "controllers": list(CONTROLLERS), "state": "present", "apply": "now", "linger": None}
LONG = "sha256:" + "1" * 64

CASES: list[tuple[Any, Mapping[str, Any], list[str]]] = [
    (
        NetworkSpec,
        network_params(
            name="a/b",
            subnet="10.0.0.0/30",
            subnet6="10.0.0.0/8",
            gateway="x",
            pools=["y", "z"],
            prefix=31,
            avoid=["w"],
            mtu=1,
            labels=BAD_LABEL,
            cluster="../c",
        ),
        ["name", "subnet6", "pools", "pools", "avoid", "gateway", "labels", "cluster", "prefix", "subnet", "mtu"],
    ),
    (NetworkSpec, network_params(name="", gateway="10.0.0.1"), ["name", "gateway"]),
    # What is wrong in itself has one message, and none about how it goes with others.
    (NetworkSpec, network_params(subnet="x", gateway="10.0.0.1", mtu=1), ["subnet", "mtu"]),
    (NetworkSpec, network_params(pools=["10.0.0.0/28"], mtu=1), ["pools", "mtu"]),
    (
        NodeImagesSpec,
        {
            "cluster": "a/b",
            "nodes": ["c d"],
            "images": ["./x", "Y Z"],
            "state": "present",
            "timeout": 0,
            "scripts": None,
        },
        ["cluster", "nodes", "images", "images", "timeout"],
    ),
    (
        VolumeSpec,
        volume_params(name="a/b", labels=BAD_LABEL, options={"c d": "e"}, cluster="../f"),
        ["name", "labels", "options", "cluster"],
    ),
    (
        ImageSpec,
        image_params(name="A", digest="x", archive="here", image_id="y", state="absent"),
        ["name", "digest", "digest", "image_id", "image_id", "archive"],
    ),
    (ImageSpec, image_params(name=f"a@{LONG}", digest=LONG[:-1] + "2", source="archive"), ["digest", "archive"]),
    (NodeSpec, node_params(name="a/b", memory="lots", ip="x"), ["name", "ip", "memory"]),
    (
        HostSpec,
        {**HOST, "state": "present", "sub_ids": -1, "sysctls": {"a": "b"}, "modules": ["c d", "e f"]},
        ["sub_ids", "sub_ids", "sysctls", "sysctls", "modules", "modules"],
    ),
    (
        SnapshotSpec,
        {"cluster": "../a", "name": "b/c", "state": "present", "scripts": None},
        ["cluster", "name"],
    ),
    (DelegationSpec, {**DELEGATION, "user": "a/b", "controllers": []}, ["user", "controllers"]),
    (
        KubeadmSpec,
        {**KUBEADM, "node": "A", "pod_subnet": "x", "endpoint": "y", "timeout": 0, "kubernetes_version": "z"},
        ["node", "pod_subnet", "kubernetes_version", "endpoint", "timeout"],
    ),
]


@pytest.mark.parametrize(("spec", "params", "options"), CASES)
def test_all_problems_are_in_one_message(spec: Any, params: Mapping[str, Any], options: list[str]) -> None:
    """Each option that is wrong is named once for each thing that is wrong with it, with its own fix."""
    with pytest.raises(KicError) as caught:
        spec.from_params(params)
    found = caught.value.diagnosis
    assert found.id == "invalid_option"
    problems = getattr(caught.value, "problems", (found,))
    assert sorted(item.cause.partition(":")[0] for item in problems) == sorted(options), found.cause
    assert found.cause.startswith(f"{len(options)} problems: (1) ")
    assert all(item.fix for item in problems)


def specs() -> set[str]:
    """Names of all classes that are made from a module's parameters."""
    found = set()
    for item in pkgutil.walk_packages(module_utils.__path__, f"{module_utils.__name__}."):
        if item.name.endswith(("._module", "._engine_module")):
            # They know Ansible, which a managed machine need not have, and make no class of parameters.
            continue
        for name, kind in inspect.getmembers(importlib.import_module(item.name), inspect.isclass):
            made: Callable[..., Any] | None = getattr(kind, "from_params", None)
            if made is not None:
                found.add(name)
    return found


def test_each_spec_has_a_case() -> None:
    """A new one is not forgotten here."""
    # Those of a cluster are the names of a role's variables: tests/unit/plugins/test_cluster_spec.py.
    assert {spec.__name__ for spec, _params, _options in CASES} | {"ClusterSpec"} == specs()
