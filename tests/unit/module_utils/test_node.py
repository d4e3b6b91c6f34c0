# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of nodes, what is chosen for them, and how a plan is done on an engine in memory."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    Attached,
    Container,
    EngineInfo,
    Limits,
    Mount,
    NewContainer,
    Volume,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import HostLimits
from ansible_collections.nodeforge.kic.plugins.module_utils._host.process import Mounted
from ansible_collections.nodeforge.kic.plugins.module_utils._host.storage import device_below
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import (
    node,
    node_choice,
    node_plan,
    node_readback,
    node_run,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node import NodeResource
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_choice import (
    Around,
    Refused,
    allocate,
    survey_ports,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_plan import (
    NodeSurvey,
    ObservedNode,
    plan_node,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_run import NodeSeam
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_spec import (
    LIMIT_OPTIONS,
    NodeSpec,
    decode_published,
    encode_asked,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    GIB,
    IMAGE_NAME,
    NO_PROCESS,
    OURS,
    MemoryEngine,
    MemoryPorts,
    TableRunner,
    container,
    engine_info,
    fails,
    host,
    image,
    mount_params,
    network,
    node_params,
    publish_params,
)

NETWORKS = (network("kic", "10.5.0.0/24", "fd00:5::/64"), network("other", "10.6.0.0/24"))
ALL_LIMITS = frozenset(("memory", "cpus", "pids"))
MEMORY_AND_CPUS = frozenset(("memory", "cpus"))


def kernel_shows(monkeypatch: pytest.MonkeyPatch, limits: Callable[[], dict[str, Any]]) -> None:
    """Let the control group of every container show these limits."""
    for module in (node, node_readback):
        monkeypatch.setattr(module, "find_limits", lambda _pid, _identity: limits())


def spec(**given: Any) -> NodeSpec:
    """A node as a user asks for it."""
    return NodeSpec.from_params(node_params(**given))


def around(**given: Any) -> Around:
    """An engine that has the image and nothing else that matters."""
    found = Around(
        info=engine_info(),
        image=image(),
        networks=(),
        volume=True,
        addresses={},
        host_ports=frozenset(),
        missing=(),
    )
    return replace(found, **given)


def with_ports(asked: NodeSpec, surroundings: Around, old: Container | None, ports: MemoryPorts) -> Around:
    """What the survey of a node asks of the machine's ports."""
    return replace(surroundings, ports=survey_ports(asked, surroundings, old, ports))


def make(
    asked: NodeSpec, old: Container | None = None, machine: HostLimits | None = None, **given: Any
) -> NewContainer:
    """The container that is chosen for what was asked."""
    ports = given.pop("ports", MemoryPorts())
    surroundings = with_ports(asked, around(**given), old, ports)
    new, missing = allocate(asked, surroundings, machine or host(), old, engine="podman")
    for item in missing:
        raise item.error
    return new


def existing(made: NodeSpec, limits: dict[str, Any] | None = None, **given: Any) -> ObservedNode:
    """The node that ``made`` gave, as it is now; ``limits`` are the kernel's, ``given`` are fields of the container."""
    new = make(made, networks=NETWORKS)
    found = container(labels=new.labels, environment=new.env, limits=new.limits)
    found = replace(found, **given)
    if found.running and limits is None:
        limits = dict(vars(new.limits))
    return ObservedNode(found, limits)


def planned(asked: NodeSpec, observed: ObservedNode | None, **given: Any) -> Plan:
    """The plan with everything of the engine and machine at hand."""
    surroundings = given.pop("around", around(networks=NETWORKS))
    machine = given.pop("host", host())
    old = observed.old if observed is not None else None
    surroundings = with_ports(asked, surroundings, old, MemoryPorts())
    if observed is not None and "recorded" in given:
        observed = replace(observed, recorded=given.pop("recorded"))
    survey = NodeSurvey(machine, given.pop("image", image()), given.pop("updatable", frozenset()), surroundings)
    assert not given
    return plan_node(asked, observed, survey, "podman")


def created(plan: Plan) -> NewContainer:
    """The container that the plan creates."""
    engine = MemoryEngine()
    for item in plan.operations:
        if item.verb == "create":
            item.run(NodeSeam(engine, TableRunner({})))
    (found,) = engine.made
    return found


def updated(plan: Plan) -> dict[str, Any]:
    """The limits that the plan sets or records, as its action says them."""
    found = [item.detail.removesuffix(", from its next start on") for item in plan.actions if item.verb == "update"]
    pairs = [pair.split(" = ") for item in found for pair in item.split(", ")]
    return {pair[0]: pair[1] for pair in pairs}


def verbs(plan: Plan) -> list[str]:
    """The verbs of the plan's actions in their order."""
    return [action.verb for action in plan.actions]


def address(text: str) -> Any:
    """An IP address."""
    return ipaddress.ip_address(text)


# States.


@pytest.mark.parametrize(
    ("state", "actions", "after"),
    [
        ("present", ["create"], "created"),
        ("started", ["create", "start"], "running"),
        ("stopped", ["create"], "created"),
        ("restarted", ["create", "start"], "running"),
    ],
    ids=str,
)
def test_creates_what_is_not_there(state: str, actions: list[str], after: str) -> None:
    """A node that is not there is made, and started only where its state says so."""
    plan = planned(spec(state=state), None)
    assert verbs(plan) == actions
    assert plan.before == {}
    assert plan.after["state"] == after
    assert created(plan).name == "node-1"


@pytest.mark.parametrize(
    ("state", "status", "actions", "after"),
    [
        ("present", "running", [], "running"),
        ("present", "exited", [], "exited"),
        ("present", "paused", [], "paused"),
        ("present", "created", [], "created"),
        ("started", "running", [], "running"),
        ("started", "exited", ["start"], "running"),
        ("started", "created", ["start"], "running"),
        ("started", "paused", ["resume"], "running"),
        ("stopped", "running", ["stop"], "exited"),
        ("stopped", "paused", ["stop"], "exited"),
        ("stopped", "exited", [], "exited"),
        ("stopped", "created", [], "created"),
        ("restarted", "running", ["stop", "start"], "running"),
        ("restarted", "exited", ["start"], "running"),
        ("restarted", "paused", ["stop", "start"], "running"),
        ("paused", "running", ["pause"], "paused"),
        ("paused", "paused", [], "paused"),
    ],
)
@pytest.mark.parametrize("described", [True, False], ids=["with image", "without image"])
def test_state_of_what_is_there(state: str, status: str, actions: list[str], after: str, described: bool) -> None:
    """A node that is there is only stopped, started or resumed, whether or not it is described again."""
    asked = spec(state=state) if described else spec(state=state, image=None)
    plan = planned(asked, existing(spec(), status=status))
    assert verbs(plan) == actions
    assert plan.before["state"] == status
    assert plan.after["state"] == after
    assert plan.drift == ()


def test_absent_and_not_there() -> None:
    """Nothing is done for a node that is to be absent and is."""
    assert planned(spec(state="absent"), None) == Plan()


@pytest.mark.parametrize("cluster", [None, "one"])
def test_absent_removes(cluster: str | None) -> None:
    """A node of ours is removed, with its cluster named or not, and the diff shows what goes."""
    plan = planned(spec(state="absent", image=None, cluster=cluster), existing(spec(cluster="one")))
    assert verbs(plan) == ["remove"]
    assert plan.before["cluster"] == "one"
    assert plan.after == {}


def test_absent_spares_what_is_not_ours() -> None:
    """A container that we did not make is not removed."""
    with fails("not_ours", "the container node-1", "nodeforge.kic.schema", "podman container rm node-1"):
        planned(spec(state="absent"), ObservedNode(container(labels={})))


def test_absent_spares_another_cluster() -> None:
    """A node of another cluster than the named one is not removed."""
    with fails("other_cluster", "belongs to the cluster one, not to two"):
        planned(spec(state="absent", cluster="two"), existing(spec(cluster="one")))


def test_foreign_container() -> None:
    """A container of the name that we did not make is an error that says how to remove it."""
    with fails("name_taken", "a container named node-1 exists", "podman container rm node-1"):
        planned(spec(), ObservedNode(container(labels={"app": "x"})))


@pytest.mark.parametrize(
    ("made", "asked", "words"),
    [("one", "two", "the cluster one, not to two"), (None, "two", "the cluster (none), not to two")],
    ids=["of another", "of none"],
)
def test_other_cluster(made: str | None, asked: str, words: str) -> None:
    """A node of another cluster is not taken over."""
    with fails("other_cluster", words):
        planned(spec(cluster=asked), existing(spec(cluster=made)))


def test_cluster_left_out() -> None:
    """Who names no cluster may work on a node of any."""
    plan = planned(spec(image=None, state="stopped"), existing(spec(cluster="one")))
    assert verbs(plan) == ["stop"]


def test_undescribed_node_is_missing() -> None:
    """Without an image there is nothing to make a node from."""
    (missing,) = planned(spec(image=None), None).missing
    assert missing.error.diagnosis.id == "node_missing" and "the node node-1 does not exist" in str(missing.error)


def test_undescribed_node_is_missing_in_check_mode() -> None:
    """In check mode an earlier task may be about to make it."""
    plan = planned(spec(image=None), None)
    assert not plan.operations
    assert [item.warning for item in plan.missing] == [
        "There is no node node-1 yet; it is taken as one that will be made."
    ]


# Drift.

FULL: dict[str, Any] = {
    "role": "worker",
    "network": "kic",
    "hostname": "first",
    "volume": "data",
    "mounts": [mount_params("/srv", "/srv", read_only=True)],
    "tmpfs": {"/scratch": "size=10m"},
    "publish": [publish_params(6443), publish_params(80, 8080)],
    "devices": ["/dev/null"],
    "memory": "1g",
    "cpus": 1.5,
    "pids_limit": 500,
    "ulimits": {"nofile": "1024:2048"},
    "sysctls": {"net.ipv4.ip_forward": "1"},
    "security_opts": ["label=disable"],
    "env": {"A": "1"},
    "labels": {"team": "a"},
    "privileged": "true",
    "runtime": "runc",
    "command": ["--debug"],
    "restart_policy": "always",
}


@pytest.mark.parametrize("option", [*FULL, "all", "none"])
def test_same_again_is_no_drift(option: str) -> None:
    """A node that is asked for a second time as it was made has nothing to be done."""
    given = FULL if option == "all" else {} if option == "none" else {option: FULL[option]}
    plan = planned(spec(**given), existing(spec(**given)), updatable=ALL_LIMITS)
    assert plan.drift == ()
    assert not plan.changed
    assert plan.before == plan.after


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], str, Any, Any]] = [
    ("role", {"role": "worker"}, {"role": "control-plane"}, "role", "control-plane", "worker"),
    ("network", {"network": "kic"}, {"network": "other"}, "network", "other", "kic"),
    ("hostname", {}, {"hostname": "second"}, "hostname", "second", None),
    ("volume", {"volume": "data"}, {"volume": "none"}, "volume", None, "data"),
    (
        "mounts",
        {},
        {"mounts": [mount_params("/a", "/b")]},
        "mounts",
        [{"source": "/a", "target": "/b", "read_only": False, "propagation": "rprivate", "relabel": "none"}],
        [],
    ),
    ("tmpfs", {"tmpfs": {"/x": "ro"}}, {"tmpfs": {"/x": "rw"}}, "tmpfs", {"/x": "rw"}, {"/x": "ro"}),
    ("devices", {}, {"devices": ["/dev/null"]}, "devices", ["/dev/null"], []),
    ("ulimits", {"ulimits": {"nproc": 5}}, {}, "ulimits", {}, {"nproc": "5:5"}),
    ("sysctls", {}, {"sysctls": {"kernel.sem": 1}}, "sysctls", {"kernel.sem": "1"}, {}),
    ("security_opts", {}, {"security_opts": ["seccomp=x"]}, "security_opts", ["seccomp=x"], []),
    ("privileged", {}, {"privileged": "false"}, "privileged", "false", "auto"),
    ("runtime", {}, {"runtime": "crun"}, "runtime", "crun", None),
    ("command", {"command": ["a"]}, {"command": ["b"]}, "command", ["b"], ["a"]),
    ("restart_policy", {}, {"restart_policy": "always"}, "restart_policy", "always", "no"),
    ("label", {"labels": {"k": "1"}}, {"labels": {"k": "2"}}, "labels.k", "2", "1"),
    ("label that is missing", {}, {"labels": {"k": "2"}}, "labels.k", "2", None),
    ("ip", {"network": "kic"}, {"network": "kic", "ip": "10.5.0.9"}, "ip", "10.5.0.9", "10.5.0.2"),
    ("ip6", {"network": "kic"}, {"network": "kic", "ip6": "fd00:5::9"}, "ip6", "fd00:5::9", "fd00:5::2"),
    ("env new", {}, {"env": {"A": "secret"}}, "env.A", "(hidden)", None),
    ("env gone", {"env": {"A": "secret"}}, {}, "env.A", None, "(hidden)"),
    ("env", {"env": {"A": "secret"}}, {"env": {"A": "word"}}, "env.A", "(hidden)", "(hidden), another value"),
]


