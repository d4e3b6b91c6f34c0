# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a snapshot is, what there is to do to take and to remove one, and what becomes of one that fails."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import snapshotting
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshot import (
    SavedNode,
    Snapshot,
    Wanted,
    found_in,
    plan_discard,
    plan_remove,
    plan_take,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshotting import SnapshotSpec, data_volume
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import PARALLEL, Operation, in_order
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import EngineInfo, Volume
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .snapshots import (
    NOW,
    Disk,
    Disks,
    cluster,
    disks,
    everything,
    left_behind,
    paused,
    plain,
    removed,
    snapshot,
    stopped,
)
from .support import IMAGE_ID, container, engine_info, fails

PLANE, WORKER = "lab-control-plane-1", "lab-worker-1"
ONE = Snapshot(
    name="one",
    cluster="lab",
    taken=NOW,
    kubernetes="v1.35.4",
    image="sha256:1",
    subnets=("192.168.128.0/24", "fd00::/64"),
    nodes=(
        SavedNode(PLANE, "control-plane", PLANE, "192.168.128.2", "fd00::2"),
        SavedNode(WORKER, "worker", "origin-worker-1", "192.168.128.3", ""),
    ),
)
PARTS = (f"lab.snapshot.one.{PLANE}", f"lab.snapshot.one.{WORKER}")
OURS = labels.ownership(None)


def volume(name: str, **found: str) -> Volume:
    """A volume with labels, given without their prefix."""
    return Volume(name, "local", "", {f"nodeforge.kic.{key}": value for key, value in found.items()}, {})


# What it is.
def test_names_and_labels() -> None:
    """Its volumes have names of their own, belong to no cluster, and name the snapshot."""
    assert (ONE.volume, ONE.parts) == ("lab.snapshot.one", PARTS)
    part = {**OURS, "nodeforge.kic.part-of": "lab.snapshot.one"}
    assert ONE.part_label(held=False) == part and ONE.part_label(held=True) == {**part, "nodeforge.kic.held": "1"}
    assert ONE.label == {**OURS, "nodeforge.kic.snapshot": ONE.encode()}
    assert [item.name for item in ONE.of_role(plane=True)] == [PLANE]
    assert [item.name for item in ONE.of_role(plane=False)] == [WORKER]
    assert ONE.as_dict() == {
        "name": "one",
        "cluster": "lab",
        "taken": NOW,
        "kubernetes": "v1.35.4",
        "image": "sha256:1",
        "nodes": [PLANE, WORKER],
    }


def test_the_label_says_all() -> None:
    """It is one line, and what is read is what was written."""
    assert Snapshot.decode(ONE.encode()) == ONE and "\n" not in ONE.encode()
    assert json.loads(ONE.encode())["version"] == 1


def changed(**given: Any) -> str:
    """The label's text with other values; None takes the key away."""
    found = {**json.loads(ONE.encode()), **given}
    return json.dumps({key: value for key, value in found.items() if value is not None})


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "{", "[]", "null", "1", '"a"', "{}"),
        changed(version=2),
        changed(version="1"),
        changed(version=None),
        changed(nodes=None),
        changed(nodes=5),
        changed(nodes=[{"name": "a"}]),
        changed(nodes=[5]),
        changed(subnets=5),
        changed(taken=None),
        changed(color="red"),
    ],
)
def test_a_label_of_another_layout(text: str) -> None:
    """Nobody knows what it means: it is no snapshot."""
    assert Snapshot.decode(text) is None


