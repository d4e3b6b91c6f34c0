# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What networks, volumes, nodes and images go through: each case is a machine in memory and what is requested of it then.

The tests of planning run each of them with a machine that refuses everything, and those of killed runs end each of them at
every operation.
"""

from __future__ import annotations

import builtins
import io
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, Resource, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine, EngineReader
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Attached, Limits, Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._host import routes
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.image import ImageResource, ImageSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkResource, NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image import NodeImages
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image_plan import NodeImagesSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import VolumeResource, VolumeSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject

from .support import (
    GIB,
    IMAGE_SCRIPTS,
    OURS,
    MemoryEngine,
    MemoryPorts,
    container,
    host,
    image,
    image_params,
    network,
    network_params,
    node_params,
    publish_params,
    volume_params,
)

TOUCHING = {
    builtins: ("open",),
    io: ("open",),
    os: (
        *("open", "stat", "lstat", "listdir", "scandir", "access", "readlink", "statvfs", "mkdir", "makedirs"),
        *(
            "unlink",
            "remove",
            "rename",
            "replace",
            "rmdir",
            "fork",
            "system",
            "popen",
            "pipe",
            "kill",
            "chmod",
            "chown",
        ),
        *("geteuid", "getuid", "getpid", "urandom"),
    ),
    subprocess: ("Popen",),
    socket: ("socket",),
    time: ("sleep", "time", "monotonic"),
}
"""What reads or changes anything outside a process, or says what differs by machine and time."""


def _refuse(*given: Any, **_more: Any) -> Any:
    raise AssertionError(f"a plan touched the machine: {given}")


class NameOnly:
    """An engine of which a plan may know the name and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a plan asked its engine for {name}")


@contextmanager
def refusing_machine() -> Iterator[None]:
    """In the block no file is read, no program started, no socket opened and no clock read."""
    # For each plan of each killed run: mock.patch takes a sixth of the time of all of these tests.
    kept = [(module, name, getattr(module, name)) for module, names in TOUCHING.items() for name in names]
    try:
        for module, name, _value in kept:
            setattr(module, name, _refuse)
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


def planned_only(resource: Resource[Any, Any]) -> Resource[Any, Any]:
    """The resource, whose plans are made on a machine and with an engine that refuse everything."""
    plan = resource.plan

    def refused(observed: Any, survey: Any) -> Plan:
        kept = {key: value for key, value in vars(resource).items() if isinstance(value, EngineReader)}
        for key, value in kept.items():
            setattr(resource, key, NameOnly(value.name))
        try:
            with refusing_machine():
                return plan(observed, survey)
        finally:
            for key, value in kept.items():
                setattr(resource, key, value)

    resource.plan = refused  # type: ignore[method-assign]
    return resource


