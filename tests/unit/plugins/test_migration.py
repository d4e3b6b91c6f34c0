# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/migration.md: every field of kind's file has a line, what a line names is there, and both files mean one cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NODE_OPTIONS
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import ClusterSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "migration.md").read_text()

# The fields of Cluster, Node and Networking in pkg/apis/config/v1alpha4/types.go of kind 0.33 (00b38e3).
FIELDS = (
    *("name", "featureGates", "runtimeConfig", "kubeadmConfigPatches", "kubeadmConfigPatchesJSON6902"),
    *("containerdConfigPatches", "containerdConfigPatchesJSON6902"),
    *(
        f"nodes{field}"
        for field in (
            *("", ".role", ".image", ".labels", ".extraMounts", ".extraPortMappings", ".gpus"),
            *(".kubeadmConfigPatches", ".kubeadmConfigPatchesJSON6902"),
        )
    ),
    *(
        f"networking.{field}"
        for field in (
            *("ipFamily", "apiServerPort", "apiServerAddress", "podSubnet", "serviceSubnet"),
            *("disableDefaultCNI", "kubeProxyMode", "dnsSearch"),
        )
    ),
)


def options(role: str) -> dict[str, Any]:
    """The variables of a role."""
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return found


VARIABLES = {**options("kic_cluster"), **options("kic_image"), "kic_engine": {}}
"""kic_engine is the engine of all roles of a play."""


def test_every_field_of_kind() -> None:
    """The first table has each once."""
    table = PAGE.partition("| kind | here |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == sorted(FIELDS)


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"\bkic_[a-z_0-9]+(?:\.\w+)?", PAGE)) - {"kic_node_info", "kic_node_image"})
)
def test_what_is_named_is_there(name: str) -> None:
    """A variable, and after its dot an option of nodes or a part that the variable documents."""
    variable, _dot, part = name.partition(".")
    if variable in ("kic_cluster", "kic_image", "kic_node"):
        assert (ROOT / "roles" / variable).is_dir()
        return
    assert variable in VARIABLES
    if variable.endswith(("_node", "_nodes")):
        assert not part or part in (*NODE_OPTIONS, "name", "role", "labels", "taints")
    elif variable == "kic_cluster_network":
        assert not part or part in VARIABLES[variable]["options"]


def test_both_files_mean_one_cluster() -> None:
    """Nodes, ports, mounts and labels of ours are those of kind's file."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    theirs, ours = map(yaml.safe_load, blocks)
    given = {key.removeprefix("kic_cluster_"): value for key, value in ours.items()}
    defaults = {name: argument.get("default") for name, argument in CLUSTER.items()}
    spec = ClusterSpec.from_params({**defaults, "image": "localhost/node:1", "node_files": [], **given}, {}, completed)
    assert spec.name == theirs["name"]
    assert [node.role for node in spec.nodes.values()] == [node["role"] for node in theirs["nodes"]]
    for made, node in zip(spec.nodes.values(), theirs["nodes"]):
        assert dict(spec.kubernetes[made.name].labels) == node.get("labels", {})
        assert [(item.source, item.target, item.read_only) for item in made.mounts] == [
            (item["hostPath"], item["containerPath"], item["readOnly"]) for item in node.get("extraMounts", ())
        ]
        assert [(item.port, item.host_port, item.address) for item in made.publish if item.port != 6443] == [
            (item["containerPort"], item["hostPort"], item["listenAddress"])
            for item in node.get("extraPortMappings", ())
        ]
    networking = theirs["networking"]
    plane = spec.nodes[spec.control_plane]
    assert [item.host_port for item in plane.publish if item.port == 6443] == [networking["apiServerPort"]]
    shape = spec.kubernetes[spec.control_plane].shape
    assert (shape.pod_subnet, shape.service_subnet) == (networking["podSubnet"], networking["serviceSubnet"])
    (gate,) = theirs["featureGates"]
    assert str(spec.kubernetes[spec.control_plane].user).count(gate) == 4
