# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes' conformance tests are those of the release that the recipe pins; what is read of a run of them."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.nodeforge.kic.tests.conformance.build import IMAGES
from ansible_collections.nodeforge.kic.tests.conformance.report import LeftOut, pattern, results

ROOT = Path(__file__).resolve().parents[3]
REPORT = """<testsuites><testsuite>
<testcase name="[SynchronizedBeforeSuite]" status="passed" time="1"/>
<testcase name="[It] [sig-node] Pods run [LinuxOnly] [Conformance] [sig-node, Conformance]" status="passed" time="2.5"/>
<testcase name="[It] [sig-node] Pods wait [Conformance] [sig-node, Conformance]" status="failed" time="300">
  <failure message="timed out" type="failed"/>
  <system-err>kubelet: Failed to pull image "registry.example/app:1": x; Back-off pulling image "registry.example/app:1"</system-err>
</testcase>
<testcase name="[It] [sig-node] Pods cannot [Conformance] [sig-node, Conformance]" status="skipped" time="0">
  <skipped message="skipped - only on another provider"/><system-err>begins</system-err>
</testcase>
<testcase name="[It] [sig-node] Pods of nobody [sig-node]" status="skipped" time="0"><skipped message="skipped"/></testcase>
</testsuite></testsuites>"""


def test_results(tmp_path: Path) -> None:
    """Tests that ran are named as in the list of conformance tests, with what they lacked; those that were not chosen are not."""
    file = tmp_path / "junit.xml"
    file.write_text(REPORT)
    found = results(file)
    assert {name: (result.status, result.wanted) for name, result in found.items()} == {
        "[sig-node] Pods run [LinuxOnly] [Conformance]": ("passed", ()),
        "[sig-node] Pods wait [Conformance]": ("failed", ("registry.example/app:1",)),
        "[sig-node] Pods cannot [Conformance]": ("skipped", ()),
    }
    text = str(found["[sig-node] Pods wait [Conformance]"])
    assert "timed out" in text and "registry.example/app:1" in text


def test_pattern() -> None:
    """What has a meaning in an expression is escaped, a space is not."""
    assert pattern(["b (x)", "[a] c"]) == r"\[a\] c|b \(x\)"


def test_the_list_of_what_is_left_out() -> None:
    """It can be read, has a reason for each, and names no image that is made."""
    entries = LeftOut.read()
    assert all(entry.reason and entry.tests for entry in entries)
    assert not {name for entry in entries for name in entry.images} & set(IMAGES)


def pins(path: Path) -> dict[str, str]:
    """The version of each module, as a go.mod requires it and then as it replaces it."""
    text = path.read_text()
    found = dict(re.findall(r"^(?:require)?\s+(\S+) (v\S+)", text, re.MULTILINE))
    return {**found, **dict(re.findall(r"^replace (\S+) => \S+ (v\S+)", text, re.MULTILINE))}


def test_modules_of_the_recipe() -> None:
    """No module that both use has another version: tests and programs are compiled from the same sources."""
    recipe = pins(ROOT / "roles/kic_image/files/go/kubernetes/go.mod")
    tests = pins(ROOT / "tests/conformance/recipe/go.mod")
    assert recipe["k8s.io/kubernetes"] == tests["k8s.io/kubernetes"]
    assert {
        name: (tests[name], recipe[name]) for name in tests.keys() & recipe.keys() if tests[name] != recipe[name]
    } == {}
