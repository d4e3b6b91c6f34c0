# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a cluster that labels can not hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.state import ClusterState, recorded_clusters
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails


def record(directory: Path) -> Path:
    """The file of the cluster one."""
    return directory / "clusters" / "one.json"


def test_comes_back(tmp_path: Path) -> None:
    """What was saved is loaded, and nobody else can read it."""
    saved = ClusterState("one")
    saved.record_file("kubeconfig", "/home/x/.kube/config", context="one")
    saved.limits["node-1"] = {"memory": 5}
    saved.save(str(tmp_path / "state"))
    found = ClusterState.load("one", str(tmp_path / "state"))
    assert found == saved
    assert found.files == [{"kind": "kubeconfig", "path": "/home/x/.kube/config", "context": "one"}]
    path = record(tmp_path / "state")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_default_directory(state_directory: Path) -> None:
    """Without a directory it is the user's own."""
    ClusterState("one", limits={"n": {"cpus": 1.0}}).save()
    assert record(state_directory).exists()
    assert ClusterState.load("one").limits == {"n": {"cpus": 1.0}}
    assert recorded_clusters() == ["one"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        json.dumps({"version": 2, "limits": {"n": {}}}),
        json.dumps({"limits": {"n": {}}}),
        b"\xff\xfe",
    ],
    ids=["lost", "empty", "cut", "list", "null", "other version", "no version", "no text"],
)
def test_unreadable_is_empty(tmp_path: Path, content: str | bytes | None) -> None:
    """A record that is lost, damaged or of another layout is an empty one."""
    if content is not None:
        record(tmp_path).parent.mkdir(mode=0o700)
        record(tmp_path).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert ClusterState.load("one", str(tmp_path)) == ClusterState("one")


def test_empty_record_has_no_file(tmp_path: Path) -> None:
    """A record in which nothing is left removes its file; removing it again is fine."""
    tmp_path.chmod(0o700)
    kept = ClusterState("one", limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))
    kept.limits.clear()
    kept.save(str(tmp_path))
    assert not record(tmp_path).exists()
    kept.save(str(tmp_path))
    assert recorded_clusters(str(tmp_path)) == []


def test_failed_save_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old record is whole, and nothing else is left there."""
    tmp_path.chmod(0o700)
    kept = ClusterState("one", limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept.limits["n"] = {"pids": 2}
    with pytest.raises(OSError, match="No space left"):
        kept.save(str(tmp_path))
    assert ClusterState.load("one", str(tmp_path)).limits == {"n": {"pids": 1}}
    assert [path.name for path in record(tmp_path).parent.iterdir()] == ["one.json"]


def test_save_replaces(tmp_path: Path) -> None:
    """A reader that has the old record open goes on reading the old one: it is replaced, not rewritten."""
    tmp_path.chmod(0o700)
    kept = ClusterState("one", limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))
    with record(tmp_path).open() as old:
        kept.limits["n"] = {"pids": 2}
        kept.save(str(tmp_path))
        assert json.load(old)["limits"] == {"n": {"pids": 1}}


def test_value_that_can_not_be_kept(tmp_path: Path) -> None:
    """A value that JSON does not know breaks the save, not the record."""
    tmp_path.chmod(0o700)
    kept = ClusterState("one", limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))
    kept.limits["n"] = {"pids": object()}
    with pytest.raises(TypeError):
        kept.save(str(tmp_path))
    assert ClusterState.load("one", str(tmp_path)).limits == {"n": {"pids": 1}}


@pytest.mark.parametrize("name", ["../one", "a/b", ".", "", "one\0"])
def test_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    """A name that would lead out of the folder is refused, for reading and writing."""
    with fails("invalid_option", "cluster: "):
        ClusterState.load(name, str(tmp_path))
    with fails("invalid_option", "cluster: "):
        ClusterState(name, limits={"n": {}}).save(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_unsafe_directory(tmp_path: Path) -> None:
    """A directory that others may write to is not written to."""
    tmp_path.chmod(0o777)
    with fails("unsafe_directory", f"the directory {tmp_path} can be written by others"):
        ClusterState("one", limits={"n": {"pids": 1}}).save(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_files() -> None:
    """A file is known once by kind and path, with the newest details, until it is forgotten."""
    found = ClusterState("one")
    found.record_file("kubeconfig", "/a", context="x")
    found.record_file("kubeconfig", "/b", context="x")
    found.record_file("kubeconfig", "/a", context="y")
    found.record_file("other", "/a")
    assert [(item["kind"], item["path"], item.get("context")) for item in found.files] == [
        ("kubeconfig", "/b", "x"),
        ("kubeconfig", "/a", "y"),
        ("other", "/a", None),
    ]
    found.forget_file("kubeconfig", "/a")
    assert [(item["kind"], item["path"]) for item in found.files] == [("kubeconfig", "/b"), ("other", "/a")]


def test_recorded_clusters(tmp_path: Path) -> None:
    """Clusters are listed by name; other files are none, and without a folder there are none."""
    assert recorded_clusters(str(tmp_path)) == []
    tmp_path.chmod(0o700)
    limits: dict[str, dict[str, Any]] = {"n": {"pids": 1}}
    for name in ("two", "one"):
        ClusterState(name, limits=limits).save(str(tmp_path))
    (tmp_path / "clusters" / "tmpabc").write_text("")
    assert recorded_clusters(str(tmp_path)) == ["one", "two"]


def test_version_is_written(tmp_path: Path) -> None:
    """The layout's version is in the file, so that a later release can tell."""
    tmp_path.chmod(0o700)
    ClusterState("one", limits={"n": {"pids": 1}}).save(str(tmp_path))
    content = json.loads(record(tmp_path).read_text())
    assert (content["version"], content["cluster"]) == (1, "one")
