# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module ends: its result, its failure with a diagnosis, and what check mode says where there is no engine."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.nodeforge.kic.plugins.module_utils import _engine_module
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure, keep_done
from ansible_collections.nodeforge.kic.plugins.module_utils._core.labels import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Drift, Outcome, Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.absent import AbsentEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.status import statuses
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import OURS, MemoryEngine, container, network

Run = Callable[..., dict[str, Any]]
FACTS = {
    "name": "podman",
    "version": "4.3.1",
    "rootless": False,
    "cgroup_version": 2,
    "cgroup_manager": "systemd",
    "cgroup_controllers": ["cpu", "memory", "pids"],
    "network_backend": "netavark",
    "runtime": "crun",
    "runtimes": ["crun", "runc"],
    "storage_driver": "overlay",
    "storage_filesystem": "extfs",
    "storage_path": "/var/lib/containers/storage",
    "architecture": "amd64",
    "cpus": 4,
    "memory": 8589934592,
    "selinux": False,
    "apparmor": False,
    "userns_remap": False,
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a module with a real AnsibleModule on a machine without engines, and return what it printed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    warned: list[str] = []
    # In the process of a controller, as pytest is one, AnsibleModule shows warnings instead of returning them.
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: warned.append(text))

    def start(
        body: Callable[[_engine_module.Task], dict[str, Any]], *, check: bool = False, diff: bool = False, **more: Any
    ) -> dict[str, Any]:
        options = {key: more.pop(key) for key in list(more) if key in ("engine", "engine_facts", "name", "cluster")}
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
            _engine_module.run_module({"name": {"type": "str"}, "cluster": {"type": "str"}}, body, **more)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (ended.value.code == 0) is not found.get("failed", False)
        found["warnings"] = [*warned]
        warned.clear()
        return found

    return start


def never(_task: _engine_module.Task) -> dict[str, Any]:
    """A body that must not be reached."""
    raise AssertionError("the module's body was run")


def test_result(run: Run) -> None:
    """A result is printed with the engine's name and a list of actions, without its body naming them."""
    found = run(lambda task: {"changed": True, "name": task.params["name"]}, name="x", engine_facts=FACTS)
    assert (found["changed"], found["name"], found["engine"], found["actions"]) == (True, "x", "podman", [])


def test_result_keeps_what_the_body_says(run: Run) -> None:
    """What the body says of engine and actions is not replaced."""
    found = run(lambda _task: {"changed": False, "engine": "e", "actions": ["a"]}, engine_facts=FACTS)
    assert (found["engine"], found["actions"]) == ("e", ["a"])


def test_failure(run: Run) -> None:
    """A cause that is known is a failure with message, diagnosis and no actions, and with the facts of failures."""

    def body(_task: _engine_module.Task) -> dict[str, Any]:
        raise failure("volume_missing", name="lab", output="words")

    found = run(body, failure_facts=lambda _runner: {"node": {"name": "x"}}, engine_facts=FACTS)
    assert found["failed"] is True
    assert found["diagnosis"] == {
        "id": "volume_missing",
        "cause": "the volume lab does not exist.",
        "fix": "make it first with nodeforge.kic.oci_volume, or name another",
        "output": "words",
    }
    assert (
        found["msg"]
        == "the volume lab does not exist. Fix: make it first with nodeforge.kic.oci_volume, or name another\nwords"
    )
    assert found["actions"] == [] and found["engine"] == "podman" and found["node"] == {"name": "x"}


@pytest.mark.parametrize(
    ("error", "condition"),
    [(OSError(errno.ENOSPC, "full", "/x"), "file_system_full"), (KeyError("State"), "internal_error")],
)
def test_failure_without_a_diagnosis(run: Run, error: Exception, condition: str) -> None:
    """Any other exception gets one; what was done before it is said, and facts that fail too do not hide it."""

    def body(_task: _engine_module.Task) -> dict[str, Any]:
        keep_done(error, ("create network lab",))
        raise error

    def facts(_runner: object) -> dict[str, Any]:
        raise OSError("facts")

    found = run(body, failure_facts=facts, engine_facts=FACTS)
    assert found["failed"] is True and found["diagnosis"]["id"] == condition
    assert found["actions"] == ["create network lab"] and found["changed"] is True and found["engine"] == "auto"
    vars(error).pop("done")


def test_engine_by_name_is_not_replaced(run: Run, tmp_path: Path) -> None:
    """An engine that is requested by name and not there is one clear error, also where the machine has the other."""
    program(tmp_path, "podman", json.dumps({}))
    found = run(lambda task: {"version": task.engine.info.version}, engine="docker")
    assert found["failed"] is True and found["engine"] == "docker"
    assert found["diagnosis"]["id"] == "engine_not_installed"
    assert (
        found["msg"].startswith("docker is not installed on this machine") and "apt-get install docker" in found["msg"]
    )


