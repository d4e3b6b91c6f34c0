# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules return of snapshots."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node, node_run
from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock, record
from ansible_collections.nodeforge.kic.plugins.modules import kic_node_info, kic_snapshot
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts
from ansible_collections.nodeforge.kic.tests.unit.module_utils.snapshots import (
    NOW,
    Disks,
    cluster,
    disks,
    everything,
    plain,
    removed,
    snapshot,
)

PLANE, WORKER = "lab-control-plane-1", "lab-worker-1"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disks:
    """A cluster with a worker."""
    plain(monkeypatch)
    monkeypatch.setattr(lock, "state_directory", lambda: str(tmp_path / "state"))
    monkeypatch.setattr(record, "state_directory", lambda: str(tmp_path / "state"))
    for module in (node, node_run):
        monkeypatch.setattr(module, "lost", lambda *_given: False)
    found = disks(monkeypatch, tmp_path / "state")
    cluster(found, workers=1)
    found.write("taken")
    return found


def run(engine: Disks, *, check: bool = False, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """The result of the module, and its warnings."""
    warnings: list[str] = []
    params = {"cluster": "lab", "name": "one", "state": "present", "scripts": node_scripts(), **given}
    module: Any = SimpleNamespace(params=params, check_mode=check, _diff=True, warn=warnings.append)
    return kic_snapshot.body(Task(module, engine)), warnings


def test_results(engine: Disks) -> None:
    """Of each state, in check mode as in a run."""
    whole = {
        "cluster": "lab",
        "image": engine.container_table[PLANE].image_id,
        "kubernetes": "v1.34.9",
        "name": "one",
        "nodes": [PLANE, WORKER],
        "taken": NOW,
    }
    for state, changed, now, before in (
        ("present", True, whole, {}),
        ("present", False, whole, whole),
        ("absent", True, {}, whole),
        ("absent", False, {}, {}),
    ):
        there = everything(engine)
        predicted, _warnings = run(engine, check=True, state=state)
        assert everything(engine) == there
        found, warnings = run(engine, state=state)
        assert predicted == {**found, "gap": 0.0} and warnings == []
        assert (found["changed"], bool(found["actions"])) == (changed, changed)
        assert found["snapshot"] == now and found["diff"] == {"before": before, "after": now}
        assert found["snapshots"] == ([now] if now else [])


def test_other_snapshots(engine: Disks) -> None:
    """All of the cluster are returned, and none of another one."""
    snapshot(engine, "b")
    cluster(engine, "copy", snapshot="lab/b")
    snapshot(engine, "other", of="copy")
    for check in (True, False):
        assert [item["name"] for item in run(engine, check=check, name="a")[0]["snapshots"]] == ["b", "a"]
    gone = [run(engine, check=check, name="b", state="absent")[0]["snapshots"] for check in (True, False)]
    assert [[item["name"] for item in found] for found in gone] == [["a"], ["a"]]


def test_before_there_is_a_cluster(engine: Disks) -> None:
    """Check mode says that it takes it for granted."""
    found, (warning,) = run(engine, check=True, cluster="next")
    assert (found["changed"], found["snapshot"], found["snapshots"]) == (True, {}, []) and "next" in warning


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [("copy", "two"), ("lab", "one")]),
        ({"cluster": "lab"}, [("lab", "one")]),
        ({"cluster": "none"}, []),
        ({"name": PLANE}, []),
    ],
)
def test_snapshots_next_to_clusters(given: dict[str, str], expected: list[tuple[str, str]], engine: Disks) -> None:
    """Those of the clusters that are asked for, also when these are gone; nodes have their names in Kubernetes."""
    snapshot(engine)
    cluster(engine, "copy", snapshot="lab/one")
    snapshot(engine, "two", of="copy")
    removed(engine)
    params: dict[str, Any] = {"name": None, "cluster": None, "ask_nodes": False, "scripts": {}, **given}
    module: Any = SimpleNamespace(params=params, check_mode=False, warn=print)
    found = kic_node_info.look(Task(module, engine))
    assert sorted((item["cluster"], item["name"]) for item in found["snapshots"]) == expected
    names = {item["name"]: item["node_name"] for item in found["nodes"]}
    assert given or names["copy-worker-1"] == WORKER
