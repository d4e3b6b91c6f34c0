# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run on a cluster that is killed before and after each operation, those of its networks, volumes and nodes included."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import balancing, converging, presenting
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.leaving import Leaving
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.outcome import ClusterOutcome
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import ClusterRun
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import BALANCER_CONFIGURATION, ClusterSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.there import find_there
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, Resource, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._core.replaced import node_of
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    Container,
    NewContainer,
    Reader,
    Writer,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import cluster_nodes
from ansible_collections.nodeforge.kic.plugins.module_utils._host import routes
from ansible_collections.nodeforge.kic.plugins.module_utils._host.systemd import Units
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.configuration import (
    release_of,
    version_of,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import RECORD
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.staging import PROGRAM
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.connect import Connected
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import boot as boot_unit
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node, node_readback, throw_away
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import VolumeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .lives import APP, foreign, machine, planned_only, state
from .support import IMAGE_ID, IMAGE_SCRIPTS, Killed, MemoryEngine, MemoryPorts, fails, host, image, said
from .test_boot_unit import Systemd
from .test_cluster_run import PLANE, spec
from .test_killed import Killing, ends

WORKER = "lab-worker-1"
PLANES = (PLANE, "lab-control-plane-2", "lab-control-plane-3")
BALANCER = "lab-load-balancer"
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
        self.members: set[str] = set()
        """Those of etcd."""
        self.blocked = ""
        """The node that cannot be drained."""
        self.made_by: dict[str, str] = {}
        """The release by which kubeadm made or upgraded each node last: on its volume, as all that follows."""
        self.recorded: dict[str, str] = {}
        self.brought: dict[str, set[str]] = {}
        """Releases whose images nodes hold, but for that of their own image."""
        self.programs: dict[str, str] = {}
        """The release of the kubeadm that was brought into a node."""
        self.pods: list[dict[str, Any]] = []
        self.unanswered = ""
        """The script whose answer is lost: it was done."""
        self.killing: Killing | None = None
        """What ends a run within the operations of an upgrade."""

    def read_file(self, identity: str, path: str) -> bytes | None:
        """What kubeadm has made is on the volume of the node, and the release of its kubelet in its image."""
        found = self.container(identity)
        if path == VERSION and found is not None:
            return f"{RELEASES[found.image_id]}\n".encode()
        if path == RECORD and found is not None:
            return json.dumps(self.record(node_of(found.name))).encode()
        return super().read_file(identity, path)

    def record(self, name: str) -> dict[str, str]:
        """That of a node."""
        release = {"kubernetes": self.recorded[name]} if name in self.recorded else {}
        return {"state": self.kubernetes.get(name, ""), **release}

    def release(self, name: str) -> str:
        """That of the kubelet in the container of a node."""
        return RELEASES[self.container_table[name].image_id]

    def create_container(self, new: NewContainer) -> str:
        """With the id of its image."""
        identity = super().create_container(new)
        found = self.image(new.image)
        assert found is not None
        self.add(replace(self.container_table[new.name], image_id=found.id))
        return identity

    def start_container(self, identity: str) -> None:
        """With a container kubelet starts, where the volume has what it needs."""
        super().start_container(identity)
        self.refuse_newer_kubelets()

    def refuse_newer_kubelets(self) -> None:
        """No kubelet may be newer than any API server."""
        up = {name: version_of(self.release(name)) for name in self.kubernetes if self.runs(name)}
        servers = [version_of(self.made_by[name]) for name in up if name in self.members]
        newer = {name: release for name, release in up.items() if release > min(servers, default=release)}
        assert not newer, f"{newer} is newer than {servers}"

    def runs(self, name: str) -> bool:
        """Whether the node has a container that runs."""
        return name in self.container_table and self.container_table[name].running

    def do(self, name: str, act: Callable[[], None]) -> None:
        """What a script does, unless this is where the run ends."""
        if self.killing is None:
            act()
        else:
            self.killing.end(name, act)
        self.refuse_newer_kubelets()
        if name == self.unanswered:
            raise failure("timed_out", action=name, seconds=30, why="podman hangs", fix="wait")

    def feed_images(
        self, source: str | Sequence[str] | Writer, commands: Mapping[str, Reader], seconds: float
    ) -> dict[str, CommandResult]:
        """From a container of the new image, which runs."""
        if not isinstance(source, Writer):
            return super().feed_images(source, commands, seconds)
        found = self.container(source.container)
        assert found is not None and found.running and all(self.runs(name) for name in commands)
        release = RELEASES[found.image_id]

        def act() -> None:
            for name, reader in commands.items():
                if source.command[-1] == "kubeadm":
                    assert reader.command[-2:] == ["upgrade-program", PROGRAM]
                    self.programs[name] = release
                else:
                    assert reader.command[-1] == "upgrade-images"
                    self.brought.setdefault(name, set()).add(release)

        self.do(f"bring {source.command[-1]}", act)
        return super().feed_images(source, commands, seconds)

    def put_files(self, identity: str, archive: bytes) -> None:
        """A record that is empty is none."""
        found = self.container(identity)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            if found is not None and RECORD.lstrip("/") in tar.getnames():
                self.kubernetes.pop(found.name, None)
                self.recorded.pop(found.name, None)
        super().put_files(identity, archive)

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        """What the scripts of nodes that leave do to the API and to etcd, and what a load balancer is given."""
        through, *command = [word for word in arguments[1:] if word != "--interactive"]
        if through not in self.container_table:
            # Its container has another name, as it was to be replaced.
            return said(rc=125, err="no such container")
        assert self.container_table[through].running
        if command[0] == "kubectl":
            assert command[2:4] == ["delete", "node"]
            self.registered.pop(command[4], None)
            return said()
        if command[0] == "rm":
            self.do("forget kubeadm", lambda: self.forget_program(through, command[-1]))
            return said()
        script, *words = command[command.index("-c") + 2 :]
        if script == "alone":
            script, *words = command[len(command) - 1 - command[::-1].index("-c") + 2 :]
        if script in OF_UPGRADES:
            self.upgraded(through, script, words, given.get("stdin"))
            return said()
        if script == "balance":
            self.contents[(self.container_table[through].id, words[0])] = given["stdin"]
            return said()
        assert through in self.members
        if script == "membership":
            if not self.majority:
                return said(rc=1, err="etcdserver: request timed out")
            nodes = [{"name": name, "hostname": name, "leaving": mark} for name, mark in self.registered.items()]
            return said(json.dumps({"nodes": nodes, "volumes": [], "budgets": [], "pods": self.pods}))
        if script == "etcd-remove":
            self.refuse_without_majority()
            self.members.discard(words[1])
        if script == "cordon":
            self.do(
                "cordon", lambda: self.registered.update({words[0]: "cordoned"} if words[0] in self.registered else {})
            )
        if script == "uncordon":
            self.registered.update({name: "" for name in words[1:] if name in self.registered})
        if script == "drain":
            if words[0] == self.blocked:
                return said("cannot evict", rc=1)
            assert self.container_table[words[0]].running and self.registered[words[0]]
            self.do("drain", lambda: None)
        return said()

    def forget_program(self, name: str, path: str) -> None:
        """The kubeadm that was brought."""
        assert path == PROGRAM
        self.programs.pop(name, None)

    def upgraded(self, name: str, script: str, words: Sequence[str], stdin: bytes | None) -> None:
        """What the scripts of an upgrade do in a node."""
        if script == "wait-api":
            self.refuse_without_majority()
            assert name in self.members
        elif script == "ready-release":
            assert self.runs(words[0]) and self.release(words[0]) == words[2] and self.registered[words[0]] == ""
        elif script == "record":
            found = json.loads(stdin or b"")
            assert {**found, "kubernetes": ""} == {**self.record(name), "kubernetes": ""}
            self.do("record", lambda: self.recorded.update({name: found["kubernetes"]}))
        else:
            program, release, plane, _patches, restarts, own = words
            assert (program, self.programs[name], restarts, own) == (PROGRAM, release, "", name)
            assert plane and name in self.members and release in self.brought[name]
            self.refuse_without_majority()
            behind = [item for item in self.members if self.runs(item) and self.made_by[item] != release]
            assert plane == "further" or self.control_plane_is(name), behind
            self.do("kubeadm upgrade", lambda: self.made_by.update({name: release}))

    def control_plane_is(self, name: str) -> bool:
        """Whether it is the one by which the API is asked: the first of those that run."""
        return name == min(item for item in self.members if self.runs(item))

    @property
    def majority(self) -> bool:
        """Whether etcd does anything, and an API answers, which needs it."""
        running = [name for name in self.members if name in self.container_table and self.container_table[name].running]
        return not self.members or 2 * len(running) > len(self.members)

    def refuse_without_majority(self) -> None:
        """What waits for etcd would wait in vain."""
        assert self.majority, f"of {self.members} too few run"

    def remove_container(self, identity: str, seconds: int) -> None:
        """With the files in it."""
        self.contents = {key: item for key, item in self.contents.items() if key[0] != identity}
        super().remove_container(identity, seconds)

    def remove_volume(self, name: str) -> None:
        """With what is in it."""
        tables: tuple[dict[str, Any], ...] = (self.kubernetes, self.containerd, self.made_by, self.recorded)
        for table in (*tables, self.brought, self.programs):
            table.pop(name, None)
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
        if not check_mode:
            engine.refuse_without_majority()
        assert check_mode or asked.state == "initialized" or engine.kubernetes[asked.control_plane] == "initialized"
        begun = {name for name, state in engine.kubernetes.items() if state == "initialized"}
        assert asked.state != "initialized" or not begun or asked.node in begun, "a second cluster"
        member = not asked.is_plane or asked.node in engine.members
        assert check_mode or asked.state == "initialized" or asked.control_plane in engine.members, "no API there"
        assert asked.state != "initialized" or not engine.members or member, "no API there"
        known = engine.registered.get(asked.node) == ""
        release = engine.release(asked.node) if asked.node in engine.container_table else ""
        done = engine.kubernetes.get(asked.node) == asked.record_state and member
        made_by = engine.recorded.get(asked.node, release) if done else ""
        assert check_mode or asked.version in (None, release), "version_differs"
        behind = done and version_of(made_by) < version_of(release)
        if behind and not asked.upgrade and release_of(made_by) != release_of(release):
            raise failure("upgrade_not_requested", nodes=asked.node, found=made_by, target=release)
        if done and known and not (behind and asked.upgrade):
            return Outcome(Plan(), {})
        operation = Operation("upgrade" if behind and asked.upgrade else asked.state, "Kubernetes", asked.node)

        def act() -> None:
            assert not behind or release in engine.brought[asked.node], "images are missing"
            # The container of a control plane may be older than what kubeadm has made of it.
            now = max(release, made_by, key=version_of) if done else release
            engine.kubernetes[asked.node] = asked.record_state
            engine.registered[asked.node] = ""
            engine.members |= {asked.node} if asked.is_plane else set()
            if not done or asked.upgrade:
                engine.made_by[asked.node] = engine.recorded[asked.node] = now
            engine.refuse_newer_kubelets()

        if not check_mode:
            self.killing.end(str(operation), act)
        return Outcome(Plan((operation,)), {})

    def leaving(self) -> Callable[[Leaving, Operation], None]:
        """What is done in Kubernetes to a node that leaves."""

        def run(nodes: Leaving, operation: Operation) -> None:
            self.killing.end(str(operation), lambda: RUN(nodes, operation))

        return run


RUN = Leaving.run

SCRIPTS = node_scripts()

VERSION = "/kind/version"
NEWER = "b" * 64
OLD, NEW = "v1.34.9", "v1.35.4"
RELEASES = {IMAGE_ID: OLD, NEWER: NEW}
"""Releases in images, by their ids."""

OF_UPGRADES = ("upgrade", "ready-release", "record", "wait-api")
"""Scripts that are run for an upgrade."""


def declared(engine: Machine, **given: Any) -> tuple[ClusterSpec, list[Container]]:
    """The cluster as it is requested, and what of it is there, as the module finds both."""
    words = {"pod_network": "none", "scripts": SCRIPTS, **given}
    there = cluster_nodes(engine, "lab")
    return spec(find_there(engine, there, len(spec(**words).planes)), **words), there


def present(
    engine: Machine, workers: int | None = 1, prune: bool = False, planes: int | None = None, **given: Any
) -> None:
    """The cluster as it is declared."""
    found = declared(engine, workers=workers, prune=prune, control_planes=planes, **given)
    ClusterRun(engine, Systemd(), check_mode=False).present(*found)


def with_images(engine: Machine, workers: int = 1) -> None:
    """The cluster as it is declared, with an image of the user's in all of its nodes."""
    engine.image_table["app"] = image(id="2" * 64, tags=(APP,))
    found, there = declared(engine, workers=workers, images=[APP], scripts=IMAGE_SCRIPTS)
    ClusterRun(engine, Systemd(), check_mode=False).present(found, there)
    assert all(engine.containerd[name] == {APP: "2" * 64} for name in found.nodes)


def stopped(engine: Machine) -> None:
    """The cluster with its nodes stopped."""
    ClusterRun(engine, Systemd(), check_mode=False).stopped("lab", cluster_nodes(engine, "lab"))


def restarted(engine: Machine) -> None:
    """The cluster as it is declared, with its nodes started again."""
    present(engine, state="restarted")


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
    present(engine, boot=False)


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


three = partial(present, planes=3, workers=0)
one = partial(present, planes=1, workers=0, prune=True)


def three_with_one_stopped(engine: Machine) -> None:
    """Three control planes, of which one has ended."""
    three(engine)
    engine.stop_container(PLANES[1], 0)


def three_stopped(engine: Machine) -> None:
    """Three control planes, and the cluster was stopped."""
    three(engine)
    stopped(engine)


def three_without(name: str, engine: Machine) -> None:
    """Three control planes, and the container was removed by hand."""
    three(engine)
    engine.remove_container(engine.container_table[name].id, 0)


def three_without_first(engine: Machine) -> None:
    """Three control planes, and the first was removed with all that it had."""
    three_without(PLANE, engine)
    engine.remove_volume(PLANE)


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


def upgraded(
    engine: Machine, workers: int | None = 1, planes: int | None = None, upgrade: bool = True, **given: Any
) -> None:
    """The cluster as it is declared, of the new release."""
    engine.image_table["newer"] = image(id=NEWER, tags=("localhost/node:2",))
    words: dict[str, Any] = {"upgrade": upgrade, "image": "localhost/node:2", **given}
    present(engine, workers=workers, planes=planes, **words)


three_and_one = partial(present, planes=3)
three_upgraded = partial(upgraded, planes=3)


UPGRADES: dict[str, tuple[Step, Step]] = {
    "one node": (partial(present, workers=0), partial(upgraded, workers=0)),
    "one and one": (present, upgraded),
    "one and one when stopped": (all_stopped, upgraded),
    "one and one when restarted": (present, partial(upgraded, state="restarted")),
    "one and one, with one more worker": (present, partial(upgraded, workers=2)),
    "one and one, of two": (partial(present, workers=2), partial(upgraded, prune=True)),
    "one and one, the other stays": (partial(present, workers=2), upgraded),
    "one and one, recreated on drift": (present, partial(upgraded, node={"recreate": "on_drift"})),
}

UPGRADES_OF_SEVERAL: dict[str, tuple[Step, Step]] = {
    "three and one": (three_and_one, three_upgraded),
    "three and one when one has ended": (three_with_one_stopped, partial(upgraded, planes=3, workers=0)),
    "three and one when stopped": (three_stopped, partial(upgraded, planes=3, workers=0)),
    "three as they are": (three_and_one, upgraded),
    "one to three": (present, three_upgraded),
    "three to one": (three, partial(upgraded, planes=1, workers=0, prune=True)),
    "three stay when one is declared": (three_and_one, partial(upgraded, planes=1)),
}


SEVERAL: dict[str, tuple[Step, Step]] = {
    "created with three control planes": (nothing, partial(present, planes=3)),
    "one to three control planes": (partial(present, workers=0), three),
    "three to one": (three, one),
    "three to one when one has ended": (three_with_one_stopped, one),
    "three to one when one has no container": (partial(three_without, PLANES[2]), one),
    "started with three": (three_stopped, three),
    "restarted with three": (three, partial(three, state="restarted")),
    "lost the container of one": (partial(three_without, PLANES[1]), three),
    "lost the first": (three_without_first, three),
    "lost the load balancer": (partial(three_without, BALANCER), three),
    "three as they are": (three_with_one_stopped, partial(present, workers=0)),
    "three as they are when one has no container": (partial(three_without, PLANES[1]), partial(present, workers=0)),
    "three as they are when stopped": (three_stopped, partial(present, workers=0)),
    "three stay when one is declared": (three_stopped, partial(present, planes=1, workers=0)),
    "three stay when one is declared and restarted": (
        three_stopped,
        partial(present, planes=1, workers=0, state="restarted"),
    ),
    "three removed": (three, absent),
}


ONE_PYTHON = pytest.mark.one_python("the same code for another cluster; one of each table runs on Python 3.9 as well")


def each(table: dict[str, tuple[Step, Step]], *always: str) -> list[Any]:
    """The names of a table as parameters, of which these are run by every Python."""
    assert set(always) <= set(table)
    return [pytest.param(name, marks=[] if name in always else [ONE_PYTHON]) for name in table]


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with plain limits, on which nodes are up at once, and operations run one at a time."""
    monkeypatch.setattr(node, "host_limits", host)
    monkeypatch.setattr(node, "HostPorts", MemoryPorts)
    monkeypatch.setattr(routes, "routed", list)
    monkeypatch.setattr(boot, "wait", lambda *_given: Boot("running"))
    monkeypatch.setattr(boot, "peek", lambda *_given: Boot("running"))
    monkeypatch.setattr(boot, "entered", lambda *_given: True)
    monkeypatch.setattr(converging, "PARALLEL", 1)
    monkeypatch.setattr(boot_unit, "program", "/usr/bin/{}".format)
    monkeypatch.setattr(boot_unit, "disabled_units", list)
    monkeypatch.setattr(throw_away, "host_limits", host)
    monkeypatch.setattr(throw_away, "HostPorts", MemoryPorts)
    # Of a container without a process nothing is found, after all groups of this machine were read.
    for module in (node, node_readback):
        monkeypatch.setattr(module, "find_limits", lambda *_given: {})


def everything(engine: Machine) -> dict[str, Any]:
    """All that is there."""
    units = {str(path.relative_to(engine.units)): path.read_text() for path in engine.units.rglob("*.service")}
    balancer = engine.container_table.get(BALANCER)
    leads = engine.contents.get((balancer.id, BALANCER_CONFIGURATION), b"") if balancer is not None else None
    kubernetes = {"kubernetes": engine.kubernetes, "registered": engine.registered, "members": engine.members}
    releases = {"made by": engine.made_by, "recorded": engine.recorded}
    return {**state(engine), **kubernetes, **releases, "balancer": leads, "units": units}


@pytest.mark.parametrize("daemon", [False, True], ids=["unit", "restart-policy"])
@pytest.mark.parametrize("change", each(CHANGES, "created with images"))
def test_killed_at_every_operation(
    change: str, daemon: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same run again ends in the state of one that nobody disturbed, and touches nothing of others."""
    before, work = CHANGES[change]
    undisturbed(before, work, work, monkeypatch, tmp_path_factory, daemon=daemon)


@pytest.mark.parametrize("change", each(SEVERAL, "three to one"))
def test_killed_with_several_control_planes(
    change: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same run again ends in the state of one that nobody disturbed; etcd keeps its majority, and one cluster stays one."""
    before, work = SEVERAL[change]
    undisturbed(before, work, work, monkeypatch, tmp_path_factory)


@pytest.mark.parametrize("daemon", [False, True], ids=["unit", "restart-policy"])
@pytest.mark.parametrize("change", each(UPGRADES, "one node"))
def test_an_upgrade_is_killed_at_every_operation(
    change: str, daemon: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And within each: the same run again ends in the state of one that nobody disturbed, and no kubelet is ever newer than an API
    server."""
    before, work = UPGRADES[change]
    undisturbed(before, work, work, monkeypatch, tmp_path_factory, daemon=daemon)


@pytest.mark.parametrize("change", each(UPGRADES_OF_SEVERAL, "three to one"))
def test_an_upgrade_of_several_control_planes_is_killed(
    change: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And within each operation: etcd keeps its majority, and the same run again ends in the state of one that nobody disturbed."""
    before, work = UPGRADES_OF_SEVERAL[change]
    undisturbed(before, work, work, monkeypatch, tmp_path_factory)


@pytest.mark.parametrize("state_before", [partial(present, workers=2), stopped_two], ids=["running", "stopped"])
def test_a_worker_that_is_wanted_again(
    state_before: Step, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was done to it before the run was killed: declared again, it is a worker as before."""
    undisturbed(state_before, fewer, partial(present, workers=2), monkeypatch, tmp_path_factory)


def two_of_a_list(engine: Machine) -> None:
    """The second control plane, and no other."""
    present(engine, nodes=[{"name": PLANES[1], "role": "control-plane"}], workers=None, prune=True)


@pytest.mark.parametrize("work", [one, two_of_a_list], ids=["the-first-stays", "the-first-leaves"])
def test_control_planes_that_are_wanted_again(
    work: Step, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also one that etcd has lost as a member, and of which all else is there: it joins once more."""
    undisturbed(three, work, three, monkeypatch, tmp_path_factory)


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
        monkeypatch.setattr(converging, "converge", Ending(killing).converge)
        monkeypatch.setattr(presenting, "converge_kubeadm", Ending(killing).kubeadm)
        monkeypatch.setattr(Leaving, "run", Ending(killing).leaving())

    def begin() -> Machine:
        ending(Killing(-1, done=False))
        engine = bare_machine(monkeypatch, tmp_path_factory.mktemp("state"), daemon=daemon)
        vars(engine).update({key: value for key, value in vars(machine()).items() if key.endswith("_table")})
        engine.image_table["i"] = image(tags=("localhost/node:1",))
        before(engine)
        return engine

    begun = begin()
    # Copied for each run: to bring a cluster into its state takes as long as the run on it that is killed.
    kept = pickle.dumps({key: value for key, value in vars(begun).items() if key != "units"})

    def prepared() -> Machine:
        folder: Path = tmp_path_factory.mktemp("state")
        shutil.copytree(begun.units.parent, folder, dirs_exist_ok=True)
        engine = bare_machine(monkeypatch, folder, daemon=daemon)
        vars(engine).update(pickle.loads(kept))
        return engine

    def killed(killing: Killing, engine: Machine) -> None:
        ending(killing)
        engine.killing = killing
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
        engine.killing = None
        again(engine)
        assert everything(engine) == expected, (at, done)
        assert foreign(engine) == others, (at, done)
        at, done = (at + 1, False) if done else (at, True)
    assert at > 0, "nothing was done"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A cluster with two workers; operations run at the same time."""
    ending = Ending(Killing(-1, done=False))
    monkeypatch.setattr(converging, "converge", ending.converge)
    monkeypatch.setattr(presenting, "converge_kubeadm", ending.kubeadm)
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
    asked, there = declared(two, workers=None, prune=True)
    assert asked.workers == ("lab-worker-1", "lab-worker-2") and not asked.counted
    found = ClusterRun(two, Systemd(), check_mode=False).present(asked, there)
    assert found.actions == ("delete Kubernetes node lab-worker-7", BOOT_WRITTEN) and found.plan.surplus == ()


def test_check_mode_foretells_what_leaves(two: Machine) -> None:
    """In the words of the run, with a diff of each; nothing is changed by it."""
    asked = spec(workers=0, pod_network="none", prune=True, scripts=SCRIPTS)
    before = everything(two)
    results = [
        ClusterRun(two, Systemd(), check_mode).present(asked, cluster_nodes(two, "lab")) for check_mode in (True, False)
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
                asked = spec(workers=2, pod_network="none", scripts=SCRIPTS, state=state)
                outcome = run.present(asked, nodes)
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
    asked = spec(workers=2, pod_network="none", scripts=SCRIPTS, state="restarted", worker_node={"cpus": 64})
    before = everything(two)
    with fails("limit_beyond", "64"):
        ClusterRun(two, Systemd(), check_mode=False).present(asked, cluster_nodes(two, "lab"))
    assert everything(two) == before


def test_a_control_plane_of_another_name_is_refused(two: Machine) -> None:
    """It would be a second one; nothing is changed."""
    nodes = [{"name": "brain", "role": "control-plane"}, {"name": "lab-worker-1"}]
    asked = spec(nodes=nodes, workers=None, pod_network="none")
    before = everything(two)
    with fails("invalid_option", PLANE, "brain is declared"):
        ClusterRun(two, Systemd(), check_mode=False).present(asked, cluster_nodes(two, "lab"))
    assert everything(two) == before


def predicted(engine: Machine, **given: Any) -> ClusterOutcome:
    """What a run did, which check mode has predicted in the same words, and where it creates nothing with the same differences:
    which addresses and ports are free for the second of two new nodes depends on the first."""
    before, results = deepcopy(everything(engine)), []
    for check_mode in (True, False):
        assert everything(engine) == before
        results.append(ClusterRun(engine, Systemd(), check_mode).present(*declared(engine, **given)))
    assert results[0].actions == results[1].actions
    creates = any(text.startswith("create") for text in results[1].actions)
    assert creates or results[0].diff == results[1].diff
    assert results[0].plan.created == results[1].plan.created
    again = ClusterRun(engine, Systemd(), check_mode=False).present(*declared(engine, **given))
    assert again.actions == ()
    return results[1]


def servers(engine: Machine) -> list[str]:
    """The control planes to which the load balancer leads."""
    text = engine.contents[(engine.container_table[BALANCER].id, BALANCER_CONFIGURATION)].decode()
    found = [
        line.split() for line in text.splitlines() if line.strip().startswith("server ") and "check" in line.split()
    ]
    addresses = [f"{engine.container_table[name].labels[labels.ADDRESS]}:6443" for _word, name, *_more in found]
    assert [address for _word, _name, address, _check in found] == addresses
    return [name for _word, name, *_more in found]


def test_one_to_three_control_planes(two: Machine) -> None:
    """The others join, and the load balancer leads to all; nothing else changes."""
    found = predicted(two, control_planes=3, workers=2)
    assert {text for text in found.actions if "lab-worker" in text or PLANE in text} == set()
    assert f"create node {BALANCER}" in found.actions and not [text for text in found.actions if "configure" in text]
    assert two.members == {*PLANES} and servers(two) == [*PLANES]
    assert {two.kubernetes[name] for name in PLANES} == {"initialized"}
    described = found.describe(declared(two, control_planes=3, workers=2)[0])
    assert (described["load_balancer"]["name"], described["control_plane"]) == (BALANCER, PLANE)
    assert described["control_planes"] == [*PLANES] and len(described["nodes"]) == 5


def test_three_to_one_control_plane(two: Machine) -> None:
    """etcd loses the members of those that leave; of them and of the load balancer nothing is left."""
    present(two, planes=3, workers=2)
    found = predicted(two, control_planes=1, workers=2, prune=True)
    assert [text for text in found.actions if "etcd" in text] == [f"remove etcd member {name}" for name in PLANES[1:]]
    nodes = {PLANE, "lab-worker-1", "lab-worker-2"}
    assert {*two.container_table} == {*two.volume_table} == {*two.registered} == nodes and two.members == {PLANE}


def test_control_planes_that_are_too_many_stay(two: Machine) -> None:
    """Without prune, and the load balancer with them. Without a number none is too many."""
    present(two, planes=3, workers=2)
    before = everything(two)
    found = predicted(two, control_planes=1, workers=2)
    assert found.plan.surplus == PLANES[1:] and {*found.actions} <= {BOOT_WRITTEN}
    as_it_is = predicted(two, workers=2, prune=True)
    assert as_it_is.plan.surplus == () and {*as_it_is.actions} <= {BOOT_WRITTEN}
    assert everything(two) == before and servers(two) == [*PLANES]


def test_control_planes_that_stay_are_started(two: Machine) -> None:
    """Those too that are not declared: without a majority of etcd no API answers. Where only the presence is requested they stay as
    they are."""
    present(two, planes=3, workers=2)
    before = everything(two)
    stopped(two)
    found = predicted(two, control_planes=1, workers=2)
    started = [PLANE, "lab-worker-1", "lab-worker-2", *PLANES[1:], BALANCER]
    assert [text for text in found.actions if " node " in text] == [f"start node {name}" for name in started]
    assert found.plan.surplus == PLANES[1:] and everything(two) == before
    two.stop_container(PLANES[2], 0)
    assert predicted(two, control_planes=1, workers=2).actions == (f"start node {PLANES[2]}",)
    two.stop_container(PLANES[2], 0)
    assert predicted(two, control_planes=1, workers=2, state="present").actions == ()


def test_control_planes_leave_while_etcd_has_a_majority(two: Machine) -> None:
    """What is to do first is said, and it is enough; nothing is changed before."""
    present(two, planes=3, workers=0, prune=True)
    for name in PLANES[1:]:
        two.stop_container(name, 0)
    before = everything(two)
    for check_mode in (True, False):
        asked = declared(two, control_planes=1, workers=0, prune=True)
        with fails(
            "etcd_majority", ", ".join(PLANES[1:]), "run with kic_cluster_prune: false first", "again with true"
        ):
            ClusterRun(two, Systemd(), check_mode).present(*asked)
        assert everything(two) == before
    present(two, planes=1, workers=0)
    present(two, planes=1, workers=0, prune=True)
    assert two.members == {*two.container_table} == {PLANE}


@pytest.mark.parametrize("kind", [NodeResource, VolumeResource], ids=["container", "volume"])
def test_a_control_plane_that_is_no_member_any_more_does_not_come_back(
    two: Machine, kind: type[Resource[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure it takes no pods again; the other one, which is still a member, does."""
    present(two, planes=3, workers=0, prune=True)
    converged = Ending(Killing(-1, done=False)).converge

    def stuck(resource: Resource[Any, Any], **given: Any) -> Any:
        if resource.name == PLANES[1] and isinstance(resource, kind):
            raise failure("step_failed", step="x", node=PLANES[1], reason="y", engine="podman", output="busy")
        return converged(resource, **given)

    monkeypatch.setattr(converging, "converge", stuck)
    with pytest.raises(KicError) as caught:
        present(two, planes=1, workers=0, prune=True)
    assert two.members == {PLANE, PLANES[2]}
    assert two.registered == {PLANE: "", PLANES[1]: "cordoned", PLANES[2]: ""}
    done = [text for text in caught.value.done if "Kubernetes" in text or "etcd" in text]
    assert done == [
        *(f"cordon Kubernetes node {PLANES[1]}", f"drain Kubernetes node {PLANES[1]}"),
        f"remove etcd member {PLANES[1]}",
    ]


def test_order_at_boot(two: Machine) -> None:
    """All control planes, those too that are not declared, then workers, the load balancer, and what else there is that runs."""
    present(two, planes=3, workers=2)
    worker = two.container_table[WORKER]
    two.add(replace(worker, id="a", name="a-own"))
    two.add(replace(worker, id="b", name="a-stopped", status="exited"))
    present(two, planes=1, workers=2)
    (text,) = {*everything(two)["units"].values()}
    started = [line.split()[-1].strip('"') for line in text.splitlines() if line.startswith("ExecStart=")]
    assert started == [*PLANES, "lab-worker-1", "lab-worker-2", BALANCER, "a-own"]


def test_nodes_are_told_of_each_other(two: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a join or a start brings with it is no change of its own. With several control planes the API is awaited after one."""
    told: list[Any] = []

    class Network:
        def __init__(self, _engine: Machine, *given: str) -> None:
            told.append(given)

        def connect(self, states: Any, nodes: Any, *, check_mode: bool) -> Connected:
            told.append((states, nodes, check_mode))
            return Connected(nodes=("lab-worker-2",))

    seam = SimpleNamespace(await_api=lambda: told.append("awaited"))
    monkeypatch.setattr(presenting, "PodNetwork", Network)
    monkeypatch.setattr(presenting, "KubeadmResource", lambda *_given: SimpleNamespace(seam=seam))
    monkeypatch.setattr(presenting, "network_state", lambda item: item.plan.changed)
    monkeypatch.setattr(presenting, "listed_nodes", lambda _plane: "listed")
    asked = {"workers": 2, "pod_network": "kic"}
    pods = ("lab", PLANE, "10.244.0.0/16")

    def run(check_mode: bool, **given: Any) -> tuple[list[str], list[Any]]:
        told.clear()
        found = ClusterRun(two, Systemd(), check_mode).present(*declared(two, **asked, **given))
        return [text for text in found.actions if "pod network" in text], list(told)

    nodes = dict.fromkeys((PLANE, "lab-worker-1", "lab-worker-2"), False)
    connects = ["connect pod network lab-worker-2"]
    for check_mode in (True, False):
        assert run(check_mode) == (connects, [pods, (nodes, "listed", check_mode)])
    # One starts.
    two.stop_container(WORKER, 0)
    assert run(check_mode=True) == ([], [])
    assert run(check_mode=False) == ([], [pods, (nodes, None, False)])
    # Others join.
    nodes = {**nodes, **dict.fromkeys(PLANES[1:], True)}
    assert run(check_mode=True, control_planes=3) == ([], [])
    assert run(check_mode=False, control_planes=3) == ([], ["awaited", pods, (nodes, None, False)])
    # Some leave.
    nodes = dict.fromkeys((*PLANES, WORKER), False)
    asked["workers"] = 1
    assert run(check_mode=True, control_planes=3, prune=True) == ([], [])
    assert run(check_mode=False, control_planes=3, prune=True) == ([], [pods, (nodes, None, False)])


def test_load_balancer_is_configured_when_its_text_differs(two: Machine) -> None:
    """And only then."""
    present(two, planes=3, workers=2)
    key = (two.container_table[BALANCER].id, BALANCER_CONFIGURATION)
    for text in (b"", two.contents[key].replace(b"lab-control-plane-2", b"lab-control-plane-4")):
        two.contents[key] = text
        assert predicted(two, control_planes=3, workers=2).actions == (f"configure load balancer {BALANCER}",)
        assert servers(two) == [*PLANES]
    two.stop_container(BALANCER, 0)
    assert predicted(two, control_planes=3, workers=2).actions == (f"start node {BALANCER}",)


def test_a_control_plane_that_was_lost(two: Machine) -> None:
    """Also the first one: it joins by another one, which is asked from now on as long as the first is not there."""
    present(two, planes=3, workers=2)
    two.remove_container(two.container_table[PLANE].id, 0)
    two.remove_volume(PLANE)
    assert declared(two, control_planes=3, workers=2)[0].control_plane == PLANES[1]
    found = predicted(two, control_planes=3, workers=2)
    assert [text for text in found.actions if "Kubernetes" in text] == [f"joined Kubernetes {PLANE}"]
    assert declared(two, control_planes=3, workers=2)[0].control_plane == PLANE


def test_only_one_that_leaves_is_part_of_the_cluster(two: Machine) -> None:
    """The declared one has to join first; nothing is changed before."""
    present(two, planes=3, workers=2)
    del two.kubernetes[PLANE], two.registered[PLANE]
    before = everything(two)
    for check_mode in (True, False):
        asked = declared(two, control_planes=1, workers=2, prune=True)
        with fails("prune_needs_plane", PLANES[1], "kic_cluster_prune: false first"):
            ClusterRun(two, Systemd(), check_mode).present(*asked)
        assert everything(two) == before


def test_a_load_balancer_without_haproxy(two: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is that of the only program in it, where that says so; the end of a node is not."""
    converged, died = Ending(Killing(-1, done=False)).converge, {BALANCER: WITHOUT_HAPROXY}

    def ends_at_once(resource: Resource[Any, Any], **given: Any) -> Any:
        if resource.name in died:
            raise node_died(resource.name, died[resource.name])
        return converged(resource, **given)

    monkeypatch.setattr(converging, "converge", ends_at_once)
    with fails("haproxy_missing", "localhost/node:1", "kic_cluster_load_balancer_image"):
        present(two, planes=3, workers=2)
    for name, output in ((PLANES[1], WITHOUT_HAPROXY), (BALANCER, "out of memory")):
        died.clear()
        died[name] = output
        with fails("node_died", name):
            present(two, planes=3, workers=2)


WITHOUT_HAPROXY = "nodeforge.kic: refused: haproxy_missing: this image has no HAProxy"


def node_died(name: str, output: str) -> KicError:
    """A node that has ended."""
    return failure("node_died", node=name, rc=127, reason="x", engine="podman", output=output)


@pytest.mark.parametrize(
    ("ends", "condition"), [(True, "haproxy_missing"), (False, "step_failed")], ids=["has-ended", "runs"]
)
def test_a_load_balancer_that_ends_when_it_is_configured(
    ends: bool, condition: str, two: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is in what it said at its end, not in the failure of the command that met it."""

    def refused(_engine: Machine, name: str, *_more: Any) -> None:
        if ends:
            two.stop_container(name, 0)
        raise failure("step_failed", step="balance", node=name, reason="x", engine="podman", output="y")

    monkeypatch.setattr(balancing, "configure", refused)
    monkeypatch.setattr(balancing, "died", lambda _engine, name: node_died(name, WITHOUT_HAPROXY))
    with fails(condition, "localhost/node:1" if ends else BALANCER):
        present(two, planes=3, workers=2)


def test_an_image_of_the_load_balancer_that_is_missing(two: Machine) -> None:
    """It is said before anything is created; where the load balancer is there it does not matter."""
    before = everything(two)
    with fails("image_missing", "localhost/haproxy:1"):
        present(two, planes=3, workers=2, load_balancer_image="localhost/haproxy:1")
    assert everything(two) == before
    present(two, planes=3, workers=2)
    present(two, planes=3, workers=2, load_balancer_image="localhost/haproxy:1")


def test_workers_by_name(two: Machine) -> None:
    """They are created by their names, and those that the list does not name leave."""
    nodes = [{"name": PLANE, "role": "control-plane"}, {"name": "db", "memory": "256m"}]
    asked = spec(nodes=nodes, workers=None, pod_network="none", prune=True, scripts=SCRIPTS)
    ClusterRun(two, Systemd(), check_mode=False).present(asked, cluster_nodes(two, "lab"))
    assert set(two.container_table) == set(two.volume_table) == set(two.registered) == {PLANE, "db"}
    assert two.container_table["db"].limits.memory == 256 << 20


def rounds(*nodes: str, drains: bool = True) -> list[str]:
    """What is reported of nodes whose containers are replaced, but for the parts of a replacement."""
    verbs = [*(("cordon Kubernetes node", "drain Kubernetes node") if drains else ()), "create node"]
    return [f"{verb} {name}" for name in nodes for verb in (*verbs, "upgrade Kubernetes on node")]


@pytest.mark.parametrize(
    ("planes", "workers", "expected"),
    [
        pytest.param(1, 0, [f"upgrade control plane {PLANE}", *rounds(PLANE, drains=False)], id="one-node"),
        pytest.param(1, 1, [f"upgrade control plane {PLANE}", *rounds(PLANE, WORKER)], id="one-and-one"),
        pytest.param(
            *(3, 1),
            [
                *(f"upgrade control plane {name}" for name in PLANES),
                *rounds(PLANES[1], PLANES[2], PLANE, WORKER),
            ],
            id="three-and-one",
        ),
    ],
)
def test_check_mode_says_what_an_upgrade_does(planes: int, workers: int, expected: list[str], two: Machine) -> None:
    """In the words of the run, which changes nothing when it is done again."""
    present(two, planes=planes, workers=workers, prune=True)
    two.image_table["newer"] = image(id=NEWER, tags=("localhost/node:2",))
    words: dict[str, Any] = {"control_planes": planes, "workers": workers, "upgrade": True}
    found = predicted(two, image="localhost/node:2", **words)
    said_of = [text.partition(":")[0] for text in found.actions]
    begin = said_of.index(f"stage Kubernetes {NEW}")
    parts = ("start node", "remove node", "stop node", "write boot")
    actions = [text for text in said_of[begin + 1 :] if not text.startswith(parts) and BALANCER not in text]
    assert actions == expected
    assert {*two.made_by.values()} == {*two.recorded.values()} == {NEW}
    assert {two.release(name) for name in two.container_table} == {NEW} and {*two.registered.values()} == {""}
    assert found.describe(declared(two, image="localhost/node:2", **words)[0])["control_plane"] == PLANE


@pytest.mark.parametrize("blocked", [PLANE, "lab-worker-1", "lab-worker-2"])
def test_an_upgrade_whose_drain_is_blocked(blocked: str, two: Machine) -> None:
    """The node takes pods again and keeps its container, and so do those after it; the next run goes on with it."""
    order = (PLANE, "lab-worker-1", "lab-worker-2")
    left = order[order.index(blocked) :]
    before, two.blocked = deepcopy(everything(two)), blocked
    with pytest.raises(KicError) as caught:
        upgraded(two, workers=2)
    assert caught.value.diagnosis.id == "step_failed" and blocked in str(caught.value)
    after = everything(two)
    assert {*two.registered.values()} == {""}
    assert {name: after["containers"][name] for name in left} == {name: before["containers"][name] for name in left}
    assert {two.release(name) for name in order if name not in left} <= {NEW}
    done = [text.partition(":")[0] for text in caught.value.done]
    assert done[:2] == [f"stage Kubernetes {NEW}", f"upgrade control plane {PLANE}"]
    assert not [text for text in done if "cordon" in text and blocked in text]
    two.blocked = ""
    upgraded(two, workers=2)
    assert {*two.made_by.values()} == {two.release(name) for name in order} == {NEW}


def test_an_upgrade_whose_cordon_had_no_answer(two: Machine) -> None:
    """It may have been done all the same: the node takes pods again."""
    two.unanswered = "cordon"
    with fails("timed_out"):
        upgraded(two, workers=2)
    assert {*two.registered.values()} == {""}


@pytest.mark.parametrize("lost", [WORKER, PLANES[2], PLANE], ids=["worker", "control-plane", "first"])
def test_an_upgrade_when_a_container_is_lost(lost: str, two: Machine) -> None:
    """The kubelet on its volume runs as soon as its new container does. It is refused before anything is changed, or no kubelet is
    newer than an API server."""
    present(two, planes=3, workers=1, prune=True)
    two.remove_container(two.container_table[lost].id, 0)
    two.image_table["newer"] = image(id=NEWER, tags=("localhost/node:2",))
    before = deepcopy(everything(two))
    try:
        upgraded(two, planes=3, workers=1)
    except KicError:
        assert everything(two) == before
    else:
        assert {*two.made_by.values()} == {NEW}


def test_the_kubeadm_that_was_brought_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where the run was killed after it had done its work."""
    for done in (False, True):
        ending = Ending(Killing(-1, done=False))
        monkeypatch.setattr(converging, "converge", ending.converge)
        monkeypatch.setattr(presenting, "converge_kubeadm", ending.kubeadm)
        engine = bare_machine(monkeypatch, tmp_path_factory.mktemp("state"), daemon=False)
        engine.image_table["i"] = image(tags=("localhost/node:1",))
        present(engine)
        engine.killing = KillingAt("forget kubeadm", done)
        with pytest.raises(Killed):
            upgraded(engine)
        engine.killing = None
        upgraded(engine)
        assert engine.programs == {} and {*engine.made_by.values()} == {NEW}


class KillingAt(Killing):
    """Ends a run at what has a name."""

    def __init__(self, name: str, done: bool) -> None:
        super().__init__(-1, done)
        self.name = name

    def end(self, name: str, act: Callable[[], Any]) -> Any:
        """Where it is the name."""
        self.at = len(self.begun) if name == self.name else -1
        return super().end(name, act)


def test_an_upgrade_to_an_image_that_is_missing(two: Machine) -> None:
    """It is said: an upgrade that was requested is not left out in silence."""
    before = deepcopy(everything(two))
    with pytest.raises(KicError, match="localhost/node:9"):
        present(two, workers=2, upgrade=True, image="localhost/node:9")
    assert everything(two) == before


def test_an_upgrade_that_was_not_requested(two: Machine) -> None:
    """An image of another release is drift; a node that would be created from it is refused."""
    two.image_table["newer"] = image(id=NEWER, tags=("localhost/node:2",))
    before = deepcopy(everything(two))
    upgraded(two, workers=2, upgrade=False)
    assert everything(two) == before
    for given in ({"workers": 3}, {"workers": 2, "node": {"recreate": "on_drift"}}):
        with fails("upgrade_not_requested", OLD, NEW):
            upgraded(two, upgrade=False, **given)
        assert everything(two) == before


def test_pods_that_an_upgrade_would_remove(two: Machine) -> None:
    """It is refused before anything is changed, also in check mode."""
    pod = {"namespace": "default", "name": "a", "node": WORKER, "labels": {}, "owner": "", "mirror": False}
    two.pods = [{**pod, "ended": False}]
    two.image_table["newer"] = image(id=NEWER, tags=("localhost/node:2",))
    before = deepcopy(everything(two))
    for check_mode in (True, False):
        asked = declared(two, workers=2, image="localhost/node:2", upgrade=True)
        with fails("upgrade_drains", "default/a"):
            ClusterRun(two, Systemd(), check_mode).present(*asked)
        assert everything(two) == before
