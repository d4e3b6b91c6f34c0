# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a cluster that labels cannot hold."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import (
    ClusterState,
    Subject,
    recorded_clusters,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails

ONE = Subject("podman", "one")


def record(directory: Path) -> Path:
    """The file of the cluster one."""
    return directory / "clusters" / "podman" / "one.json"


def test_comes_back(tmp_path: Path) -> None:
    """What was saved is loaded, and nobody else can read it."""
    saved = ClusterState(ONE)
    saved.record_file("kubeconfig", "/home/x/.kube/config", context="one")
    saved.limits["node-1"] = {"memory": 5}
    saved.save(str(tmp_path / "state"))
    found = ClusterState.load(ONE, str(tmp_path / "state"))
    assert found == saved
    assert found.files == [{"kind": "kubeconfig", "path": "/home/x/.kube/config", "context": "one"}]
    path = record(tmp_path / "state")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_default_directory(state_directory: Path) -> None:
    """Without a directory it is the user's own."""
    ClusterState(ONE, limits={"n": {"cpus": 1.0}}).save()
    assert record(state_directory).exists()
    assert ClusterState.load(ONE).limits == {"n": {"cpus": 1.0}}
    assert recorded_clusters() == [ONE]


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
        record(tmp_path).parent.mkdir(mode=0o700, parents=True)
        record(tmp_path).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert ClusterState.load(ONE, str(tmp_path)) == ClusterState(ONE)


def test_empty_record_has_no_file(tmp_path: Path) -> None:
    """A record in which nothing is left removes its file; removing it again is fine."""
    tmp_path.chmod(0o700)
    kept = ClusterState(ONE, limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))
    kept.limits.clear()
    kept.save(str(tmp_path))
    assert not record(tmp_path).exists()
    kept.save(str(tmp_path))
    assert recorded_clusters(str(tmp_path)) == []


def test_failed_save_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the old record is whole, and nothing else is left there."""
    tmp_path.chmod(0o700)
    kept = ClusterState(ONE, limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept.limits["n"] = {"pids": 2}
    with pytest.raises(OSError, match="No space left"):
        kept.save(str(tmp_path))
    assert ClusterState.load(ONE, str(tmp_path)).limits == {"n": {"pids": 1}}
    assert [path.name for path in record(tmp_path).parent.iterdir()] == ["one.json"]


def test_save_replaces(tmp_path: Path) -> None:
    """A reader that has the old record open goes on reading the old one: it is replaced, not rewritten."""
    tmp_path.chmod(0o700)
    kept = ClusterState(ONE, limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))
    with record(tmp_path).open() as old:
        kept.limits["n"] = {"pids": 2}
        kept.save(str(tmp_path))
        assert json.load(old)["limits"] == {"n": {"pids": 1}}


def test_value_that_can_not_be_kept(tmp_path: Path) -> None:
    """A value that JSON does not know breaks the save, not the record."""
    tmp_path.chmod(0o700)
    kept = ClusterState(ONE, limits={"n": {"pids": 1}})
    kept.save(str(tmp_path))
    kept.limits["n"] = {"pids": object()}
    with pytest.raises(TypeError):
        kept.save(str(tmp_path))
    assert ClusterState.load(ONE, str(tmp_path)).limits == {"n": {"pids": 1}}


@pytest.mark.parametrize("name", ["../one", "a/b", ".", "", "one\0"])
def test_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    """A name that would lead out of the folder is refused, for reading and writing."""
    with fails("invalid_option", "cluster: "):
        ClusterState.load(Subject("podman", name), str(tmp_path))
    with fails("invalid_option", "cluster: "):
        ClusterState(Subject("podman", name), limits={"n": {}}).save(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_unsafe_directory(tmp_path: Path) -> None:
    """A directory that others may write to is not written to."""
    tmp_path.chmod(0o777)
    with fails("unsafe_directory", f"the directory {tmp_path} can be written by others"):
        ClusterState(ONE, limits={"n": {"pids": 1}}).save(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_files() -> None:
    """A file is known once by kind and path, with the newest details, until it is forgotten."""
    found = ClusterState(ONE)
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
        ClusterState(Subject("podman", name), limits=limits).save(str(tmp_path))
    ClusterState(Subject("docker", "two"), limits=limits).save(str(tmp_path))
    (tmp_path / "clusters" / "tmpabc").write_text("")
    (tmp_path / "clusters" / "old.json").write_text("{}")
    ClusterState(Subject("podman", None, "alone"), limits=limits).save(str(tmp_path))
    found = [("", "old"), ("docker", "two"), ("podman", "one"), ("podman", "two")]
    assert recorded_clusters(str(tmp_path)) == [Subject(engine, name) for engine, name in found]


def test_version_is_written(tmp_path: Path) -> None:
    """The layout's version is in the file, so that a later release can tell."""
    tmp_path.chmod(0o700)
    ClusterState(ONE, limits={"n": {"pids": 1}}).save(str(tmp_path))
    content = json.loads(record(tmp_path).read_text())
    assert {key: content[key] for key in ("version", "engine", "uid", "cluster", "node")} == {
        "version": 1,
        "engine": "podman",
        "uid": os.geteuid(),
        "cluster": "one",
        "node": None,
    }


