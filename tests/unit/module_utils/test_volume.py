# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of volumes, and how they are done on an engine in memory."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Attached, Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import (
    VolumeResource,
    VolumeSpec,
    VolumeSurvey,
    plan_volume,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    OURS,
    MemoryEngine,
    fails,
    volume_params,
)


def spec(**given: Any) -> VolumeSpec:
    """A volume as a user asks for it."""
    return VolumeSpec.from_params(volume_params(**given))


def planned(asked: VolumeSpec, there: Volume | None, *users: str) -> Plan:
    """The plan on podman; ``users`` are containers that use the volume."""
    survey = VolumeSurvey(tuple(Attached(f"id-{name}", name, {}) for name in users))
    return plan_volume(asked, there, survey, "podman")


def seen(found: dict[str, str] | None = None, options: dict[str, str] | None = None) -> Volume:
    """The volume data as it is, with its labels and options."""
    return Volume("data", "local", "/volumes/data", OURS if found is None else found, options or {})


@pytest.mark.parametrize(
    ("given", "problem", "fix"),
    [
        ({"name": ""}, "name: is empty", "give name a name"),
        ({"name": "a/b"}, "name: 'a/b' is not a name", "set name to a-b, or to another name"),
        ({"name": "v" * 129}, "name: has 129 characters, at most 128", "choose a shorter name"),
        ({"cluster": "a b"}, "cluster: 'a b' is not a name", "set cluster"),
        ({"labels": {"a=b": "x"}}, "labels: 'a=b' is not a label key", "leave out '='"),
        ({"options": {"o": True}}, "options: the value of 'o' is a boolean", "quote it: o: 'true'"),
        ({"options": {"o": ["a"]}}, "options: the value of 'o' is not a string", "quote it: o: 'text'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_option(given: dict[str, Any], problem: str, fix: str) -> None:
    """A value that cannot be used is refused; the message names option, problem and what to write."""
    with fails("invalid_option", problem, fix):
        spec(**given)


def test_creates() -> None:
    """A volume that is not there is made with the labels of its user and ours, and its options."""
    asked = spec(labels={"team": "a"}, cluster="one", options={"type": "tmpfs"})
    plan = planned(asked, None)
    everything = {"team": "a", labels.SCHEMA: "1", labels.CLUSTER: "one"}
    assert [str(item) for item in plan.actions] == ["create volume data"]
    assert plan.before == {}
    assert plan.after == {"name": "data", "labels": everything, "options": {"type": "tmpfs"}}
    assert asked.volume == Volume("data", "local", "", everything, {"type": "tmpfs"})


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ({}, {"options": {"type": "tmpfs"}}),
        ({"labels": {"a": "1"}}, {"found": {**OURS, "a": "1", "b": "2"}}),
        ({"options": {"type": "tmpfs"}}, {"options": {"type": "tmpfs"}}),
        ({"options": {}}, {}),
        ({"cluster": "one"}, {"found": {**OURS, labels.CLUSTER: "one"}}),
    ],
    ids=["nothing said", "more labels", "options", "no options", "cluster"],
)
@pytest.mark.parametrize("recreate", ["never", "on_drift"])
def test_fits(asked: dict[str, Any], there: dict[str, Any], recreate: str) -> None:
    """A volume that is as it was requested is left alone."""
    plan = planned(spec(**asked, recreate=recreate), seen(**there), "node-1")
    assert not plan.changed
    assert plan.drift == ()
    assert plan.before == plan.after


DRIFT: list[tuple[dict[str, Any], dict[str, Any], str, Any, Any]] = [
    ({"labels": {"a": "1"}}, {"found": {**OURS, "a": "2"}}, "labels.a", "1", "2"),
    ({"options": {"type": "tmpfs"}}, {}, "options", {"type": "tmpfs"}, {}),
    ({"options": {}}, {"options": {"type": "tmpfs"}}, "options", {}, {"type": "tmpfs"}),
]


@pytest.mark.parametrize(("asked", "there", "field", "wanted", "found"), DRIFT, ids=["label", "option", "no option"])
def test_drift(asked: dict[str, Any], there: dict[str, Any], field: str, wanted: Any, found: Any) -> None:
    """What is otherwise is told, repaired with recreate: on_drift, and never while the volume is used."""
    told = planned(spec(**asked), seen(**there), "node-1")
    assert [(item.field, item.asked, item.found) for item in told.drift] == [(field, wanted, found)]
    assert not told.changed
    replaced = spec(**asked, recreate="on_drift")
    repaired = planned(replaced, seen(**there))
    assert [item.verb for item in repaired.actions] == ["remove", "create"]
    assert "expected" in repaired.actions[0].detail
    assert repaired.drift == ()
    with fails("in_use", "the volume data is used by the containers node-1"):
        planned(replaced, seen(**there), "node-1")


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    ("there", "cluster", "conditions"),
    [
        ({}, None, {"present": "name_taken", "absent": "not_ours"}),
        ({**OURS, labels.CLUSTER: "one"}, "two", {"present": "other_cluster", "absent": "other_cluster"}),
    ],
    ids=["not ours", "other cluster"],
)
def test_foreign_volume(there: dict[str, str], cluster: str | None, conditions: dict[str, str], state: str) -> None:
    """A volume that is not ours, or of another cluster, is neither taken over nor removed."""
    with fails(conditions[state], "volume"):
        planned(spec(state=state, cluster=cluster), seen(found=there))


