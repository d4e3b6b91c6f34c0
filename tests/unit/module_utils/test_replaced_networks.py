# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks and volumes that are made again (recreate: on_drift), with a failure or the end of the run at every call."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Network
from ansible_collections.nodeforge.kic.plugins.module_utils._host import routes
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkResource, NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_info import find_clusters
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import VolumeResource, VolumeSpec
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    CALLS,
    OURS,
    Breakable,
    Fault,
    Killed,
    MemoryEngine,
    broken_at_each,
    fails,
    network,
    network_params,
    volume_params,
)

ACTS = ("create_network", "remove_network", "create_volume", "remove_volume")
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def quiet_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without other networks."""
    monkeypatch.setattr(routes, "routed", list)
    monkeypatch.setattr(routes, "default_route_mtu", lambda: 1500)
    monkeypatch.setattr(routes, "has_ipv6", lambda: True)


def run_network(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> Outcome:
    """What the module oci_network does."""
    spec = NetworkSpec.from_params(network_params(cluster="one", **given))
    return converge(NetworkResource(spec, engine), check_mode=check_mode, lock=nullcontext)


def run_volume(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> Outcome:
    """What the module oci_volume does."""
    spec = VolumeSpec.from_params(volume_params(cluster="one", **given))
    return converge(VolumeResource(spec, engine), check_mode=check_mode, lock=nullcontext)


NEW: dict[str, Any] = {"labels": {"tier": "two"}, "recreate": "on_drift"}
kinds = pytest.mark.parametrize("run", [run_network, run_volume], ids=["network", "volume"])


Things = dict[str, Any]


def things(engine: MemoryEngine) -> dict[str, Any]:
    """All networks and volumes by name."""
    return {**engine.network_table, **engine.volume_table}


def predicted(run: Run, engine: MemoryEngine, **given: Any) -> Outcome:
    """The same in check mode first, which predicts the actions and changes nothing."""
    before = things(engine)
    expected = run(engine, check_mode=True, **given)
    assert things(engine) == before
    outcome = run(engine, **given)
    assert [str(item) for item in outcome.plan.actions] == [str(item) for item in expected.plan.actions]
    return outcome


def disk_full() -> KicError:
    """A failure that no retry helps against."""
    return failure("disk_full", engine="podman")


def broken(
    run: Run, error: Callable[[], BaseException], counted: Collection[str]
) -> list[tuple[Fault, Breakable, Things]]:
    """The engine after a replacement that broke, at each of its calls, with what was there before."""

    def old() -> Breakable:
        engine = Breakable()
        run(engine)
        return engine

    clean = old()
    before = things(clean)
    clean.arm(None, counted)
    run(clean, **NEW)
    each = broken_at_each(len(clean.calls), old, lambda engine: run(engine, **NEW), error, counted)
    return [(fault, engine, before) for fault, engine in each]


@kinds
def test_ended_at_every_step(run: Run) -> None:
    """A run that is ended at any call: the same run again ends with what is requested, and leaves nothing else."""
    for fault, engine, before in broken(run, Killed, ACTS):
        predicted(run, engine, **NEW)
        assert list(things(engine)) == list(before), fault
        (found,) = things(engine).values()
        assert found.labels["tier"] == "two", fault
        assert not run(engine, **NEW).plan.changed


OLD: dict[str, Any] = {"subnet": "10.5.0.0/24", "gateway": "10.5.0.9", "mtu": 1300, "labels": {"a": "b"}}
"""Options that nothing would choose by itself."""


def ended(**given: Any) -> list[tuple[Fault, Breakable, Network]]:
    """The engine after a replacement of the network that was ended, at each of its calls, with the old network."""

    def old() -> Breakable:
        engine = Breakable()
        run_network(engine, **OLD)
        return engine

    clean = old()
    before = clean.network_table["kic"]
    clean.arm(None, ACTS)
    run_network(clean, **{**NEW, **given})
    each = broken_at_each(len(clean.calls), old, lambda engine: run_network(engine, **{**NEW, **given}), Killed, ACTS)
    return [(fault, engine, before) for fault, engine in each]


@pytest.mark.parametrize(
    "given",
    [{}, {"mtu": 1300}, {"labels": {"a": "c"}}, {"subnet": "10.9.0.0/24"}],
    ids=["nothing", "an option of the old one", "another label", "another subnet"],
)
def test_ended_and_not_replaced(given: dict[str, Any]) -> None:
    """A run that was ended between the removal and the create: one that replaces nothing makes the old network again, with
    each of its options, and reports what differs. Where the new one is there already, it stays."""
    restored = 0
    for fault, engine, before in ended():
        new, gone = engine.network_table.get("kic"), "kic" not in engine.network_table
        outcome = predicted(run_network, engine, **given)
        expected = before if new is None else new
        assert engine.network_table == {"kic": expected}, fault
        assert [str(item) for item in outcome.plan.actions].count(
            "create network kic: an interrupted run had removed it"
        ) == gone
        fields = {item.field for item in outcome.plan.drift}
        if gone:
            assert fields == {"labels.a"} if "labels" in given else fields == set(given) - {"mtu"}, fault
        assert not run_network(engine, **given).plan.changed
        restored += gone
    assert restored == 2


def test_ended_and_its_subnet_was_taken() -> None:
    """Where the addresses of the old network belong to another one by now, the network gets others."""
    for fault, engine, _before in ended():
        if "kic" in engine.network_table:
            continue
        engine.network_table["theirs"] = network("theirs", "10.5.0.0/16", labels={})
        predicted(run_network, engine)
        found = engine.network_table["kic"]
        assert found.ranges[0].subnet == ipaddress.ip_network("192.168.128.0/24"), fault
        assert set(engine.network_table) == {"theirs", "kic"}


def test_ended_and_asked_for_the_subnet_of_the_record() -> None:
    """What was left is not in the way of the network that is requested."""
    for fault, engine, _before in ended():
        left = engine.network_table.get("kic.kic-probe")
        if "kic" in engine.network_table or left is None:
            continue
        subnet = str(left.ranges[0].subnet)
        predicted(run_network, engine, subnet=subnet, **NEW)
        assert list(engine.network_table) == ["kic"], fault
        assert str(engine.network_table["kic"].ranges[0].subnet) == subnet


def test_ended_and_of_another_cluster() -> None:
    """A network that an interrupted run removed still belongs to its cluster."""
    for fault, engine, before in ended():
        if "kic" not in engine.network_table:
            spec = NetworkSpec.from_params(network_params(cluster="two"))
            with fails("other_cluster", "one"):
                converge(NetworkResource(spec, engine), check_mode=False, lock=nullcontext)
            predicted(run_network, engine)
            assert engine.network_table == {"kic": before}, fault


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "[]",
        "{}",
        '{"labels": {}}',
        '{"labels": {"nodeforge.kic.schema": "1"}, "ranges": 1, "driver": "", "mtu": 1}',
    ],
)
def test_record_that_cannot_be_read(mark: str) -> None:
    """A label that somebody else wrote is no record; what carries it goes as each probe does."""
    engine = MemoryEngine()
    theirs = {**OURS, labels.CLUSTER: "one", labels.KEEPS: mark}
    engine.network_table["kic.kic-probe"] = network("kic.kic-probe", labels=theirs)
    predicted(run_network, engine)
    assert list(engine.network_table) == ["kic"]
    assert labels.KEEPS not in engine.network_table["kic"].labels


def test_no_room_for_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every address is taken can replace a network all the same."""
    engine = MemoryEngine()
    run_network(engine, **OLD)
    everything = [ipaddress.ip_network(item) for item in ("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8")]
    monkeypatch.setattr(routes, "routed", lambda: everything)
    predicted(
        run_network, engine, **{**OLD, "recreate": "on_drift", "mtu": 1400, "subnet": "100.64.0.0/24", "gateway": None}
    )
    assert list(engine.network_table) == ["kic"] and engine.network_table["kic"].mtu == 1400


