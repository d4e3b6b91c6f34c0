# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is replaced (recreate: on_drift), with a failure or the end of the run at every call of the engine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels, replaced
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node, node_run
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_info import find_nodes
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import NodeSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.replacement import Replacement
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    ACTS,
    CALLS,
    GIB,
    Breakable,
    Fault,
    Killed,
    MemoryEngine,
    MemoryPorts,
    broken_at_each,
    container,
    fails,
    host,
    image,
    network,
    node_params,
    publish_params,
)

ASKED: dict[str, Any] = {
    "network": "kic",
    "publish": [publish_params(6443)],
    "files": [{"path": "/etc/one", "content": "x", "mode": "0644"}],
    "cluster": "one",
}
NEW: dict[str, Any] = {**ASKED, "role": "worker"}


@dataclass(frozen=True)
class Case:
    """The state that is requested, the status of the old node, and whether its replacement runs."""

    state: str
    status: str
    runs: bool


CASES = [
    Case("started", "running", True),
    Case("started", "exited", True),
    Case("started", "created", True),
    Case("started", "paused", True),
    Case("restarted", "running", True),
    Case("present", "running", True),
    Case("present", "exited", False),
    Case("stopped", "running", False),
    Case("stopped", "exited", False),
]


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with plain limits."""
    monkeypatch.setattr(node, "host_limits", host)


def machine(case: Case) -> Breakable:
    """An engine with the old node of a case, and another node."""
    engine = Breakable()
    engine.image_table["i"] = image()
    engine.network_table["kic"] = network("kic", "10.5.0.0/24")
    run(engine, state="started", **ASKED)
    engine.add(replace(engine.container_table["node-1"], status=case.status))
    engine.add(container("node-2", addresses={"kic": ("10.5.0.3",)}))
    return engine


def run(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> Plan:
    """What the module kic_node does."""
    resource = NodeResource(NodeSpec.from_params(node_params(**given)), engine, MemoryPorts())
    return converge(resource, check_mode=check_mode, lock=nullcontext).plan


def predicted(engine: MemoryEngine, **given: Any) -> Plan:
    """The same in check mode first, which predicts the actions and changes nothing."""
    before = dict(engine.container_table)
    expected = run(engine, check_mode=True, **given)
    assert engine.container_table == before
    plan = run(engine, **given)
    assert [str(item) for item in plan.actions] == [str(item) for item in expected.actions]
    return plan


def ours(engine: MemoryEngine) -> dict[str, Container]:
    """All containers but the other node."""
    return {name: item for name, item in engine.container_table.items() if name != "node-2"}


def steps(case: Case, counted: Collection[str]) -> int:
    """How many calls a replacement takes."""
    engine = machine(case)
    engine.arm(None, counted)
    run(engine, state=case.state, recreate="on_drift", **NEW)
    return len(engine.calls)


def broken(case: Case, error: Callable[[], BaseException], counted: Collection[str]) -> list[tuple[Fault, Breakable]]:
    """The engine after a replacement that broke, at each of its calls, before and after the call was done."""

    def replacing(engine: Breakable) -> Plan:
        return run(engine, state=case.state, recreate="on_drift", **NEW)

    return [*broken_at_each(steps(case, counted), lambda: machine(case), replacing, error, counted)]


def only_node(engine: MemoryEngine) -> Container:
    """The node, which is all that is there."""
    assert list(ours(engine)) == ["node-1"]
    return engine.container_table["node-1"]


def disk_full() -> KicError:
    """A failure that no retry helps against."""
    return failure("disk_full", engine="podman")


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.state} of {case.status}")


@every_case
def test_replaced(case: Case) -> None:
    """Where nothing breaks, the new node is there alone, has the address and port of the old, and is in its state."""
    engine = machine(case)
    old = engine.container_table["node-1"]
    plan = predicted(engine, state=case.state, recreate="on_drift", **NEW)
    assert [item.verb for item in plan.actions][:2] == ["remove", "create"]
    new = only_node(engine)
    assert (new.id != old.id, new.labels[labels.ROLE], new.running) == (True, "worker", case.runs)
    assert new.labels[labels.ADDRESS] == old.labels[labels.ADDRESS]
    assert new.labels[labels.PUBLISH] == old.labels[labels.PUBLISH]
    assert not predicted(engine, state=case.state, recreate="on_drift", **NEW).changed or case.state == "restarted"


@every_case
def test_old_is_stopped_after_the_new_one_is_created(case: Case) -> None:
    """What the engine can refuse about the new one, it refuses while the old one still runs."""
    engine = machine(case)
    engine.arm(None, ACTS)
    run(engine, state=case.state, recreate="on_drift", **NEW)
    if "stop_container" in engine.calls:
        assert engine.calls.index("create_container") < engine.calls.index("stop_container")
    assert engine.calls[-1] == "remove_container"


@every_case
def test_ended_at_every_step(case: Case) -> None:
    """A run that is ended at any call: the same run again makes the node that is requested, and leaves nothing else."""
    for fault, engine in broken(case, Killed, ACTS):
        assert any(replaced.node_of(name) == "node-1" for name in ours(engine)), fault
        assert [item["name"] for item in find_nodes(engine, None, None)] == ["node-1", "node-2"], fault
        predicted(engine, state=case.state, recreate="on_drift", **NEW)
        found = only_node(engine)
        assert (found.labels[labels.ROLE], found.running) == ("worker", case.runs), fault
        assert not run(engine, state="present", recreate="on_drift", **NEW).changed


@every_case
@pytest.mark.parametrize("described", [True, False], ids=["described", "its state only"])
def test_ended_and_not_wanted_any_more(case: Case, described: bool) -> None:
    """After a run that was ended, a run that replaces nothing ends with one node, whichever, in its state."""
    for fault, engine in broken(case, Killed, ACTS):
        asked = ASKED if described else {"image": None}
        predicted(engine, state=case.state, **asked)
        assert only_node(engine).running == case.runs, fault


@every_case
def test_ended_and_removed(case: Case) -> None:
    """After a run that was ended, absent removes all of it, also where that run is ended in between."""
    for fault, engine in broken(case, Killed, ACTS):
        assert [item.verb for item in predicted(engine, state="absent", image=None).actions] == ["remove"], fault
        assert ours(engine) == {}, fault
        assert not predicted(engine, state="absent", image=None).changed
    for at in (0, 1):
        for fault, engine in broken(case, Killed, ACTS):
            engine.arm(Fault(at, Killed(), True), ["remove_container"])
            with suppress(Killed):
                run(engine, state="absent", image=None)
            engine.arm(None)
            run(engine, state="absent", image=None)
            assert ours(engine) == {}, fault


@every_case
def test_failed_at_every_step(case: Case) -> None:
    """A call that fails: the first error is told, the old node is there again as it was, or the new one is up."""
    for fault, engine in broken(case, disk_full, CALLS):
        assert engine.raised is not None
        told = str(engine.raised)
        assert engine.raised.diagnosis.id == "disk_full", fault
        found = ours(engine)
        assert "node-1" in found, fault
        if found["node-1"].labels.get(labels.ROLE) == "worker":
            # It was up already: what failed is the removal of the old one, or a look after it.
            assert (found["node-1"].running, "restored" in told) == (case.runs, False), (fault, told)
        else:
            assert list(found) == ["node-1"], fault
            as_before = "running" if case.status == "paused" else case.status
            assert found["node-1"].status in (case.status, as_before), fault
            assert engine.raised.done == (), fault
            began = "rename_container" in engine.broke_in
            assert ("was restored" in told) == began, (fault, told)
        predicted(engine, state=case.state, recreate="on_drift", **NEW)
        assert only_node(engine).labels[labels.ROLE] == "worker", fault


def test_old_cannot_be_restored() -> None:
    """Where the old node cannot be restored either, the first error is told with the commands, and the next run does it."""
    case = CASES[0]
    for at in range(4):
        engine = machine(case)
        engine.refuses_start = [failure("engine_failed", engine="podman", action="start", rc=126)]
        engine.arm(Fault(4 + at, disk_full(), False), ACTS)
        with pytest.raises(KicError) as caught:
            run(engine, state="started", recreate="on_drift", **NEW)
        told = str(caught.value)
        assert caught.value.diagnosis.id == ("disk_full" if at == 0 else "engine_failed"), (at, engine.calls)
        if at:
            assert "could not be restored: the disk" in told, told
            by_hand = "podman rm --force node-1; podman rename node-1.kic-replaced-running node-1; podman start node-1"
            assert by_hand in told
        engine.arm(None)
        predicted(engine, state="started", **ASKED)
        assert only_node(engine).running


def test_ended_while_it_is_restored() -> None:
    """A run whose replacement cannot start, and which is ended while it restores the old node: the next run goes on."""
    for at, call in enumerate(("remove_container", "rename_container", "start_container"), 5):
        for done in (False, True):
            engine = machine(CASES[0])
            engine.refuses_start = [failure("engine_failed", engine="podman", action="start", rc=126)]
            engine.arm(Fault(at, Killed(), done), ACTS)
            with pytest.raises(Killed):
                run(engine, state="started", recreate="on_drift", **NEW)
            assert engine.calls[-1] == call
            engine.arm(None)
            predicted(engine, state="started", **ASKED)
            assert only_node(engine).running


def end_at_once(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one ends when it starts; the old one would run."""
    start = engine.start_container

    def once(identity: str) -> None:
        start(identity)
        found = engine.container(identity)
        assert found is not None
        if found.labels.get(labels.ROLE) == "worker":
            engine.add(replace(found, status="exited"))

    monkeypatch.setattr(engine, "start_container", once)