def test_engine_by_name_in_check_mode(run: Run) -> None:
    """In check mode it is planned for as if it were empty, under its own name."""
    found = run(lambda task: {"networks": task.engine.networks()}, engine="docker", check=True)
    assert (found["engine"], found["networks"]) == ("docker", [])
    assert any("docker is not installed" in text and "an empty engine" in text for text in found["warnings"])


def program(directory: Path, name: str, answer: str, code: int = 0) -> None:
    """A program that gives one answer to whatever it is asked."""
    (directory / f"{name}.txt").write_text(answer)
    path = directory / name
    path.write_text(f'#!/bin/sh\nwhile read -r line; do echo "$line"; done <{directory}/{name}.txt\nexit {code}\n')
    path.chmod(0o755)


def test_broken_engine_is_told_before_a_missing_one(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the one engine is missing and the other does not work, the failure is of the latter, in check mode too."""
    words = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
    answer = json.dumps({"ServerErrors": [words]})
    program(tmp_path, "docker", answer + "\n", 1)
    monkeypatch.setattr(docker, "has_program", lambda _name: True)
    for check in (False, True):
        found = run(never, check=check)
        assert found["diagnosis"]["id"] == "engine_not_running", found
        assert "nothing answers at unix:///x" in found["msg"]


def asking(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Have each module ask whether ``engine`` holds what it is about, and take it; the answers, as they come."""
    asked: list[bool] = []

    def select(_engine: str, _runner: object, _facts: object, holds: Callable[[Engine], bool], *_more: Any) -> Engine:
        asked.append(holds(engine))
        return engine

    monkeypatch.setattr(_engine_module, "select", select)
    return asked


@pytest.mark.parametrize(
    ("kind", "there"), [("network", "kic"), ("volume", "data"), ("container", "node-1"), ("cluster", "lab")]
)
def test_engine_that_holds(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, there: str) -> None:
    """What a module is about is looked for in an engine by the module's own parameter."""
    engine = MemoryEngine()
    engine.network_table["kic"] = network("kic")
    engine.volume_table["data"] = Volume("data", "local", "", OURS, {})
    engine.add(container("node-1", labels={**OURS, CLUSTER: "lab"}))
    asked = asking(engine, monkeypatch)
    for name in (there, "another"):
        run(lambda _task: {"changed": False}, name=name, held=f"name:{kind}")
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("kind", "name", "cluster", "held"),
    [
        ("network", "foreign", None, False),
        ("volume", "foreign", None, False),
        ("container", "foreign", None, False),
        ("cluster", "foreign", None, False),
        ("container", "new", "lab", True),
        ("network", "new", "lab", True),
        ("volume", "new", "other", False),
    ],
)
def test_engine_of_others_and_of_the_cluster(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, cluster: str | None, held: bool
) -> None:
    """What others made is no reason to take their engine; what is new goes where the nodes of its cluster are."""
    engine = MemoryEngine()
    engine.network_table["foreign"] = network("foreign", labels={})
    engine.volume_table["foreign"] = Volume("foreign", "local", "", {}, {})
    engine.add(container("foreign", labels={CLUSTER: "foreign"}))
    engine.add(container("node-1", labels={**OURS, CLUSTER: "lab"}))
    asked = asking(engine, monkeypatch)
    run(lambda _task: {"changed": False}, name=name, cluster=cluster, held=f"name:{kind}")
    assert asked == [held]


def test_first_parameter_that_is_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that can be about a node or about a cluster looks for the one that it was asked about."""
    engine = MemoryEngine()
    engine.add(container("node-1", labels={**OURS, CLUSTER: "lab"}))
    asked = asking(engine, monkeypatch)
    for given in ({"name": "node-1"}, {"cluster": "lab"}, {"name": "lab"}, {"cluster": "node-1"}):
        run(lambda _task: {"changed": False}, held="name:container,cluster:cluster", **given)
    assert asked == [True, True, False, False]


def test_engine_that_holds_what_has_no_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parameter was left out, or the module is about nothing of one engine, none is looked for."""
    asked: list[object] = []

    def select(_engine: str, _runner: object, _facts: object, holds: object, *_more: Any) -> Engine:
        asked.append(holds)
        return MemoryEngine()

    monkeypatch.setattr(_engine_module, "select", select)
    run(lambda _task: {"changed": False}, held="name:volume")
    run(lambda _task: {"changed": False}, name="x")
    assert asked == [None, None]


