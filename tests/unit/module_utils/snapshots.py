# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine in memory whose volumes hold data, with clusters on it whose data is copied, lost and restored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import (
    converging,
    presenting,
    situation,
    snapshotting,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NOTHING
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.outcome import ClusterOutcome
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.restoring import Restoring, find_source
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import ClusterRun
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshot import Snapshot
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshotting import (
    SnapshotRun,
    SnapshotSpec,
    Taken,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.there import find_there
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.drift import in_use
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, Resource, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    Attached,
    Container,
    NewContainer,
    Volume,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import cluster_nodes
from ansible_collections.nodeforge.kic.plugins.module_utils._host.systemd import Units
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import RECORD
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.connect import own_addresses
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import boot as boot_unit
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node, node_readback, throw_away
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .lives import machine, plain_machine, planned_only, state
from .support import IMAGE_ID, NO_PROCESS, Killed, MemoryEngine, MemoryPorts, host, image, said
from .test_boot_unit import Systemd
from .test_cluster_run import spec
from .test_killed import Killing

PLANES = ("lab-control-plane-1", "lab-control-plane-2", "lab-control-plane-3")
PLANE, WORKER = PLANES[0], "lab-worker-1"
NEWER = "b" * 64
RELEASES = {IMAGE_ID: "v1.34.9", NEWER: "v1.35.4", "c" * 64: "v1.34.9"}
"""Releases of Kubernetes in images, by their ids."""

SCRIPTS = node_scripts()

NOW = "2026-11-30T12:00:00Z"


@dataclass(frozen=True)
class Disk:
    """What the volume of a node holds."""

    content: str = ""
    """What was written last: all nodes of a cluster have the same of one moment. "" of a volume that is empty."""
    node: str = ""
    """The name in Kubernetes of the node that wrote it."""
    state: str = ""
    """As kubeadm has recorded it."""
    authority: str = ""
    """The cluster whose keys it has."""
    address: str = ""
    """Where the node was when kubeadm made it."""
    etcd: str = ""
    """etcd's data."""


TORN = Disk("half of a copy")
"""Of a volume whose copy was interrupted."""


class Disks(MemoryEngine):
    """An engine whose volumes hold data; it refuses what an engine refuses, and asserts what data must never go through."""

    def __init__(self, units: Path) -> None:
        super().__init__()
        self.units = units
        self.disks: dict[str, Disk] = {}
        self.required: dict[str, str] = {}
        """The content that volumes must have whenever a node of their cluster starts."""
        self.killing: Killing | None = None
        self.ended = False
        """Whether the run has ended within a command of the engine's client: nothing is cleaned up."""
        self.full: set[str] = set()
        """Volumes on which there is no space."""
        self.copies: list[tuple[str, str]] = []

    # What runs in the middle of a command of the client.
    def act(self, name: str, act: Callable[[], None]) -> None:
        """Do it, unless this is where the run ends."""
        try:
            if self.killing is None:
                act()
            else:
                self.killing.end(name, act)
        except Killed:
            self.ended = True
            raise

    # Volumes.
    def create_volume(self, volume: Volume) -> None:
        """A name can be taken once."""
        if volume.name in self.volume_table:
            raise failure("name_taken", kind="volume", name=volume.name, engine=self.name)
        super().create_volume(volume)
        self.disks[volume.name] = Disk()

    def remove_volume(self, name: str) -> None:
        """With its data, unless a container has it."""
        users = [item.name for item in self.attached_to_volume(name)]
        if users:
            raise in_use("volume", name, self.name, users)

        def act() -> None:
            MemoryEngine.remove_volume(self, name)
            self.disks.pop(name, None)

        self.act(f"remove volume {name}", act)

    def attached_to_volume(self, name: str) -> list[Attached]:
        """Containers in which it is mounted."""
        found = [item for item in self.container_table.values() if name in self.mounted(item).values()]
        return [Attached(item.id, item.name, item.labels) for item in found]

    @staticmethod
    def mounted(container: Container) -> dict[str, str]:
        """Volumes by the places where a container has them."""
        return {item["Destination"]: item["Name"] for item in container.raw.get("Mounts", ())}

    def disk(self, container: Container) -> Disk:
        """That of a node."""
        return self.disks.get(self.mounted(container).get("/var", ""), Disk())

    # Containers.
    def create_container(self, new: NewContainer) -> str:
        """With its volumes, which have to be there, and the id of its image."""
        identity = super().create_container(new)
        pairs = zip(new.passed_on, new.passed_on[1:])
        given = [value.split(":")[:2] for option, value in pairs if option == "--volume"]
        given += [[new.volume, "/var"]] if new.volume else []
        assert all(name in self.volume_table for name, _place in given), given
        mounts = [{"Type": "volume", "Name": name, "Destination": place} for name, place in given]
        found = self.image(new.image)
        assert found is not None
        self.add(replace(self.container_table[new.name], image_id=found.id, raw={"Mounts": mounts}))
        return identity

    def remove_container(self, identity: str, seconds: int) -> None:
        """Not by a run that has ended."""
        if self.ended:
            raise Killed
        found = self.container(identity)
        super().remove_container(found.id if found is not None else identity, seconds)

    def start_container(self, identity: str) -> None:
        """What is on the volumes of the cluster has to be whole, and of one moment."""
        found = self.container(identity)
        assert found is not None
        cluster = found.labels.get(labels.CLUSTER)
        if cluster:
            own = {name for name, item in self.volume_table.items() if item.labels.get(labels.CLUSTER) == cluster}
            assert not {name for name in own if self.disks.get(name) == TORN}, "half of a copy"
            required = {name: text for name, text in self.required.items() if name in own}
            assert {name: self.disks[name].content for name in required} == required, f"{found.name} starts too early"
        super().start_container(identity)

    def read_file(self, identity: str, path: str) -> bytes | None:
        """The record of kubeadm on its volume, and the release in its image."""
        found = self.container(identity)
        if found is not None and path == "/kind/version":
            return f"{RELEASES[found.image_id]}\n".encode()
        if found is not None and path == RECORD and self.disk(found).state:
            return json.dumps({"state": self.disk(found).state}).encode()
        return super().read_file(identity, path)

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        """The script that copies."""
        identity, *command = [word for word in arguments[1:] if word != "--interactive"]
        found = self.container(identity)
        assert found is not None and found.running
        if command[0] == "bash" and command[3] == "balance":
            self.contents[(found.id, command[4])] = given["stdin"]
            return said()
        assert command[0] == "bash" and command[3] == "copy-volume", command
        places = self.mounted(found)
        return self.copy(places["/from"], places["/to"], command[4:])

    def copy(self, source: str, target: str, words: Sequence[str]) -> CommandResult:
        """All or nothing, unless the run ends in the middle."""
        for item in self.container_table.values():
            assert source not in self.mounted(item).values() or not item.running or "/from" in self.mounted(item)
            assert self.mounted(item).get("/var") != target or item.status in ("created", "exited"), f"{item.name} runs"
        assert self.disks[source] not in (TORN, Disk()), f"{source} has no data"
        if target in self.full:
            return said("cp: error writing: No space left on device", rc=1)
        made = self.disks[source]
        part = words[-1] if words else ""
        if part:
            assert part in ("keep", "drop", "first", "further", "worker")
            made = Disk(made.content, made.node, etcd=made.etcd if part in ("keep", "first") else "")
        self.act(f"begin to copy to {target}", lambda: self.disks.update({target: TORN}))
        self.act(f"copy to {target}", lambda: self.disks.update({target: made}))
        self.copies.append((source, target))
        return said()

    # Clusters.
    def nodes(self, cluster: str = "lab") -> list[Container]:
        """Its containers, without its load balancer."""
        found = cluster_nodes(self, cluster)
        return sorted((item for item in found if self.mounted(item)), key=lambda item: item.name)

    def write(self, text: str, cluster: str = "lab") -> None:
        """Have all nodes write."""
        for item in self.nodes(cluster):
            name, found = self.mounted(item)["/var"], self.disk(item)
            self.disks[name] = replace(found, content=text, etcd=text if found.etcd else "")

    def statuses(self, cluster: str = "lab") -> dict[str, str]:
        """Of its nodes."""
        return {item.name: item.status for item in self.nodes(cluster)}


@dataclass
class Ending:
    """Does what runs do on an engine with disks, and ends with ``killing``."""

    killing: Killing

    def converge(self, resource: Resource[Any, Any], *, check_mode: bool, lock: Any) -> Any:
        """Its operations one at a time, each planned on a machine that refuses everything."""
        return converge(self.killing.armed(planned_only(resource)), check_mode=check_mode, lock=lock)

    def kubeadm(self, asked: KubeadmSpec, engine: Engine, *, check_mode: bool) -> Outcome:
        """What kubeadm does is one operation here."""
        assert isinstance(engine, Disks)
        found = engine.container(asked.node)
        operation = Operation(asked.state, "Kubernetes", asked.node)
        if found is None:
            assert check_mode
            return Outcome(Plan((operation,)), {})
        assert check_mode or found.running
        cluster, volume = found.labels[labels.CLUSTER], engine.mounted(found)["/var"]
        name, address = labels.node_name(found.name, found.labels), own_addresses(found)[0]
        disk = engine.disks[volume]
        if disk.state == asked.record_state:
            now = (disk.node, disk.authority, disk.address)
            assert check_mode or now == (name, cluster, address), f"{now} in {found.name} with {name}, {address}"
            return Outcome(Plan(), {})

        def act() -> None:
            assert asked.registered == name and disk.node in ("", name), f"{disk.node} in {name}"
            others = [engine.disk(item) for item in engine.nodes(cluster) if item.name != asked.node]
            if asked.state == "initialized":
                assert asked.takes_over == bool(disk.etcd), f"{found.name} begins with {disk}"
                assert not [item for item in others if item.state or item.etcd], "a second cluster"
                etcd = disk.etcd or "new"
            else:
                plane = engine.container(asked.control_plane)
                assert plane is not None and engine.disk(plane).state == "initialized" and not disk.etcd
                etcd = engine.disk(plane).etcd if asked.is_plane else ""
            engine.disks[volume] = Disk(disk.content or "new", name, asked.record_state, cluster, address, etcd)

        if not check_mode:
            self.killing.end(str(operation), act)
        return Outcome(Plan((operation,)), {})

    def taking(self) -> Callable[..., Any]:
        """One operation of a snapshot."""
        return lambda run, operation, *more: self.killing.end(str(operation), lambda: RUN(run, operation, *more))

    def restoring(self, verb: str) -> Callable[..., None]:
        """A part of a restore."""
        return lambda found, *given: self.killing.end(verb, lambda: RESTORING[verb](found, *given))

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have runs end with it."""
        monkeypatch.setattr(converging, "converge", self.converge)
        monkeypatch.setattr(snapshotting, "converge", self.converge)
        monkeypatch.setattr(presenting, "converge_kubeadm", self.kubeadm)
        monkeypatch.setattr(SnapshotRun, "_run", self.taking())
        for verb in RESTORING:
            monkeypatch.setattr(Restoring, verb, self.restoring(verb))


RUN = SnapshotRun._run
RESTORING: dict[str, Callable[..., None]] = {"begin": Restoring.begin, "fill": Restoring.fill}
NEVER = Ending(Killing(-1, done=False))


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with plain limits, on which nodes are up at once, and operations run one at a time."""
    plain_machine(monkeypatch)
    monkeypatch.setattr(node, "HostPorts", MemoryPorts)
    # Of a container without a process nothing is found, after all groups of this machine were read.
    for module in (node, node_readback):
        monkeypatch.setattr(module, "find_limits", lambda *_given: {})
    monkeypatch.setattr(boot, "wait", lambda *_given: Boot("running"))
    monkeypatch.setattr(boot, "peek", lambda *_given: Boot("running"))
    monkeypatch.setattr(converging, "PARALLEL", 1)
    monkeypatch.setattr(snapshotting, "PARALLEL", 1)
    monkeypatch.setattr(situation, "refuse_unfit", lambda *_given: None)
    clock = SimpleNamespace(strftime=lambda *_given: NOW, gmtime=time.gmtime, monotonic=time.monotonic)
    monkeypatch.setattr(snapshotting, "time", clock)
    monkeypatch.setattr(boot_unit, "program", "/usr/bin/{}".format)
    monkeypatch.setattr(boot_unit, "disabled_units", list)
    monkeypatch.setattr(throw_away, "host_limits", host)
    monkeypatch.setattr(throw_away, "HostPorts", MemoryPorts)


def disks(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Disks:
    """An engine with two node images, and with what others have."""
    NEVER.apply(monkeypatch)
    monkeypatch.setattr(record, "state_directory", lambda: str(folder))
    engine = Disks(folder / "units")
    vars(engine).update({key: value for key, value in vars(machine()).items() if key.endswith("_table")})
    engine.image_table["i"] = image(tags=("localhost/node:1",))
    engine.image_table["newer"] = image(id=NEWER, tags=("localhost/node:2",))
    engine.image_table["same"] = image(id="c" * 64, tags=("localhost/node:1b",))
    units = Units(str(engine.units), "multi-user.target", manager=True, user=False)
    monkeypatch.setattr(boot_unit, "units", lambda: units)
    return engine


def cluster(engine: Disks, name: str = "lab", *, check_mode: bool = False, **given: Any) -> ClusterOutcome:
    """The cluster as it is declared, in the way of the module."""
    words = {"name": name, "pod_network": "none", "scripts": SCRIPTS, **given}
    asked, there = spec(**words), cluster_nodes(engine, name)
    source = find_source(engine, name, asked.state, asked.snapshot, there, check_mode=check_mode)
    if there or source is not None:
        found = find_there(engine, there, len(asked.planes), source.there if source is not None else NOTHING)
        asked = spec(found, **words)
    return ClusterRun(engine, Systemd(), check_mode).present(asked, there, source)


def stopped(engine: Disks, name: str = "lab") -> None:
    """The cluster with its nodes stopped."""
    ClusterRun(engine, Systemd(), check_mode=False).stopped(name, cluster_nodes(engine, name))


def paused(engine: Disks, name: str = "lab") -> None:
    """The cluster with its nodes frozen."""
    ClusterRun(engine, Systemd(), check_mode=False).paused(name, cluster_nodes(engine, name))


def removed(engine: Disks, name: str = "lab") -> None:
    """No cluster."""
    ClusterRun(engine, Systemd(), check_mode=False).absent(name, lambda _name: False)


def snapshot(engine: Disks, name: str = "one", of: str = "lab", **given: Any) -> Taken:
    """The snapshot in its state, in the way of the module."""
    check_mode = given.pop("check_mode", False)
    params = {"cluster": of, "name": name, "state": "present", "scripts": SCRIPTS, **given}
    return SnapshotRun(engine, Systemd(), SnapshotSpec.from_params(params), check_mode).converge()


def left_behind(engine: Disks) -> None:
    """The process of a run that was killed is gone; a container that it began goes on."""
    engine.ended, engine.killing = False, None
    for name, item in [*engine.container_table.items()]:
        if name.startswith(throw_away.PREFIX):
            digits = name.rpartition("-")[2]
            del engine.container_table[name]
            engine.add(replace(item, name=f"{throw_away.PREFIX}{NO_PROCESS}-{digits}"))


def settled(found: Mapping[str, str]) -> dict[str, str]:
    """Labels of a volume, without what says nothing of a snapshot that is complete."""
    saved = Snapshot.decode(found.get(labels.SNAPSHOT, ""))
    own = {key: text for key, text in found.items() if key != labels.HELD}
    if saved is None:
        return own
    nodes = tuple(sorted(saved.nodes, key=lambda item: item.name))
    return {**own, labels.SNAPSHOT: replace(saved, nodes=nodes).encode()}


def everything(engine: Disks) -> dict[str, Any]:
    """All that is there, but for containers that end by themselves; which node of those of a role comes first in a snapshot, and
    which of its volumes say that a node holds still, depends on what an interrupted run has left."""
    found = state(engine)
    found["volumes"] = {name: replace(item, labels=settled(item.labels)) for name, item in found["volumes"].items()}
    found["containers"] = {
        name: item for name, item in found["containers"].items() if not name.startswith(throw_away.PREFIX)
    }
    clusters = ("lab", "copy")
    restoring = {name: ClusterState.load(Subject(engine.store, name)).restoring for name in clusters}
    units = {str(path.relative_to(engine.units)): path.read_text() for path in engine.units.rglob("*.service")}
    return {**found, "disks": dict(engine.disks), "restoring": restoring, "units": units}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What is there and what was expected, where that is not the same."""
    pairs = {
        f"{kind} {name}": (found[kind].get(name), things.get(name))
        for kind, things in expected.items()
        for name in {*found[kind], *things}
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