def otherwise(_engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel has not what was requested."""
    monkeypatch.setattr(node_run, "differences", lambda _new, _found: ["ip is on none of its interfaces"])


def refuse(engine: MemoryEngine, _monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine refuses the start."""
    engine.refuses_start = [failure("port_taken", port=40000, address="127.0.0.1")]


@pytest.mark.parametrize(
    ("breaks", "condition", "fix"),
    [
        (end_at_once, "node_died", "correct what they name"),
        (otherwise, "not_as_asked", "request what this machine can give"),
        (refuse, "port_taken", ""),
    ],
    ids=["ends at once", "read back", "start refused"],
)
def test_what_the_new_one_fails_at(
    breaks: Callable[..., None], condition: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new node that is not what was requested goes, with its cause told; the old one runs, with its limits recorded."""
    engine = machine(CASES[0])
    state = ClusterState(Subject("podman", "one"), limits={"node-1": {"memory": GIB}})
    state.save()
    before = engine.container_table["node-1"]
    breaks(engine, monkeypatch)
    with fails(condition, "The old node node-1 was restored and runs", fix):
        run(engine, state="started", recreate="on_drift", **NEW)
    assert only_node(engine) == before
    assert ClusterState.load(Subject("podman", "one")).limits == {"node-1": {"memory": GIB}}


def test_later_run_restores_what_it_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds both, and cannot start the new one, restores the old one."""
    engine = machine(CASES[0])
    engine.arm(Fault(1, Killed(), True), ACTS)
    with pytest.raises(Killed):
        run(engine, state="started", recreate="on_drift", **NEW)
    engine.arm(None)
    assert sorted(ours(engine)) == ["node-1", "node-1.kic-replaced-running"]
    end_at_once(engine, monkeypatch)
    with fails("node_died", "The old node node-1 was restored and runs"):
        run(engine, state="started", recreate="on_drift", **NEW)
    assert only_node(engine).running


def test_name_that_somebody_took() -> None:
    """A container of others that took the name meanwhile is left alone, and the commands are told."""
    engine = machine(CASES[0])
    old = engine.container_table["node-1"]
    replacement = Replacement("node-1", old)
    replacement.set_aside(engine)
    engine.add(container("node-1", id="theirs", labels={}))
    words = ("could not be restored", "podman rename node-1.kic-replaced-running node-1")
    with fails("disk_full", *words):
        replacement.restored(engine, disk_full())
    assert engine.container_table["node-1"].id == "theirs"


def test_other_failures_pass() -> None:
    """What is no failure of an engine is not lost, and the old node is there again."""
    engine = machine(CASES[0])
    error = OSError("read-only file system")
    engine.arm(Fault(3, error, False), ACTS)
    with pytest.raises(OSError, match="read-only") as caught:
        run(engine, state="started", recreate="on_drift", **NEW)
    assert caught.value is error
    assert only_node(engine).running


@pytest.mark.parametrize("ran", [True, False])
def test_names(ran: bool) -> None:
    """The other name tells the node and whether it ran, and no other name does."""
    name = replaced.aside_name("lab.example-1", ran)
    assert (replaced.node_of(name), replaced.is_aside(name), replaced.ran(name)) == ("lab.example-1", True, ran)
    assert (replaced.node_of("lab-1"), replaced.is_aside("lab-1"), replaced.ran("lab-1")) == ("lab-1", False, False)


@pytest.mark.parametrize("suffix", [replaced.STOPPED, replaced.RAN])
def test_name_of_a_node(suffix: str) -> None:
    """A node cannot be called like one that is being replaced."""
    with fails("invalid_option", "name"):
        NodeSpec.from_params(node_params(name=f"node-1{suffix}"))
