# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at a node: what is asked of whom, and what is understood of the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import look
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.kic import Registered, State
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import Unplugged

LOCAL: dict[str, Any] = {
    "kubeadm": "free process 7",
    "stands": ["/etc/kubernetes/admin.conf", "/var/lib/kubelet/config.yaml"],
    "version": "v1.35.4",
    "record": '{"state": "initialized"}',
    "hosts": "192.168.128.2 lab.kic.internal\n",
    "names": "127.0.0.1 localhost\n",
    "network": "fits 0123\n",
    "systemd_cgroup": True,
    "cgroup_version": 2,
    "lowers": True,
    "mapped": False,
    "rotating": True,
    "certificates": "",
    "now": 1796000000,
    "renewed": "kubelet\n",
    "balancer": None,
}
NODE: dict[str, Any] = {
    "name": "lab-worker-1",
    "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": "", "zone": "a"},
    "taints": [{"key": "a", "value": "x", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}],
    "pod_cidrs": ["10.244.1.0/24", "fd00:0:0:1::/64"],
    "version": "v1.35.4",
    "ready": "True",
    "why": "kubelet is posting ready status",
    "address": "192.168.128.3",
}
API: dict[str, Any] = {
    "error": "",
    "objects": ["ConfigMap/coredns", "Node/lab-worker-1"],
    "changes": {"storage": "x unchanged\n"},
    "node": NODE,
    "signs": True,
    "nodes": [
        {
            "metadata": {"name": "lab-worker-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"podCIDRs": ["10.244.1.0/24"]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
    ],
}


BOOT = json.dumps({"boot": "running\n"}) + "\n"


def output(local: dict[str, Any] | None = None, api: dict[str, Any] | None = None) -> str:
    """What the scripts print, but for the fields that are given."""
    return f"{BOOT}{json.dumps({'local': {**LOCAL, **(local or {})}})}\n{json.dumps({'api': {**API, **(api or {})}})}\n"


def test_decode() -> None:
    """What the scripts print is taken over field by field."""
    found = look.decode(output(), "lab-worker-1")
    assert (found.facts.version, found.facts.cgroup_version, found.facts.systemd_cgroup) == ("v1.35.4", 2, True)
    assert (found.facts.lowers_oom_score, found.facts.user_namespace) == (True, False)
    assert found.stands == {"/etc/kubernetes/admin.conf", "/var/lib/kubelet/config.yaml"}
    assert found.record == {"state": "initialized"} and found.kubeadm == "free process 7"
    assert (found.hosts, found.names) == (LOCAL["hosts"], LOCAL["names"])
    assert (found.certificates, found.now, found.renewed, found.signs) == ((), 1796000000.0, "kubelet", True)
    assert found.rotating and found.network == State("fits", "0123")
    assert found.nodes == (Registered("lab-worker-1", "2026-01-01T00:00:00Z", ("10.244.1.0/24",), True),)
    assert found.api and found.api_error == ""
    assert found.objects == {"ConfigMap/coredns", "Node/lab-worker-1"}
    assert found.changes == {"storage": "x unchanged\n"}
    assert found.node is not None
    assert found.node.ready is True
    assert found.node.taints == ("a:NoSchedule", "b:NoExecute")
    assert found.node.pod_cidrs == ("10.244.1.0/24", "fd00:0:0:1::/64")


@pytest.mark.parametrize("text", [None, "", "frontend api\n"], ids=["cannot-have-one", "not-yet", "configured"])
def test_load_balancer_of_a_node(text: str | None) -> None:
    """A node that cannot have a load balancer of its own differs from one whose load balancer has no configuration yet."""
    assert look.decode(output(local={"balancer": text}), "lab-worker-1").balancer == text


def test_node_for_a_person() -> None:
    """A task returns a node's roles by their names, and no other labels."""
    node = look.decode(output(), "lab-worker-1").node
    assert node is not None
    assert node.as_dict() == {
        "name": "lab-worker-1",
        "ready": True,
        "why": "",
        "version": "v1.35.4",
        "address": "192.168.128.3",
        "roles": ["edge", "worker"],
        "pod_cidrs": ["10.244.1.0/24", "fd00:0:0:1::/64"],
    }


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_only_true_is_ready(ready: str) -> None:
    """A node is Ready when the API says True, not when it says anything."""
    node = look.decode(output(api={"node": {**NODE, "ready": ready}}), "lab-worker-1").node
    assert node is not None
    assert node.ready is False


@pytest.mark.parametrize("error", ["no administrator configuration", "connection refused"])
def test_api_that_does_not_answer(error: str) -> None:
    """An API that does not answer leaves no objects, no changes and no node, and its error is kept."""
    text = f"{BOOT}{json.dumps({'local': LOCAL})}\n{json.dumps({'api': {'error': error}})}\n"
    found = look.decode(text, "lab-worker-1")
    assert (found.api, found.api_error) == (False, error)
    assert (found.objects, found.changes, found.node) == (frozenset(), {}, None)


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        pytest.param("record", "", {}, id="no-record"),
        pytest.param("record", '{"state": "initi', {}, id="record-cut-off"),
        pytest.param("record", "[1]", {}, id="record-is-a-list"),
    ],
)
def test_files_that_are_no_json(field: str, text: str, expected: Any) -> None:
    """A file in the node that is missing or broken is like none, not an error of the look."""
    assert getattr(look.decode(output(local={field: text}), "n"), field) == expected