@kinds
def test_ended_and_removed(run: Run) -> None:
    """After a run that was ended, absent removes all of it; a teardown is told one name to remove."""
    for fault, engine, before in broken(run, Killed, ACTS):
        clusters = find_clusters(engine, [], "one")
        told = [name for cluster in clusters for kind in ("networks", "volumes") for name in cluster[kind]]
        assert told == (list(before) if things(engine) else []), fault
        predicted(run, engine, state="absent")
        assert things(engine) == {}, fault


@kinds
def test_failed_at_every_step(run: Run) -> None:
    """The first error is told. A network is there afterwards in any case, a volume unless its create failed after the probe."""
    for fault, engine, before in broken(run, disk_full, CALLS):
        assert engine.raised is not None
        assert engine.raised.diagnosis.id == "disk_full", fault
        found = {name: item for name, item in things(engine).items() if not name.endswith(".kic-probe")}
        if run is run_network:
            assert list(found) == list(before), fault
            new = "tier" in found["kic"].labels
            assert new or found == before, fault
            assert (engine.raised.done == ()) == (not new), (fault, engine.raised.done)
        predicted(run, engine, **NEW)
        assert list(things(engine)) == list(before), fault


def test_the_system_fails_while_a_probe_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first failure is reported."""
    engine = MemoryEngine()
    run_network(engine)

    create = engine.create_network

    def full(network: Network) -> None:
        create(network)
        raise disk_full()

    def broken(_identity: str) -> None:
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(engine, "create_network", full)
    monkeypatch.setattr(engine, "remove_network", broken)
    with pytest.raises(KicError) as caught:
        run_network(engine, **NEW)
    assert caught.value.diagnosis.id == "disk_full"


def test_refused_options_of_a_network() -> None:
    """What the engine refuses it refuses of the probe, while the old network is there."""
    engine = Breakable()
    run_network(engine)
    before = things(engine)
    engine.arm(Fault(0, failure("engine_failed", engine="podman", action="x", rc=125), False), ["create_network"])
    with fails("engine_failed", "The network kic was left as it is."):
        run_network(engine, **NEW)
    assert things(engine) == before


def test_new_network_fails_after_the_probe() -> None:
    """The old network is made again from what the engine had recorded: subnets, gateways, MTU and labels."""
    engine = Breakable()
    run_network(engine, subnet="10.5.0.0/24", gateway="10.5.0.9", mtu=1300, labels={"a": "b"})
    before = things(engine)
    engine.arm(Fault(2, disk_full(), False), ["create_network"])
    with fails("disk_full", "The old network kic was restored."):
        run_network(engine, **NEW)
    assert things(engine) == before


@pytest.mark.parametrize(
    "problem",
    [failure("timed_out", action="x", seconds=1, why="", fix=""), OSError(errno.EMFILE, "Too many open files")],
    ids=["engine", "system"],
)
def test_old_network_cannot_be_restored(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that fails too, the first error is told, with what to run."""
    engine = Breakable()
    run_network(engine, subnet="10.5.0.0/24", subnet6="none", mtu=1300)
    create = engine.create_network

    def refuse(item: Network) -> None:
        if item.name == "kic":
            raise disk_full() if "tier" in item.labels else problem
        create(item)

    monkeypatch.setattr(engine, "create_network", refuse)
    words = ("The old network kic could not be restored", "mtu: 1300, subnet: 10.5.0.0/24, gateway: 10.5.0.1")
    with fails("disk_full", *words):
        run_network(engine, **NEW)