def test_absent() -> None:
    """A volume that is to be absent is removed, once, and not while it is used."""
    assert planned(spec(state="absent"), None) == Plan()
    plan = planned(spec(state="absent"), seen(found={**OURS, labels.CLUSTER: "one"}))
    assert [str(item) for item in plan.actions] == ["remove volume data"]
    assert plan.after == {}
    with fails("in_use", "node-1 node-2", "podman rm --force node-1 node-2"):
        planned(spec(state="absent"), seen(), "node-1", "node-2")


def run(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> Outcome:
    """What the module oci_volume does."""
    return converge(VolumeResource(spec(**given), engine), check_mode=check_mode, lock=nullcontext)


def test_run() -> None:
    """A volume is made, is there the second time, is made again for drift, and removed."""
    engine = MemoryEngine()
    first = run(engine)
    assert first.value["mountpoint"] == "/volumes/data"
    assert run(engine).value == first.value
    assert run(engine, labels={"a": "1"}, recreate="on_drift").value["labels"] == {**OURS, "a": "1"}
    assert run(engine, state="absent").value == {}
    assert engine.done == [
        "create volume data",
        # What is requested now is tried under another name before the old one goes.
        "create volume data.kic-probe",
        "remove volume data.kic-probe",
        "remove volume data",
        "create volume data",
        "remove volume data",
    ]


class RefusingEngine(MemoryEngine):
    """An engine that makes no volume with options."""

    def create_volume(self, volume: Volume) -> None:
        """Refuse options, as podman does those of a file system without quotas."""
        if volume.options:
            raise failure("engine_failed", engine="podman", action="creating", rc=125)
        super().create_volume(volume)


def test_refused_options_lose_no_volume() -> None:
    """A volume that is to be made again with options that the engine refuses is still there afterwards."""
    engine = RefusingEngine()
    first = run(engine)
    with fails("engine_failed"):
        run(engine, options={"o": "size=1m"}, recreate="on_drift")
    assert run(engine).value == first.value
    assert engine.done == ["create volume data"]


def test_check_mode() -> None:
    """In check mode nothing is done, and the place that only the engine can tell is None."""
    engine = MemoryEngine()
    found = run(engine, check_mode=True)
    assert found.plan.changed
    assert found.value == {"name": "data", "labels": OURS, "options": {}, "mountpoint": None}
    assert engine.done == []


def test_users_protect_volume() -> None:
    """Who uses a volume is asked of the engine before it may go."""
    engine = MemoryEngine()
    run(engine)
    engine.users["volume data"] = [Attached("1", "node-1", {})]
    with fails("in_use", "node-1"):
        run(engine, state="absent")
    with fails("in_use", "node-1"):
        run(engine, labels={"a": "1"}, recreate="on_drift")
    assert "data" in engine.volume_table


def test_a_volume_of_a_node_with_another_name() -> None:
    """It knows the name of the node, also when the container is lost; what is there already is left as it is."""
    asked = replace(spec(cluster="copy"), node_name="lab-worker-1")
    mine = {**labels.ownership("copy"), labels.NODE_NAME: "lab-worker-1"}
    assert dict(asked.volume.labels) == mine and labels.NODE_NAME not in spec(cluster="copy").volume.labels
    for there in (mine, labels.ownership("copy")):
        plan = planned(asked, seen(there))
        assert not plan.changed and plan.drift == ()
