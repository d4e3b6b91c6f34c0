# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of steps, and what a node said last."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.steps import (
    Deadline,
    last_lines,
    silent_parts,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import Unplugged


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("total", "passed", "own", "expected"),
    [
        (600, 0, 30, 30),
        (600, 0, 900, 600),
        (600, 580, 30, 20),
        (600, 599, 30, 1),
        (1800, 0, 240, 720),
        (1800, 1700, 240, 100),
        (300, 0, 30, 30),
    ],
    ids=["own", "total", "what-is-left", "last-second", "slow-machine", "slow-machine-at-its-end", "less-than-usual"],
)
def test_limit(total: float, passed: float, own: float, expected: float) -> None:
    """A step may take its own limit, which grows with a total above the usual, or what is left, whichever is less."""
    clock = Clock()
    deadline = Deadline(total, clock)
    clock.now += passed
    assert deadline.limit("kubeadm", own) == expected


@pytest.mark.parametrize("passed", [599.5, 600, 5000], ids=["less-than-a-second", "nothing", "long-past"])
def test_out_of_time(passed: float) -> None:
    """A step that nothing is left for is named, with the total."""
    clock = Clock()
    deadline = Deadline(600, clock)
    clock.now += passed
    with pytest.raises(KicError) as caught:
        deadline.limit("manifests", 60)
    assert caught.value.diagnosis.id == "out_of_time"
    assert caught.value.diagnosis.cause == "the limit of 600 seconds was used up before the step manifests."


class Fake(Unplugged):
    """Gives one answer to any command; without one it is not there."""

    def __init__(self, answer: CommandResult | None) -> None:
        super().__init__()
        self.given = answer
        self.asked: list[list[str]] = []

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        self.asked.append(list(arguments))
        if self.given is None:
            raise self.reason
        return self.given


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(CommandResult((), 0, b"\nfirst\nlast\n", b""), "kubelet's last lines:\nfirst\nlast", id="lines"),
        pytest.param(CommandResult((), 0, b"\n", b""), "", id="no-lines"),
        pytest.param(CommandResult((), 1, b"No journal files were found.\n", b""), "", id="no-journal"),
        pytest.param(None, "", id="no-answer"),
    ],
)
def test_last_lines(answer: CommandResult | None, expected: str) -> None:
    """kubelet's last lines are told where they can be read, and a failure to read them is none."""
    engine = Fake(answer)
    assert last_lines(engine, "lab-worker-1") == expected
    (asked,) = engine.asked
    assert asked[:3] == ["exec", "lab-worker-1", "journalctl"] and "--unit=kubelet" in asked


@pytest.mark.parametrize(
    ("answer", "scripts", "expected"),
    [
        (CommandResult((), 0, b"etcd does not answer\n", b""), {"silent-parts": "true"}, "etcd does not answer"),
        (CommandResult((), 1, b"bash: not found\n", b""), {"silent-parts": "true"}, ""),
        (None, {"silent-parts": "true"}, ""),
        (CommandResult((), 0, b"x", b""), {}, ""),
    ],
    ids=["words", "failed", "no-answer", "no-script"],
)
def test_silent_parts(answer: CommandResult | None, scripts: dict[str, str], expected: str) -> None:
    """What cannot be read hides no failure."""
    assert silent_parts(Fake(answer), "lab-control-plane-1", scripts) == expected


SILENT_PARTS = Path(__file__).resolve().parents[3] / "roles/kic_cluster/files/scripts/silent-parts.sh"


def test_which_parts_are_silent(tmp_path: Path) -> None:
    """Of a part that answers, with whatever rights, and of one that is not of this node nothing is said; of another its last lines."""
    manifests, logs, programs = (tmp_path / name for name in ("manifests", "logs", "bin"))
    for folder in (manifests, programs):
        folder.mkdir()
    curl = programs / "curl"
    curl.write_text(
        "#!/bin/sh\nfor url; do :; done\ncase $url in *:2381/*) echo 200 ;; *:6443/*) echo 403 ;; *) echo 000; exit 7 ;; esac\n"
    )
    curl.chmod(0o755)
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (manifests / f"{name}.yaml").write_text("kind: Pod\n")
    first = logs / "kube-system_kube-controller-manager-lab_1a" / "kube-controller-manager"
    first.mkdir(parents=True)
    (first / "0.log").write_text("2026-11-30T22:00:00Z stderr F old\n")
    (first / "1.log").write_text("".join(f"2026-11-30T22:00:0{at}Z stderr F line {at} of it\n" for at in range(4)))
    os.utime(first / "0.log", (1, 1))

    def said() -> str:
        done = subprocess.run(
            ["bash", str(SILENT_PARTS), str(manifests), str(logs), "2"],
            env={"PATH": f"{programs}:{os.defpath}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert said() == "kube-controller-manager does not answer; its last lines:\nline 2 of it\nline 3 of it\n"
    (manifests / "kube-scheduler.yaml").write_text("kind: Pod\n")
    assert said().endswith("kube-scheduler does not answer, and has not said anything\n")