def test_unknown_engine_is_refused(run: Run) -> None:
    """A word that names no engine is refused by the argument's choices."""
    assert "value of engine must be one of" in run(never, engine="lxc")["msg"]


def test_check_mode_without_an_engine(run: Run) -> None:
    """In check mode a machine without engine is planned for as one whose engine is empty, with a warning."""

    def body(task: _engine_module.Task) -> dict[str, Any]:
        assert isinstance(task.engine, AbsentEngine) and task.check_mode
        (known,) = statuses(task.runner, task.engine)
        assert known.as_dict()["installed"] is False
        return {"changed": not task.engine.networks(), "version": task.engine.info.version}

    found = run(body, check=True)
    assert found["changed"] is True and found["version"] == "0" and found["engine"] == "podman"
    assert any("podman is not installed" in text and "an empty engine" in text for text in found["warnings"])


def test_run_without_an_engine(run: Run) -> None:
    """Outside check mode a machine without engine is a failure as soon as the engine is asked."""
    found = run(lambda task: {"networks": task.engine.networks()})
    assert found["failed"] is True and found["diagnosis"]["id"] == "engine_not_installed"
    assert "podman is not installed on this machine" in found["msg"]


def test_facts_are_not_asked_for_again(run: Run) -> None:
    """With the facts of an earlier task the engine is not requested them, in check mode neither."""
    for check in (False, True):
        found = run(lambda task: {"cpus": task.engine.info.cpus}, engine_facts=FACTS, check=check)
        assert found["cpus"] == 4


def test_facts_of_no_engine_say_nothing(run: Run) -> None:
    """Facts from check mode on a machine without engine do not hide that it has none."""
    found = run(lambda task: {"version": task.engine.info.version}, engine_facts={**FACTS, "version": "0"}, check=True)
    assert found["version"] == "0" and any("not installed" in text for text in found["warnings"])
    found = run(lambda task: {"version": task.engine.info.version}, engine_facts={**FACTS, "version": "0"})
    assert found["diagnosis"]["id"] == "engine_not_installed"


def test_facts_that_are_something_else(run: Run) -> None:
    """What is no engine's facts is refused by the option's name."""
    found = run(never, engine_facts={"version": "4.3.1"})
    assert found["diagnosis"]["id"] == "invalid_option" and found["msg"].startswith("engine_facts: ")


DRIFT = Drift("subnet", "10.0.0.0/24", "10.1.0.0/24")
PLAN = Plan(
    (Operation("create", "network", "lab", "why"),), {"state": "absent"}, {"state": "present"}, (DRIFT,), ("careful",)
)


@pytest.mark.parametrize("diff", [False, True], ids=["without-diff", "with-diff"])
def test_report(run: Run, diff: bool) -> None:
    """A plan becomes changed, actions, drift and warnings, and a diff where one was requested."""
    found = run(
        lambda task: task.report("network", Outcome(PLAN, {"name": "lab"}, warnings=("careful",))),
        diff=diff,
        engine_facts=FACTS,
    )
    assert found["changed"] is True and found["actions"] == ["create network lab: why"]
    assert found["network"] == {"name": "lab"}
    assert found["drift"] == [{"field": "subnet", "asked": "10.0.0.0/24", "found": "10.1.0.0/24"}]
    assert "careful" in found["warnings"]
    expected = {"before": {"state": "absent"}, "after": {"state": "present"}} if diff else None
    assert found.get("diff") == expected


def test_report_of_nothing(run: Run) -> None:
    """An empty plan is no change."""
    found = run(lambda task: task.report("network", Outcome(Plan(), {"name": "lab"})), engine_facts=FACTS)
    assert found["changed"] is False and found["actions"] == [] and found["drift"] == []


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("cgroup_delegation", ("_engine", "_engine_module")),
        ("kic_host", ("_engine", "_engine_module")),
        (
            "oci_volume",
            ("_engine.docker", "_engine.podman", "_host.preflight", "_resources.node"),
        ),
        ("kic_kubeadm", ("_engine.docker", "_engine.podman", "_host.preflight", "_resources")),
    ],
)
def test_modules_load_what_they_need(module: str, unneeded: tuple[str, ...]) -> None:
    """Ansible sends the source, and Python compiles at each task what it loads: what few tasks need is not among it."""
    ours = "ansible_collections.nodeforge.kic.plugins."
    script = f"import sys, {ours}modules.{module}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert f"{ours}module_utils._module" in loaded
    assert not {f"{ours}module_utils.{name}" for name in unneeded} & {*loaded}
