# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes' conformance tests pass on a cluster of this collection."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from ..integration.living import Cluster
from .build import IMAGES, Suite
from .report import LeftOut, Result, conformance, pattern, results

PROCESSES = 5
"""Tests at a time. They wait more than they compute: on two cores the cluster is busy with this many, and none is too slow."""

MINUTES = 60
"""After which a part is ended; on two cores the parallel one takes 25, the serial one 18."""


def run(suite: Suite, cluster: Cluster, folder: Path, focus: str, skip: str, processes: int) -> dict[str, Result]:
    """Run the tests that match one expression and not the other with ginkgo; what became of each."""
    folder.mkdir(exist_ok=True)
    command = [str(suite.ginkgo), "--no-color", "--silence-skips", f"--procs={processes}", f"--timeout={MINUTES}m"]
    command += [
        f"--output-dir={folder}",
        "--junit-report=junit.xml",
        f"--focus={focus}",
        *([f"--skip={skip}"] if skip else []),
    ]
    command += [
        str(suite.test),
        "--",
        f"--kubeconfig={cluster.kubeconfig}",
        f"--kubectl-path={suite.kubectl}",
        "--provider=skeleton",
    ]
    # To be followed while it runs.
    log = folder / "output.log"
    with log.open("wb") as output:
        subprocess.run(
            ["nice", *command],
            cwd=folder,
            env={**cluster.client.environment, "KUBECONFIG": str(cluster.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=(MINUTES + 10) * 60,
            check=False,
        )
    assert (folder / "junit.xml").exists(), log.read_text()[-4000:]
    return results(folder / "junit.xml")


@pytest.mark.full("builds Kubernetes' tests, five minutes")
def test_what_is_left_out(suite: Suite) -> None:
    """Each test is run or left out: once, with a reason, and not for an image that is made here."""
    known, entries = conformance(suite.test), LeftOut.read()
    counted = Counter(name for entry in entries for name in entry.tests)
    assert set(counted) <= known, f"not tests of {suite.version}: {sorted(set(counted) - known)}"
    assert [name for name, count in counted.items() if count > 1] == []
    assert all(entry.reason for entry in entries)
    images = {name for entry in entries for name in entry.images}
    assert images <= set(suite.names) - set(IMAGES)


@pytest.mark.full("45 minutes; the pod network and its services are in the quick set")
@pytest.mark.parametrize("serial", [False, True], ids=["parallel", "serial"])
def test_conformance(suite: Suite, cluster: Cluster, tmp_path: Path, serial: bool) -> None:
    """All that are not left out pass, those that need the cluster for themselves one after the other."""
    left_out = {name for entry in LeftOut.read() for name in entry.tests}
    names = {name for name in conformance(suite.test) - left_out if ("[Serial]" in name) is serial}
    focus = r"\[Serial\].*\[Conformance\]" if serial else r"\[Conformance\]"
    skip = pattern(left_out) if serial else "|".join(filter(None, (r"\[Serial\]", pattern(left_out))))
    found = run(suite, cluster, tmp_path / "report", focus, skip, 1 if serial else PROCESSES)
    failed = [str(result) for name, result in sorted(found.items()) if result.status != "passed"]
    seconds = sum(result.seconds for result in found.values())
    print(f"{len(found)} tests, {len(failed)} failed, {seconds / 60:.0f} minutes of tests")
    assert failed == []
    assert set(found) == names
