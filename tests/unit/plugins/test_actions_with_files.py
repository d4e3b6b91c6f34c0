# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugins that hand files of the collection to their modules."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task

from ansible_collections.nodeforge.kic.plugins.action import kic_cluster, kic_kubeadm, kic_node_info, kic_snapshot
from ansible_collections.nodeforge.kic.plugins.plugin_utils import node_files

PLUGINS = {
    "kic_cluster": kic_cluster,
    "kic_kubeadm": kic_kubeadm,
    "kic_node_info": kic_node_info,
    "kic_snapshot": kic_snapshot,
}
FITS: dict[str, dict[str, Any]] = {
    "kic_cluster": {"name": "lab", "image": "localhost/x:1"},
    "kic_kubeadm": {"name": "lab"},
    "kic_node_info": {"name": "lab"},
    "kic_snapshot": {"name": "lab", "cluster": "lab"},
}
"""Arguments that each takes."""


def run(module: str, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result of a task, and what its module was given."""
    task = Task()
    task.action, task.args, task.async_val = f"nodeforge.kic.{module}", arguments, 0
    connection: Any = SimpleNamespace(become=None, transport="local", _shell=SimpleNamespace(tmpdir=None))
    nothing: Any = None
    plugin = PLUGINS[module].ActionModule(task, connection, nothing, DataLoader(), nothing, nothing)
    given: list[dict[str, Any]] = []

    def execute(*, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        assert (module_name, task_vars) == (f"nodeforge.kic.{module}", {})
        given.append(module_args)
        return {"changed": True}

    monkeypatch.setattr(plugin, "_execute_module", execute)
    result: dict[str, Any] = plugin.run(task_vars={})
    return result, given


@pytest.mark.parametrize("name", PLUGINS)
def test_the_module_gets_the_scripts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the collection, or the task's own."""
    result, (given,) = run(name, monkeypatch, **FITS[name])
    assert result["changed"] and given["scripts"] == node_files.node_scripts() and given["name"] == "lab"
    _result, (own,) = run(name, monkeypatch, scripts={"look": "true"}, **FITS[name])
    assert own["scripts"] == {"look": "true"}


@pytest.mark.parametrize("name", PLUGINS)
def test_files_that_cannot_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is a diagnosis with cause and fix, and the module is not run."""

    def refuse(path: Path, **_options: Any) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    result, given = run(name, monkeypatch, **FITS[name])
    assert result["failed"] and not result["changed"] and result["actions"] == [] and given == []
    assert result["diagnosis"]["cause"] and result["diagnosis"]["fix"]
    assert "kic_cluster/files" in result["msg"]
