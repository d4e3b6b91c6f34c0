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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .living import Cluster, living

pytestmark = pytest.mark.full("some minutes on each engine; on a machine in memory it is in the quick set")

Module = Callable[..., dict[str, Any]]

LIVES = 4
"""On each engine. A life goes through all states, and is killed some times on the way to each."""
RANDOM = 5
"""Kills of a parallel run on each engine."""

# Operations one after the other, and the end of the process before or after the first of a kind that a name begins.
KILL = """
import dataclasses, os, signal
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import converging
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
converging.perform = lambda operations, run, **more: perform(
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

    def kills(self, engine: str, life: int) -> list[tuple[str, bool]]:
        """Where a life on an engine is killed, one after the other: each point is met on one engine, in one life."""
        points = [(operation, done) for operation in self.operations for done in (False, True)]
        mine = [point for at, point in enumerate(points) if (at + at // 2) % 2 == (engine == "docker")]
        return mine[life::LIVES]


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


@dataclass
class Life:
    """One cluster on an engine and what is requested of it."""

    cluster: Cluster
    module: Module

    def run(self, asked: dict[str, Any], **how: Any) -> dict[str, Any]:
        """Run the module; that of a process that was killed has no result."""
        variables = self.cluster.variables
        given = {
            "name": self.cluster.name,
            "engine": variables["kic_engine"],
            "image": variables["kic_cluster_image"],
            **asked,
        }
        return self.module("kic_cluster", process_env=self.cluster.environment, **given, **how)

    def killed(self, asked: dict[str, Any], prelude: str) -> bool:
        """Run the module with an end of its process; whether that came before the end of its work."""
        try:
            done = self.run(asked, prelude=prelude)
        except AssertionError as error:
            if "returned nothing" not in str(error):
                raise
            return True
        assert not done.get("failed"), done
        return False

    def brought(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Run the module undisturbed; all that is there then. A second run has nothing to do."""
        done = self.run(asked)
        assert not done.get("failed"), done
        found = self.everything()
        again = self.run(asked)
        assert again["changed"] is False, again
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
            found[f"Kubernetes node {name}"] = {
                "labels": sorted(item["metadata"]["labels"]),
                "taints": sorted(taint["key"] for taint in spec.get("taints", ())),
                "ready": [one["status"] for one in status["conditions"] if one["type"] == "Ready"],
                "release": status["nodeInfo"]["kubeletVersion"],
                "range": bool(spec.get("podCIDR")),
            }
        for item in items("deployments", "daemonsets", "storageclasses", "namespaces"):
            metadata = item["metadata"]
            found[f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = (
                item["spec"]["template"]["spec"] if item["kind"] in ("Deployment", "DaemonSet") else True
            )
        return found


@pytest.fixture(params=["podman", "docker"])
def life(
    request: pytest.FixtureRequest, unique: Callable[[str], str], run_module: Module, tmp_path: Path
) -> Iterator[Life]:
    """A cluster that is not there yet, on each engine, and something of others whose name begins as its."""
    with living(request.param, request, unique("ki"), tmp_path) as cluster:
        theirs = f"{cluster.name}x"
        cluster.client.run("volume", "create", theirs)
        cluster.client.run("network", "create", theirs)
        try:
            yield Life(cluster, run_module)
        finally:
            cluster.client.run("network", "rm", theirs)
            cluster.client.run("volume", "rm", theirs)


def test_killed_at_each_kind_of_operation(life: Life) -> None:
    """From nothing to nothing: killed on the way to each state, and brought there by one run that nobody disturbs."""
    engine, before = life.cluster.variables["kic_engine"], life.cluster.client.holdings()
    expected = {way.name: life.brought(way.asked) for way in WAYS}
    assert life.cluster.client.holdings() == before
    missed = []
    for number in range(LIVES):
        for way in WAYS:
            for begin, done in way.kills(engine, number):
                if not life.killed(way.asked, KILL.format(begin=begin, done=done)):
                    missed.append((way.name, begin, done))
            assert life.brought(way.asked) == expected[way.name], (number, way.kills(engine, number))
        assert life.cluster.client.holdings() == before
    assert not missed, f"these operations were not met: {missed}"


def test_killed_at_any_time(life: Life) -> None:
    """Operations run at the same time, and the run ends somewhere among them."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    drawn, before = random.Random(seed), life.cluster.client.holdings()
    created, removed = WAYS[0], WAYS[-1]
    begin = time.monotonic()
    expected = life.brought(created.asked)
    seconds = time.monotonic() - begin
    for _kill in range(RANDOM):
        life.brought(removed.asked)
        assert life.cluster.client.holdings() == before
        at = drawn.uniform(0, seconds)
        life.killed(created.asked, KILL_LATER.format(seconds=at))
        assert life.brought(created.asked) == expected, f"seed {seed}, killed after {at:.2f} s"
    life.killed(removed.asked, KILL_LATER.format(seconds=drawn.uniform(0, 1)))
    life.brought(removed.asked)
    assert life.cluster.client.holdings() == before
