# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on real clusters that are killed: the same run again ends in the state of one that nobody disturbed.

The unit tests kill each life of a machine in memory before and after each operation. Here each kind of operation is met once
before and once after, rotating over the engines.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from .conftest import have_image
from .living import Cluster, living

pytestmark = [
    pytest.mark.full("some minutes on each engine; on a machine in memory it is in the quick set"),
    pytest.mark.usefixtures("engine"),
]

Module = Callable[..., dict[str, Any]]

LIVES = 4
"""On each engine. A life goes through all states, and is killed some times on the way to each."""
RANDOM = 5
"""Kills of a parallel run on each engine."""

# Operations one after the other, and the end of the process before or after the first of a kind that a name begins.
KILL = """
import dataclasses, os, signal
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import converging, snapshotting
from ansible_collections.nodeforge.kic.plugins.module_utils._core import plan

def ending(operation, act):
    wanted = operation.key.startswith({begin!r})
    if wanted and not {done}:
        os.kill(os.getpid(), signal.SIGKILL)
    result = act()
    if wanted:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

def armed(operation):
    return dataclasses.replace(operation, run=lambda *given: ending(operation, lambda: operation.run(*given)))

in_order, perform = plan.in_order, converging.perform
plan.in_order = lambda operations: [armed(item) for item in in_order(operations)]
converging.perform = snapshotting.perform = lambda operations, run, **more: perform(
    operations, lambda operation: ending(operation, lambda: run(operation)), **{{**more, "parallel": 1}}
)
"""

# The end of the process at any time, whatever runs then.
KILL_LATER = """
import os, signal, threading
timer = threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGKILL))
timer.daemon = True
timer.start()
"""


