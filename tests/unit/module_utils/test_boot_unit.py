# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What starts a cluster's nodes at boot: the unit and its text, and the restart policies."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import TIMED_OUT, CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import podman
from ansible_collections.nodeforge.kic.plugins.module_utils._host import systemd
from ansible_collections.nodeforge.kic.plugins.module_utils._host.systemd import Units, command_line, quoted
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.boot import (
    HEADER,
    BootSpec,
    BootUnit,
    ObservedPolicies,
    ObservedUnit,
    RestartPolicies,
    plan_policies,
    plan_unit,
    policy_at_boot,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import ClusterState, Subject

from .lives import planned_only
from .support import GIB, MemoryEngine, container, engine_info, fails

PLANE, WORKER = "lab-control-plane-1", "lab-worker-1"
UNIT = "nodeforge.kic-lab.service"
SPEC = BootSpec("lab", "enabled", {PLANE: "", WORKER: ""})


class Systemd:
    """A systemd that answers everything with ``rc``, and what it was asked."""

    def __init__(self, rc: int = 0) -> None:
        self.rc = rc
        self.asked: list[str] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """As systemctl answers."""
        assert timeout > 0 and stdin is None and env is not None
        assert argv[0] == "systemctl"
        self.asked.append(" ".join(item for item in argv[1:] if not item.startswith("--no-ask")))
        return CommandResult(tuple(argv), self.rc, b"", b"it said no" if self.rc else b"")


class Place:
    """A machine with a directory of units."""

    def __init__(self, folder: Path, *, manager: bool = True, user: bool = False) -> None:
        target = "default.target" if user else "multi-user.target"
        self.folder = folder / "units"
        self.units = Units(str(self.folder), target, manager, user)
        self.runner = Systemd()
        self.engine = MemoryEngine(engine_info(storage_path="/var/lib/the store"))
        self.file = self.folder / UNIT
        self.link = self.folder / f"{target}.wants" / UNIT

    def run(self, spec: BootSpec = SPEC, *, check_mode: bool = False) -> Outcome:
        """Converge the unit."""
        resource = planned_only(BootUnit(spec, self.engine, self.runner, self.units))
        return converge(resource, check_mode=check_mode, lock=nullcontext)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A machine whose systemd runs root's units."""
    monkeypatch.setattr(record, "state_directory", lambda: str(tmp_path / "state"))
    monkeypatch.setattr(boot, "program", lambda name: f"/usr/bin/{name}")
    for name in podman.STORE:
        monkeypatch.delenv(name, raising=False)
    return Place(tmp_path)


def actions(outcome: Outcome) -> list[str]:
    """What was reported."""
    return [str(item) for item in outcome.plan.actions]


def test_enabled(place: Place) -> None:
    """It is written, loaded and enabled, as check mode predicts, and a second run finds nothing to do."""
    foretold = place.run(check_mode=True)
    assert not place.folder.exists() and place.runner.asked == []
    made = place.run()
    assert actions(made) == actions(foretold) == [f"write boot unit {UNIT}", f"enable boot unit {UNIT}"]
    assert made.diff == foretold.diff and made.diff["before"] == {}
    assert made.diff["after"] == {"path": str(place.file), "enabled": True, "text": place.file.read_text()}
    assert place.runner.asked == ["--system daemon-reload", f"--system start {UNIT}"]
    assert place.link.resolve() == place.file and place.link.is_symlink()
    again = place.run()
    assert (again.plan.operations, again.warnings) == ((), ())


def test_text(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes in their order, the store that the run used, and limits that podman forgets at a stop."""
    monkeypatch.setenv("CONTAINERS_CONF", "/etc/my conf/100%.conf")
    state = ClusterState(Subject("podman", "lab"), limits={WORKER: {"memory": 2 * GIB, "cpus": None, "pids": None}})
    state.save()
    place.run()
    assert (
        place.file.read_text()
        == f'''{HEADER}[Unit]
Description=Nodes of the Kubernetes cluster lab (nodeforge.kic)
Wants=network-online.target
After=network-online.target
RequiresMountsFor="/var/lib/the store"

[Service]
Type=oneshot
RemainAfterExit=yes
# What the engine leaves running next to the nodes may serve other clusters too.
KillMode=process
TimeoutStartSec=900
TimeoutStopSec=90
Environment="CONTAINERS_CONF=/etc/my conf/100%%.conf"
Environment="PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ExecStart=-"/usr/bin/podman" "start" "{PLANE}"
ExecStart=-"/usr/bin/podman" "start" "{WORKER}"
ExecStartPost=-"/usr/bin/podman" "update" "--memory={2 * GIB}b" "--memory-swap={2 * GIB}b" "{WORKER}"
ExecStop=-"/usr/bin/podman" "unpause" "{PLANE}"
ExecStop=-"/usr/bin/podman" "unpause" "{WORKER}"
ExecStop=-"/usr/bin/podman" "stop" "--ignore" "--time" "30" "{WORKER}" "{PLANE}"

[Install]
WantedBy=multi-user.target
'''
    )


@pytest.mark.usefixtures("place")
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("user", [False, True])
def test_systemd_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: bool) -> None:
    """systemd finds nothing to complain of, whatever is in the values."""
    monkeypatch.setenv("CONTAINERS_CONF", '/etc/a "b" \\c $d %e\té')
    monkeypatch.setattr(boot, "program", lambda _name: "/bin/true")
    found = Place(tmp_path, user=user)
    found.run()
    command = ["systemd-analyze", "--man=no", "verify", str(found.file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert UNIT not in done.stderr, done.stderr


def test_a_user_waits_for_the_network(tmp_path: Path, place: Place) -> None:
    """Their systemd does not know the machine's targets, nor its mounts."""
    found = Place(tmp_path, user=True)
    found.run()
    text = found.file.read_text()
    assert 'ExecStartPre=-"/usr/bin/env" "timeout" "60" "systemctl" "is-system-running" "--wait"' in text
    assert "network-online" not in text and "RequiresMountsFor" not in text
    assert text.endswith("WantedBy=default.target\n") and place.folder == found.folder
    assert found.runner.asked == ["--user daemon-reload", f"--user start {UNIT}"]


def test_without_a_manager(tmp_path: Path, place: Place) -> None:
    """A user who is not logged in has a unit all the same; nobody is asked to load it."""
    found = Place(tmp_path, manager=False, user=True)
    assert len(actions(found.run())) == 2 and found.link.is_symlink()
    assert actions(found.run(replace(SPEC, goal="absent"))) == [f"remove boot unit {UNIT}"]
    assert found.runner.asked == [] and place.runner.asked == []


def test_one_more_node(place: Place) -> None:
    """The unit is written again and loaded; it stays enabled."""
    place.run()
    place.runner.asked.clear()
    outcome = place.run(replace(SPEC, nodes={**SPEC.nodes, "lab-worker-2": ""}))
    assert actions(outcome) == [f"write boot unit {UNIT}"]
    assert place.runner.asked == ["--system daemon-reload", f"--system start {UNIT}"]
    assert '"lab-worker-2"' in place.file.read_text()


def test_a_limit_is_an_action_of_the_node(place: Place) -> None:
    """The unit follows, and that is not one more change."""
    place.run()
    ClusterState(Subject("podman", "lab"), limits={PLANE: {"cpus": 2}}).save()
    outcome = place.run()
    assert not outcome.plan.changed and "--cpus=2" in place.file.read_text()
    assert place.run().plan.operations == ()


def test_a_container_in_the_place_of_another(place: Place) -> None:
    """What holds its processes is ended after the unit; that follows from the node, and check mode cannot know it."""
    foretold = place.run(check_mode=True)
    assert foretold.diff == place.run().diff
    outcome = place.run(replace(SPEC, nodes={PLANE: "1f", WORKER: ""}))
    assert not outcome.plan.changed and place.runner.asked[2:] == ["--system daemon-reload", f"--system start {UNIT}"]
    # Named there, and not in the unit: systemd would keep what it named, and the engine could not start the container again.
    drop_ins = [place.file.parent / f"libpod-{kind}1f.scope.d" / "nodeforge.kic.conf" for kind in ("", "conmon-")]
    assert all(path.read_text().endswith(f"[Unit]\nBefore={UNIT}\n") for path in drop_ins)
    assert "libpod" not in place.file.read_text()
    foreign = place.file.parent / "libpod-2f.scope.d"
    foreign.mkdir()
    (foreign / "nodeforge.kic.conf").write_text("[Unit]\nBefore=nodeforge.kic-other.service\n")
    (drop_ins[0].parent / "own.conf").write_text("[Unit]\n")
    again = replace(SPEC, nodes={PLANE: "3f", WORKER: ""})
    assert not place.run(again).plan.changed
    assert not drop_ins[0].exists() and drop_ins[0].parent.exists() and not drop_ins[1].parent.exists()
    assert (place.file.parent / "libpod-3f.scope.d" / "nodeforge.kic.conf").exists()
    assert place.run(again).plan.operations == ()
    assert place.run(replace(SPEC, goal="absent")).plan.changed
    assert sorted(path.parent.name for path in place.file.parent.glob("*.d/nodeforge.kic.conf")) == [
        "libpod-2f.scope.d"
    ]


def test_a_unit_that_names_what_the_engine_has(place: Place) -> None:
    """Of an earlier release: it is written again without that, which is no change for a person."""
    asked = replace(SPEC, nodes={PLANE: "1f", WORKER: ""})
    place.run(asked)
    text = place.file.read_text()
    place.file.write_text(text.replace("[Unit]\n", "[Unit]\nAfter=libpod-1f.scope\nAfter=libpod-conmon-1f.scope\n"))
    outcome = place.run(asked)
    assert not outcome.plan.changed and place.file.read_text() == text


def test_stopped_and_started_again(place: Place) -> None:
    """The unit stays and is not started at boot; it is enabled again without being written."""
    assert place.run(replace(SPEC, goal="disabled")).plan.operations == ()
    place.run()
    text = place.file.read_text()
    foretold = place.run(replace(SPEC, goal="disabled"), check_mode=True)
    stopped = place.run(replace(SPEC, goal="disabled"))
    assert actions(stopped) == actions(foretold) == [f"disable boot unit {UNIT}"]
    assert not place.link.is_symlink() and place.file.read_text() == text
    assert (stopped.diff["before"]["enabled"], stopped.diff["after"]["enabled"]) == (True, False)
    assert place.run(replace(SPEC, goal="disabled")).plan.operations == ()
    assert actions(place.run()) == [f"enable boot unit {UNIT}"]


def test_absent(place: Place) -> None:
    """Nothing of it is left, also where systemd fails; and nothing is done to what is not there."""
    assert place.run(replace(SPEC, goal="absent")).plan.operations == ()
    place.run()
    place.runner = Systemd(rc=1)
    assert actions(place.run(replace(SPEC, goal="absent"))) == [f"remove boot unit {UNIT}"]
    assert place.runner.asked == [f"--system stop {UNIT}", "--system daemon-reload"]
    assert not place.file.exists() and not place.link.is_symlink()


def test_a_unit_of_somebody_else(place: Place) -> None:
    """It is neither overwritten nor removed."""
    place.folder.mkdir()
    place.file.write_text("[Service]\n")
    with fails("file_not_ours", str(place.file)):
        place.run()
    for goal in ("disabled", "absent"):
        assert place.run(replace(SPEC, goal=goal)).plan.operations == ()
    assert place.file.read_text() == "[Service]\n"


@pytest.mark.parametrize(("rc", "condition"), [(1, "engine_failed"), (TIMED_OUT, "timed_out")])
def test_systemd_fails(place: Place, rc: int, condition: str) -> None:
    """The failure names the call, and the unit is not enabled: the next run does it again."""
    place.runner = Systemd(rc)
    with fails(condition, "systemctl daemon-reload", "it said no"):
        place.run()
    assert not place.link.is_symlink()
    place.runner = Systemd()
    assert actions(place.run()) == [f"enable boot unit {UNIT}"]
    assert len(place.runner.asked) == 2


@pytest.mark.parametrize(
    ("observed", "why"),
    [
        (ObservedUnit(), "systemd does not manage this machine"),
        (ObservedUnit(Units("/etc/units", "x.target", True, False), writable=False), "/etc/units, where systemd reads"),
    ],
)
def test_where_nothing_can_be_done(observed: ObservedUnit, why: str) -> None:
    """One warning of a run that creates or starts nodes; none of those after it, nor where nothing is to start."""
    plan = plan_unit(SPEC, observed)
    assert plan.operations == ()
    (warning,) = plan.warnings
    assert why in warning and "kic_cluster_boot: false" in warning
    for spec in (replace(SPEC, changed=False), replace(SPEC, goal="disabled"), replace(SPEC, goal="absent")):
        assert plan_unit(spec, observed) == replace(plan, warnings=())


def test_a_user_who_does_not_linger(place: Place) -> None:
    """That can be repaired, so each run says it, and how."""
    found = replace(ObservedUnit(place.units, wanted="text", lingers=False), user="dev")
    (warning,) = plan_unit(replace(SPEC, changed=False), found).warnings
    assert "kic_host_user: dev" in warning and "loginctl enable-linger dev" in warning


def test_quoted() -> None:
    """Words of a unit keep what systemd gives a meaning to."""
    assert quoted('a b"\\%\n') == '"a b\\"\\\\%%\\x0a"'
    assert quoted("é\udcff") == '"\\xc3\\xa9\\xff"'
    assert command_line(["/opt/$x/podman", "$HOME %h"]) == '"/opt/$x/podman" "$$HOME %%h"'


def test_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has the machine's, an ordinary user their own, a machine without systemd none."""
    monkeypatch.setattr(systemd, "has_systemd", lambda: False)
    assert systemd.units() is None
    monkeypatch.setattr(systemd, "has_systemd", lambda: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert systemd.units() == Units("/etc/systemd/system", "multi-user.target", True, False)
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    found = systemd.units()
    assert found is not None and (found.target, found.manager, found.user) == ("default.target", False, True)
    assert found.directory.endswith("/.config/systemd/user")
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert systemd.units() is None


# docker.


@pytest.mark.parametrize(
    ("created_with", "boots", "policy"),
    [
        ("no", True, "unless-stopped"),
        ("no", False, "no"),
        ("always", True, "always"),
        ("always", False, "always"),
        ("on-failure", True, "on-failure"),
    ],
)
def test_policy(created_with: str, boots: bool, policy: str) -> None:
    """A policy that the user requested stays."""
    assert policy_at_boot(created_with, boots) == policy


def test_policies() -> None:
    """Nodes that have another one get it, without being replaced."""
    engine = MemoryEngine()
    for name, policy in ((PLANE, "no"), (WORKER, "unless-stopped")):
        engine.add(container(name, restart_policy=policy))
    found = {item.name: item.restart_policy for item in engine.container_table.values()}
    wanted = dict.fromkeys(found, "unless-stopped")
    resource = planned_only(RestartPolicies(SPEC, engine, found, wanted))
    outcome = converge(resource, check_mode=False, lock=nullcontext)
    assert actions(outcome) == [f"update restart policy {PLANE}: unless-stopped"]
    assert outcome.diff == {"before": {PLANE: "no"}, "after": {PLANE: "unless-stopped"}}
    assert engine.done == [f"restart policy {PLANE} unless-stopped"]


def test_what_starts_docker() -> None:
    """A daemon that nobody starts, and one of a user who does not linger."""
    plan = plan_policies(SPEC, ObservedPolicies(disabled="docker.service"), {}, "docker")
    assert "systemctl enable docker.service" in plan.warnings[0]
    plan = plan_policies(SPEC, ObservedPolicies(lingers=False, user="dev"), {}, "docker")
    assert "loginctl enable-linger dev" in plan.warnings[0]


def test_no_more_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a cluster that is stopped or gone, nothing of the machine is read."""

    def refused(*_given: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(boot, "disabled_units", refused)
    resource = RestartPolicies(replace(SPEC, goal="absent"), MemoryEngine(), {}, {})
    assert converge(resource, check_mode=False, lock=nullcontext).warnings == ()
