# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin of the cluster: what of the kubeconfig is done when, and how often a module is started for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase

from ansible_collections.nodeforge.kic.plugins.action import kic_cluster

from .test_action_kic_kubeconfig import ADMIN, SERVER, USERS, file, ours

CREATED: dict[str, Any] = {"created": ["lab-control-plane-1"]}
PATH = "/k/config"
TAKEN = "contexts: [{name: kic-lab, context: {cluster: x}}]\n"
WRITTEN = f"write context kic-lab: {PATH}"


class Plugin(kic_cluster.ActionModule):
    """The plugin on a machine on which the module finds ``text`` in the user's file."""

    text: str | None = None
    known = False
    """Whether the file is recorded as one with the cluster's entries."""
    cluster_actions: tuple[str, ...] = ("create node lab-control-plane-1",)
    answer: dict[str, Any] | None = None
    """What writing answers, where it is not written."""

    def module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        self.calls = [*getattr(self, "calls", []), (name, arguments)]
        if name == "kic_kubeconfig":
            return self.answer or {"changed": True, "written": True}
        read = file(self.text, PATH)
        entry = {"context": "kic-lab", "path": PATH, "uid": 7, "needs_sudo": False, "place": {}, "files": [read]}
        made = {
            "changed": bool(self.cluster_actions),
            "actions": [*self.cluster_actions],
            # A list, as the module has it: one part for each thing.
            "diff": [{"before_header": "node x", "after_header": "node x", "before": {}, "after": {"memory": "2g"}}],
        }
        found: dict[str, Any] = {"drift": [], "kubeconfig": None, "engine": "podman", "engine_facts": {"version": "1"}}
        wanted = arguments.get("kubeconfig")
        if wanted is None:
            return {**found, **made, "cluster": CREATED}
        if self.text is not None and not self.known and wanted.get("seen") != read["sum"]:
            return {**found, "changed": False, "actions": [], "cluster": {}, "access": entry}
        given = {"admin": ADMIN, "server": SERVER} if not self._task.check_mode or not self.cluster_actions else {}
        return {**found, **made, "cluster": CREATED, "access": {**entry, **given, "unrecorded": False}}


def plugin(*, check: bool = False, **arguments: Any) -> Plugin:
    """The plugin for one task."""
    task = Task()
    task.action, task.async_val, task.check_mode, task.diff = "nodeforge.kic.kic_cluster", 0, check, True
    task.args = {"name": "lab", "image": "localhost/x:1", "kubeconfig": {}, **arguments}
    connection: Any = SimpleNamespace(become=None, transport="ssh", _shell=SimpleNamespace(tmpdir=None))
    nothing: Any = None
    return Plugin(task, connection, nothing, DataLoader(), nothing, nothing)


def names(one: Plugin) -> list[str]:
    """The modules that were started, in order."""
    return [name for name, _arguments in one.calls]


def test_a_declaration_that_does_not_fit() -> None:
    """All of its problems are one failure, and no module is started."""
    one = plugin(workers=-1, pod_subnet="10.0.0.0")
    result = one.run(task_vars={})
    assert result["diagnosis"]["id"] == "invalid_option" and "2 problems" in result["msg"]
    assert not hasattr(one, "calls")


def test_without_a_kubeconfig() -> None:
    """The result is the module's."""
    one = plugin(kubeconfig=None)
    result = one.run(task_vars={})
    assert names(one) == ["kic_cluster"] and result["kubeconfig"] is None
    assert [part["before_header"] for part in result["diff"]] == ["node x"]


