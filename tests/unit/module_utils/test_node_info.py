# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes and clusters as they are found."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Limits, Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot, inside
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node_info
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.built_images import find_images
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_info import (
    find_clusters,
    find_nodes,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    OURS,
    MemoryEngine,
    container,
    der,
    image,
    network,
)

ONE = {**OURS, labels.CLUSTER: "one"}
CA = base64.b64encode(der(0, 1893456000)).decode()


def said(out: str, rc: int = 0) -> CommandResult:
    """An answer of a node."""
    return CommandResult((), rc, out.encode(), b"")


@pytest.fixture
def engine() -> MemoryEngine:
    """Two nodes of one cluster, one of none, and a container of somebody else."""
    found = MemoryEngine()
    found.add(container("b", labels=ONE))
    found.add(container("a", labels=ONE, status="exited", limits=Limits(memory=5)))
    found.add(container("c"))
    found.add(container("foreign", labels={labels.CLUSTER: "one"}))
    return found


@pytest.mark.parametrize(
    ("name", "cluster", "names"),
    [
        (None, None, ["a", "b", "c"]),
        (None, "one", ["a", "b"]),
        ("b", None, ["b"]),
        ("c", "one", []),
        ("foreign", None, []),
    ],
    ids=["all", "of a cluster", "by name", "of another cluster", "not ours"],
)
def test_find_nodes(engine: MemoryEngine, name: str | None, cluster: str | None, names: list[str]) -> None:
    """Nodes are found by cluster and name, in the order of their names, and only ours."""
    assert [item["name"] for item in find_nodes(engine, name, cluster)] == names


def test_state_of_nodes(engine: MemoryEngine) -> None:
    """A node that runs is asked for its system, one that does not has the limits of its next start."""
    ClusterState(Subject("podman", "one"), limits={"a": {"cpus": 2.0}}).save()
    first, second, _third = find_nodes(engine, None, None)
    assert (first["state"], first["systemd_state"], first["memory"], first["cpus"]) == ("exited", None, 5, 2.0)
    assert (second["state"], second["systemd_state"], second["ready"]) == ("running", "initializing", False)


def test_nodes_that_are_not_asked(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what the engine knows nothing is run in a node."""
    monkeypatch.setattr(node_info, "peek_inside", None)
    _first, second, _third = find_nodes(engine, None, None, looks_inside=False)
    assert (second["state"], second["systemd_state"]) == ("running", None)


ANSWERS = {
    "a certificate": (
        said("running\n/etc/kubernetes/pki/ca.crt 0 " + CA + "\n"),
        "running",
        [("ca", "2030-01-01T00:00:00Z")],
    ),
    "no Kubernetes": (said("degraded\nfailed x.service\n"), "degraded", []),
    "no bash": (said("", 127), "running", None),
    "no answer": (failure("timed_out", action="asking", seconds=10, why="", fix=""), "unknown", None),
}


@pytest.mark.parametrize(("answer", "state", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_certificates(
    engine: MemoryEngine,
    monkeypatch: pytest.MonkeyPatch,
    answer: CommandResult | KicError,
    state: str,
    expected: list[tuple[str, str]] | None,
) -> None:
    """A node that runs is asked once for both; those of one that does not are unknown."""
    for module in (inside, boot):
        monkeypatch.setattr(module, "entered", lambda *_given: True)
    engine.answers = [answer, said("running\n")]
    first, second = find_nodes(engine, None, "one", scripts={"look": ""})
    assert (second["systemd_state"], first["certificates"]) == (state, None)
    found = second["certificates"]
    assert (None if found is None else [(item["name"], item["expires"]) for item in found]) == expected


def test_find_images() -> None:
    """Images that the role built are found by label, all of their names in order; not what others built on them."""
    found = MemoryEngine()
    own, plain, derived = (
        "localhost/nodeforge/kic-node:v1-",
        "localhost/nodeforge/systemd:trixie-",
        "registry.example/dbg:1",
    )
    first = {"nodeforge.kic.image.key": "0123456789abcdef"}
    found.image_table = {
        "1": image(tags=(f"{plain}0123456789ab", f"{own}0123456789ab", "registry.example/mine:1"), labels=first),
        "2": image(tags=(f"{own}abcdef012345",), labels={"nodeforge.kic.image.key": "abcdef012345"}),
        "3": image(tags=(f"{own}333333333333",)),
        "4": image(tags=(derived, "localhost/nodeforge/kic-node:mine"), labels=first),
    }
    assert find_images(found) == [f"{own}0123456789ab", f"{own}abcdef012345", f"{plain}0123456789ab"]


def test_find_clusters(engine: MemoryEngine) -> None:
    """Of a cluster all is found that is on the engine or in a record; what is not ours or of no cluster is left out."""
    engine.network_table = {
        "n": network("n", labels=ONE),
        "mine": network("mine"),
        "foreign": network("foreign", labels={labels.CLUSTER: "one"}),
    }
    engine.volume_table = {"v": Volume("v", "local", "", ONE, {})}
    gone = ClusterState(Subject("podman", "gone"))
    gone.record_file("kubeconfig", "/home/x/config")
    gone.save()
    nodes = find_nodes(engine, None, None)
    everything = [
        {"name": "gone", "nodes": [], "networks": [], "volumes": [], "kubeconfigs": ["/home/x/config"]},
        {"name": "one", "nodes": ["a", "b"], "networks": ["n"], "volumes": ["v"], "kubeconfigs": []},
    ]
    assert find_clusters(engine, nodes, None) == everything
    assert find_clusters(engine, nodes, "gone") == everything[:1]
    assert find_clusters(engine, nodes, "none") == []


@pytest.mark.parametrize(
    ("recorded", "held", "elsewhere", "listed"),
    [
        ("podman", False, True, True),
        ("docker", False, False, False),
        ("docker-rootless", False, False, False),
        ("", False, False, True),
        ("", False, True, False),
        ("", True, True, True),
    ],
    ids=[
        "its-own",
        "docker",
        "docker-rootless",
        "first-layout",
        "first-layout-and-elsewhere",
        "first-layout-here-and-elsewhere",
    ],
)
def test_find_clusters_by_record(
    engine: MemoryEngine, state_directory: Path, recorded: str, held: bool, elsewhere: bool, listed: bool
) -> None:
    """A record is of its engine: another's is not listed, so no teardown takes that cluster's kubeconfig entry."""
    folder = state_directory / "clusters" / recorded
    folder.mkdir(parents=True, mode=0o700)
    content = {"version": 1, "files": [{"kind": "kubeconfig", "path": "/home/x/config"}]}
    (folder / "lab.json").write_text(json.dumps(content))
    if held:
        engine.add(container("lab-control-plane-1", labels={**OURS, labels.CLUSTER: "lab"}))
    nodes = find_nodes(engine, None, "lab")
    for cluster in ("lab", None):
        found = find_clusters(engine, nodes, cluster, lambda name: elsewhere and name == "lab")
        assert ["/home/x/config"] in [item["kubeconfigs"] for item in found] or not listed
        assert (listed or held) == ("lab" in [item["name"] for item in found])


def test_limits_of_two_engines(engine: MemoryEngine) -> None:
    """Limits that are recorded of docker's node are not those of podman's of the same name."""
    ClusterState(Subject("docker", "one"), limits={"a": {"cpus": 2.0}}).save()
    ClusterState(Subject("docker", None, "c"), limits={"c": {"memory": 7}}).save()
    assert [(item["cpus"], item["memory"]) for item in find_nodes(engine, None, None)] == [
        (None, 5),
        (None, None),
        (None, None),
    ]
