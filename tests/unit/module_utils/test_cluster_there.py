# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a cluster is there: its nodes by their roles, the control planes that are complete, and the ports of the API."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NOTHING, There
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.there import find_there
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container, Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import RECORD

from .support import MemoryEngine, container

FIRST, SECOND, THIRD = (f"lab-control-plane-{number}" for number in (1, 2, 3))
WORKER, BALANCER = "lab-worker-1", "lab-load-balancer"
COMPLETE, JOINED = b'{"state": "initialized"}', b'{"state": "joined"}'


class Reading(MemoryEngine):
    """An engine whose containers hold records, by their names."""

    def __init__(self, **records: bytes) -> None:
        super().__init__()
        self.records = records
        self.read: list[str] = []

    def read_file(self, identity: str, path: str) -> bytes | None:
        assert path == RECORD
        self.read.append(identity.removeprefix("id-"))
        return self.records.get(self.read[-1])


def member(name: str, *ports: tuple[int, int], status: str = "running") -> Container:
    """A container of the cluster that publishes ports, given with those of the host; its name tells its role."""
    role = next(role for role in ("control-plane", "worker", "load-balancer") if role in name)
    published = [{"port": port, "protocol": "tcp", "address": "127.0.0.1", "host_port": on} for port, on in ports]
    marks = {**labels.ownership("lab"), labels.ROLE: role, labels.PUBLISH: json.dumps(published)}
    return container(name, status=status, labels=marks)


def test_nothing() -> None:
    """Of a new cluster nothing is there."""
    assert find_there(Reading(), [], 3) == NOTHING


def test_roles() -> None:
    """The load balancer is none of the nodes; what is being replaced counts once, by the name of its node."""
    aside = member(f"{SECOND}.kic-replaced-running")
    found = find_there(Reading(), [member(WORKER), aside, member(BALANCER), member(SECOND), member(FIRST)], 1)
    assert (found.planes, found.workers) == ((FIRST, SECOND), (WORKER,))
    assert find_there(Reading(), [aside], 1).planes == (SECOND,)
    assert (found.of("control-plane"), found.of("worker")) == (found.planes, found.workers)


@pytest.mark.parametrize(
    ("statuses", "records", "expected"),
    [
        pytest.param({FIRST: "running", SECOND: "running"}, {}, (), id="none"),
        pytest.param(
            {SECOND: "running", FIRST: "running"}, {FIRST: COMPLETE, SECOND: COMPLETE}, (FIRST, SECOND), id="by-name"
        ),
        pytest.param(
            {FIRST: "exited", SECOND: "running", THIRD: "running"},
            {FIRST: COMPLETE, SECOND: COMPLETE, THIRD: COMPLETE},
            (SECOND, THIRD, FIRST),
            id="those-that-run-first",
        ),
        pytest.param({FIRST: "running", SECOND: "exited"}, {SECOND: COMPLETE}, (SECOND,), id="first-was-lost"),
        pytest.param({FIRST: "running", SECOND: "running"}, {FIRST: JOINED, SECOND: b"{"}, (), id="other-or-damaged"),
        pytest.param({FIRST: "running", SECOND: "running"}, {FIRST: b"[1]", SECOND: b""}, (), id="no-mapping"),
    ],
)
def test_complete_control_planes(
    statuses: dict[str, str], records: dict[str, bytes], expected: tuple[str, ...]
) -> None:
    """Those with which a former run was through, by the records in them; those that run come first."""
    there = [member(name, status=status) for name, status in statuses.items()]
    assert find_there(Reading(**records), [*there, member(WORKER)], 1).complete == expected


@pytest.mark.parametrize(
    ("names", "declared", "read"),
    [
        pytest.param([FIRST, WORKER], 1, [], id="alone"),
        pytest.param([FIRST, WORKER], 3, [FIRST], id="more-are-declared"),
        pytest.param([FIRST, SECOND, WORKER, BALANCER], 1, [FIRST, SECOND], id="more-are-there"),
    ],
)
def test_what_is_read(names: list[str], declared: int, read: list[str]) -> None:
    """A single control plane is asked nothing, and no other container ever."""
    engine = Reading(**dict.fromkeys(names, COMPLETE))
    find_there(engine, [member(name) for name in names], declared)
    assert engine.read == read


def test_ports_of_the_api() -> None:
    """Those of the control planes and of the load balancer, whichever others they publish."""
    there = [
        *(
            member(FIRST, (80, 8080), (6443, 40000)),
            member(SECOND, (6443, 40001), status="exited"),
            member(THIRD, (80, 1)),
        ),
        *(member(WORKER, (6443, 5)), member(BALANCER, (6443, 16443))),
    ]
    found = find_there(Reading(), there, 3)
    assert found.api_ports == {FIRST: 40000, SECOND: 40001, BALANCER: 16443}
    assert found == There((FIRST, SECOND, THIRD), (WORKER,), (), found.api_ports)


def test_names_in_kubernetes() -> None:
    """Of a clone; where a container is lost its volume knows. Of a cluster whose nodes have their own names nothing is asked."""
    engine = Reading()
    for name, text in ((WORKER, "origin-worker-1"), (FIRST, "old"), ("lab-worker-2", "origin-worker-2")):
        own = {**labels.ownership("lab"), labels.NODE_NAME: text}
        engine.volume_table[name] = Volume(name, "local", "", own, {})
    other = {**labels.ownership("other"), labels.NODE_NAME: "x"}
    engine.volume_table["other-worker-1"] = Volume("other-worker-1", "local", "", other, {})
    assert find_there(engine, [member(FIRST), member(WORKER)], 1).node_names == {}
    plane = member(FIRST)
    plane = replace(plane, labels={**plane.labels, labels.NODE_NAME: "origin-control-plane-1"})
    assert find_there(engine, [plane, member("lab-worker-3")], 1).node_names == {
        FIRST: "origin-control-plane-1",
        WORKER: "origin-worker-1",
        "lab-worker-2": "origin-worker-2",
    }


def test_nodes_of_a_snapshot() -> None:
    """They are there as soon as their data is; those that are, come first, and say which are complete."""
    source = There((SECOND, FIRST), (WORKER,), complete=(SECOND, FIRST))
    assert find_there(Reading(), [], 1, source) == source
    found = find_there(Reading(), [member(FIRST), member("lab-worker-2")], 1, source)
    assert (found.planes, found.workers) == ((FIRST, SECOND), ("lab-worker-2", WORKER))
    assert found.complete == (SECOND, FIRST)
    engine = Reading(**{FIRST: COMPLETE})
    assert find_there(engine, [member(FIRST)], 3, source).complete == (FIRST,)
