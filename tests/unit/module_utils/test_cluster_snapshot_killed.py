# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots that are taken, removed and restored, and runs of these that are killed before, after and within each operation."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import EngineInfo

from .lives import foreign
from .snapshots import (
    NEVER,
    PLANE,
    PLANES,
    WORKER,
    Disks,
    Ending,
    cluster,
    differences,
    disks,
    everything,
    left_behind,
    paused,
    plain,
    removed,
    snapshot,
    stopped,
)
from .support import Killed, engine_info
from .test_killed import Killing

COPIES = {name: name.replace("lab", "copy") for name in (*PLANES, WORKER)}
WITHOUT_FREEZER = engine_info(rootless=True, cgroup_version=1)


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which nothing differs by where the test runs."""
    plain(monkeypatch)


Step = Callable[[Disks], object]


def both(*steps: Step) -> Step:
    """One after the other."""
    return lambda engine: [step(engine) for step in steps]


def written(text: str) -> Step:
    """All nodes of the cluster have written."""
    return lambda engine: engine.write(text)


def required(*names: str) -> Step:
    """Nodes of these names may start only when all of them have the data of the snapshot."""
    return lambda engine: engine.required.update(dict.fromkeys(names, "taken"))


def without(name: str) -> Step:
    """The container was removed by hand."""
    return lambda engine: engine.remove_container(name, 0)


def moved(engine: Disks) -> None:
    """The worker has another address than its data knows."""
    found, address = engine.container_table[WORKER], "192.168.128.99"
    own = {**found.labels, labels.ADDRESS: address}
    engine.add(replace(found, labels=own, addresses={"lab": (address,)}))
    engine.disks[WORKER] = replace(engine.disks[WORKER], address=address)


CREATED = both(partial(cluster, workers=1), written("taken"))
THREE = both(partial(cluster, workers=1, control_planes=3), written("taken"))
TAKEN = both(CREATED, snapshot, written("later"))
THREE_TAKEN = both(THREE, snapshot, written("later"))
BOTH, ALL = (PLANE, WORKER), (*PLANES, WORKER)


@dataclass(frozen=True)
class Life:
    """``before`` puts things on an engine; ``work`` is what is requested then, and ``proof`` asserts what came of it."""

    before: Step
    work: Step
    proof: Callable[[Disks], object]
    info: EngineInfo | None = None
    keeps: str = "one"
    """The snapshot that stays as it is; "" where there is none before."""


def has_taken(*names: str, status: str = "running", name: str = "one") -> Callable[[Disks], None]:
    """The snapshot holds what these nodes had."""

    def proof(engine: Disks) -> None:
        parts = {f"lab.snapshot.{name}.{node}" for node in names}
        assert {item for item in engine.volume_table if item.startswith(f"lab.snapshot.{name}")} == {
            *parts,
            f"lab.snapshot.{name}",
        }
        for node in names:
            disk = engine.disks[f"lab.snapshot.{name}.{node}"]
            assert disk == engine.disks[node] and disk.content == "taken" and disk.node == node
        assert engine.statuses() == dict.fromkeys(names, status)

    return proof


def has_restored(*names: str, more: tuple[str, ...] = ()) -> Callable[[Disks], None]:
    """These nodes are as they were, keys, addresses and names included; others are new."""

    def proof(engine: Disks) -> None:
        assert engine.statuses() == dict.fromkeys(sorted((*names, *more)), "running")
        for node in names:
            assert engine.disks[node] == engine.disks[f"lab.snapshot.one.{node}"]
            assert engine.disks[node].content == "taken"
            assert engine.disks[node].address == engine.container_table[node].labels[labels.ADDRESS]
        assert all(engine.disks[node].state for node in more)

    return proof


def has_cloned(*names: str, more: tuple[str, ...] = (), original: str = "running") -> Callable[[Disks], None]:
    """Nodes of the names of the original with its data and none of its keys and addresses; the original is untouched."""

    def proof(engine: Disks) -> None:
        made = {COPIES[name]: name for name in names}
        assert engine.statuses("copy") == dict.fromkeys(sorted((*made, *more)), "running")
        for node, name in made.items():
            disk, found = engine.disks[node], engine.container_table[node]
            assert (disk.content, disk.node, disk.authority) == ("taken", name, "copy")
            assert found.labels[labels.NODE_NAME] == name == engine.volume_table[node].labels[labels.NODE_NAME]
            assert disk.address == found.labels[labels.ADDRESS]
            assert disk.etcd == ("taken" if "control-plane" in name else "")
        assert all(labels.NODE_NAME not in engine.container_table[node].labels for node in more)
        assert engine.statuses() == (dict.fromkeys(sorted(names), original) if original else {})
        assert {disk.content for node, disk in engine.disks.items() if node in names} <= {"later"}

    return proof


def has_none(engine: Disks) -> None:
    """Of the snapshot nothing is left, and the cluster has what it had."""
    assert not [name for name in engine.volume_table if name.startswith("lab.snapshot.one")]
    assert {engine.disks[name].content for name in engine.statuses()} <= {"later"}


again = partial(cluster, state="restored", snapshot="one")
from_one = partial(cluster, snapshot="one")
clone = partial(cluster, name="copy", snapshot="lab/one")

TAKES = {
    "taken": Life(CREATED, snapshot, has_taken(*BOTH), keeps=""),
    "taken of a stopped cluster": Life(both(CREATED, stopped), snapshot, has_taken(*BOTH, status="exited"), keeps=""),
    "taken of a paused cluster": Life(both(CREATED, paused), snapshot, has_taken(*BOTH, status="paused"), keeps=""),
    "taken of several control planes": Life(THREE, snapshot, has_taken(*ALL), keeps=""),
    "taken next to another": Life(
        both(CREATED, snapshot), partial(snapshot, name="two"), has_taken(*BOTH, name="two"), keeps="one"
    ),
    "taken without freezer": Life(CREATED, snapshot, has_taken(*BOTH), WITHOUT_FREEZER, keeps=""),
    "taken of a stopped cluster without freezer": Life(
        both(CREATED, stopped), snapshot, has_taken(*BOTH, status="exited"), WITHOUT_FREEZER, keeps=""
    ),
    "removed": Life(TAKEN, partial(snapshot, state="absent"), has_none, keeps=""),
    "removed without its cluster": Life(both(TAKEN, removed), partial(snapshot, state="absent"), has_none, keeps=""),
}

RESTORES = {
    "restored": Life(both(TAKEN, required(*BOTH)), again, has_restored(*BOTH)),
    "restored when stopped": Life(both(TAKEN, stopped, required(*BOTH)), again, has_restored(*BOTH)),
    "restored when paused": Life(both(TAKEN, paused, required(*BOTH)), again, has_restored(*BOTH)),
    "restored when a container is lost": Life(
        both(TAKEN, without(WORKER), required(*BOTH)), again, has_restored(*BOTH)
    ),
    "restored when the cluster is gone": Life(both(TAKEN, removed, required(*BOTH)), again, has_restored(*BOTH)),
    "restored with one more worker": Life(
        both(TAKEN, partial(cluster, workers=2), required(*BOTH)), again, has_restored(*BOTH, more=("lab-worker-2",))
    ),
    "restored with a worker that is new": Life(
        both(TAKEN, required(*BOTH)), partial(again, workers=2), has_restored(*BOTH, more=("lab-worker-2",))
    ),
    "restored when a node has another address": Life(both(TAKEN, moved, required(*BOTH)), again, has_restored(*BOTH)),
    "restored with several control planes": Life(both(THREE_TAKEN, required(*ALL)), again, has_restored(*ALL)),
    "created from its own": Life(both(TAKEN, removed, required(*BOTH)), from_one, has_restored(*BOTH)),
    "created from its own, present": Life(
        both(TAKEN, removed, required(*BOTH)), partial(from_one, state="present"), has_restored(*BOTH)
    ),
    "created from its own with several control planes": Life(
        both(THREE_TAKEN, removed, required(*ALL)), from_one, has_restored(*ALL)
    ),
    "cloned": Life(both(TAKEN, required(*(COPIES[name] for name in BOTH))), clone, has_cloned(*BOTH)),
    "cloned when the original is stopped": Life(
        both(TAKEN, stopped, required(*(COPIES[name] for name in BOTH))), clone, has_cloned(*BOTH, original="exited")
    ),
    "cloned when the original is gone": Life(
        both(TAKEN, removed, required(*(COPIES[name] for name in BOTH))), clone, has_cloned(*BOTH, original="")
    ),
    "cloned with a worker that is new": Life(
        both(TAKEN, required(*(COPIES[name] for name in BOTH))),
        partial(clone, workers=2),
        has_cloned(*BOTH, more=("copy-worker-2",)),
    ),
}


ONE_PYTHON = pytest.mark.one_python("the same code for another cluster; one of each table runs on Python 3.9 as well")


def each(table: Iterable[str], always: str) -> list[Any]:
    """The names of a table as parameters, of which one is run by every Python."""
    assert always in table
    return [pytest.param(name, marks=[] if name == always else [ONE_PYTHON]) for name in table]


def killed(life: Life, engine: Disks, at: int, done: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the work ended that was killed at its operation with the number; "" where it came to its end."""
    killing = Killing(at, done)
    Ending(killing).apply(monkeypatch)
    engine.killing = killing
    try:
        life.work(engine)
    except Killed:
        return f"killed {'after' if done else 'before'} {killing.begun[-1]}, number {at}"
    finally:
        NEVER.apply(monkeypatch)
        left_behind(engine)
    return ""