def test_no_file_stands() -> None:
    """The empty line that the script prints for no file is no file."""
    assert look.decode(output(local={"stands": [""]}), "n").stands == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("bash: jq: command not found\n", id="words"),
        pytest.param(output() + "Killed\n", id="words-after-it"),
        pytest.param(output()[:40], id="cut-off"),
        pytest.param(BOOT + json.dumps({"local": LOCAL}) + "\n", id="without-api"),
        pytest.param(BOOT + json.dumps({"api": API}) + "\n", id="without-local"),
        pytest.param(output().removeprefix(BOOT), id="without-boot"),
        pytest.param(output() + '{"more": 1}\n', id="more"),
        pytest.param(output() + "\n\n", id="empty-line"),
        pytest.param("5\n", id="number"),
        pytest.param("null\n", id="null"),
        pytest.param(output() + "null\n", id="null-after-it"),
        pytest.param(BOOT + '{"local": {}, "api": {}}\n', id="empty-parts"),
        pytest.param(BOOT + '{"local": null, "api": null}\n', id="null-parts"),
        pytest.param(BOOT + '{"local": 5, "api": []}\n', id="parts-of-another-kind"),
        pytest.param(BOOT + json.dumps({"local": LOCAL, "api": {}}) + "\n", id="empty-api"),
        pytest.param(output(local={"stands": None}), id="stands-are-null"),
        pytest.param(output(api={"node": {"name": "lab-worker-1"}}), id="half-a-node"),
        pytest.param(output(api={"node": "lab-worker-1"}), id="node-is-text"),
    ],
)
def test_output_that_gives_no_sense(text: str) -> None:
    """Broken output is one clear error with the node's name and the words that came."""
    with pytest.raises(KicError) as caught:
        look.decode(text, "lab-worker-1")
    assert caught.value.diagnosis.id == "node_unreadable"
    assert "lab-worker-1" in caught.value.diagnosis.cause
    assert caught.value.diagnosis.output == text.strip()


def test_image_without_kubernetes() -> None:
    """An image that holds no Kubernetes is told as such."""
    with pytest.raises(KicError) as caught:
        look.decode(output(local={"version": ""}), "lab-worker-1")
    assert caught.value.diagnosis.id == "no_kubernetes"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, None, id="not-asked"),
        pytest.param({"members": None}, None, id="no-answer"),
        pytest.param({"members": []}, frozenset(), id="none"),
        pytest.param({"members": ["cp", "cp-2", "cp"]}, frozenset({"cp", "cp-2"}), id="some"),
    ],
)
def test_members_of_etcd(given: dict[str, Any], expected: frozenset[str] | None) -> None:
    """That they are not known differs from that there are none."""
    assert look.decode(output(api=given), "cp-2").members == expected