@pytest.mark.parametrize(
    ("made", "asked", "field", "wanted", "found"), [item[1:] for item in CHANGES], ids=[item[0] for item in CHANGES]
)
def test_drift_is_told(made: dict[str, Any], asked: dict[str, Any], field: str, wanted: Any, found: Any) -> None:
    """What cannot be changed in place is told, and by itself nothing is done for it."""
    plan = planned(spec(**asked), existing(spec(**made)))
    assert [(item.field, item.asked, item.found) for item in plan.drift] == [(field, wanted, found)]
    assert not plan.changed
    assert plan.after == plan.before


@pytest.mark.parametrize(("made", "asked"), [item[1:3] for item in CHANGES], ids=[item[0] for item in CHANGES])
def test_drift_is_mended(made: dict[str, Any], asked: dict[str, Any]) -> None:
    """With recreate: on_drift the node is made again as it is requested now, and then nothing is left to be done."""
    wanted = spec(**asked, recreate="on_drift")
    plan = planned(wanted, existing(spec(**made)))
    assert verbs(plan) == ["remove", "create", "start"]
    assert plan.drift == ()
    assert "expected" in plan.actions[0].detail
    new = created(plan)
    again = ObservedNode(container(labels=new.labels, environment=new.env, limits=new.limits), dict(vars(new.limits)))
    assert not planned(wanted, again).changed


@pytest.mark.parametrize(
    ("state", "status", "starts", "after"),
    [
        ("present", "running", True, "running"),
        ("present", "exited", False, "created"),
        ("started", "exited", True, "running"),
        ("restarted", "running", True, "running"),
        ("stopped", "running", False, "created"),
    ],
)
def test_made_again_in_its_state(state: str, status: str, starts: bool, after: str) -> None:
    """A node that is made again is started where its state asks for it, or where it ran and may stay as it was."""
    asked = spec(state=state, recreate="on_drift", role="worker")
    plan = planned(asked, existing(spec(), status=status))
    assert verbs(plan) == ["remove", "create", *(["start"] if starts else [])]
    assert plan.after["state"] == after


def test_secret_stays_out_of_plan() -> None:
    """No value of the environment is in what a plan shows; which one changed is."""
    asked = spec(env={"A": "secret-new", "B": "secret-b"}, recreate="on_drift")
    plan = planned(asked, existing(spec(env={"A": "secret-old", "B": "secret-b"})))
    shown = f"{plan.before} {plan.after} {plan.drift} {[str(item) for item in plan.actions]}"
    assert "secret" not in shown
    assert plan.after["env"] == ["A (changed)", "B"]


@pytest.mark.parametrize(
    ("made", "asked", "drifts"),
    [
        ([(6443, None)], [(6443, None)], False),
        ([(6443, None)], [(6443, 40000)], False),
        ([(6443, None)], [(6443, 40001)], True),
        ([(6443, 7000)], [(6443, None)], False),
        ([(6443, None)], [(6443, None), (80, None)], True),
        ([(6443, None), (80, None)], [(80, None)], True),
        ([(6443, None), (80, None)], [(80, None), (6443, None)], False),
    ],
    ids=["same", "the chosen one", "another", "any will do", "one more", "one less", "other order"],
)
def test_drift_of_publish(made: list[Any], asked: list[Any], drifts: bool) -> None:
    """A port of the host that was chosen fits who names none or that one."""
    was = spec(publish=[publish_params(port, host_port) for port, host_port in made])
    plan = planned(spec(publish=[publish_params(port, host_port) for port, host_port in asked]), existing(was))
    assert [item.field for item in plan.drift] == (["publish"] if drifts else [])


@pytest.mark.parametrize(
    ("asked", "now", "drift"),
    [
        ("localhost/other:v1", image(), []),
        (IMAGE_NAME, image(id="b" * 64), ["image is 'localhost/nodeforge/kic-node:v1 (aaaaaaaaaaaa)'"]),
        (IMAGE_NAME, None, []),
        (
            "localhost/other:v1",
            None,
            ["image is 'localhost/nodeforge/kic-node:v1', expected 'localhost/other:v1'"],
        ),
    ],
    ids=["same image by another name", "name means another image", "not in the store", "other name, not in the store"],
)
def test_drift_of_image(asked: str, now: Any, drift: list[str]) -> None:
    """The image is compared by its id, and by its name only when the store does not have it any more."""
    plan = planned(spec(image=asked), existing(spec()), image=now)
    assert len(plan.drift) == len(drift)
    for item, words in zip(plan.drift, drift):
        assert str(item).startswith(words)


def test_label_of_older_release() -> None:
    """A label that lacks fields which a later release added reads as if they had been left out."""
    old = {**OURS, labels.SPEC: json.dumps({"version": 1, "image": IMAGE_NAME})}
    plan = planned(spec(), ObservedNode(container(labels=old), {}))
    assert plan.drift == ()
    asked = spec(restart_policy="always")
    assert [item.field for item in planned(asked, ObservedNode(container(labels=old), {})).drift] == ["restart_policy"]


# Limits.


@pytest.mark.parametrize(
    ("made", "asked", "updatable", "changes", "drift"),
    [
        ({"memory": "1g"}, {"memory": "2g"}, MEMORY_AND_CPUS, {"memory": 2 * GIB}, []),
        ({"cpus": 1}, {"cpus": 2}, MEMORY_AND_CPUS, {"cpus": 2}, []),
        ({}, {"cpus": 2}, MEMORY_AND_CPUS, {"cpus": 2}, []),
        ({"pids_limit": 100}, {"pids_limit": 200}, MEMORY_AND_CPUS, {}, ["pids_limit"]),
        ({"pids_limit": 100}, {"pids_limit": 200}, ALL_LIMITS, {"pids": 200}, []),
        ({"memory": "1g"}, {}, MEMORY_AND_CPUS, {}, ["memory"]),
        ({"memory": "1g"}, {"memory": "2g"}, frozenset(), {}, ["memory"]),
        ({"cpus": 1.5}, {"cpus": 1.501}, MEMORY_AND_CPUS, {}, []),
        ({"memory": "1g", "cpus": 1}, {"memory": "2g", "cpus": 1}, MEMORY_AND_CPUS, {"memory": 2 * GIB}, []),
    ],
    ids=[
        "memory",
        "cpus",
        "first limit",
        "pids where the engine cannot",
        "pids",
        "limit to go",
        "engine that cannot",
        "rounded by the kernel",
        "one of two",
    ],
)
def test_limits_of_running_node(
    made: dict[str, Any], asked: dict[str, Any], updatable: frozenset[str], changes: dict[str, Any], drift: list[str]
) -> None:
    """A limit is changed while the node runs where the engine can; what it cannot change or take away is drift."""
    plan = planned(spec(**asked), existing(spec(**made)), updatable=updatable)
    assert updated(plan) == {LIMIT_OPTIONS[key]: str(value) for key, value in changes.items()}
    assert verbs(plan) == (["update"] if changes else [])
    assert [item.field for item in plan.drift] == drift