LIMITS = {"one": {"pids": 1}}
SUBJECTS = [ONE, Subject("docker", "one"), Subject("podman", None, "one"), Subject("docker-rootless", "one")]


@pytest.mark.parametrize("other", SUBJECTS[1:], ids=["other-engine", "node-of-no-cluster", "daemon-of-a-user"])
def test_one_name_on_two_engines(tmp_path: Path, other: Subject) -> None:
    """What has the same name elsewhere, or is a node without a cluster, has a record of its own."""
    tmp_path.chmod(0o700)
    ClusterState(ONE, limits=LIMITS).save(str(tmp_path))
    assert ClusterState.load(other, str(tmp_path)).limits == {}
    ClusterState(other, limits={"one": {"pids": 2}}).save(str(tmp_path))
    assert ClusterState.load(ONE, str(tmp_path)).limits == LIMITS
    ClusterState(other).save(str(tmp_path))
    assert ClusterState.load(ONE, str(tmp_path)).limits == LIMITS


@pytest.mark.parametrize("other", [{"uid": os.geteuid() + 1}, {"engine": "docker"}], ids=["user", "engine"])
def test_record_of_another(tmp_path: Path, other: dict[str, Any]) -> None:
    """A record that says it is about another user's cluster, or another engine's, is not this one's."""
    record(tmp_path).parent.mkdir(mode=0o700, parents=True)
    record(tmp_path).write_text(json.dumps({"version": 1, "limits": LIMITS, **other}))
    assert ClusterState.load(ONE, str(tmp_path)) == ClusterState(ONE)


def old(directory: Path) -> Path:
    """A record of the first layout: of the cluster one, and of a node of that name without a cluster."""
    path = directory / "clusters" / "one.json"
    path.parent.mkdir(mode=0o700, parents=True)
    files = [{"kind": "kubeconfig", "path": "/c"}]
    content = {"version": 1, "cluster": "one", "files": files, "limits": {**LIMITS, "one-worker-1": {"pids": 3}}}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("subject", SUBJECTS)
def test_old_record_is_understood(tmp_path: Path, subject: Subject) -> None:
    """A record that names no engine counts as that of the engine that asks; a node without a cluster has its part."""
    old(tmp_path)
    found = ClusterState.load(subject, str(tmp_path))
    assert found.limits == ({**LIMITS, "one-worker-1": {"pids": 3}} if subject.cluster else LIMITS)
    assert [item["path"] for item in found.files] == (["/c"] if subject.cluster else [])
    assert recorded_clusters(str(tmp_path)) == [Subject("", "one")]


def test_old_record_is_taken_over(tmp_path: Path) -> None:
    """The first that saves takes its part over; for the others it is not there any more."""
    tmp_path.chmod(0o700)
    path = old(tmp_path)
    alone = ClusterState.load(Subject("podman", None, "one"), str(tmp_path))
    alone.save(str(tmp_path))
    assert json.loads(path.read_text())["limits"] == {"one-worker-1": {"pids": 3}}
    cluster = ClusterState.load(ONE, str(tmp_path))
    assert [item["path"] for item in cluster.files] == ["/c"]
    cluster.limits["one-worker-1"]["pids"] = 4
    cluster.save(str(tmp_path))
    assert not path.exists()
    assert ClusterState.load(Subject("docker", "one"), str(tmp_path)) == ClusterState(Subject("docker", "one"))
    assert ClusterState.load(ONE, str(tmp_path)).limits == {"one-worker-1": {"pids": 4}}


RESTORING = {"snapshot": "one.snapshot.x", "nodes": ["one-worker-1"]}


def test_a_restore_that_is_begun(tmp_path: Path) -> None:
    """It is kept until it is taken away, also where nothing else is recorded; what else is saved leaves it as it is."""
    directory = str(tmp_path / "state")
    ClusterState(ONE, restoring=RESTORING).save(directory)
    assert ClusterState.load(ONE, directory).restoring == RESTORING
    changes: list[Callable[[ClusterState], object]] = [
        lambda found: found.limits.update({"n": {"pids": 1}}),
        lambda found: found.record_file("kubeconfig", "/root/.kube/config", context="one"),
        lambda found: found.limits.clear(),
    ]
    for change in changes:
        found = ClusterState.load(ONE, directory)
        change(found)
        found.save(directory)
        assert ClusterState.load(ONE, directory).restoring == RESTORING
    found = ClusterState.load(ONE, directory)
    found.restoring = {}
    found.save(directory)
    assert "restoring" not in json.loads(record(tmp_path / "state").read_text())
    found.files.clear()
    found.save(directory)
    assert not record(tmp_path / "state").exists()


def test_a_restore_of_others(tmp_path: Path) -> None:
    """Another engine, another user and a node of this name have their own record; none is read as that of the cluster."""
    directory = str(tmp_path / "state")
    ClusterState(ONE, restoring=RESTORING).save(directory)
    for other in (Subject("docker", "one"), Subject("podman", "two"), Subject("podman", None, "one")):
        assert ClusterState.load(other, directory).restoring == {}
    path = record(tmp_path / "state")
    content = json.loads(path.read_text())
    for changes in ({"uid": os.geteuid() + 1}, {"engine": "docker"}, {"restoring": ["x"]}, {"restoring": None}):
        path.write_text(json.dumps({**content, **changes}))
        assert ClusterState.load(ONE, directory).restoring == {}
