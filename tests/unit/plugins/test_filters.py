# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters: a problem of the variables is told and does not raise, and files come with their modes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from jinja2 import Undefined, UndefinedError

from ansible_collections.nodeforge.kic.plugins.filter import (
    cluster_layout,
    cluster_summary,
    host_needs,
    molecule_platforms,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._host.needs import needs
from ansible_collections.nodeforge.kic.tests.unit.module_utils.test_host_needs import asked, look

ROOT = Path(__file__).resolve().parents[3]
GIVEN: dict[str, Any] = {
    "name": "lab",
    "control_planes": 1,
    "workers": 1,
    "kubernetes_version": None,
    "pod_subnet": "10.244.0.0/16",
    "service_subnet": "10.96.0.0/16",
    "network": {},
    "node": {},
    "api_address": "127.0.0.1",
    "api_port": None,
    "api_sans": [],
    "configuration": {},
    "patches": {},
    "timeout": 600,
    "engine_facts": {},
}
RESULT: dict[str, Any] = {
    "engine": "podman",
    "control_plane": "lab-control-plane-1",
    "nodes": [{"name": "lab-control-plane-1", "role": "control-plane", "ip": "192.168.128.2", "state": "running"}],
    "statuses": [{"name": "lab-control-plane-1", "ready": True, "version": "v1.35.4"}],
    "kubeconfig": "",
    "context": "",
}


def test_layout_without_a_problem() -> None:
    """Good variables have no problem, and the nodes they mean."""
    found = cluster_layout.cluster_layout(GIVEN)
    assert (found["problem"], found["diagnosis"], found["files"]) == ("", {}, [])
    assert found["control_plane"] == "lab-control-plane-1" and found["workers"] == ["lab-worker-1"]
    assert [node["name"] for node in found["nodes"]] == ["lab-control-plane-1", "lab-worker-1"]
    assert found["avoid"] == ["10.244.0.0/16", "10.96.0.0/16"]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name": "Lab"}, "kic_cluster_name: 'Lab' is not a host name"),
        ({"workers": 100}, "kic_cluster_workers: 100 is no number"),
        ({"pod_subnet": "x"}, "kic_cluster_pod_subnet: 'x' is no CIDR"),
        ({"node": {"image": "x"}}, "kic_cluster_node.image: is set by the role"),
    ],
    ids=["name", "workers", "range", "node"],
)
def test_layout_with_a_problem(changes: dict[str, Any], cause: str) -> None:
    """Bad variables do not raise: the problem is text with its fix, beside a diagnosis and no nodes."""
    found = cluster_layout.cluster_layout({**GIVEN, **changes})
    assert found["problem"].startswith(cause) and "Fix: " in found["problem"]
    assert found["diagnosis"]["id"] == "invalid_option" and found["diagnosis"]["cause"].startswith(cause)
    assert found["nodes"] == found["workers"] == found["avoid"] == found["files"] == []
    assert found["control_plane"] == ""


def test_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read, and what nobody thought of, is a problem to be shown as well."""
    (tmp_path / "x").write_bytes(b"\xff")
    assert "not" in cluster_layout.cluster_layout(GIVEN, str(tmp_path))["problem"]

    def broken(*_arguments: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(molecule_platforms, "platforms", broken)
    found = molecule_platforms.molecule_platforms([])
    assert found["diagnosis"]["id"] == "internal_error" and found["platforms"] == []


def test_layout_changes_nothing_of_what_it_is_given() -> None:
    """The variables of the play stay as they are."""
    given = {**GIVEN, "node": {"publish": [{"port": 80}], "env": {"A": "1"}}}
    found = cluster_layout.cluster_layout(given)
    found["nodes"][0]["publish"].append("x")
    found["nodes"][1]["env"]["B"] = "2"
    assert given["node"] == {"publish": [{"port": 80}], "env": {"A": "1"}}


def test_files_below(tmp_path: Path) -> None:
    """Each file comes with its path below the root, its text, and whether it can be run, and nothing else of its mode."""
    for name, mode in (("usr/bin/tool", 0o755), ("etc/b.conf", 0o644), ("etc/a.conf", 0o600), ("usr/bin/own", 0o700)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"größer {name}\n", encoding="utf-8")
        path.chmod(mode)
    (tmp_path / "empty").mkdir()
    assert cluster_layout.files_below(str(tmp_path)) == [
        {"path": "/etc/a.conf", "content": "größer etc/a.conf\n", "mode": "0644"},
        {"path": "/etc/b.conf", "content": "größer etc/b.conf\n", "mode": "0644"},
        {"path": "/usr/bin/own", "content": "größer usr/bin/own\n", "mode": "0755"},
        {"path": "/usr/bin/tool", "content": "größer usr/bin/tool\n", "mode": "0755"},
    ]


def test_files_without_a_pod_network() -> None:
    """A cluster whose pod network is somebody else's gets no unit and no program of ours for one, and all else."""
    root = str(ROOT / "roles/kic_cluster/files/node")
    ours = {item["path"] for item in cluster_layout.cluster_layout(GIVEN, root)["files"]}
    others = {item["path"] for item in cluster_layout.cluster_layout({**GIVEN, "pod_network": "none"}, root)["files"]}
    assert others == {path for path in ours if "pod-network" not in path} and others < ours
    assert "/usr/local/lib/nodeforge.kic/state" in others