def test_snapshots_among_volumes() -> None:
    """The oldest first; what others made, parts, copied labels and other layouts are none."""
    younger = replace(ONE, name="a", taken="2026-12-01T00:00:00Z")
    older = replace(ONE, name="z", taken="2026-01-01T00:00:00Z", cluster="origin")
    same = replace(ONE, name="a-second")
    known = [Volume(item.volume, "local", "", item.label, {}) for item in (younger, ONE, older, same)]
    others = [
        volume("lab.snapshot.copied", schema="1", snapshot=ONE.encode()),
        volume("lab.snapshot.one", snapshot=ONE.encode()),
        volume("lab.snapshot.two", schema="1", snapshot=changed(version=2, name="two")),
        volume(PARTS[0], schema="1", **{"part-of": "lab.snapshot.one"}),
        volume(PLANE, schema="1", cluster="lab"),
    ]
    assert found_in([*others, *known]) == (older, same, ONE, younger) == found_in([*known, *others])
    assert found_in([*others, *known], "lab") == (same, ONE, younger)
    assert found_in(others) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", Wanted("lab", "one")),
        ("origin/one", Wanted("origin", "one")),
        ("lab/one", Wanted("lab", "one")),
        ("0", Wanted("lab", "0")),
    ],
)
def test_a_snapshot_by_name(text: str, expected: Wanted) -> None:
    """Without a cluster it is one of the cluster's own."""
    assert Wanted.parse("kic_cluster_snapshot", text, "lab") == expected


@pytest.mark.parametrize(
    "text", ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "A", "a_b", "a.b", "-a", "a/-b", "a b", "a\n", "a" * 64]
)
def test_a_name_that_a_snapshot_cannot_have(text: str) -> None:
    """It is part of the names of volumes; the option is named."""
    with fails("invalid_option", "kic_cluster_snapshot"):
        Wanted.parse("kic_cluster_snapshot", text, "lab")


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "a/b"}, {"cluster": "A"}, {"cluster": "", "name": "x.y"}])
def test_names_of_the_module(given: dict[str, str]) -> None:
    """All problems are in one message."""
    with pytest.raises(KicError) as caught:
        SnapshotSpec.from_params({"cluster": "lab", "name": "one", "state": "present", "scripts": None, **given})
    assert caught.value.diagnosis.id == "invalid_option"
    assert all(f"{key}: " in str(caught.value) for key in given)


# What there is to do.
def short(operations: tuple[Operation, ...]) -> list[str]:
    """The operations in the order of a run one by one, in few letters."""
    words = {PLANE: "plane", WORKER: "w1", PARTS[0]: "one.plane", PARTS[1]: "one.w1", "data of node": "data"}
    return [
        f"{item.verb} {words.get(item.kind, item.kind)} {words.get(item.name, item.name)}"
        for item in in_order(operations)
    ]


CREATES = ["create volume one.plane", "create volume one.w1"]
COPIES = ["copy data plane", "copy data w1"]
TAKEN = "create snapshot one"
PAUSES, RESUMES = ["pause node plane", "pause node w1"], ["resume node plane", "resume node w1"]
STOPS, STARTS = ["stop node plane", "stop node w1"], ["start node plane", "start node w1"]
DISCARDS = ["discard volume one.plane", "discard volume one.w1"]