def test_update_says_what_it_sets() -> None:
    """The action names option and value, and the diff shows the new one."""
    plan = planned(spec(memory="2g"), existing(spec(memory="1g")), updatable=MEMORY_AND_CPUS)
    assert [str(action) for action in plan.actions] == [f"update node node-1: memory = {2 * GIB}"]
    assert (plan.before["memory"], plan.after["memory"]) == (GIB, 2 * GIB)


def test_kernel_has_the_last_word() -> None:
    """Of a running node the limits are compared that the kernel has, not those it was made with."""
    observed = existing(spec(memory="1g"), limits={"memory": 2 * GIB, "cpus": None, "pids": None})
    assert not planned(spec(memory="2g"), observed, updatable=MEMORY_AND_CPUS).changed
    assert verbs(planned(spec(memory="1g"), observed, updatable=MEMORY_AND_CPUS)) == ["update"]


def test_limit_without_controller() -> None:
    """A limit whose controller the node has not got is one that does not hold."""
    observed = existing(spec(memory="1g"), limits={})
    assert updated(planned(spec(memory="1g"), observed, updatable=MEMORY_AND_CPUS)) == {"memory": str(GIB)}


def test_pids_limit_of_rootless_node() -> None:
    """The limit that a rootless node gets by itself is no drift for who asked for none."""
    observed = existing(spec(), limits={"memory": None, "cpus": None, "pids": node_choice.ROOTLESS_PIDS})
    assert planned(spec(), observed).drift == ()
    other = existing(spec(), limits={"memory": None, "cpus": None, "pids": 100})
    assert [item.field for item in planned(spec(), other).drift] == ["pids_limit"]


@pytest.mark.parametrize(
    ("asked", "recorded", "actions", "limits"),
    [
        ({"state": "stopped", "memory": "2g"}, {"memory": 2 * GIB}, [], {}),
        ({"state": "stopped", "memory": "3g"}, {"memory": 2 * GIB}, ["update"], {"memory": 3 * GIB}),
        ({"state": "present", "memory": "1g"}, {"memory": 2 * GIB}, ["update"], {"memory": GIB}),
        ({"state": "started", "memory": "2g"}, {"memory": 2 * GIB}, ["start", "update"], {"memory": 2 * GIB}),
        ({"state": "started", "memory": "1g"}, {"memory": 2 * GIB}, ["start"], {}),
        ({"state": "started", "image": None}, {"memory": 2 * GIB}, ["start", "update"], {"memory": 2 * GIB}),
        ({"state": "started", "image": None}, {}, ["start"], {}),
        ({"state": "stopped", "image": None}, {"memory": 2 * GIB}, [], {}),
    ],
    ids=[
        "stays stopped, as recorded",
        "stays stopped, another limit",
        "stays stopped, back to the first",
        "started, as recorded",
        "started, back to the first",
        "only started, with a record",
        "only started",
        "only stopped",
    ],
)
def test_limits_of_stopped_node(
    asked: dict[str, Any], recorded: dict[str, Any], actions: list[str], limits: dict[str, Any]
) -> None:
    """A start sets what the node was made with; the limits that were changed later are set after it, from the record."""
    observed = existing(spec(memory="1g"), status="exited")
    plan = planned(spec(**asked), observed, updatable=MEMORY_AND_CPUS, recorded=Limits(**recorded))
    assert verbs(plan) == actions
    assert updated(plan) == {LIMIT_OPTIONS[key]: str(value) for key, value in limits.items()}
    assert plan.drift == ()


def test_limit_of_stopped_node_waits_for_start() -> None:
    """The action on a node that does not run says when it will hold."""
    plan = planned(
        spec(state="stopped", memory="2g"), existing(spec(memory="1g"), status="exited"), updatable=MEMORY_AND_CPUS
    )
    assert plan.actions[0].detail.endswith("from its next start on")


@pytest.mark.parametrize(
    ("asked", "condition", "words"),
    [
        ({"cpus": 4.5}, "limit_beyond", ["cpus: 4.5 is more than the 4 processors", "set cpus to 4 or less"]),
        ({"memory": "9g"}, "limit_beyond", ["memory: 9216 MiB is more than the 8192 MiB", "set memory to 8192m"]),
        ({"ulimits": {"nofile": "1:2000000"}}, "ulimit_too_high", ["nofile 2000000 is above 1048576"]),
        ({"ulimits": {"nproc": 2000000}}, "ulimit_too_high", ["nproc 2000000 is above 1048576", "or leave it out"]),
    ],
    ids=["cpus", "memory", "nofile", "nproc"],
)
@pytest.mark.parametrize("there", [True, False], ids=["there", "not there"])
def test_more_than_the_machine_has(asked: dict[str, Any], condition: str, words: list[str], there: bool) -> None:
    """A limit that this machine cannot give is refused before anything is made or changed."""
    with fails(condition, *words):
        planned(spec(**asked), existing(spec()) if there else None)


def test_all_of_the_machine_is_fine() -> None:
    """Exactly what the machine has can be given; limits that it has no figure for are left to the engine."""
    asked = spec(cpus=4, memory="8g", ulimits={"nofile": 1 << 20, "memlock": 1 << 40})
    assert planned(asked, None).changed


# What is chosen.

PREREQUISITES: list[tuple[str, dict[str, Any], dict[str, Any], str, str, str]] = [
    ("image", {}, {"image": None}, "image_missing", IMAGE_NAME, f"image {IMAGE_NAME}"),
    ("volume", {"volume": "data"}, {"volume": False}, "volume_missing", "the volume data does not", "volume data"),
    ("network", {"network": "kic"}, {}, "network_missing", "the network kic does not exist", "network kic"),
    ("network and address", {"network": "kic", "ip": "10.5.0.9"}, {}, "network_missing", "kic", "network kic"),
    (
        "mount",
        {},
        {"missing": (("mounts.source", "/srv"),)},
        "invalid_option",
        "mounts.source: there is no /srv",
        "/srv",
    ),
    ("device", {}, {"missing": (("devices", "/dev/x"),)}, "invalid_option", "devices: there is no /dev/x", "/dev/x"),
]


@pytest.mark.parametrize(
    ("asked", "given", "condition", "words"),
    [item[1:5] for item in PREREQUISITES],
    ids=[item[0] for item in PREREQUISITES],
)
def test_missing_prerequisite(asked: dict[str, Any], given: dict[str, Any], condition: str, words: str) -> None:
    """In a run that which a node needs must be there."""
    (missing,) = planned(spec(**asked), None, around=around(**given)).missing
    assert missing.error.diagnosis.id == condition and words in str(missing.error)


@pytest.mark.parametrize(
    ("asked", "given", "what"),
    [(item[1], item[2], item[5]) for item in PREREQUISITES],
    ids=[item[0] for item in PREREQUISITES],
)
def test_missing_prerequisite_in_check_mode(asked: dict[str, Any], given: dict[str, Any], what: str) -> None:
    """In check mode it is a warning, as an earlier task may be about to make it."""
    plan = planned(spec(**asked), None, around=around(**given))
    assert [item.warning for item in plan.missing] == [
        f"There is no {what} yet; it is taken as one that an earlier task will make."
    ]
    assert verbs(plan) == ["create", "start"]
    assert plan.after["ip"] == asked.get("ip")


def test_image_of_another_platform() -> None:
    """An image for another processor is refused, also in check mode."""
    with fails("image_platform", "is made for arm64, this machine is amd64"):
        planned(spec(), None, around=around(image=image(architecture="arm64")))


def test_image_that_claims_to_be_a_node() -> None:
    """An image that was committed from a node, or pretends so, is refused: what is made from it would look like ours."""
    found = image(labels={labels.SCHEMA: "1", labels.CLUSTER: "lab", "nodeforge.kic.image.key": "x"})
    with fails(
        "image_claims",
        f"The image {IMAGE_NAME} carries labels",
        labels.CLUSTER,
        "podman export kic-flat | podman import",
    ):
        planned(spec(), None, around=around(image=found))


def test_node_names_its_image() -> None:
    """A label of a node is the id of its image, which no image can hold itself."""
    new = created(planned(spec(), None, around=around(image=image(id="b" * 64))))
    assert new.labels[labels.CREATED_FROM] == "b" * 64


DUAL = network("kic", "10.5.0.0/29", "fd00:5::/64")


@pytest.mark.parametrize(
    ("asked", "taken", "ip", "ip6"),
    [
        ({}, [], "10.5.0.2", "fd00:5::2"),
        ({}, ["10.5.0.2", "fd00:5::2", "fd00:5::3"], "10.5.0.3", "fd00:5::4"),
        ({"ip": "10.5.0.5"}, [], "10.5.0.5", "fd00:5::2"),
        ({"ip6": "fd00:5::1:1"}, ["10.5.0.2"], "10.5.0.3", "fd00:5::1:1"),
    ],
    ids=["first", "next free", "IPv4 by name", "IPv6 by name"],
)
def test_address(asked: dict[str, Any], taken: list[str], ip: str, ip6: str) -> None:
    """A node gets the address that was requested, else the lowest that is free; its labels keep both."""
    held = {address(item): "other" for item in taken}
    new = make(spec(network="kic", **asked), networks=(DUAL,), addresses=held)
    assert (new.ip, new.ip6) == (ip, ip6)
    assert (new.labels[labels.ADDRESS], new.labels[labels.ADDRESS6]) == (ip, ip6)


