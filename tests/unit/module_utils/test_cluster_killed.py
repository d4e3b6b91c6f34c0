# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run on a cluster that is killed before and after each operation, those of its networks, volumes and nodes included."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import run as cluster_run
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.leaving import Leaving
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import ClusterRun
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import workers as workers_of
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, Resource, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import cluster_nodes
from ansible_collections.nodeforge.kic.plugins.module_utils._host import routes
from ansible_collections.nodeforge.kic.plugins.module_utils._host.systemd import Units
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import boot as boot_unit
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .lives import APP, foreign, machine, planned_only, state
from .support import IMAGE_SCRIPTS, MemoryEngine, MemoryPorts, fails, host, image, said
from .test_boot_unit import Systemd
from .test_cluster_run import PLANE, spec
from .test_killed import Killing, ends

WORKER = "lab-worker-1"
BOOT_WRITTEN = "write boot unit nodeforge.kic-lab.service"


class Machine(MemoryEngine):
    """An engine whose volumes hold what kubeadm has made in them, and the directory of the machine's units."""

    def __init__(self, *, daemon: bool, units: Path) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, restarts=daemon)
        self.kubernetes: dict[str, str] = {}
        self.units = units
        self.registered: dict[str, str] = {}
        """The nodes of the API, with their marks."""
        self.blocked = ""
        """The node that cannot be drained."""

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        """What the scripts of nodes that leave do to the API."""
        assert self.container_table[PLANE].running
        if arguments[2] == "kubectl":
            assert list(arguments[4:6]) == ["delete", "node"]
            self.registered.pop(arguments[6], None)
            return said()
        script, *words = arguments[arguments.index("-c") + 2 :]
        if script == "membership":
            nodes = [{"name": name, "hostname": name, "leaving": mark} for name, mark in self.registered.items()]
            return said(json.dumps({"nodes": nodes, "volumes": [], "budgets": [], "pods": []}))
        if script == "cordon":
            self.registered.update({words[0]: "cordoned"} if words[0] in self.registered else {})
        if script == "uncordon":
            self.registered.update({name: "" for name in words[1:] if name in self.registered})
        if script == "drain":
            if words[0] == self.blocked:
                return said("cannot evict", rc=1)
            assert self.container_table[words[0]].running and self.registered[words[0]]
        return said()

    def remove_volume(self, name: str) -> None:
        """With what is in it."""
        self.kubernetes.pop(name, None)
        self.containerd.pop(name, None)
        super().remove_volume(name)


@dataclass
class Ending:
    """Converges as ClusterRun asks for it, and ends with ``killing``."""

    killing: Killing

    def converge(self, resource: Resource[Any, Any], *, check_mode: bool, lock: Any) -> Any:
        """Its operations one at a time, each planned on a machine that refuses everything."""
        return converge(self.killing.armed(planned_only(resource)), check_mode=check_mode, lock=lock)

    def kubeadm(self, asked: KubeadmSpec, engine: Engine, *, check_mode: bool) -> Outcome:
        """What kubeadm does is one operation here."""
        assert isinstance(engine, Machine)
        assert check_mode or engine.container_table[asked.node].running
        assert asked.state == "initialized" or engine.kubernetes.get(PLANE) == "initialized"
        if engine.kubernetes.get(asked.node) == asked.state and engine.registered.get(asked.node) == "":
            return Outcome(Plan(), {})
        operation = Operation(asked.state, "Kubernetes", asked.node)

        def act() -> None:
            engine.kubernetes[asked.node] = asked.state
            engine.registered[asked.node] = ""

        if not check_mode:
            self.killing.end(str(operation), act)
        return Outcome(Plan((operation,)), {})

    def leaving(self) -> Callable[[Leaving, Operation], None]:
        """What is done in Kubernetes to a node that leaves."""

        def run(nodes: Leaving, operation: Operation) -> None:
            self.killing.end(str(operation), lambda: RUN(nodes, operation))

        return run


RUN = Leaving.run


def present(engine: Machine, workers: int = 1, prune: bool = False) -> None:
    """The cluster as it is declared."""
    declared = spec(workers=workers, pod_network="none", prune=prune, scripts=node_scripts())
    ClusterRun(engine, Systemd(), check_mode=False).present(declared, cluster_nodes(engine, "lab"))


def with_images(engine: Machine, workers: int = 1) -> None:
    """The cluster as it is declared, with an image of the user's in all of its nodes."""
    engine.image_table["app"] = image(id="2" * 64, tags=(APP,))
    declared = spec(workers=workers, pod_network="none", images=[APP], scripts=IMAGE_SCRIPTS)
    ClusterRun(engine, Systemd(), check_mode=False).present(declared, cluster_nodes(engine, "lab"))
    assert all(engine.containerd[name] == {APP: "2" * 64} for name in declared.nodes)


