# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Kubernetes did not come up, by its recorded words."""

from __future__ import annotations

import json

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.reasons import reason
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import RECORDED

WORDS = json.loads((RECORDED / "kubernetes-1.35.4.json").read_text())
SWAP = next(item["words"] for item in WORDS if item["condition"] == "kubelet_swap")
REFUSED = next(item["words"] for item in WORDS if item["condition"] == "api_not_answering")


@pytest.mark.parametrize("recorded", WORDS, ids=[item["condition"] for item in WORDS])
def test_recorded(recorded: dict[str, str]) -> None:
    """Each recorded failure is told by its cause, with the step, the node and its own words."""
    found = reason(f"first\n{recorded['words']}\nlast", step="ready", node="lab-1", engine="docker")
    assert found is not None
    assert found.diagnosis.id == recorded["condition"]
    assert found.diagnosis.cause.startswith("step ready failed on lab-1: ")
    assert recorded["cause"] in found.diagnosis.cause
    assert recorded["words"] in found.diagnosis.output
    assert "{" not in found.diagnosis.fix


@pytest.mark.parametrize(
    "words",
    [
        "failed to create fsnotify watcher: too many open files",
        "Failed to create inotify object: Too many open files",
        'err="inotify_init: too many open files"',
    ],
)
def test_inotify(words: str) -> None:
    """Whoever misses an inotify instance says so in words of its own; these stand in kind's and minikube's threads."""
    found = reason(words, step="init", node="lab-1", engine="podman")
    assert found is not None and found.diagnosis.id == "inotify_exhausted"


def test_the_cause_before_what_follows() -> None:
    """An API that does not answer follows from a kubelet that does not start."""
    found = reason(f"{REFUSED}\n{SWAP}", step="ready", node="lab-1", engine="podman")
    assert found is not None and found.diagnosis.id == "kubelet_swap"


@pytest.mark.parametrize("words", ["", "kubelet is sad", "open /x: too many open files", "x509: unknown authority"])
def test_unknown(words: str) -> None:
    """What is not known is not guessed at."""
    assert reason(words, step="ready", node="lab-1", engine="podman") is None