class Fake(Unplugged):
    """Prints the line of each script that it is asked to run, and remembers who was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, list[str], bytes | None]] = []

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        words = [word for word in arguments[1:] if word != "--interactive"]
        self.asked.append((words[0], words[1:], stdin))
        parts = next(word for word in words if word.startswith("PARTS="))
        lines = output().splitlines(keepends=True)
        out = (lines[0] + lines[1]) * ("local" in parts) + lines[2] * ("api" in parts)
        return CommandResult((), 0, out.encode(), b"")


MANIFESTS = [{"name": "storage", "content": "kind: StorageClass"}]


def test_control_plane_is_asked_once() -> None:
    """A control plane answers for itself and for the API in one command, with files as arguments."""
    engine = Fake()
    found = look.look(engine, "cp", "cp", ["/a b", "/c"], MANIFESTS, scripts=node_scripts())
    assert found.api and found.facts.version == "v1.35.4"
    ((node, command, stdin),) = engine.asked
    assert node == "cp"
    assert command[-3:] == ["look", "/a b", "/c"]
    assert "NODE=cp" in command and "ALL=yes" in command
    assert json.loads(stdin or b"") == MANIFESTS


def test_worker_and_its_control_plane_are_asked() -> None:
    """A worker answers for itself, and the control plane for the API's view of the worker."""
    engine = Fake()
    found = look.look(engine, "worker", "cp", ["/a"], [], scripts=node_scripts())
    assert found.node is not None
    (first, own, _none), (second, asked, stdin) = engine.asked
    assert (first, second) == ("worker", "cp")
    assert own[-2:] == ["look", "/a"] and asked[-1] == "look"
    assert "NODE=worker" in asked and "ALL=" in asked and "MEMBERS=" in asked
    assert json.loads(stdin or b"") == []


def test_etcd_is_asked_for_a_member() -> None:
    """In the control plane that is asked for another one."""
    engine = Fake()
    look.look(engine, "cp-2", "cp", [], [], scripts=node_scripts(), member=True)
    assert [node for node, command, _stdin in engine.asked if "PARTS=api" in command and "MEMBERS=yes" in command] == [
        "cp"
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\r"], ids=ascii)
def test_text_of_a_node_with_other_line_ends(separator: str) -> None:
    """What a node says may hold what Python takes for the end of a line; jq writes such characters as they are."""
    names = f"127.0.0.1 localhost # a{separator}b\n"
    local = {**LOCAL, "names": names}
    api = {**API, "error": f"a{separator}b"}
    text = "".join(
        json.dumps(item, ensure_ascii=False) + "\n" for item in ({"boot": "running\n"}, {"local": local}, {"api": api})
    )
    found = look.decode(text, "lab-worker-1")
    assert (found.names, found.api_error) == (names, f"a{separator}b")


@pytest.mark.parametrize(("api_node", "number"), [("copy-worker-1", 1), ("cp", 2)])
def test_a_node_with_another_name(api_node: str, number: int) -> None:
    """It is entered by its container, and the API is asked for its name."""
    engine = Fake()
    look.look(engine, "copy-worker-1", api_node, [], [], scripts=node_scripts(), name="lab-worker-1")
    assert [node for node, _command, _stdin in engine.asked] == ["copy-worker-1", "cp"][:number]
    assert all("NODE=lab-worker-1" in command for _node, command, _stdin in engine.asked)


@pytest.mark.parametrize(
    ("given", "expected"), [({"heartbeat": 1796000000}, 1796000000), ({"heartbeat": None}, None), ({}, None)]
)
def test_when_kubelet_reported(given: dict[str, Any], expected: float | None) -> None:
    """Nobody knows it of a node that has not reported yet."""
    node = look.decode(output(api={"node": {**NODE, **given}}), "lab-worker-1").node
    assert node is not None and node.heartbeat == expected