def stopped(engine: Machine) -> None:
    """The cluster with its nodes stopped."""
    ClusterRun(engine, Systemd(), check_mode=False).stopped("lab", cluster_nodes(engine, "lab"))


def restarted(engine: Machine) -> None:
    """The cluster as it is declared, with its nodes started again."""
    declared = spec(workers=1, pod_network="none", scripts=node_scripts(), state="restarted")
    ClusterRun(engine, Systemd(), check_mode=False).present(declared, cluster_nodes(engine, "lab"))


def paused(engine: Machine) -> None:
    """The cluster with its nodes frozen."""
    ClusterRun(engine, Systemd(), check_mode=False).paused("lab", cluster_nodes(engine, "lab"))


def all_paused(engine: Machine) -> None:
    """The cluster was paused."""
    present(engine)
    paused(engine)


def one_paused(engine: Machine) -> None:
    """The control plane was paused by hand."""
    present(engine)
    engine.pause_container(PLANE)


def without_boot(engine: Machine) -> None:
    """The cluster as it is declared, which does not start at boot."""
    declared = spec(workers=1, pod_network="none", boot=False)
    ClusterRun(engine, Systemd(), check_mode=False).present(declared, cluster_nodes(engine, "lab"))


def absent(engine: Machine) -> None:
    """No cluster."""
    ClusterRun(engine, Systemd(), check_mode=False).absent("lab", lambda _name: False)


def nothing(_engine: Machine) -> None:
    """As the machine is."""


def lost_container(engine: Machine) -> None:
    """A worker's container was removed by hand."""
    present(engine)
    del engine.container_table[WORKER]


def lost_worker(engine: Machine) -> None:
    """A worker was removed with all that it had."""
    lost_container(engine)
    engine.remove_volume(WORKER)


def one_stopped(engine: Machine) -> None:
    """The control plane has ended."""
    present(engine)
    engine.stop_container(PLANE, 0)


def all_stopped(engine: Machine) -> None:
    """The cluster was stopped."""
    present(engine)
    stopped(engine)


def stopped_two(engine: Machine) -> None:
    """Two workers, and the cluster was stopped."""
    present(engine, workers=2)
    stopped(engine)


def lost_of_two(engine: Machine) -> None:
    """The container of the second of two workers was removed by hand."""
    present(engine, workers=2)
    del engine.container_table["lab-worker-2"]


def fewer(engine: Machine) -> None:
    """One worker, and no other."""
    present(engine, prune=True)


Step = Callable[[Machine], None]

CHANGES: dict[str, tuple[Step, Step]] = {
    "created": (nothing, present),
    "one more worker": (partial(present, workers=0), present),
    "lost a container": (lost_container, present),
    "lost a worker": (lost_worker, present),
    "control plane ended": (one_stopped, present),
    "started": (all_stopped, present),
    "created with images": (nothing, with_images),
    "images and one more worker": (partial(with_images, workers=0), with_images),
    "stopped": (present, stopped),
    "restarted": (present, restarted),
    "restarted when one has ended": (one_stopped, restarted),
    "restarted when one has no container": (lost_container, restarted),
    "restarted when paused": (all_paused, restarted),
    "paused": (present, paused),
    "paused when one was": (one_paused, paused),
    "started when paused": (all_paused, present),
    "started when one was paused": (one_paused, present),
    "stopped when paused": (all_paused, stopped),
    "removed when paused": (all_paused, absent),
    "boots from now on": (without_boot, present),
    "boots no more": (present, without_boot),
    "one worker less": (partial(present, workers=2), fewer),
    "two workers less": (partial(present, workers=3), fewer),
    "one worker less when stopped": (stopped_two, fewer),
    "a worker without container less": (lost_of_two, fewer),
    "removed": (present, absent),
    "removed when stopped": (all_stopped, absent),
}


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with plain limits, on which nodes are up at once, and operations run one at a time."""
    monkeypatch.setattr(node, "host_limits", host)
    monkeypatch.setattr(node, "HostPorts", MemoryPorts)
    monkeypatch.setattr(routes, "routed", list)
    monkeypatch.setattr(boot, "wait", lambda *_given: Boot("running"))
    monkeypatch.setattr(boot, "peek", lambda *_given: Boot("running"))
    monkeypatch.setattr(boot, "entered", lambda *_given: True)
    monkeypatch.setattr(cluster_run, "PARALLEL", 1)
    monkeypatch.setattr(boot_unit, "program", "/usr/bin/{}".format)
    monkeypatch.setattr(boot_unit, "disabled_units", list)


def everything(engine: Machine) -> dict[str, Any]:
    """All that is there."""
    units = {str(path.relative_to(engine.units)): path.read_text() for path in engine.units.rglob("*.service")}
    return {**state(engine), "kubernetes": engine.kubernetes, "registered": engine.registered, "units": units}


@pytest.mark.parametrize("daemon", [False, True], ids=["unit", "restart-policy"])
@pytest.mark.parametrize("change", CHANGES)
def test_killed_at_every_operation(
    change: str, daemon: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same run again ends in the state of one that nobody disturbed, and touches nothing of others."""
    before, work = CHANGES[change]
    undisturbed(before, work, work, monkeypatch, tmp_path_factory, daemon=daemon)