@pytest.mark.parametrize(
    ("statuses", "left", "freezes", "expected"),
    [
        pytest.param(("running", "running"), "", True, [*CREATES, *PAUSES, *COPIES, *RESUMES, TAKEN], id="running"),
        pytest.param(("exited", "exited"), "", True, [*CREATES, *COPIES, TAKEN], id="stopped"),
        pytest.param(("created", "exited"), "", True, [*CREATES, *COPIES, TAKEN], id="never-started"),
        pytest.param(("paused", "paused"), "", True, [*CREATES, *COPIES, TAKEN], id="paused"),
        pytest.param(
            ("running", "exited"), "", True, [*CREATES, PAUSES[0], *COPIES, RESUMES[0], TAKEN], id="one-stopped"
        ),
        pytest.param(
            ("running", "paused"), "", True, [*CREATES, PAUSES[0], *COPIES, RESUMES[0], TAKEN], id="one-paused"
        ),
        pytest.param(("running", "running"), "", False, [*CREATES, *STOPS, *COPIES, *STARTS, TAKEN], id="no-freezer"),
        pytest.param(("exited", "exited"), "", False, [*CREATES, *COPIES, TAKEN], id="stopped-without-freezer"),
        pytest.param(
            *(("running", "running"), "held", True, [*DISCARDS, *CREATES, *PAUSES, *COPIES, *RESUMES, TAKEN]),
            id="left-before-it-held",
        ),
        pytest.param(
            *(("running", "paused"), "held", True),
            [DISCARDS[0], CREATES[0], PAUSES[0], *COPIES, *RESUMES, TAKEN],
            id="left-when-one-held",
        ),
        pytest.param(("paused", "paused"), "held", True, [*COPIES, *RESUMES, TAKEN], id="left-when-all-held"),
        pytest.param(("exited", "exited"), "held", False, [*COPIES, *STARTS, TAKEN], id="left-without-freezer"),
        pytest.param(
            ("paused", "exited"), "other", True, [*DISCARDS, *CREATES, *COPIES, TAKEN], id="left-when-it-was-so-before"
        ),
        pytest.param(
            *(("running", "exited"), "other", True),
            [*DISCARDS, *CREATES, PAUSES[0], *COPIES, RESUMES[0], TAKEN],
            id="left-when-one-was-so-before",
        ),
    ],
)
def test_take(statuses: tuple[str, str], left: str, freezes: bool, expected: list[str]) -> None:
    """Nodes that run hold still for the copies, all at the same time, and go on; so does what an interrupted run has held, and
    nothing else does."""
    there = dict(zip((PLANE, WORKER), statuses))
    volumes = dict.fromkeys(PARTS, left == "held") if left else {}
    plan = plan_take(ONE, there, volumes, freezes=freezes)
    assert short(plan) == expected
    assert {item.verb for item in plan if not item.changes} <= {"discard"}
    assert_order(plan)


def test_take_when_more_was_left() -> None:
    """Of a node that is gone now; what uses no data of a node of this name goes first."""
    volumes = {"lab.snapshot.one.lab-worker-9": True, PARTS[0]: True}
    plan = plan_take(ONE, {PLANE: "paused", WORKER: "running"}, volumes, freezes=True)
    assert [item.key for item in plan][:2] == [
        "discard volume lab.snapshot.one.lab-worker-9",
        f"create volume {PARTS[1]}",
    ]
    assert_order(plan)


@pytest.mark.parametrize(
    ("statuses", "held", "goes"),
    [
        (("running", "running"), True, []),
        (("paused", "running"), True, ["resume node plane"]),
        (("exited", "exited"), True, STARTS),
        (("paused", "exited"), False, []),
    ],
)
def test_discard(statuses: tuple[str, str], held: bool, goes: list[str]) -> None:
    """What an interrupted run has held goes on before that is forgotten."""
    plan = plan_discard(ONE, dict(zip((PLANE, WORKER), statuses)), dict.fromkeys(PARTS, held))
    assert short(plan) == [*goes, *DISCARDS]
    ends = [item for item in plan if item.verb == "discard"]
    assert all(len(item.needs) == len(goes) and not item.changes for item in ends)
    assert plan_discard(ONE, {PLANE: "paused"}, {}) == ()


def assert_order(plan: tuple[Operation, ...]) -> None:
    """Nothing is copied before all nodes hold still, none goes on before all is copied, and the snapshot is the last."""
    needed: dict[str, set[str]] = {}
    keys = {item.key for item in plan}
    for item in in_order(plan):
        direct = {key for key in item.needs if key in keys}
        assert {*item.needs} <= keys, item
        needed[item.key] = direct.union(*(needed[key] for key in direct))

    def of(*verbs: str, kind: str = "node") -> set[str]:
        return {item.key for item in plan if item.verb in verbs and item.kind == kind}

    copies = of("copy", kind="data of node")
    for key in of("pause", "stop"):
        assert needed[key] >= of("create", kind="volume")
    for key in copies:
        assert needed[key] >= of("pause", "stop") | of("create", kind="volume") and not needed[key] & copies
    for key in of("resume", "start"):
        assert needed[key] >= copies
    # A run that finds it does nothing: when it is there, nothing holds still any more.
    assert needed[f"create snapshot {ONE.name}"] == keys - {f"create snapshot {ONE.name}"}
    for key in of("create", kind="volume"):
        assert needed[key] == of("discard", kind="volume")