@dataclass(frozen=True)
class Way:
    """What is requested of a cluster next, and the operations on the way there, by how their names begin, in their order."""

    name: str
    asked: dict[str, Any]
    operations: tuple[str, ...]
    module: str = "kic_cluster"
    writes: str = ""
    """An object that somebody writes before."""
    again: dict[str, Any] | None = None
    """What is requested by a run that has nothing to do, if not the same."""

    def kills(self, engine: str, life: int, lives: int) -> list[tuple[str, bool]]:
        """Where a life on an engine is killed, one after the other: each point is met on one engine, in one of its lives."""
        points = [(operation, done) for operation in self.operations for done in (False, True)]
        mine = [point for at, point in enumerate(points) if (at + at // 2) % 2 == (engine == "docker")]
        return mine[life::lives]


KEPT = tuple(f"nodeforge.kic.{name}" for name in ("schema", "cluster", "role", "keeps", "part-of", "node-name"))
"""Labels that say neither an id nor an address or port that was chosen."""
NODE = {"labels": {"tier": "two"}, "recreate": "on_drift"}
WAYS = (
    Way(
        "created",
        {"workers": 1},
        (
            *("create network", "create volume", "create node", "record limits of node", "start node"),
            *(
                "run step hosts",
                "run steps kubeadm init",
                "run steps manifests",
                "run step record",
                "initialize Kubernetes",
            ),
            *("run step join", "join Kubernetes", "connect pod network", "enable boot"),
        ),
    ),
    Way(
        "replaced, with a worker less",
        {"workers": 0, "prune": True, "node": NODE},
        (
            *("set aside node", "stop old node", "copy files to node", "remove node"),
            *("cordon Kubernetes", "drain Kubernetes", "remove volume", "delete Kubernetes node"),
        ),
    ),
    Way("stopped", {"workers": 0, "node": NODE, "state": "stopped"}, ("disable boot", "stop node")),
    Way("removed", {"state": "absent"}, ("remove node", "remove boot", "remove volume", "remove network")),
)

ABSENT = Way("removed", {"state": "absent"}, ())
SNAPSHOT = {"name": "kept"}
WORKER = {"workers": 1}
SNAPSHOTS = (
    Way("created", WORKER, ()),
    Way(
        "taken",
        SNAPSHOT,
        ("create volume", "pause node", "copy data", "resume node", "create snapshot"),
        module="kic_snapshot",
        writes="before",
    ),
    Way(
        "restored",
        {"state": "restored", "snapshot": "kept"},
        ("stop node", "restore data", "start node", "connect pod network"),
        writes="after",
        again=WORKER,
    ),
    ABSENT,
    Way(
        "created from the snapshot",
        {"snapshot": "kept"},
        ("ensure volume", "restore data", "start node", "initialize Kubernetes", "join Kubernetes"),
    ),
    Way(
        "snapshot removed", {**SNAPSHOT, "state": "absent"}, ("remove snapshot", "remove volume"), module="kic_snapshot"
    ),
    ABSENT,
)
PLANES = (
    Way("created", {"control_planes": 1}, ()),
    Way(
        "three control planes",
        {"control_planes": 3},
        ("start node", "configure load balancer", "join Kubernetes", "connect pod network"),
        writes="before",
    ),
    Way(
        "one again",
        {"control_planes": 1, "prune": True},
        ("drain Kubernetes", "remove etcd", "remove node", "delete Kubernetes node"),
        writes="after",
    ),
    ABSENT,
)


def releases(image: str) -> tuple[Way, ...]:
    """From the cluster's image to this one of the next release."""
    upgraded = {**WORKER, "image": image, "upgrade": True}
    operations = ("stage Kubernetes", "upgrade control plane", "cordon Kubernetes", "drain Kubernetes", "replace node")
    return (
        Way("created", WORKER, ()),
        Way(
            "upgraded",
            upgraded,
            (*operations, "stop old node", "remove node", "upgrade Kubernetes"),
            writes="before",
        ),
        ABSENT,
    )


def succeeded(done: dict[str, Any]) -> None:
    """Fail with all that the module says."""
    if done.get("failed"):
        diagnosis = done.get("diagnosis") or {}
        pytest.fail("\n".join([str(done.get("msg")), str(diagnosis.get("output")), str(done.get("actions"))]))


@dataclass
class Life:
    """One cluster on an engine and what is requested of it."""

    cluster: Cluster
    module: Module

    def run(self, way: Way, **how: Any) -> dict[str, Any]:
        """Run the module; that of a process that was killed has no result."""
        variables = self.cluster.variables
        given = {"engine": variables["kic_engine"], **way.asked}
        if way.module == "kic_cluster":
            given = {"name": self.cluster.name, "image": variables["kic_cluster_image"], **given}
        else:
            given["cluster"] = self.cluster.name
        return self.module(way.module, process_env=self.cluster.environment, **given, **how)

    def write(self, name: str) -> None:
        """Write an object through the API, if it is not there."""
        words = ("exec", self.cluster.plane(1), "kubectl")
        if self.cluster.client.run(*words, "get", "configmap", name, check=False).returncode:
            self.cluster.client.run(*words, "create", "configmap", name)

    def killed(self, way: Way, prelude: str) -> bool:
        """Run the module with an end of its process; whether that came before the end of its work."""
        try:
            done = self.run(way, prelude=prelude)
        except AssertionError as error:
            if "returned nothing" not in str(error):
                raise
            return True
        succeeded(done)
        return False

    def brought(self, way: Way) -> dict[str, Any]:
        """Run the module undisturbed; all that is there then. A second run has nothing to do."""
        done = self.run(way)
        succeeded(done)
        found = self.everything()
        again = self.run(way if way.again is None else replace(way, asked=way.again))
        succeeded(again)
        assert again["changed"] is False, again["actions"]
        return found

    def everything(self) -> dict[str, Any]:
        """What is there of the cluster, without keys, ids, times, and addresses and ports that are chosen."""
        client, name = self.cluster.client, self.cluster.name
        found: dict[str, Any] = {}
        for kind, words in (
            ("container", ("ps", "--all")),
            ("volume", ("volume", "ls")),
            ("network", ("network", "ls")),
        ):
            names = "{{.Names}}" if kind == "container" else "{{.Name}}"
            for one in client.out(*words, "--format", names).split():
                if not one.startswith(name):
                    continue
                (told,) = client.json(kind, "inspect", one)
                config = told.get("Config", told)
                labels = config.get("Labels") or config.get("labels") or {}
                found[f"{kind} {one}"] = {
                    "labels": {key: labels.get(key) for key in KEPT},
                    "status": (told.get("State") or {}).get("Status"),
                    "image": config.get("Image"),
                    "mounts": sorted(item["Destination"] for item in told.get("Mounts") or ()),
                }
        plane = self.cluster.plane(1)
        if (found.get(f"container {plane}") or {}).get("status") == "running":
            found.update(self._kubernetes(plane))
        return found

    def _kubernetes(self, plane: str) -> dict[str, Any]:
        """The members of etcd, the nodes of the API, and what is there for all of them."""

        def items(*kinds: str) -> list[dict[str, Any]]:
            words = ("kubectl", "get", ",".join(kinds), "--all-namespaces", "--output=json")
            listed: list[dict[str, Any]] = json.loads(self.cluster.client.out("exec", plane, *words))["items"]
            return listed

        found: dict[str, Any] = {"members": sorted(self.cluster.members(plane))}
        for item in items("nodes"):
            spec, status, name = item["spec"], item["status"], item["metadata"]["name"]
            keys = [taint["key"] for taint in spec.get("taints", ())]
            found[f"Kubernetes node {name}"] = {
                "labels": sorted(item["metadata"]["labels"]),
                # Those of Kubernetes' own go some time after the node is Ready.
                "taints": sorted(key for key in keys if not key.startswith("node.kubernetes.io/")),
                "ready": [one["status"] for one in status["conditions"] if one["type"] == "Ready"],
                "release": status["nodeInfo"]["kubeletVersion"],
                "range": bool(spec.get("podCIDR")),
            }
        found["written"] = sorted(
            item["metadata"]["name"] for item in items("configmaps") if item["metadata"]["namespace"] == "default"
        )
        for item in items("deployments", "daemonsets", "storageclasses", "namespaces"):
            metadata = item["metadata"]
            found[f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = (
                item["spec"]["template"]["spec"] if item["kind"] in ("Deployment", "DaemonSet") else True
            )
        return found


@contextmanager
def beginning(request: pytest.FixtureRequest, name: str, folder: Path, **more: Any) -> Iterator[Life]:
    """A cluster that is not there yet, and something of others whose name begins as its."""
    with living(request.getfixturevalue("engine"), request, name, folder, **more) as cluster:
        theirs = f"{cluster.name}x"
        cluster.client.run("volume", "create", theirs)
        cluster.client.run("network", "create", theirs)
        try:
            yield Life(cluster, request.getfixturevalue("run_module"))
        finally:
            cluster.client.run("network", "rm", theirs)
            cluster.client.run("volume", "rm", theirs)
            for left in cluster.client.out("volume", "ls", "--format", "{{.Name}}").split():
                if left.startswith(f"{cluster.name}.snapshot."):
                    cluster.client.run("volume", "rm", left)


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine."""
    return str(request.param)


@pytest.fixture
def life(request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path) -> Iterator[Life]:
    """A cluster on each engine."""
    with beginning(request, unique("ki"), tmp_path) as found:
        yield found


def kill_on(life: Life, ways: tuple[Way, ...], lives: int) -> None:
    """From nothing to nothing: killed on the way to each state, and brought there by one run that nobody disturbs."""
    engine, before = life.cluster.variables["kic_engine"], life.cluster.client.holdings()
    missed: list[tuple[str, str, bool]] = []
    expected: dict[int, dict[str, Any]] = {}
    # The first life is the one that nobody disturbs.
    for number in range(-1, lives):
        for at, way in enumerate(ways):
            if way.writes:
                life.write(way.writes)
            kills = way.kills(engine, number, lives) if number >= 0 else []
            for begin, done in kills:
                if not life.killed(way, KILL.format(begin=begin, done=done)):
                    missed.append((way.name, begin, done))
            found = life.brought(way)
            assert found == expected.setdefault(at, found), (number, way.name, kills)
        assert life.cluster.client.holdings() == before
    assert not missed, f"these operations were not met: {missed}"


def test_killed_at_each_kind_of_operation(life: Life) -> None:
    """A cluster and its nodes."""
    kill_on(life, WAYS, LIVES)


def test_snapshot_is_killed(life: Life) -> None:
    """A cluster that is restored, and created from a snapshot."""
    kill_on(life, SNAPSHOTS, 2)


def test_control_planes_are_killed(life: Life) -> None:
    """From one control plane to three and back."""
    kill_on(life, PLANES, 2)


@pytest.mark.full("the image of another release, which takes five minutes to compile")
def test_upgrade_is_killed(request: pytest.FixtureRequest, unique: Callable[[str], str], tmp_path: Path) -> None:
    """From one release to the next."""
    with beginning(request, unique("ku"), tmp_path, kic_image_kubernetes_version="1.34") as life:
        cluster = life.cluster
        image = have_image(cluster.play, process_env=cluster.environment, kic_engine=cluster.variables["kic_engine"])
        kill_on(life, releases(image), 3)


def test_killed_at_any_time(life: Life) -> None:
    """Operations run at the same time, and the run ends somewhere among them."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    drawn, before = random.Random(seed), life.cluster.client.holdings()
    created, removed = WAYS[0], WAYS[-1]
    begin = time.monotonic()
    expected = life.brought(created)
    seconds = time.monotonic() - begin
    for _kill in range(RANDOM):
        life.brought(removed)
        assert life.cluster.client.holdings() == before
        at = drawn.uniform(0, seconds)
        life.killed(created, KILL_LATER.format(seconds=at))
        assert life.brought(created) == expected, f"seed {seed}, killed after {at:.2f} s"
    life.killed(removed, KILL_LATER.format(seconds=drawn.uniform(0, 1)))
    life.brought(removed)
    assert life.cluster.client.holdings() == before