def undisturbed(
    life: Life,
    again: Step,
    proof: Callable[[Disks], object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    first: tuple[int, bool] | None = None,
) -> None:
    """Wherever the work is killed, ``again`` ends in the state of one that nobody disturbed.

    :param first: where it was killed once before.
    """

    begun = disks(monkeypatch, tmp_path_factory.mktemp("state"))
    life.before(begun)
    begun.facts = life.info or begun.facts
    # Copied for each run: to bring a cluster into its state takes as long as the run on it that is killed.
    kept_as = pickle.dumps({key: value for key, value in vars(begun).items() if key != "units"})

    def prepared(*, twice: bool = True) -> Disks:
        folder = tmp_path_factory.mktemp("state")
        shutil.copytree(begun.units.parent, folder, dirs_exist_ok=True)
        engine = disks(monkeypatch, folder)
        vars(engine).update(pickle.loads(kept_as))
        assert not twice or first is None or killed(life, engine, *first, monkeypatch)
        return engine

    engine = prepared(twice=False)
    others = foreign(engine)
    kept = {name: disk for name, disk in engine.disks.items() if name.startswith(f"lab.snapshot.{life.keeps}.")}
    assert not life.keeps or kept
    again(engine)
    proof(engine)
    expected = everything(engine)
    at, done = 0, False
    while True:
        engine = prepared()
        where = killed(life, engine, at, done, monkeypatch)
        if not where:
            break
        try:
            again(engine)
        except (AssertionError, KicError) as error:
            raise AssertionError(f"{where}: {error}") from error
        assert differences(everything(engine), expected) == {}, where
        assert foreign(engine) == others and {name: engine.disks[name] for name in kept} == kept, where
        at, done = (at + 1, False) if done else (at, True)
    assert at > 0, "nothing was done"


@pytest.mark.parametrize("name", each(TAKES, "taken without freezer"))
def test_a_snapshot_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No node holds still for ever, what was taken is what the nodes had, and nothing of the first run is left."""
    life = TAKES[name]
    undisturbed(life, life.work, life.proof, monkeypatch, tmp_path_factory)


@pytest.mark.parametrize("name", each(RESTORES, "cloned"))
def test_a_restore_is_killed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No node starts before all have their data, and what is restored is what was taken."""
    life = RESTORES[name]
    undisturbed(life, life.work, life.proof, monkeypatch, tmp_path_factory)


@ONE_PYTHON
@pytest.mark.parametrize("first", [(3, True), (7, False)], ids=["held", "copying"])
@pytest.mark.parametrize("name", ["taken", "taken without freezer", "taken of a paused cluster"])
def test_a_snapshot_is_killed_twice(
    name: str, first: tuple[int, bool], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the first run has held goes on all the same."""
    life = TAKES[name]
    undisturbed(life, life.work, life.proof, monkeypatch, tmp_path_factory, first)


def as_before(engine: Disks) -> None:
    """All nodes run, and have what they had."""
    has_none(engine)
    assert engine.statuses() == dict.fromkeys(BOTH, "running")


@ONE_PYTHON
@pytest.mark.parametrize("name", ["taken", "taken without freezer"])
def test_a_snapshot_that_is_not_wanted_any_more(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Wherever it was killed: its nodes go on, and nothing of it is left."""
    life = replace(TAKES[name], before=both(CREATED, written("later")))
    undisturbed(life, partial(snapshot, state="absent"), as_before, monkeypatch, tmp_path_factory)


@ONE_PYTHON
@pytest.mark.parametrize("name", ["restored", "created from its own", "restored with several control planes"])
def test_a_restore_goes_on_whatever_is_requested(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A cluster with half of its data is none: a run that only starts it completes it."""
    life = RESTORES[name]
    before = both(life.before, partial(begun, life.work))
    for state in ("started", "present", "restarted"):
        undisturbed(
            replace(life, before=before), partial(cluster, state=state), life.proof, monkeypatch, tmp_path_factory
        )


def begun(work: Step, engine: Disks) -> None:
    """The work ended when it had begun to copy the first of the data."""
    killing = Killing(-1, done=False)
    engine.killing = KillingAt("begin to copy to ", killing)
    with pytest.raises(Killed):
        work(engine)
    left_behind(engine)


class KillingAt(Killing):
    """Ends a run after the first operation whose name begins so."""

    def __init__(self, name: str, killing: Killing) -> None:
        super().__init__(killing.at, done=True)
        self.name = name

    def end(self, name: str, act: Callable[[], object]) -> object:
        """Where it is the name."""
        self.at = len(self.begun) if name.startswith(self.name) else -1
        return super().end(name, act)


@ONE_PYTHON
@pytest.mark.parametrize("name", ["restored", "created from its own", "cloned", "cloned when the original is gone"])
def test_a_restore_whose_cluster_is_not_wanted_any_more(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Wherever it was killed, nothing of the cluster is left, and no later one gets its data without being asked."""
    life, of = RESTORES[name], "copy" if name.startswith("cloned") else "lab"

    def again(engine: Disks) -> None:
        removed(engine, of)
        engine.required = {}
        cluster(engine, of, workers=1)

    def proof(engine: Disks) -> None:
        assert {engine.disk(item).content for item in engine.nodes(of)} == {"new"}

    undisturbed(life, again, proof, monkeypatch, tmp_path_factory)
