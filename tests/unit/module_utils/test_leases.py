# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program of a node that releases leases after its start, with a kubectl of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/kic_cluster/files/node/usr/local/lib/nodeforge.kic/leases"
AGE = 30
"""How long ago the node was started, in seconds."""
NODE = "lab-control-plane-1"

pytestmark = [
    pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed"),
    pytest.mark.one_python("it is bash"),
]

KUBECTL = """#!/usr/bin/env bash
for word in "$@"; do case $word in */leases/*) name=${word##*/} ;; get|replace) verb=$word ;; esac; done
case $verb in
  get) cat "$LEASES/$name" ;;
  replace)
    if [ -e "$LEASES/refuse" ]; then rm "$LEASES/refuse"; exit 1; fi
    cat >"$LEASES/$name.new"; mv "$LEASES/$name.new" "$LEASES/$name" ;;
esac
"""


def lease(holder: str, renewed: int, duration: int = 15) -> dict[str, Any]:
    """One as the API has it, which was renewed so many seconds after the start of the node."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S.123456Z", time.gmtime(time.time() - AGE + renewed))
    spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": when, "leaseTransitions": 3}
    return {"kind": "Lease", "metadata": {"name": "x", "resourceVersion": "7"}, "spec": spec}


def run(folder: Path, found: dict[str, Any], *, refused: bool = False) -> dict[str, Any]:
    """Run the program where both leases are like this; the controller manager's afterwards."""
    programs = {"kubectl": KUBECTL, "curl": "#!/bin/sh\n", "hostname": f"#!/bin/sh\necho {NODE}\n"}
    programs["systemctl"] = f"#!/bin/sh\necho @{int(time.time()) - AGE}\n"
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "controller-manager.conf").write_text("    server: https://192.168.128.2:6443\n")
    for name in ("kube-controller-manager", "kube-scheduler"):
        (folder / name).write_text(json.dumps(found))
    if refused:
        (folder / "refuse").touch()
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment.update(CONFIGURATIONS=str(folder), LEASES=str(folder))
    subprocess.run(["bash", PROGRAM], env=environment, check=True, timeout=60)
    after: dict[str, Any] = json.loads((folder / "kube-controller-manager").read_text())
    assert json.loads((folder / "kube-scheduler").read_text()) == after
    return after


@pytest.mark.parametrize(
    ("held", "released"),
    [
        pytest.param((f"{NODE}_a", -2), True, id="of-this-node-before-its-start"),
        pytest.param((f"{NODE}_a", 2), False, id="of-this-node-since-its-start"),
        pytest.param((f"{NODE}0_a", 20), False, id="of-another-node"),
        pytest.param(("lab-control-plane-2_a", -2), True, id="of-another-node-that-ran-out"),
        pytest.param(("lab-control-plane-2_a", -2, 3600), False, id="of-another-node-for-an-hour"),
        pytest.param(("", -2), False, id="of-nobody"),
    ],
)
def test_release(held: tuple[Any, ...], released: bool, tmp_path: Path) -> None:
    """Nobody's lease is taken who may still hold it, and one that somebody took meanwhile is refused by its version."""
    found = lease(*held)
    after = run(tmp_path, found)
    if not released:
        assert after == found
        return
    assert after["spec"] == {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
    assert after["metadata"]["resourceVersion"] == "7"


def test_a_refused_release_is_tried_again(tmp_path: Path) -> None:
    """As by an API that does not know its roles yet."""
    assert run(tmp_path, lease(f"{NODE}_a", -2), refused=True)["spec"]["holderIdentity"] == ""
