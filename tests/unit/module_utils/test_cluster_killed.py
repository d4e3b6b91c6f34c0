# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run on a cluster that is killed before and after each operation, those of its networks, volumes and nodes included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import run as cluster_run
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import ClusterRun
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

from .lives import foreign, machine, planned_only, state
from .support import MemoryEngine, MemoryPorts, host, image
from .test_boot_unit import Systemd
from .test_cluster_run import PLANE, spec
from .test_killed import Killing, ends

WORKER = "lab-worker-1"


class Machine(MemoryEngine):
    """An engine whose volumes hold what kubeadm has made in them, and the directory of the machine's units."""

    def __init__(self, *, daemon: bool, units: Path) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, restarts=daemon)
        self.kubernetes: dict[str, str] = {}
        self.units = units

    def remove_volume(self, name: str) -> None:
        """With what is in it."""
        self.kubernetes.pop(name, None)
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
        assert isinstance(engine, Machine) and not check_mode
        assert engine.container_table[asked.node].running
        assert asked.state == "initialized" or engine.kubernetes.get(PLANE) == "initialized"
        if engine.kubernetes.get(asked.node) == asked.state:
            return Outcome(Plan(), {})
        operation = Operation(asked.state, "Kubernetes", asked.node)
        self.killing.end(str(operation), lambda: engine.kubernetes.update({asked.node: asked.state}))
        return Outcome(Plan((operation,)), {})


def present(engine: Machine, workers: int = 1) -> None:
    """The cluster as it is declared."""
    declared = spec(workers=workers, pod_network="none")
    ClusterRun(engine, Systemd(), check_mode=False).present(declared, cluster_nodes(engine, "lab"))


def stopped(engine: Machine) -> None:
    """The cluster with its nodes stopped."""
    ClusterRun(engine, Systemd(), check_mode=False).stopped("lab", cluster_nodes(engine, "lab"))


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


Step = Callable[[Machine], None]

CHANGES: dict[str, tuple[Step, Step]] = {
    "created": (nothing, present),
    "one more worker": (partial(present, workers=0), present),
    "lost a container": (lost_container, present),
    "lost a worker": (lost_worker, present),
    "control plane ended": (one_stopped, present),
    "started": (all_stopped, present),
    "stopped": (present, stopped),
    "boots from now on": (without_boot, present),
    "boots no more": (present, without_boot),
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
    monkeypatch.setattr(cluster_run, "PARALLEL", 1)
    monkeypatch.setattr(boot_unit, "program", "/usr/bin/{}".format)
    monkeypatch.setattr(boot_unit, "disabled_units", list)


def everything(engine: Machine) -> dict[str, Any]:
    """All that is there."""
    units = {str(path.relative_to(engine.units)): path.read_text() for path in engine.units.rglob("*.service")}
    return {**state(engine), "kubernetes": engine.kubernetes, "units": units}


@pytest.mark.parametrize("daemon", [False, True], ids=["unit", "restart-policy"])
@pytest.mark.parametrize("change", CHANGES)
def test_killed_at_every_operation(
    change: str, daemon: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same run again ends in the state of one that nobody disturbed, and touches nothing of others."""
    before, work = CHANGES[change]

    def ending(killing: Killing) -> None:
        monkeypatch.setattr(cluster_run, "converge", Ending(killing).converge)
        monkeypatch.setattr(cluster_run, "converge_kubeadm", Ending(killing).kubeadm)

    def prepared() -> Machine:
        ending(Killing(-1, done=False))
        folder: Path = tmp_path_factory.mktemp("state")
        monkeypatch.setattr(record, "state_directory", lambda: str(folder))
        engine = Machine(daemon=daemon, units=folder / "units")
        units = Units(str(engine.units), "multi-user.target", manager=True, user=False)
        monkeypatch.setattr(boot_unit, "units", lambda: units)
        vars(engine).update({key: value for key, value in vars(machine()).items() if key.endswith("_table")})
        engine.image_table["i"] = image(tags=("localhost/node:1",))
        before(engine)
        return engine

    def killed(killing: Killing, engine: Machine) -> None:
        ending(killing)
        work(engine)

    engine = prepared()
    others = foreign(engine)
    work(engine)
    expected = everything(engine)
    at, done = 0, False
    while True:
        engine = prepared()
        if not ends(partial(killed, engine=engine), at, done):
            break
        ending(Killing(-1, done=False))
        work(engine)
        assert everything(engine) == expected, (at, done)
        assert foreign(engine) == others, (at, done)
        at, done = (at + 1, False) if done else (at, True)
    assert at > 0, "nothing was done"