@pytest.mark.parametrize("state_before", [partial(present, workers=2), stopped_two], ids=["running", "stopped"])
def test_a_worker_that_is_wanted_again(
    state_before: Step, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was done to it before the run was killed: declared again, it is a worker as before."""
    undisturbed(state_before, fewer, partial(present, workers=2), monkeypatch, tmp_path_factory)


def bare_machine(monkeypatch: pytest.MonkeyPatch, folder: Path, *, daemon: bool) -> Machine:
    """One without anything, whose state and units are in the folder."""
    monkeypatch.setattr(record, "state_directory", lambda: str(folder))
    engine = Machine(daemon=daemon, units=folder / "units")
    units = Units(str(engine.units), "multi-user.target", manager=True, user=False)
    monkeypatch.setattr(boot_unit, "units", lambda: units)
    return engine


def undisturbed(
    before: Step,
    work: Step,
    again: Step,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    daemon: bool = False,
) -> None:
    """Where ``work`` is killed, wherever that is, ``again`` ends in the state of one that nobody disturbed."""

    def ending(killing: Killing) -> None:
        monkeypatch.setattr(cluster_run, "converge", Ending(killing).converge)
        monkeypatch.setattr(cluster_run, "converge_kubeadm", Ending(killing).kubeadm)
        monkeypatch.setattr(Leaving, "run", Ending(killing).leaving())

    def prepared() -> Machine:
        ending(Killing(-1, done=False))
        folder: Path = tmp_path_factory.mktemp("state")
        engine = bare_machine(monkeypatch, folder, daemon=daemon)
        vars(engine).update({key: value for key, value in vars(machine()).items() if key.endswith("_table")})
        engine.image_table["i"] = image(tags=("localhost/node:1",))
        before(engine)
        return engine

    def killed(killing: Killing, engine: Machine) -> None:
        ending(killing)
        work(engine)

    engine = prepared()
    others = foreign(engine)
    again(engine)
    expected = everything(engine)
    at, done = 0, False
    while True:
        engine = prepared()
        if not ends(partial(killed, engine=engine), at, done):
            break
        ending(Killing(-1, done=False))
        again(engine)
        assert everything(engine) == expected, (at, done)
        assert foreign(engine) == others, (at, done)
        at, done = (at + 1, False) if done else (at, True)
    assert at > 0, "nothing was done"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A cluster with two workers; operations run at the same time."""
    ending = Ending(Killing(-1, done=False))
    monkeypatch.setattr(cluster_run, "converge", ending.converge)
    monkeypatch.setattr(cluster_run, "converge_kubeadm", ending.kubeadm)
    engine = bare_machine(monkeypatch, tmp_path, daemon=False)
    engine.image_table["i"] = image(tags=("localhost/node:1",))
    present(engine, workers=2)
    return engine


def test_a_node_that_cannot_be_drained_stays(two: Machine) -> None:
    """It takes pods again, and so does the other one that was to leave and still has its container; what was done to each
    is said."""
    before, two.blocked = everything(two), "lab-worker-1"
    with pytest.raises(KicError) as caught:
        present(two, workers=0, prune=True)
    assert caught.value.diagnosis.id == "step_failed"
    assert everything(two) == before
    assert not [text for text in caught.value.done if "cordon" in text]


def test_without_a_number_all_stay(two: Machine) -> None:
    """Also with prune, and one that joined by hand; what lost its container is none of them."""
    plane = two.container_table[PLANE]
    two.add(replace(plane, id="own", name="own", labels={**plane.labels, labels.ROLE: "worker"}))
    two.registered["lab-worker-7"] = ""
    there = cluster_nodes(two, "lab")
    params = {"workers": None, "pod_network": "none", "prune": True, "scripts": node_scripts()}
    declared = spec(there=workers_of(there), **params)
    assert declared.workers == ("lab-worker-1", "lab-worker-2") and not declared.counted
    found = ClusterRun(two, Systemd(), check_mode=False).present(declared, there)
    assert found.actions == ("delete Kubernetes node lab-worker-7", BOOT_WRITTEN) and found.plan.surplus == ()


def test_check_mode_foretells_what_leaves(two: Machine) -> None:
    """In the words of the run, with a diff of each; nothing is changed by it."""
    declared = spec(workers=0, pod_network="none", prune=True, scripts=node_scripts())
    before = everything(two)
    results = [
        ClusterRun(two, Systemd(), check_mode).present(declared, cluster_nodes(two, "lab"))
        for check_mode in (True, False)
    ]
    assert results[0].actions == results[1].actions and results[0].diff == results[1].diff
    assert set(results[0].actions) == {
        f"{what} lab-worker-{number}"
        for what in ("cordon Kubernetes node", "drain Kubernetes node", "remove node", "remove volume")
        for number in (1, 2)
    } | {BOOT_WRITTEN, *(f"delete Kubernetes node lab-worker-{number}" for number in (1, 2))}
    assert len(results[0].diff) == 11 and before != everything(two)
    assert list(two.container_table) == [PLANE] and list(two.registered) == [PLANE]


@pytest.mark.parametrize("before", [nothing, paused, stopped], ids=["running", "paused", "stopped"])
@pytest.mark.parametrize("state", ["restarted", "paused", "stopped", "started", "absent"])
def test_check_mode_foretells_each_state(two: Machine, state: str, before: Step) -> None:
    """In the words of the run, or with its refusal; it changes nothing."""
    before(two)
    there = everything(two)
    found: list[tuple[Any, ...]] = []
    for check_mode in (True, False):
        assert everything(two) == there
        run, nodes = ClusterRun(two, Systemd(), check_mode), cluster_nodes(two, "lab")
        try:
            if state in ("restarted", "started"):
                declared = spec(workers=2, pod_network="none", scripts=node_scripts(), state=state)
                outcome = run.present(declared, nodes)
            elif state == "absent":
                outcome = run.absent("lab", lambda _name: False)
            else:
                outcome = run.paused("lab", nodes) if state == "paused" else run.stopped("lab", nodes)
            found.append((outcome.actions, outcome.diff, outcome.warnings))
        except KicError as error:
            found.append((error.diagnosis, error.done, ()))
    assert found[0] == found[1]
    status = {"restarted": "running", "started": "running", "stopped": "exited", "paused": "paused"}
    if (state, before) != ("paused", stopped):
        assert {item.status for item in two.container_table.values()} == ({status[state]} if state in status else set())
    again = (found[0][0], state)
    assert state != "restarted" or f"start node {PLANE}" in again[0]


def test_a_restart_that_could_not_start_stops_nothing(two: Machine) -> None:
    """What keeps a node from starting is found while all run."""
    declared = spec(workers=2, pod_network="none", scripts=node_scripts(), state="restarted", worker_node={"cpus": 64})
    before = everything(two)
    with fails("limit_beyond", "64"):
        ClusterRun(two, Systemd(), check_mode=False).present(declared, cluster_nodes(two, "lab"))
    assert everything(two) == before


def test_a_control_plane_of_another_name_is_refused(two: Machine) -> None:
    """It would be a second one; nothing is changed."""
    nodes = [{"name": "brain", "role": "control-plane"}, {"name": "lab-worker-1"}]
    declared = spec(nodes=nodes, workers=None, pod_network="none")
    before = everything(two)
    with fails("invalid_option", PLANE, "brain is declared"):
        ClusterRun(two, Systemd(), check_mode=False).present(declared, cluster_nodes(two, "lab"))
    assert everything(two) == before


def test_workers_by_name(two: Machine) -> None:
    """They are created by their names, and those that the list does not name leave."""
    nodes = [{"name": PLANE, "role": "control-plane"}, {"name": "db", "memory": "256m"}]
    declared = spec(nodes=nodes, workers=None, pod_network="none", prune=True, scripts=node_scripts())
    ClusterRun(two, Systemd(), check_mode=False).present(declared, cluster_nodes(two, "lab"))
    assert set(two.container_table) == set(two.volume_table) == set(two.registered) == {PLANE, "db"}
    assert two.container_table["db"].limits.memory == 256 << 20