@pytest.mark.parametrize(
    ("asked", "condition", "words"),
    [
        ({"ip": "10.5.0.1"}, "invalid_option", "ip: 10.5.0.1 is the gateway of kic"),
        ({"ip6": "fd00:5::1"}, "invalid_option", "ip6: fd00:5::1 is the gateway of kic"),
        ({"ip": "10.5.0.7"}, "invalid_option", "is the network or broadcast address"),
        ({"ip": "10.9.0.2"}, "invalid_option", "10.9.0.2 is outside the subnet 10.5.0.0/29"),
        ({"ip": "10.5.0.3"}, "address_taken", "the address 10.5.0.3 on network kic is taken by node-2"),
    ],
    ids=["gateway", "IPv6 gateway", "broadcast", "outside", "taken"],
)
def test_address_refused(asked: dict[str, Any], condition: str, words: str) -> None:
    """An address that no node can have there is refused with its reason."""
    with fails(condition, words):
        make(spec(network="kic", **asked), networks=(DUAL,), addresses={address("10.5.0.3"): "node-2"})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"ip": "10.5.0.2"}, "ip: 10.5.0.2 cannot be given, as no network is named"),
        (
            {"ip6": "fd00:5::2", "network": "kic"},
            "ip6: fd00:5::2 cannot be given, as the network kic has no IPv6 subnet",
        ),
    ],
    ids=["no network", "no IPv6"],
)
def test_address_without_subnet(asked: dict[str, Any], words: str) -> None:
    """An address needs a network that has such a subnet."""
    with fails("invalid_option", words):
        make(spec(**asked), networks=(network("kic", "10.5.0.0/24"),))


def test_no_network_no_address() -> None:
    """Without a network the engine's default is used, with no address of ours."""
    new = make(spec())
    assert (new.network, new.ip, new.ip6) == (None, None, None)
    assert labels.ADDRESS not in new.labels


def test_network_is_full() -> None:
    """A network without a free address is an error that names it."""
    held = {address(f"10.5.0.{last}"): "x" for last in range(2, 7)}
    with fails("no_free_address", "the network kic (10.5.0.0/29) has no free address left"):
        make(spec(network="kic"), networks=(network("kic", "10.5.0.0/29"),), addresses=held)


@pytest.mark.parametrize(
    ("before", "taken", "refused", "ip"),
    [
        ("10.5.0.4", [], [], "10.5.0.4"),
        ("10.5.0.4", ["10.5.0.4"], [], "10.5.0.2"),
        ("10.5.0.4", [], ["10.5.0.4"], "10.5.0.2"),
        ("10.9.0.4", [], [], "10.5.0.2"),
        ("10.5.0.1", [], [], "10.5.0.2"),
        ("10.5.0.0", [], [], "10.5.0.2"),
        ("10.5.0.255", [], [], "10.5.0.2"),
    ],
    ids=["kept", "taken since", "refused by the engine", "of an older subnet", "gateway now", "network", "broadcast"],
)
def test_address_is_kept(before: str, taken: list[str], refused: list[str], ip: str) -> None:
    """A node that is made again keeps its address while it can have it."""
    new = make(
        spec(network="kic"),
        container(labels={**OURS, labels.ADDRESS: before}),
        networks=(network("kic", "10.5.0.0/24"),),
        addresses={address(item): "x" for item in taken},
        refused=Refused(frozenset(address(item) for item in refused)),
    )
    assert new.ip == ip


def ports_of(new: NewContainer) -> list[int | None]:
    """The ports of the host that were chosen."""
    return [item.host_port for item in new.publish]


@pytest.mark.parametrize(
    ("asked", "held", "ports"),
    [
        ([(6443, None)], [], [40000]),
        ([(6443, None), (80, None)], [], [40000, 40001]),
        ([(6443, None), (80, 40000)], [], [40001, 40000]),
        ([(6443, None)], [("tcp", 40000)], [40001]),
        ([(6443, 7000)], [("udp", 7000)], [7000]),
    ],
    ids=["one", "two", "next to one by name", "next to another node", "same number of another protocol"],
)
def test_ports(asked: list[Any], held: list[Any], ports: list[int]) -> None:
    """Ports of the host that were left out are chosen next to those that are held or asked for."""
    wanted = spec(publish=[publish_params(port, host_port) for port, host_port in asked])
    new = make(wanted, host_ports=frozenset(held))
    assert ports_of(new) == ports
    assert decode_published(new.labels[labels.PUBLISH]) == new.publish


@pytest.mark.parametrize(
    ("given", "port", "condition", "words"),
    [
        ({"host_ports": frozenset({("tcp", 7000)})}, 7000, "port_taken", "the port 7000 of 127.0.0.1 is in use"),
        ({"ports": MemoryPorts({7000})}, 7000, "port_taken", "the port 7000 of 127.0.0.1 is in use"),
        ({"info": engine_info(rootless=True)}, 80, "port_privileged", "the port 80 is below 1024"),
    ],
    ids=["by a node", "by a program", "privileged"],
)
def test_port_refused(given: dict[str, Any], port: int, condition: str, words: str) -> None:
    """A port of the host that cannot be had is refused with its reason."""
    with fails(condition, words):
        make(spec(publish=[publish_params(6443, port)]), **given)


def test_privileged_port_allowed() -> None:
    """Root may publish any port, and another user from the lowest on that this machine allows."""
    asked = spec(publish=[publish_params(80, 80)])
    assert ports_of(make(asked)) == [80]
    assert ports_of(make(asked, info=engine_info(rootless=True), ports=MemoryPorts(lowest=80))) == [80]


@pytest.mark.parametrize(
    ("host_port", "given", "port"),
    [
        (None, {}, 41000),
        (None, {"ports": MemoryPorts({41000})}, 41000),
        (41000, {"ports": MemoryPorts({41000})}, 41000),
        (None, {"host_ports": frozenset({("tcp", 41000)})}, 40000),
        (None, {"refused": Refused(ports=frozenset({41000}))}, 40000),
    ],
    ids=["kept", "busy with itself", "by name, busy with itself", "of another node", "refused by the engine"],
)
def test_port_is_kept(host_port: int | None, given: dict[str, Any], port: int) -> None:
    """A node that is made again keeps its port of the host, which its own container still holds."""
    before = make(spec(publish=[publish_params(6443, 41000)]))
    old = container(labels=before.labels)
    assert ports_of(make(spec(publish=[publish_params(6443, host_port)]), old, **given)) == [port]


@pytest.mark.parametrize(
    ("asked", "ports"),
    [
        ([(80, None, "tcp"), (443, 40000, "tcp")], [40001, 40000]),
        ([(443, 40000, "tcp"), (80, None, "tcp")], [40000, 40001]),
        ([(80, None, "tcp"), (443, 40000, "udp")], [40000, 40000]),
        pytest.param(
            [(81, None, "tcp"), (80, None, "tcp")],
            [40001, 40000],
        ),
    ],
    ids=["named after it", "named before it", "of another protocol", "kept after it"],
)
def test_port_is_given_once(asked: list[Any], ports: list[int]) -> None:
    """A port that the old node has and that goes to another publication now is not given to both."""
    old = container(labels=make(spec(publish=[publish_params(80)])).labels)
    wanted = [publish_params(port, host_port, protocol=protocol) for port, host_port, protocol in asked]
    plan = planned(spec(publish=wanted, recreate="on_drift"), ObservedNode(old, {}))
    assert verbs(plan) == ["remove", "create", "start"]
    assert ports_of(created(plan)) == ports


@pytest.mark.parametrize(
    ("asked", "info", "runtimes", "runtime"),
    [
        (None, {"cgroup_version": 2}, {"crun", "runc"}, None),
        (None, {"cgroup_version": 1}, {"crun", "runc"}, "runc"),
        (None, {"cgroup_version": 1, "runtime": "/usr/bin/crun"}, {"crun", "runc"}, "runc"),
        (None, {"cgroup_version": 1, "runtime": "runc"}, {"runc"}, None),
        ("crun", {"cgroup_version": 1}, {"crun"}, "crun"),
        ("kata", {"cgroup_version": 2}, {"crun"}, "kata"),
    ],
    ids=["version 2", "version 1", "version 1 by path", "version 1 with runc", "by name on 1", "by name"],
)
def test_runtime(asked: str | None, info: dict[str, Any], runtimes: set[str], runtime: str | None) -> None:
    """On cgroup version 1 crun is replaced by runc, which is noted; what was requested is used."""
    new = make(spec(runtime=asked), machine=host(runtimes=frozenset(runtimes)), info=engine_info(**info))
    assert new.runtime == runtime
    noted = [item["value"] for item in json.loads(new.labels[labels.ADAPTATIONS])]
    assert noted == (["runc"] if asked is None and runtime else [])


def test_no_runtime_fits() -> None:
    """On cgroup version 1 with crun alone no node can run; the message says what to install."""
    with fails("runtime_unfit", "runc is not", "apt-get install runc"):
        make(spec(), machine=host(runtimes=frozenset({"crun"})), info=engine_info(cgroup_version=1))