def test_remove() -> None:
    """What says that it is there goes first: none is there of which only parts are."""
    plan = plan_remove(ONE)
    assert short(plan) == ["remove snapshot one", "remove volume one.plane", "remove volume one.w1"]
    assert {item.needs for item in plan[1:]} == {(plan[0].key,)} and all(item.changes for item in plan)


# On an engine.
@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disks:
    """A cluster with a worker whose nodes have written."""
    plain(monkeypatch)
    found = disks(monkeypatch, tmp_path)
    cluster(found, workers=1)
    found.write("taken")
    return found


def test_what_is_taken(engine: Disks) -> None:
    """The release, the image, the network and the nodes with their addresses, the control planes first."""
    taken = snapshot(engine)
    (found,) = found_in([*engine.volume_table.values()])
    assert (found.kubernetes, found.image, found.taken) == ("v1.34.9", IMAGE_ID, NOW)
    assert found.subnets == tuple(str(item.subnet) for item in engine.network_table["lab"].ranges)
    addresses = {name: engine.container_table[name].labels[labels.ADDRESS] for name in (PLANE, WORKER)}
    assert [(item.name, item.role, item.node_name, item.ip, item.ip6) for item in found.nodes] == [
        (PLANE, "control-plane", PLANE, addresses[PLANE], ""),
        (WORKER, "worker", WORKER, addresses[WORKER], ""),
    ]
    assert taken.snapshot == found.as_dict() and taken.gap >= 0 and taken.before == {}
    again = snapshot(engine)
    assert (again.actions, again.snapshot, again.gap) == ((), taken.snapshot, 0.0)
    gone = snapshot(engine, state="absent")
    assert (gone.snapshot, gone.before) == ({}, taken.snapshot) and len(gone.actions) == 3


def test_nothing_to_take(engine: Disks) -> None:
    """No cluster, and none that is complete."""
    with fails("cluster_missing", "none"):
        snapshot(engine, of="none")
    engine.disks[PLANE] = replace(engine.disks[PLANE], state="")
    before = everything(engine)
    for check_mode in (True, False):
        with fails("snapshot_incomplete", "lab"):
            snapshot(engine, check_mode=check_mode)
    assert everything(engine) == before


def test_a_node_without_a_volume(engine: Disks) -> None:
    """Nothing of it can be copied; it is said before anything holds still."""
    mounts = [{"Type": "bind", "Name": "", "Destination": "/var"}]
    engine.add(replace(engine.container_table[WORKER], raw={"Mounts": mounts}))
    before = everything(engine)
    with fails("snapshot_without_volume", WORKER):
        snapshot(engine)
    assert everything(engine) == before


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"Mounts": None},
        {"Mounts": []},
        {"Mounts": [{"Type": "volume", "Name": "x", "Destination": "/var/lib"}]},
        {"Mounts": [{"Type": "bind", "Name": "x", "Destination": "/var"}]},
        {"Mounts": [{"Type": "volume", "Name": "", "Destination": "/var"}]},
    ],
)
def test_which_volume_has_the_data(raw: Mapping[str, Any]) -> None:
    """That at /var, and no other."""
    with fails("snapshot_without_volume", "node-1"):
        data_volume(container(raw=raw))
    mounts = [*(raw.get("Mounts") or ()), {"Type": "volume", "Name": "data", "Destination": "/var"}]
    assert data_volume(container(raw={"Mounts": mounts})) == "data"


def test_a_node_that_is_being_replaced(engine: Disks) -> None:
    """Where only its old container is there, it counts by its own name."""
    engine.stop_container(f"id-{WORKER}", 0)
    engine.rename_container(f"id-{WORKER}", f"{WORKER}.kic-replaced-running")
    engine.stop_container(f"id-{PLANE}", 0)
    engine.rename_container(f"id-{PLANE}", f"{PLANE}.kic-replaced-running")
    assert snapshot(engine).snapshot["nodes"] == [PLANE, WORKER]
    assert {engine.disks[f"lab.snapshot.one.{name}"].content for name in (PLANE, WORKER)} == {"taken"}
    (found,) = found_in([*engine.volume_table.values()])
    assert [item.node_name for item in found.nodes] == [PLANE, WORKER]