@pytest.mark.parametrize("kubeconfig", [None, {}], ids=["without a kubeconfig", "with one"])
def test_nodes_that_are_not_declared(kubeconfig: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task itself warns of them, and not only the role; nodes that are all declared need no word."""
    assert "warnings" not in plugin(kubeconfig=None).run(task_vars={})
    monkeypatch.setitem(CREATED, "control_plane", "lab-control-plane-1")
    monkeypatch.setitem(CREATED, "surplus", ["lab-worker-2"])
    (warning,) = plugin(kubeconfig=kubeconfig).run(task_vars={})["warnings"]
    assert "they stay as they are: lab-worker-2. Fix: " in warning and "podman rm --force lab-worker-2" in warning


@pytest.mark.parametrize(
    ("option", "labels", "named"),
    [
        ("node", {"ingress-ready": "true", "team": "a"}, "ingress-ready in kic_cluster_node. Fix: "),
        (
            "worker_node",
            {"topology.kubernetes.io/zone": "a", "node-role.kubernetes.io/db": ""},
            "node-role.kubernetes.io/db, topology.kubernetes.io/zone in kic_cluster_worker_node. Fix: ",
        ),
        ("control_plane_node", {"com.example/k8s.io": "", "ingress-ready-soon": "", "kubernetes": ""}, ""),
        ("node", None, ""),
    ],
)
def test_labels_that_kubernetes_does_not_see(option: str, labels: dict[str, str] | None, named: str) -> None:
    """Whoever comes from kind writes them where the container's labels are."""
    arguments: dict[str, Any] = {"kubeconfig": None, option: {"labels": labels}}
    found = plugin(**arguments).run(task_vars={}).get("warnings", [])
    assert len(found) == bool(named) and named in "".join(found)


def test_a_new_file() -> None:
    """One start for the cluster and one that writes; nothing that holds credentials is returned."""
    one = plugin()
    result = one.run(task_vars={})
    assert names(one) == ["kic_cluster", "kic_kubeconfig"]
    _name, arguments = one.calls[-1]
    (change,) = arguments["write"]
    assert "S0VZ" in change["text"] and (arguments["cluster"], arguments["engine"]) == ("lab", "podman")
    assert result["changed"] and result["actions"] == ["create node lab-control-plane-1", WRITTEN]
    assert result["kubeconfig"] == {"path": PATH, "context": "kic-lab", "needs_sudo": False}
    assert [part["before_header"] for part in result["diff"]] == ["node x", f"kubeconfig {PATH}"]
    assert "access" not in result and "S0VZ" not in str(result)


def test_the_diff_is_shown() -> None:
    """Ansible shows nothing of a list in a list: each part, that of the cluster too, is one that it prints."""
    callback: Any = CallbackBase()
    shown = callback._get_diff(plugin().run(task_vars={})["diff"])
    assert "+++ after: node x" in shown and "memory" in shown and f"+++ after: kubeconfig {PATH}" in shown


def test_a_file_of_the_user() -> None:
    """What can take the entries is seen before there is a cluster, with the engine that was found."""
    one = plugin()
    one.text = USERS
    result = one.run(task_vars={})
    assert names(one) == ["kic_cluster", "kic_cluster", "kic_kubeconfig"] and WRITTEN in result["actions"]
    _name, second = one.calls[1]
    assert second["engine"] == "podman" and second["kubeconfig"]["seen"] == file(USERS)["sum"]


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
def test_a_name_that_is_taken(check: bool) -> None:
    """Then there is no cluster."""
    one = plugin(check=check)
    one.text = TAKEN
    result = one.run(task_vars={})
    assert result["diagnosis"]["id"] == "context_taken" and names(one) == ["kic_cluster"] and result["actions"] == []


def test_nothing_to_change() -> None:
    """A standing cluster with its entries is one start of one module."""
    one = plugin()
    one.text, one.known, one.cluster_actions = ours(), True, ()
    result = one.run(task_vars={})
    assert names(one) == ["kic_cluster"] and not result["changed"] and result["actions"] == []
    assert result["kubeconfig"]["path"] == PATH


def test_check_mode() -> None:
    """What would be written is told, and is not written."""
    one = plugin(check=True)
    result = one.run(task_vars={})
    assert names(one) == ["kic_cluster"] and result["actions"] == ["create node lab-control-plane-1", WRITTEN]


def test_check_mode_of_credentials_that_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is written, though it is as what is there now; a run reads what is there then."""
    monkeypatch.setitem(CREATED, "renewed", True)
    for check, expected in ((True, [WRITTEN]), (False, [])):
        one = plugin(check=check)
        one.text, one.known, one.cluster_actions = ours(), True, ()
        assert one.run(task_vars={})["actions"] == expected and names(one) == ["kic_cluster"]


@pytest.mark.parametrize(
    "answer", [{"failed": True, "msg": "no space", "actions": []}, {"failed": True, "msg": "gone"}]
)
def test_a_file_that_cannot_be_written(answer: dict[str, Any]) -> None:
    """The failure says what was done to the cluster before it."""
    one = plugin()
    one.answer = answer
    result = one.run(task_vars={})
    assert result["failed"] and result["msg"] == answer["msg"]
    assert result["changed"] and result["actions"] == ["create node lab-control-plane-1"]


def test_a_controller_that_fails_after_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise where it is the merge that fails."""
    one = plugin()

    def broken(*_arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one, "bring", broken)
    result = one.run(task_vars={})
    assert result["failed"] and result["actions"] == ["create node lab-control-plane-1"] and result["changed"]