@pytest.mark.parametrize(
    ("asked", "machine", "ulimits", "noted"),
    [
        ({}, {}, {"nofile": "1048576:1048576", "nproc": "1048576:1048576"}, []),
        ({}, {"nofile": 1 << 30}, {"nofile": "1048576:1048576", "nproc": "1048576:1048576"}, []),
        ({}, {"nofile": 20000, "nproc": 9000}, {"nofile": "20000:20000", "nproc": "9000:9000"}, ["ulimits.nofile"]),
        ({"nofile": "1:2", "core": 0}, {}, {"nofile": "1:2", "nproc": "1048576:1048576", "core": "0:0"}, []),
    ],
    ids=["plenty", "more than enough", "less", "by name"],
)
def test_ulimits(asked: dict[str, Any], machine: dict[str, Any], ulimits: dict[str, str], noted: list[str]) -> None:
    """A node gets what a machine's systemd gives, or the most there is, which is noted for open files."""
    new = make(spec(ulimits=asked), machine=host(**machine))
    assert new.ulimits == ulimits
    assert [item["option"] for item in json.loads(new.labels[labels.ADAPTATIONS])] == noted


def test_kernel_modules() -> None:
    """The kernel's modules are mounted read-only, unless something else is requested there or there are none."""
    assert make(spec()).mounts == (Mount("/lib/modules", "/lib/modules", read_only=True),)
    own = make(spec(mounts=[mount_params("/srv/modules", "/lib/modules")]))
    assert [item.source for item in own.mounts] == ["/srv/modules"]
    without = make(spec(), machine=host(modules=False))
    assert without.mounts == ()
    (note,) = json.loads(without.labels[labels.ADAPTATIONS])
    assert note == {"option": "mounts", "value": "no /lib/modules", "reason": "this machine has none"}


@pytest.mark.parametrize(
    ("rootless", "asked", "pids"),
    [(False, None, None), (True, None, 32768), (True, 100, 100), (False, 100, 100)],
)
def test_pids_limit(rootless: bool, asked: int | None, pids: int | None) -> None:
    """A rootless node for which no limit is asked gets one that is wide enough."""
    assert make(spec(pids_limit=asked), info=engine_info(rootless=rootless)).limits.pids == pids


def test_whole_container() -> None:
    """All that is requested reaches the container, and its labels say whose it is and what was asked."""
    nets = (network("kic", "10.5.0.0/24"),)
    asked = spec(**{**FULL, "cluster": "one"})
    new = make(asked, networks=nets)
    assert (new.name, new.hostname, new.image, new.network) == ("node-1", "first", IMAGE_NAME, "kic")
    assert (new.volume, new.devices, new.command) == ("data", ("/dev/null",), ("--debug",))
    assert new.limits == Limits(GIB, 1.5, 500)
    assert (new.sysctls, new.security_opts) == ({"net.ipv4.ip_forward": "1"}, ("label=disable",))
    assert (new.env, new.restart_policy, new.privileged) == ({"A": "1"}, "always", True)
    assert new.tmpfs == {
        "/run": "rw,nosuid,nodev,exec,mode=755",
        "/tmp": "rw,nosuid,nodev,exec,mode=1777",
        "/scratch": "size=10m",
    }
    assert new.labels["team"] == "a"
    assert new.labels[labels.SCHEMA] == "1"
    assert (new.labels[labels.CLUSTER], new.labels[labels.ROLE]) == ("one", "worker")
    assert new.labels[labels.SPEC] == encode_asked(asked.asked)


@pytest.mark.parametrize(("asked", "privileged"), [("auto", True), ("true", True), ("false", False)])
def test_privileged(asked: str, privileged: bool) -> None:
    """A node is privileged unless that is refused."""
    assert make(spec(privileged=asked)).privileged is privileged


DOCKER_INFO = engine_info(name="docker", runtime="runc")
SOME = ("CHOWN", "SYS_ADMIN")
LESS = host(capabilities=SOME, all_capabilities=False, devices=("/dev/kmsg", "/dev/fuse"))


def test_capabilities_by_name() -> None:
    """Where docker's --privileged would fail, a node gets each capability and device that there is, which is noted."""
    new = make(spec(devices=["/dev/null"]), machine=LESS, info=DOCKER_INFO)
    assert (new.privileged, new.capabilities) == (False, SOME)
    assert new.devices == ("/dev/null", "/dev/kmsg", "/dev/fuse")
    (note,) = json.loads(new.labels[labels.ADAPTATIONS])
    assert (note["option"], note["value"]) == ("privileged", "capabilities by name")
    assert "this machine has not all capabilities" in note["reason"]


@pytest.mark.parametrize(
    ("device", "less", "mounts", "devices"),
    [
        ("", True, [], []),
        # A privileged node has all devices.
        ("/dev/sdb1", False, [], []),
        ("/dev/sdb1", True, [], ["/dev/sdb1"]),
        ("/dev/mapper/data", False, ["/dev/mapper"], []),
        ("/dev/mapper/data", True, ["/dev/mapper"], []),
    ],
)
def test_storage_without_a_device_number(device: str, less: bool, mounts: list[str], devices: list[str]) -> None:
    """A node sees the device of the engine's storage by the name that the table of mounts has, and that is noted."""
    new = make(spec(), machine=LESS if less else host(), info=DOCKER_INFO, storage_device=device)
    assert [item.source for item in new.mounts if item.source != "/lib/modules"] == mounts
    assert [item for item in new.devices if item not in LESS.devices] == devices
    notes = json.loads(new.labels[labels.ADAPTATIONS])
    assert [note["value"] for note in notes if note["option"] in ("mounts", "devices")] == mounts + devices


def test_device_mapper_that_is_mounted_already() -> None:
    """What was requested is not mounted a second time."""
    asked = spec(mounts=[mount_params(source="/dev/mapper", target="/dev/mapper", read_only=True)])
    new = make(asked, storage_device="/dev/mapper/data")
    assert [(item.target, item.read_only) for item in new.mounts if item.target == "/dev/mapper"] == [
        ("/dev/mapper", True)
    ]