# What fails.
FREEZERS = [
    pytest.param(engine_info(), id="freezer"),
    pytest.param(engine_info(rootless=True, cgroup_version=1), id="no-freezer"),
]


@pytest.mark.parametrize("parallel", [1, PARALLEL], ids=["one-by-one", "parallel"])
@pytest.mark.parametrize("info", FREEZERS)
def test_no_space(info: EngineInfo, parallel: int, engine: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes go on, and nothing of the snapshot is left; with space it is taken."""
    monkeypatch.setattr(snapshotting, "PARALLEL", parallel)
    engine.facts = info
    before = everything(engine)
    engine.full = {f"lab.snapshot.one.{WORKER}"}
    with fails("copy_failed", f"lab.snapshot.one.{WORKER}", "system df"):
        snapshot(engine)
    assert everything(engine) == before
    engine.full = set()
    assert snapshot(engine).snapshot and {*engine.statuses().values()} == {"running"}


def failing(engine: Disks, verb: str, wanted: Callable[..., bool], *, done: bool) -> list[str]:
    """Have calls of the engine fail before or after they are done; the list is of those that failed."""
    act: Callable[..., Any] = getattr(engine, verb)
    failed: list[str] = []

    def call(*given: Any) -> Any:
        if not wanted(*given) or len(failed) == 2:
            return act(*given)
        failed.append(verb)
        if done:
            act(*given)
        raise failure("timed_out", action=verb, seconds=30, why="podman hangs", fix="wait")

    setattr(engine, verb, call)
    return failed


@pytest.mark.parametrize("parallel", [1, PARALLEL], ids=["one-by-one", "parallel"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "verb", ["create_volume", "pause_container", "create_container", "start_container", "resume_container"]
)
def test_a_client_that_fails(
    verb: str, done: bool, parallel: int, engine: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever, also twice at the same time, and when what it did is done all the same: all nodes go on, and nothing is left."""
    monkeypatch.setattr(snapshotting, "PARALLEL", parallel)
    before = everything(engine)
    failed = failing(engine, verb, lambda *_given: True, done=done)
    with fails("timed_out", verb):
        snapshot(engine)
    assert failed
    left = everything(engine)
    if verb != "resume_container" and (verb, done) != ("create_container", True):
        # A container that it has not heard of has the volume until it ends by itself.
        assert left == before
    assert verb == "resume_container" or {*engine.statuses().values()} == {"running"}
    delattr(engine, verb)
    left_behind(engine)
    # Where the undoing has failed as well, the next run goes on with it.
    snapshot(engine)
    assert engine.statuses() == {PLANE: "running", WORKER: "running"}


@pytest.mark.parametrize("verb", ["remove_volume", "resume_container"])
def test_the_system_fails_while_it_is_undone(verb: str, engine: Disks) -> None:
    """The first failure is reported; the next run goes on with what is left."""
    engine.full = {f"lab.snapshot.one.{WORKER}"}

    def broken(*_given: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left")

    setattr(engine, verb, broken)
    with fails("copy_failed", f"lab.snapshot.one.{WORKER}"):
        snapshot(engine)
    delattr(engine, verb)
    engine.full = set()
    snapshot(engine)
    assert engine.statuses() == {PLANE: "running", WORKER: "running"}


def test_the_snapshot_itself_fails(engine: Disks) -> None:
    """It may be there all the same: what it would say is not true, as its parts are gone."""
    before = everything(engine)
    failed = failing(engine, "create_volume", lambda found: labels.SNAPSHOT in found.labels, done=True)
    with fails("timed_out"):
        snapshot(engine)
    assert failed and everything(engine) == before


def test_a_name_that_others_have(engine: Disks) -> None:
    """Their volume stays as it is."""
    theirs = Volume("lab.snapshot.one", "local", "", {}, {})
    engine.volume_table["lab.snapshot.one"], engine.disks["lab.snapshot.one"] = theirs, Disk("theirs")
    before = everything(engine)
    with fails("name_taken", "lab.snapshot.one"):
        snapshot(engine)
    assert everything(engine) == before


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_removal_that_fails(done: bool, engine: Disks) -> None:
    """It is reported, with what was done; the next run removes the rest."""
    snapshot(engine)
    engine.write("later")
    worker = f"lab.snapshot.one.{WORKER}"
    failing(engine, "remove_volume", lambda name: name == worker, done=done)
    with pytest.raises(KicError) as caught:
        snapshot(engine, state="absent")
    assert caught.value.diagnosis.id == "timed_out"
    assert caught.value.done[0] == "remove snapshot one"
    delattr(engine, "remove_volume")
    snapshot(engine, state="absent")
    assert not [name for name in engine.volume_table if name.startswith("lab-snapshot")]


# What check mode predicts.
@pytest.mark.parametrize("before", [lambda _engine: None, stopped, paused], ids=["running", "stopped", "paused"])
@pytest.mark.parametrize("info", FREEZERS)
def test_check_mode(info: EngineInfo, before: Callable[[Disks], object], engine: Disks) -> None:
    """In the words of the run, the result included, and changes nothing."""
    before(engine)
    engine.facts = info
    for state in ("absent", "present", "present", "absent", "absent"):
        there, copies = everything(engine), len(engine.copies)
        predicted = snapshot(engine, state=state, check_mode=True)
        assert everything(engine) == there and len(engine.copies) == copies
        assert predicted == replace(snapshot(engine, state=state), gap=0.0)


def test_check_mode_of_what_was_left(engine: Disks) -> None:
    """What an interrupted run has left goes without being reported."""
    engine.create_volume(Volume(f"lab.snapshot.one.{WORKER}", "local", "", ONE.part_label(held=True), {}))
    there = everything(engine)
    for state in ("present", "absent"):
        predicted = snapshot(engine, state=state, check_mode=True)
        assert everything(engine) == there
        made = snapshot(engine, state=state)
        assert predicted.actions == made.actions and not [text for text in made.actions if "discard" in text]
        snapshot(engine, state="absent")
        engine.create_volume(Volume(f"lab.snapshot.one.{WORKER}", "local", "", ONE.part_label(held=True), {}))
    snapshot(engine, state="absent")
    assert not [name for name in engine.volume_table if "snapshot" in name]


def test_check_mode_before_there_is_a_cluster(engine: Disks) -> None:
    """An earlier task may create it; it is said."""
    found = snapshot(engine, of="next", check_mode=True)
    assert found.actions == ("create snapshot one",) and "next" in found.warning
    assert found.snapshot == {}


def test_snapshots_outlive_their_cluster(engine: Disks) -> None:
    """And stay out of what is removed with it; a name of another cluster is another snapshot."""
    snapshot(engine)
    removed(engine)
    assert set(engine.volume_table) == {"theirs", "lab.snapshot.one", *PARTS}
    assert {engine.disks[name].content for name in PARTS} == {"taken"}
    assert snapshot(engine, of="other", state="absent").actions == ()
    assert snapshot(engine, check_mode=True).snapshot["name"] == "one"
    assert len(snapshot(engine, state="absent").actions) == 3 and set(engine.volume_table) == {"theirs"}


def test_the_load_balancer_is_not_copied(engine: Disks) -> None:
    """It has no data, and goes on."""
    cluster(engine, workers=1, control_planes=3)
    engine.write("taken")
    taken = snapshot(engine)
    assert len(taken.snapshot["nodes"]) == 4 and not [text for text in taken.actions if "load-balancer" in text]


def test_scripts_are_there() -> None:
    """What is run in containers has these names."""
    assert {"copy-volume", "etcd-adopt", "tokens-renew"} <= {*node_scripts()}