def test_files_of_the_role() -> None:
    """The role's own files are handed on with the layout, also where the variables have a problem."""
    root = ROOT / "roles/kic_cluster/files/node"
    for changes in ({}, {"workers": -1}):
        files = cluster_layout.cluster_layout({**GIVEN, **changes}, str(root))["files"]
        assert {item["path"].lstrip("/") for item in files} == {
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
        }
    assert {item["path"]: item["mode"] for item in files}["/usr/local/lib/nodeforge.kic/pod-network"] == "0755"


@pytest.mark.parametrize(("uid", "begin"), [(0, "  podman exec"), (1000, "  sudo podman exec")], ids=["root", "user"])
def test_summary(uid: int, begin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is for the one who runs the play, who may need sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    text = cluster_summary.cluster_summary(RESULT)
    assert "lab-control-plane-1   control-plane   192.168.128.2   Ready    v1.35.4" in text
    assert any(line.startswith(begin) for line in text.splitlines())


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ({"needs_sudo": True}, "  sudo podman exec"),
        ({"needs_sudo": False}, "  podman exec"),
        ({"needs_sudo": True, "rootless": True}, "  podman exec"),
    ],
    ids=["root for another", "member of docker", "rootless"],
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_summary_is_for_the_owner(
    changes: dict[str, Any], begin: str, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a kubeconfig was written its owner is the reader, on whatever machine, and not the one who runs the play."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    text = cluster_summary.cluster_summary({**RESULT, **changes})
    assert next(line for line in text.splitlines() if "podman exec" in line).startswith(begin)


WRONG: list[tuple[Any, str]] = [
    (None, "is of type NoneType, not a mapping"),
    ("text", "is of type str, not a mapping"),
    ([], "is of type list, not a mapping"),
    ({}, "has no field"),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
@pytest.mark.parametrize("name", ["cluster_summary", "host_needs"])
def test_unexpected_input(name: str, given: Any, words: str) -> None:
    """It is named, with what to read."""
    arguments = {"cluster_summary": [given], "host_needs": [given, asked()]}[name]
    module = {"cluster_summary": cluster_summary, "host_needs": host_needs}[name]
    with pytest.raises(AnsibleFilterError, match=words) as refused:
        getattr(module, name)(*arguments)
    assert f"Fix: see what it takes: ansible-doc -t filter nodeforge.kic.{name}" in str(refused.value)


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        (cluster_summary, "cluster_summary", [{**RESULT, "nodes": None}]),
        (cluster_summary, "cluster_summary", [{**RESULT, "nodes": ["x"]}]),
        (cluster_summary, "cluster_summary", [{**RESULT, "statuses": [{}, {"ready": True}]}]),
        (host_needs, "host_needs", [{"host": {}}, asked()]),
        (host_needs, "host_needs", [look(), asked(sysctls={"vm.x": "many"})]),
        (host_needs, "host_needs", [look(), asked(modules=[{}])]),
        (host_needs, "host_needs", [look(), {"sysctls": {}}]),
        (host_needs, "host_needs", [look()]),
        (host_needs, "host_needs", [look(), {**asked(), "x": {1}}]),
    ],
)
def test_unexpected_part(module: Any, name: str, arguments: list[Any]) -> None:
    """Whatever is wrong in it has a cause and a fix too."""
    with pytest.raises(AnsibleFilterError, match="Fix: "):
        getattr(module, name)(*arguments)


def test_undefined_input() -> None:
    """A variable that is not defined is Ansible's to name."""
    with pytest.raises(UndefinedError, match="'kic_x' is undefined"):
        cluster_summary.cluster_summary(Undefined(name="kic_x"))


def test_host_needs() -> None:
    """The filter hands on what the pure function says (test_host_needs.py)."""
    seen = look(sysctls={"fs.inotify.max_user_instances": 128})
    found = host_needs.host_needs(seen, asked())
    assert found == needs(seen, asked()) and found["sysctls"] is True


def test_names_of_the_filters() -> None:
    """The filters have the names of their files, as ansible-core looks for them."""
    assert cluster_layout.FilterModule().filters() == {"cluster_layout": cluster_layout.cluster_layout}
    assert cluster_summary.FilterModule().filters() == {"cluster_summary": cluster_summary.cluster_summary}
    assert host_needs.FilterModule().filters() == {"host_needs": host_needs.host_needs}