@pytest.mark.parametrize(
    ("info", "asked"),
    [
        ({}, ""),
        ({"storage_filesystem": "btrfs"}, "/dev/mapper/data"),
        ({"storage_driver": "zfs"}, "/dev/mapper/data"),
    ],
)
def test_device_below_the_storage(info: dict[str, str], asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is only looked for where it matters: the device of the longest mount point above the storage."""
    table = {path: Mounted(path, "ext4", False, source) for path, source in MOUNTED.items()}
    monkeypatch.setattr(node, "mounts", lambda _pid: table)
    assert node.storage_device(engine_info(storage_path="/srv/data/containers", **info)) == asked
    assert device_below("/var/lib", table) == "/dev/sda1"
    assert device_below("/tmp/x", table) == ""


MOUNTED = {"/": "/dev/sda1", "/srv": "/dev/sdb1", "/srv/data": "/dev/mapper/data", "/tmp": "tmpfs"}


@pytest.mark.parametrize(
    ("command", "starts"), [([], ("/init", "--system")), (["--unit=rescue.target"], ("/init", "--unit=rescue.target"))]
)
def test_what_docker_mounts_read_only_is_made_writable(
    command: list[str], starts: tuple[str, ...], tmp_path: Path
) -> None:
    """Where a node gets capabilities by name, a shell makes its mounts writable and becomes what the image starts, with the
    arguments that were requested in place of the image's. Elsewhere the image starts by itself."""
    common = image(entrypoint=("/init",), command=("--system",))
    new = make(spec(command=command), machine=LESS, info=DOCKER_INFO, image=common)
    assert (new.entrypoint, new.command[0], new.command[2:]) == ("/bin/sh", "-c", ("sh", *starts))
    # A mount that only says what it was requested, and fails.
    (tmp_path / "mount").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\nexit 1\n')
    (tmp_path / "mount").chmod(0o755)
    shell = ["/bin/sh", *new.command[:3], "/bin/echo", "begun"]
    done = subprocess.run(shell, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("begun\n", "")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:2] == ["-o remount,rw,bind /proc/sys", "-o remount,rw,bind /sys/fs/cgroup"]
    plain = make(spec(command=command), image=common)
    assert (plain.entrypoint, plain.command) == (None, tuple(command))


def test_an_image_that_hides_the_control_groups() -> None:
    """podman leaves out the volume at the control groups and keeps the others; docker cannot, and that is told."""
    common = image(volumes=("/sys/fs/cgroup", "/srv", "/var", "/run", "/data"))
    new = make(spec(volume="node-1", mounts=[mount_params(source="/a", target="/data")]), image=common)
    assert new.image_volumes == ("/srv",)
    assert [note["option"] for note in json.loads(new.labels[labels.ADAPTATIONS])] == ["image"]
    assert make(spec(), image=image(volumes=("/srv", "/sys/fs/cgroup2"))).image_volumes is None
    with fails("image_hides_cgroups", "a volume at /sys", "docker export"):
        make(spec(), image=image(volumes=("/sys/",)), info=DOCKER_INFO)


@pytest.mark.parametrize(
    ("asked", "info", "machine", "privileged"),
    [
        ("auto", engine_info(), LESS, True),
        ("auto", DOCKER_INFO, replace(LESS, all_capabilities=True), True),
        ("auto", replace(DOCKER_INFO, rootless=True), LESS, True),
        ("true", DOCKER_INFO, LESS, True),
        ("false", DOCKER_INFO, LESS, False),
    ],
    ids=["podman", "all there are", "rootless", "asked for", "refused"],
)
def test_no_capabilities_by_name(asked: str, info: EngineInfo, machine: HostLimits, privileged: bool) -> None:
    """Otherwise a node is privileged, or is not, and nothing is named or added."""
    new = make(spec(privileged=asked), machine=machine, info=info)
    assert (new.privileged, new.capabilities, new.devices) == (privileged, (), ())
    assert json.loads(new.labels[labels.ADAPTATIONS]) == []


@pytest.mark.parametrize(
    ("asked", "selinux", "expected"),
    [
        ({"privileged": "false"}, True, ("label=disable",)),
        ({"privileged": "false", "security_opts": ["label=type:x"]}, True, ("label=type:x",)),
        ({"privileged": "true"}, True, ()),
        ({"privileged": "false"}, False, ()),
    ],
    ids=["not privileged", "the user's own label", "privileged", "no SELinux"],
)
def test_selinux(asked: dict[str, Any], selinux: bool, expected: tuple[str, ...]) -> None:
    """Where SELinux is on, a node without privileges may still read what is mounted into it, which is noted."""
    new = make(spec(**asked), machine=host(modules=True), info=engine_info(selinux=selinux))
    assert new.security_opts == expected
    notes = [note["value"] for note in json.loads(new.labels[labels.ADAPTATIONS])]
    assert notes == (["label=disable"] if expected == ("label=disable",) else [])


# What is told.


def test_asked_labels() -> None:
    """Labels that an image or an engine brought along are not among those that were requested."""
    brought = {"io.buildah.version": "1", "org.x": "1", "com.x": "1", "nodeforge.kic.image.key": "1"}
    assert node_plan.asked_labels(container(labels={**OURS, "team": "a", **brought})) == {**OURS, "team": "a"}


def test_describe() -> None:
    """A node is described by its labels, its container and its system."""
    observed = existing(spec(network="kic", role="worker", cluster="one", publish=[publish_params(80)]))
    boot = Boot("degraded", ("x.service",))
    found = node_plan.describe(replace(observed, boot=boot))
    assert (found["name"], found["cluster"], found["role"], found["state"]) == ("node-1", "one", "worker", "running")
    assert (found["ip"], found["ip6"]) == ("10.5.0.2", "fd00:5::2")
    assert (found["ready"], found["systemd_state"], found["failed_units"]) == (True, "degraded", ["x.service"])
    assert (found["id"], found["runtime"], found["hostname"]) == ("id-node-1", "crun", "node-1")
    assert found["publish"][0]["host_port"] == 40000
    assert found["adaptations"] == []


def test_describe_by_engine() -> None:
    """What no label tells comes from the engine: addresses on its default network; damaged notes are left out."""
    bare = container(
        labels={**OURS, labels.ADAPTATIONS: "no JSON"},
        addresses={"podman": ("10.88.0.7", "fd00::7")},
        status="exited",
        limits=Limits(GIB),
    )
    found = node_plan.describe(ObservedNode(bare, recorded=Limits(cpus=2.0)))
    assert (found["ip"], found["ip6"]) == ("10.88.0.7", "fd00::7")
    assert (found["ready"], found["failed_units"], found["adaptations"]) == (None, [], [])
    assert (found["memory"], found["cpus"]) == (GIB, 2.0)


def test_archive() -> None:
    """Files go into the archive by their path below the root, with content and mode, and no directory among them."""
    files = [
        {"path": "/etc/kic/one", "content": "text é\n", "mode": "0640"},
        {"path": "/two", "content": "", "mode": "755"},
    ]
    with tarfile.open(fileobj=BytesIO(node_run.archive(spec(files=files)))) as tar:
        members = tar.getmembers()
        first = tar.extractfile(members[0])
        assert first is not None
        assert first.read().decode() == "text é\n"
    assert [(item.name, item.mode, item.isfile()) for item in members] == [
        ("etc/kic/one", 0o640, True),
        ("two", 0o755, True),
    ]


def test_differences_of_this_process() -> None:
    """What a process has otherwise than its container was requested is read from the kernel."""
    new = replace(make(spec()), ip="127.0.0.1", mounts=(Mount("/proc", "/proc"),))
    here = container(pid=os.getpid())
    assert node_readback.differences(new, here) == []
    otherwise = replace(
        new,
        ip="203.0.113.9",
        mounts=(Mount("/x", "/no/such/mount"), Mount("/proc", "/proc", read_only=True)),
    )
    assert node_readback.differences(otherwise, here) == [
        "ip 203.0.113.9 is on none of its interfaces",
        "nothing is mounted at /no/such/mount",
        "/proc is writable",
    ]


def test_differences_of_ended_process() -> None:
    """A process that has ended says nothing of what it was requested."""
    assert node_readback.differences(replace(make(spec()), ip="203.0.113.9"), container()) == []


# Doing it.


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    """An engine in memory that has the image, on a machine with plain limits."""
    monkeypatch.setattr(node, "host_limits", host)
    found = MemoryEngine()
    found.image_table["i"] = image()
    found.network_table["kic"] = network("kic", "10.5.0.0/24")
    return found


def run(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> tuple[Any, dict[str, Any]]:
    """What the module kic_node does."""
    resource = NodeResource(spec(**given), engine, MemoryPorts())
    outcome = converge(resource, check_mode=check_mode, lock=nullcontext)
    return outcome.plan, outcome.value


@pytest.mark.parametrize("option", ["seccomp=/nosuch/a:b.json", "seccomp:/nosuch/a:b.json"])
def test_a_profile_that_is_not_there(engine: MemoryEngine, option: str) -> None:
    """It is missed before the engine's client misses it, as a directory to mount is. Names of profiles are no files."""
    with fails("invalid_option", "security_opts: there is no /nosuch/a:b.json on this machine"):
        run(engine, security_opts=[option])
    assert engine.done == []
    run(engine, security_opts=["seccomp=unconfined", "label=disable", "apparmor=/also-a-name"])


def test_run_creates(engine: MemoryEngine) -> None:
    """A node is made, gets its files, and is started, in this order; the second run does nothing."""
    files = [{"path": "/etc/one", "content": "x", "mode": "0644"}]
    plan, value = run(engine, network="kic", files=files)
    assert engine.done == ["create container node-1", "put files node-1", "start node-1"]
    assert (value["state"], value["ip"]) == ("running", "10.5.0.2")
    assert plan.changed
    again, same = run(engine, network="kic", files=files)
    assert not again.changed
    assert same == value
    assert len(engine.done) == 3


def test_run_present_only_creates(engine: MemoryEngine) -> None:
    """With state present it is not started, but has its files."""
    run(engine, state="present", files=[{"path": "/etc/one", "content": "x", "mode": "0644"}])
    assert engine.done == ["create container node-1", "put files node-1"]


def test_check_mode_applies_nothing(engine: MemoryEngine) -> None:
    """In check mode the node is described as it would be, and the engine is left alone."""
    plan, value = run(engine, check_mode=True, network="kic", volume="data")
    assert verbs(plan) == ["create", "start"]
    assert plan.warnings == ("There is no volume data yet; it is taken as one that an earlier task will make.",)
    assert (value["state"], value["ip"], value["id"], value["ready"]) == ("running", "10.5.0.2", None, None)
    assert engine.done == []


def test_check_mode_of_change(engine: MemoryEngine) -> None:
    """In check mode a node that would be stopped is described as stopped."""
    run(engine)
    _plan, value = run(engine, check_mode=True, state="stopped")
    assert value["state"] == "exited"
    assert engine.done[-1] == "start node-1"


def test_check_mode_of_recreate(engine: MemoryEngine) -> None:
    """In check mode a node that would be made again has no id yet."""
    run(engine)
    _plan, value = run(engine, check_mode=True, role="worker", recreate="on_drift")
    assert (value["id"], value["role"]) == (None, "worker")


def test_run_removes(engine: MemoryEngine) -> None:
    """A node is removed, and so is the record of its limits."""
    run(engine, cluster="one")
    state = ClusterState(Subject("podman", "one"), limits={"node-1": {"memory": GIB}, "node-2": {"memory": GIB}})
    state.save()
    plan, value = run(engine, state="absent", image=None)
    assert engine.done[-1] == "remove container id-node-1"
    assert (verbs(plan), value) == (["remove"], {})
    assert ClusterState.load(Subject("podman", "one")).limits == {"node-2": {"memory": GIB}}


OWN = {"Type": "volume", "Name": "node-1", "RW": True, "Source": "/store/node-1"}
ANONYMOUS = {**OWN, "Name": "c0ffee00" * 8}


@pytest.mark.parametrize(
    ("mounts", "going", "seconds"),
    [
        (None, {"node-1"}, 3),
        ([], set(), 0),
        ([OWN], {"node-1"}, 0),
        ([OWN], set(), 3),
        ([ANONYMOUS], set(), 0),
        ([OWN, {"Type": "bind", "Source": "/lib/modules", "RW": False}], {"node-1"}, 0),
        ([OWN, {"Type": "bind", "Source": "/srv/data", "RW": True}], {"node-1"}, 3),
        ([OWN, {"Type": "bind", "Source": "/dev/mapper", "RW": True}], {"node-1"}, 0),
        ([OWN, {**OWN, "Name": "data"}], {"node-1"}, 3),
        ([{"Type": "tmpfs", "Source": "", "RW": True}], set(), 0),
    ],
    ids=[
        "unknown",
        "nothing",
        "its volume goes",
        "its volume stays",
        "a volume without a name",
        "only read",
        "a directory of the machine",
        "a device",
        "another volume",
        "memory",
    ],
)
def test_time_to_end_of_a_removed_node(
    engine: MemoryEngine,
    monkeypatch: pytest.MonkeyPatch,
    mounts: list[dict[str, Any]] | None,
    going: set[str],
    seconds: int,
) -> None:
    """Programs get time to end well only where what they write outlives the node."""
    engine.add(container("node-1", raw={} if mounts is None else {"Mounts": mounts}))
    asked: list[int] = []
    monkeypatch.setattr(engine, "remove_container", lambda _identity, given: asked.append(given))
    resource = NodeResource(spec(state="absent"), engine, MemoryPorts(), going=frozenset(going))
    converge(resource, check_mode=False, lock=nullcontext)
    assert asked == [seconds]


@pytest.mark.parametrize("status", ["exited", "created", "restarting"])
def test_pause_of_what_does_not_run(status: str) -> None:
    """It is neither started for it nor left without a word."""
    with fails("pause_not_running", f"node-1 ({status})", "state: started"):
        planned(spec(state="paused"), existing(spec(), status=status))


def test_pause_of_what_is_not_there() -> None:
    """Nothing is created for it; in check mode an earlier task may be the one that does."""
    for name in (None, "localhost/node:1"):
        plan = planned(spec(state="paused", image=name), None)
        assert plan.operations == () and plan.missing[0].error.diagnosis.id == "node_missing"


def test_pause_without_a_freezer(engine: MemoryEngine) -> None:
    """An ordinary user on control groups of version 1 reads so, before anything is tried."""
    engine.add(container("node-1"))
    engine.facts = replace(engine.info, rootless=True, cgroup_version=1)
    for check_mode in (True, False):
        with fails("pause_needs_freezer", "ordinary user", "unified_cgroup_hierarchy"):
            converge(NodeResource(spec(state="paused", image=None), engine), check_mode=check_mode, lock=nullcontext)
    assert engine.done == []


PAUSED_LIMITS = [
    pytest.param("running", 1, 1, ["pause"], id="as-it-is"),
    pytest.param("running", 1, 2, ["update", "pause"], id="changed-first"),
    pytest.param("paused", 1, 1, [], id="paused-as-it-is"),
    pytest.param("paused", 1, 2, ["resume", "update", "pause"], id="kubelet-is-told"),
    pytest.param("paused", 2, 2, [], id="paused-and-changed-before"),
]


@pytest.mark.parametrize(("status", "have", "wanted", "actions"), PAUSED_LIMITS)
def test_limits_of_a_paused_node(status: str, have: int, wanted: int, actions: list[str]) -> None:
    """They are the kernel's, which has them of a frozen group too; a second run finds what the first one set."""
    kernel = {"memory": have * GIB, "cpus": None, "pids": None}
    found = existing(spec(memory="1g"), kernel if status == "running" else None, status=status)
    found = replace(found, frozen=kernel if status == "paused" else None)
    can = frozenset(("memory",))
    plan = planned(spec(state="paused", memory=f"{wanted}g"), found, updatable=can)
    assert verbs(plan) == actions and plan.after["memory"] == wanted * GIB
    assert [item.verb for item in plan.operations if item.verb in ("read back", "pause")] in (
        ["read back", "pause"],
        ["pause"],
        [],
    )
    resumed = planned(spec(memory=f"{wanted}g"), found, updatable=can)
    if status == "paused":
        assert verbs(resumed) == (["resume"] if have == wanted else ["resume", "update"])


def test_replaced_and_paused() -> None:
    """The new one is up before it is paused; one that does not run is refused as ever."""
    asked = spec(state="paused", role="worker", recreate="on_drift")
    plan = planned(asked, existing(spec(), status="paused"))
    assert verbs(plan) == ["remove", "create", "start", "pause"] and plan.after["state"] == "paused"
    assert plan.operations[-1].verb == "pause"
    with fails("pause_not_running"):
        planned(asked, existing(spec(), status="exited"))


@pytest.mark.parametrize(
    ("state", "status", "refused"),
    [
        *((state, status, True) for state in ("restarted", "paused") for status in ("running", "paused")),
        *(("started", status, True) for status in ("running", "paused", "stopping")),
        *((state, "running", False) for state in ("present", "stopped", "absent")),
    ],
)
def test_states_of_what_lost_its_process(state: str, status: str, refused: bool) -> None:
    """Its process was killed with the one that watched it: what needs it is refused with the way out."""
    found = replace(existing(spec(), status=status), lost=True)
    if refused:
        with fails("process_lost", "rm --force node-1"):
            planned(spec(state=state, image=None), found)
    else:
        planned(spec(state=state, image=None), found)


@pytest.mark.parametrize(
    ("status", "pid", "watches", "later", "expected"),
    [
        ("running", NO_PROCESS, False, "running", True),
        ("paused", NO_PROCESS, False, "paused", True),
        ("stopping", NO_PROCESS, False, "stopping", True),
        ("running", NO_PROCESS, False, "exited", False),
        ("running", NO_PROCESS, True, "running", False),
        # Not by its number: both processes of a test run have to know the test by one name.
        pytest.param("running", os.getpid(), False, "running", False, id="running-own"),
        ("exited", 0, False, "exited", False),
    ],
)
def test_lost(engine: MemoryEngine, status: str, pid: int, watches: bool, later: str, expected: bool) -> None:
    """Only where the engine still says so when it is asked again, and where nobody watches."""
    engine.capabilities = replace(engine.capabilities, watches=watches)
    engine.add(container("node-1", status=later, pid=pid))
    assert boot.lost(engine, container("node-1", status=status, pid=pid)) is expected


def test_killed_while_it_was_frozen(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends when it goes on, and nobody tells podman: that is found without a wait for its system too."""
    monkeypatch.setattr(node_run, "lost", lambda *_given: True)
    engine.add(container("node-1", status="paused"))
    with fails("process_lost", "podman says that the node node-1 runs"):
        run(engine, state="started", image=None, wait=False)
    assert engine.done == ["resume id-node-1"]


@pytest.mark.parametrize("seconds", [0, 3])
def test_a_paused_node_is_resumed_to_write_what_it_holds(engine: MemoryEngine, seconds: int) -> None:
    """Only where that outlives it."""
    mounts: list[dict[str, Any]] = [{"Type": "bind", "Source": "/srv", "RW": True}] if seconds else []
    engine.add(container("node-1", status="paused", raw={"Mounts": mounts}))
    run(engine, state="absent")
    resumes = ["resume id-node-1"] if seconds else []
    assert engine.done == [*resumes, "remove container id-node-1"]


@pytest.mark.parametrize(
    ("state", "status", "done"),
    [
        ("paused", "running", ["pause id-node-1"]),
        ("stopped", "running", ["stop id-node-1"]),
        ("stopped", "paused", ["resume id-node-1", "stop id-node-1"]),
        ("stopped", "restarting", ["stop id-node-1"]),
        ("started", "exited", ["start id-node-1"]),
        ("started", "paused", ["resume id-node-1"]),
        ("restarted", "running", ["stop id-node-1", "start id-node-1"]),
        ("started", "created", ["put files id-node-1", "start id-node-1"]),
    ],
    ids=[
        "pause",
        "stop",
        "stop a paused one",
        "stop what docker starts again",
        "start",
        "resume",
        "restart",
        "interrupted before its first start",
    ],
)
def test_run_of_states(engine: MemoryEngine, state: str, status: str, done: list[str]) -> None:
    """What the plan says is done, and a node that an interrupted run left without a start gets its files again."""
    files = [{"path": "/etc/one", "content": "x", "mode": "0644"}]
    run(engine, files=files)
    engine.add(replace(engine.container_table["node-1"], status=status))
    del engine.done[:]
    run(engine, state=state, files=files)
    assert engine.done == done


def test_run_makes_again(engine: MemoryEngine) -> None:
    """A running node is stopped only when the new one is created, removed when that is up, and keeps its address and port."""
    asked: dict[str, Any] = {"network": "kic", "publish": [publish_params(6443)]}
    engine.add(container("node-2", addresses={"kic": ("10.5.0.2",)}))
    _plan, first = run(engine, **asked)
    engine.container_table.pop("node-2")
    del engine.done[:]
    _plan, second = run(engine, **asked, role="worker", recreate="on_drift")
    assert engine.done == [
        "rename id-node-1 node-1.kic-replaced-running",
        "create container node-1",
        "stop id-node-1",
        "start node-1",
        "remove container id-node-1",
    ]
    assert first["ip"] == second["ip"] == "10.5.0.3"
    assert first["publish"] == second["publish"]


def test_run_makes_paused_node_again(engine: MemoryEngine) -> None:
    """A paused node is resumed first, so that it can shut down before it is replaced."""
    run(engine)
    engine.add(replace(engine.container_table["node-1"], status="paused"))
    del engine.done[:]
    run(engine, role="worker", recreate="on_drift")
    assert engine.done == [
        "rename id-node-1 node-1.kic-replaced-running",
        "create container node-1",
        "resume id-node-1",
        "stop id-node-1",
        "start node-1",
        "remove container id-node-1",
    ]


def test_run_sees_others(engine: MemoryEngine) -> None:
    """Addresses and ports of other nodes are avoided, also of those that do not run, and of foreign containers."""
    engine.add(
        container(
            "node-2",
            status="exited",
            addresses={"kic": ()},
            labels=make(spec(name="node-2", network="kic", publish=[publish_params(80)]), networks=(network(),)).labels,
        )
    )
    engine.add(container("foreign", labels={}, addresses={"kic": ("10.5.0.3",)}))
    _plan, value = run(engine, network="kic", publish=[publish_params(80)])
    assert value["ip"] == "10.5.0.4"
    assert value["publish"][0]["host_port"] == 40001


def test_run_misses_mounts(engine: MemoryEngine, tmp_path: Path) -> None:
    """A source or device that is not on this machine is named before anything is made."""
    with fails("invalid_option", f"mounts.source: there is no {tmp_path}/none on this machine"):
        run(engine, mounts=[mount_params(f"{tmp_path}/none", "/srv")])
    with fails("invalid_option", "devices: there is no /dev/kictest-none"):
        run(engine, devices=["/dev/kictest-none:/dev/x:rw"])
    run(engine, mounts=[mount_params(str(tmp_path), "/srv")], devices=["/dev/null"])
    assert engine.done[0] == "create container node-1"


def test_run_needs_volume(engine: MemoryEngine) -> None:
    """The volume of a node must be there in a run."""
    with fails("volume_missing", "the volume node-1 does not exist"):
        run(engine, volume=None)
    engine.volume_table["node-1"] = Volume("node-1", "local", "", OURS, {})
    run(engine, volume=None)
    assert engine.made[0].volume == "node-1"


def taken_address() -> KicError:
    """What an engine says where another was faster."""
    return failure("address_taken", ip="10.5.0.2", network="kic", owner="another")


def taken_port() -> KicError:
    """The same for a port."""
    return failure("port_taken", port=40000, address="127.0.0.1")


def test_chosen_address_is_chosen_again(engine: MemoryEngine) -> None:
    """An address that was chosen and turns out to be taken is left, and the next one tried."""
    engine.refuses_start = [taken_address(), taken_address()]
    _plan, value = run(engine, network="kic")
    assert [item.ip for item in engine.made] == ["10.5.0.2", "10.5.0.3", "10.5.0.4"]
    assert value["ip"] == "10.5.0.4"
    assert list(engine.container_table) == ["node-1"]


def test_chosen_port_is_chosen_again(engine: MemoryEngine) -> None:
    """The same holds for a port."""
    engine.refuses_start = [taken_port()]
    _plan, value = run(engine, publish=[publish_params(80)])
    assert value["publish"][0]["host_port"] == 40001


def test_choosing_again_ends(engine: MemoryEngine) -> None:
    """After three more tries the engine's word stands, and nothing is left behind."""
    engine.refuses_start = [taken_address() for _try in range(9)]
    with fails("address_taken"):
        run(engine, network="kic")
    assert len(engine.made) == 4
    assert engine.container_table == {}


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"network": "kic", "ip": "10.5.0.2"}, taken_address()),
        ({"publish": [publish_params(80, 40000)]}, taken_port()),
        ({}, failure("engine_failed", engine="podman", action="x", rc=1)),
    ],
    ids=["address by name", "port by name", "anything else"],
)
def test_what_was_asked_is_not_replaced(engine: MemoryEngine, asked: dict[str, Any], error: KicError) -> None:
    """What the user named is not exchanged for something else: the error is told, and the container goes."""
    engine.refuses_start = [error]
    with fails(error.diagnosis.id):
        run(engine, **asked)
    assert len(engine.made) == 1
    assert engine.container_table == {}