@pytest.mark.parametrize(
    ("asked", "old", "expected"),
    [
        ({"subnet": "10.6.0.0/24"}, ["10.5.0.0/24"], ["10.6.0.0/24"]),
        ({"subnet": "10.5.0.0/24"}, ["10.5.0.0/24"], ["192.168.128.0/24"]),
        ({"subnet": "10.5.0.0/25", "subnet6": "fd00::/64"}, ["10.5.0.0/24"], ["192.168.128.0/25", "fd00::/64"]),
        ({"pools": ["10.5.0.0/24"]}, ["10.5.0.0/24"], None),
    ],
    ids=["another subnet", "the same subnet", "a part of it", "no room for a probe"],
)
def test_probe_of_a_network(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], old: list[str], expected: list[str] | None
) -> None:
    """The probe has the new subnets where they are free next to the old network, and others where they are not."""
    engine = MemoryEngine()
    engine.network_table["kic"] = network("kic", *old, labels={**OURS, labels.CLUSTER: "one"})
    given = {"subnet6": "none", **asked}
    created: list[Network] = []
    create = engine.create_network

    def noted(item: Network) -> None:
        created.append(item)
        create(item)

    monkeypatch.setattr(engine, "create_network", noted)
    run_network(engine, mtu=1300, **{**NEW, **given})
    assert list(engine.network_table) == ["kic"]
    probes = [item for item in created if item.name == "kic.kic-probe" and item.mtu == 1300]
    if expected is None:
        assert probes == []
    else:
        (probe,) = probes
        assert [item.subnet for item in probe.ranges] == [ipaddress.ip_network(item) for item in expected]
        assert probe.labels == engine.network_table["kic"].labels


@kinds
def test_name_of_a_probe(run: Run) -> None:
    """Nothing can be called like a probe, which a later run removes."""
    with fails("invalid_option", "is the name of a probe for data"):
        run(MemoryEngine(), name="data.kic-probe")