def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with plain limits and no networks but those of the engine, whose nodes are up."""
    monkeypatch.setattr(boot, "entered", lambda *_given: True)
    monkeypatch.setattr(node, "host_limits", host)
    monkeypatch.setattr(routes, "routed", list)
    monkeypatch.setattr(routes, "default_route_mtu", lambda: 1500)
    monkeypatch.setattr(routes, "has_ipv6", lambda: False)


@dataclass(frozen=True)
class Life:
    """``before`` puts things on a machine, and ``resource`` is what is requested of it then."""

    name: str
    before: Callable[[MemoryEngine], object]
    resource: Callable[[Engine], Resource[Any, Any]]


def asked_network(**given: Any) -> Callable[[Engine], Resource[Any, Any]]:
    """A network of the cluster one."""
    spec = NetworkSpec.from_params(network_params(cluster="one", **given))
    return lambda engine: NetworkResource(spec, engine)


def asked_volume(**given: Any) -> Callable[[Engine], Resource[Any, Any]]:
    """A volume of the cluster one."""
    spec = VolumeSpec.from_params(volume_params(cluster="one", **given))
    return lambda engine: VolumeResource(spec, engine)


def asked_node(**given: Any) -> Callable[[Engine], Resource[Any, Any]]:
    """A node of the cluster one on the network kic with a volume, a chosen port and a file."""
    own: dict[str, Any] = {"cluster": "one"}
    if given.get("image", "") is not None:
        own.update(network="kic", volume="data", publish=[publish_params(6443)])
        own.update(files=[{"path": "/etc/one", "content": "x", "mode": "0644"}])
    spec = NodeSpec.from_params(node_params(**{**own, **given}))
    return lambda engine: NodeResource(spec, engine, MemoryPorts())


def asked_image(**given: Any) -> Callable[[Engine], Resource[Any, Any]]:
    """An image that a registry has."""
    spec = ImageSpec.from_params(image_params(**given))
    return lambda engine: ImageResource(spec, engine)


APP = "registry.example/app:1"


def asked_node_image(**given: Any) -> Callable[[Engine], Resource[Any, Any]]:
    """An image of the store in both nodes of the cluster one."""
    params = {"cluster": "one", "nodes": None, "images": [APP], "state": "present", "timeout": 60}
    spec = NodeImagesSpec.from_params({**params, "scripts": IMAGE_SCRIPTS, **given})
    return lambda engine: NodeImages(spec, engine)


def held(*nodes: dict[str, str]) -> Callable[[MemoryEngine], object]:
    """Nodes that hold images, given with their ids by name; and the image that is requested, in the store."""

    def before(engine: MemoryEngine) -> None:
        engine.image_table["app"] = image(id="2" * 64, tags=(APP,))
        for number, found in enumerate(nodes, 1):
            name = f"one-{number}"
            engine.add(container(name, labels=labels.ownership("one")))
            engine.containerd[name] = dict(found)

    return before


def done(*resources: Callable[[Engine], Resource[Any, Any]]) -> Callable[[MemoryEngine], object]:
    """These have been brought into their state before."""
    return lambda engine: [run(item(engine)) for item in resources]


def with_status(status: str, *resources: Callable[[Engine], Resource[Any, Any]]) -> Callable[[MemoryEngine], object]:
    """The node has the status now."""

    def before(engine: MemoryEngine) -> None:
        done(*resources)(engine)
        engine.add(replace(engine.container_table["node-1"], status=status))

    return before


def left(engine: MemoryEngine) -> None:
    """The probes of runs that were interrupted."""
    mine = labels.ownership("one")
    engine.network_table["kic.kic-probe"] = network("kic.kic-probe", "10.6.0.0/24", labels=mine)
    engine.volume_table["data.kic-probe"] = Volume("data.kic-probe", "local", "", mine, {})


def recorded(engine: MemoryEngine) -> None:
    """A node that does not run, with limits that were changed after it was created."""
    with_status("exited", GROUND, VOLUME, asked_node(memory="1g"))(engine)
    ClusterState(Subject("podman", "one"), limits={"node-1": {"memory": 2 * GIB}}).save()


def interrupted(engine: MemoryEngine) -> None:
    """Only the old container of a node is there, which is to be replaced."""
    done(GROUND, VOLUME, asked_node())(engine)
    engine.rename_container("id-node-1", "node-1.kic-replaced-running")


def nothing(_engine: MemoryEngine) -> None:
    """An engine with an image and what others have."""


GROUND, VOLUME, NODE = asked_network(subnet="10.5.0.0/24"), asked_volume(), asked_node()
DRIFTED: dict[str, Any] = {"labels": {"tier": "two"}, "recreate": "on_drift"}
BARE: dict[str, Any] = {"image": None}

LIVES = (
    Life("network-created", nothing, GROUND),
    Life("network-created-with-a-probe-left", left, GROUND),
    Life("network-created-in-the-place-of-a-probe", left, asked_network(subnet="10.6.0.0/24")),
    Life("network-replaced", done(GROUND), asked_network(**DRIFTED)),
    Life("network-removed", done(GROUND), asked_network(state="absent")),
    Life("volume-created", nothing, VOLUME),
    Life("volume-replaced", done(VOLUME), asked_volume(**DRIFTED)),
    Life("volume-removed", done(VOLUME), asked_volume(state="absent")),
    Life("volume-removed-with-a-probe-left", left, asked_volume(state="absent")),
    Life("node-created", done(GROUND, VOLUME), NODE),
    Life("node-created-and-not-started", done(GROUND, VOLUME), asked_node(state="present")),
    *(
        Life(
            f"node-replaced-{state}-{status}",
            with_status(status, GROUND, VOLUME, NODE),
            asked_node(state=state, role="worker", recreate="on_drift"),
        )
        for state, status in (
            *(("started", "running"), ("started", "exited"), ("started", "created"), ("started", "paused")),
            *(("present", "running"), ("present", "exited"), ("stopped", "running"), ("restarted", "running")),
            *(("paused", "running"), ("paused", "paused")),
        )
    ),
    *(
        Life(f"node-{state}-{status}", with_status(status, GROUND, VOLUME, NODE), asked_node(state=state, **given))
        for given in ({}, BARE)
        for state, status in (
            *(("started", "exited"), ("started", "created"), ("started", "paused"), ("stopped", "running")),
            *(("stopped", "paused"), ("restarted", "running"), ("restarted", "paused"), ("absent", "running")),
            *(("paused", "running"), ("absent", "paused")),
        )
    ),
    Life("node-limit-for-the-next-start", recorded, asked_node(state="stopped", memory="3g")),
    Life("node-limit-as-it-was-created", recorded, asked_node(state="stopped", memory="1g")),
    Life("node-restored", interrupted, NODE),
    Life("node-restored-and-replaced", interrupted, asked_node(role="worker", recreate="on_drift")),
    Life("node-removed-with-its-old-one", interrupted, asked_node(state="absent", **BARE)),
    Life("image-pulled", nothing, asked_image()),
    Life("image-loaded", held({"b:1": "1" * 64}, {}), asked_node_image()),
    Life("image-named", held({"b:1": "2" * 64}, {"b:1": "2" * 64}), asked_node_image()),
    Life("image-moved", held({APP: "1" * 64}, {}), asked_node_image()),
    Life("image-taken-from-nodes", held({APP: "2" * 64, "b:1": "3" * 64}, {}), asked_node_image(state="absent")),
    Life("image-removed", done(asked_image()), asked_image(state="absent")),
)


def machine() -> MemoryEngine:
    """An engine with the image, and with a network, a volume and containers of others."""
    engine = MemoryEngine()
    engine.image_table["i"] = image()
    engine.registry["registry.example/team/node:v1"] = image(id="p" * 64, tags=("registry.example/team/node:v1",))
    engine.network_table["theirs"] = network("theirs", "10.7.0.0/24", labels={})
    engine.volume_table["theirs"] = Volume("theirs", "local", "", {}, {})
    engine.add(container("theirs", labels={}, addresses={"theirs": ("10.7.0.2",)}))
    engine.add(
        container(
            "node-2", labels={**OURS, labels.CLUSTER: "two"}, addresses={"theirs": ("10.7.0.3",)}, limits=Limits(GIB)
        )
    )
    engine.users["network theirs"] = [Attached("id-theirs", "theirs", {})]
    return engine


FOREIGN = ("theirs", "node-2", "i")


def run(resource: Resource[Any, Any], *, check_mode: bool = False) -> Outcome:
    """Converge it, with the lock of nobody."""
    return converge(resource, check_mode=check_mode, lock=nullcontext)


def state(engine: MemoryEngine) -> dict[str, Any]:
    """All that is there, without ids, and what is recorded of the cluster."""

    def known(found: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in found.items() if key != labels.REPLACES}

    return {
        "networks": {item.name: replace(item, id="") for item in engine.network_table.values()},
        "volumes": dict(engine.volume_table),
        "images": {item.id: item for item in engine.image_table.values()},
        "containers": {
            item.name: replace(item, id="", labels=known(dict(item.labels))) for item in engine.container_table.values()
        },
        "images in nodes": {name: dict(found) for name, found in engine.containerd.items() if found},
        "limits": ClusterState.load(Subject("podman", "one")).limits,
    }


def foreign(engine: MemoryEngine) -> list[Any]:
    """What belongs to others."""
    tables: tuple[dict[str, Any], ...] = (
        *(engine.network_table, engine.volume_table, engine.container_table, engine.image_table),
    )
    return [table.get(name) for table in tables for name in FOREIGN]