def test_node_that_ends_at_once(engine: MemoryEngine) -> None:
    """A node that starts and ends at once is kept, and its last lines are told."""
    engine.starts_as, engine.log = "exited", "no init found"
    with fails("node_died", "the node node-1 ended", "no init found", "podman rm --force node-1"):
        run(engine)
    assert engine.container_table["node-1"].status == "exited"


def test_node_that_ends_while_it_is_started(engine: MemoryEngine) -> None:
    """A start that fails because the node ended at once is told as that, and the node is kept with its log."""
    engine.refuses_start = [failure("engine_failed", engine="podman", action="starting", rc=126)]
    engine.refused_as, engine.log = "exited", "no init found"
    with fails("node_died", "no init found"):
        run(engine)
    assert engine.container_table["node-1"].status == "exited"


def test_controller_withdrawn_after_the_node_was_made(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node tells which controller it misses, and systemd who withholds it: both are told, and the node is kept."""
    run(engine, state="present")
    engine.starts_as, engine.log = "exited", "ERROR: UserNS: cpu controller needs to be delegated"
    with fails("controller_not_delegated", "controller cpu "):
        run(engine, state="started")

    def unfit(*_looked: object) -> None:
        unit = "user@1000.service"
        raise failure("controller_withheld", controller="cpu", user="dev", unit=unit, why="Delegate= leaves it out")

    monkeypatch.setattr(node_run, "refuse_unfit", unfit)
    with fails("controller_withheld", "user@1000.service withholds it", "-a user=dev", engine.log):
        run(engine, state="started")
    assert engine.container_table["node-1"].status == "exited"


@pytest.mark.parametrize("wait", [True, False])
def test_started_again_and_ended(engine: MemoryEngine, wait: bool) -> None:
    """A node that is started again and ends at once is told, whether or not it is waited for."""
    run(engine, state="present")
    engine.starts_as = "exited"
    with fails("node_died", "the node node-1 ended"):
        run(engine, state="started", wait=wait)


@pytest.mark.parametrize("state", ["started", "restarted"])
def test_started_again_and_waited_for(engine: MemoryEngine, state: str) -> None:
    """A node that is started again is waited for where that is asked; here its process is gone, which is seen."""
    run(engine, state="present")
    run(engine, state=state, wait=False)
    engine.add(replace(engine.container_table["node-1"], status="exited"))
    with fails("process_lost"):
        run(engine, state=state, wait=True)


def test_first_start_is_waited_for(engine: MemoryEngine) -> None:
    """So is a node that was just made, and one that an interrupted run left running."""
    with fails("process_lost"):
        run(engine, wait=True)
    with fails("process_lost"):
        run(engine, wait=True)
    assert engine.done.count("create container node-1") == 1


def test_nothing_is_waited_for_under_the_lock(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that another run has made meanwhile is waited for after the lock was let go, which others need."""
    held: list[bool] = []
    waited: list[bool] = []

    @contextmanager
    def lock() -> Iterator[None]:
        run(engine)
        held.append(True)
        yield
        held.pop()

    def wait(_engine: MemoryEngine, _container: Container, _seconds: float) -> Boot:
        waited.append(bool(held))
        return Boot("running")

    monkeypatch.setattr(boot, "wait", wait)
    resource = NodeResource(spec(wait=True), engine, MemoryPorts())
    outcome = converge(resource, check_mode=False, lock=lock)
    assert (outcome.plan.changed, waited, outcome.value["ready"]) == (False, [False], True)


def test_limits_change_in_place(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit is changed on the running node and recorded; back at the first value the record goes."""
    now: dict[str, Any] = {"memory": GIB, "cpus": None, "pids": None}
    kernel_shows(monkeypatch, lambda: dict(now))
    run(engine, memory="1g")

    def update(identity: str, limits: Limits) -> None:
        now["memory"] = limits.memory
        engine.done.append(f"update {identity}")

    monkeypatch.setattr(engine, "update_limits", update)
    _plan, value = run(engine, memory="2g")
    assert engine.done[-1] == "update id-node-1"
    assert value["memory"] == 2 * GIB
    assert ClusterState.load(Subject("podman", None, "node-1")).limits == {"node-1": {"memory": 2 * GIB}}
    run(engine, memory="1g")
    assert ClusterState.load(Subject("podman", None, "node-1")).limits == {}


def test_recorded_limits_return_after_stop(engine: MemoryEngine) -> None:
    """The limits of the record are set again after a start, as the engine has forgotten them."""
    run(engine, cluster="one", memory="1g", state="present")
    ClusterState(Subject("podman", "one"), limits={"node-1": {"memory": 2 * GIB}}).save()
    with fails("not_as_asked"):  # there is no process whose group could show it
        run(engine, image=None)
    assert engine.done[-2:] == ["start id-node-1", f"update id-node-1 {{'memory': {2 * GIB}}}"]
    assert ClusterState.load(Subject("podman", "one")).limits == {"node-1": {"memory": 2 * GIB}}


def test_limits_of_one_engine_stay_there(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that was changed on one engine is not set on the other's node of the same name, whatever state it goes to."""
    now: dict[str, Any] = {"memory": None, "cpus": None, "pids": None}
    kernel_shows(monkeypatch, lambda: dict(now))
    other = MemoryEngine(engine_info(name="docker"))
    other.name, other.image_table = "docker", engine.image_table
    run(engine)
    run(other)
    monkeypatch.setattr(other, "update_limits", lambda _identity, limits: now.update(memory=limits.memory))
    run(other, memory="256m")
    assert ClusterState.load(Subject("docker", None, "node-1")).limits == {"node-1": {"memory": 256 << 20}}
    now["memory"] = None
    for state in ("stopped", "started", "restarted"):
        run(engine, image=None, state=state)
    assert not [item for item in engine.done if item.startswith("update")]
    assert ClusterState.load(Subject("podman", None, "node-1")).limits == {}


def test_engine_that_keeps_limits(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine sets at the next start anyway is not recorded: it would undo what another user sets meanwhile."""
    now: dict[str, Any] = {"memory": None, "cpus": None, "pids": None}
    kernel_shows(monkeypatch, lambda: dict(now))

    def update(_identity: str, limits: Limits) -> None:
        now["memory"] = limits.memory
        engine.add(replace(engine.container_table["node-1"], limits=limits))

    monkeypatch.setattr(engine, "update_limits", update)
    run(engine)
    assert run(engine, memory="256m")[1]["memory"] == 256 << 20
    assert ClusterState.load(Subject("podman", None, "node-1")).limits == {}


def test_limits_of_the_kernel_are_told(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a node that runs the limits are told that the kernel has; the kernel is requested no other."""
    kernel_shows(monkeypatch, lambda: {"memory": 2 * GIB, "cpus": None, "pids": None})
    run(engine, memory="1g", state="present")
    assert run(engine, image=None, state="present")[1]["memory"] == GIB
    engine.add(replace(engine.container_table["node-1"], status="running"))
    assert run(engine, image=None, state="present")[1]["memory"] == 2 * GIB


def test_limit_that_does_not_hold(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that the kernel does not show after the change is told, not believed."""
    kernel_shows(monkeypatch, lambda: {"memory": GIB, "cpus": None, "pids": None})
    run(engine, memory="1g")
    with fails("not_as_asked", f"memory is {GIB}, expected {2 * GIB}"):
        run(engine, memory="2g")


def test_create_forgets_old_record(engine: MemoryEngine) -> None:
    """A new node does not take over the limits that were recorded for one of its name."""
    ClusterState(Subject("podman", "one"), limits={"node-1": {"memory": GIB}}).save()
    run(engine, cluster="one")
    assert ClusterState.load(Subject("podman", "one")).limits == {}


def test_foreign_users_of_network(engine: MemoryEngine) -> None:
    """A container that is gone again by the time it is looked at takes no address."""
    engine.users["network kic"] = [Attached("gone", "gone", {})]
    _plan, value = run(engine, network="kic")
    assert value["ip"] == "10.5.0.2"
