# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The areas of the tests, and the record of what passed in them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.tests.areas import AREAS, ROOT, area_of, state_of, together
from ansible_collections.nodeforge.kic.tests.passes import Passes

ALL = {area.name for area in AREAS}
UNIT, STORY = "tests/unit/module_utils/test_plan.py::test_x", "tests/integration/test_story.py::test_x[own]"


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
def test_each_area_holds_tests(area: object) -> None:
    """No pattern names what is not there."""
    paths = [str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py")]
    assert any(area_of(path) is area for path in paths)
    for pattern in area.tests:  # type: ignore[attr-defined]
        assert list(ROOT.glob(pattern)), pattern


def test_what_runs_beside_the_engines_is_there() -> None:
    """Of its area, by a name that there is, and in another stream than the area's own."""
    for area in AREAS:
        for named in area.beside:
            path, _colons, test = named.partition("::")
            assert area_of(path) is area
            assert not test or f"\ndef {test}(" in (ROOT / path).read_text(), named
            assert area.stream_of(named) != area.stream_of(f"{path}::test_of_another_name") or not test
            assert area.stream_of(named) == "" != area.stream


@pytest.mark.parametrize(
    ("path", "affected"),
    [
        ("tests/conftest.py", ALL),
        ("pyproject.toml", ALL),
        ("plugins/module_utils/_command.py", ALL),
        ("plugins/module_utils/_engine/podman.py", ALL),
        ("plugins/module_utils/_kubernetes/bootstrap/kubeadm.py", ALL - {"modules"}),
        ("roles/kic_cluster/tasks/main.yml", ALL - {"modules"}),
        ("roles/kic_host/tasks/main.yml", ALL),
        ("README.md", {"unit", "lint", "cleanroom", "projects"}),
        ("changelogs/fragments/a.yml", {"unit", "lint", "cleanroom"}),
        ("tests/unit/module_utils/test_plan.py", {"unit", "lint"}),
        ("tests/integration/test_story.py", {"lint", "stories"}),
        ("tests/integration/test_galaxy.py", {"lint", "projects"}),
        (
            "tests/integration/conftest.py",
            {"lint", "host", "modules", "stories", "lives", "kills", "conformance", "projects"},
        ),
        ("tests/conformance/left_out.yml", {"lint", "conformance"}),
        ("tests/cleanroom/room.py", {"lint", "cleanroom"}),
        ("tests/hosts/disk.py", {"lint", "cleanroom", "host"}),
    ],
)
def test_affected(path: str, affected: set[str]) -> None:
    """Which areas a change of a file opens again."""
    assert {area.name for area in AREAS if area.affected_by(path)} == affected


def test_state_follows_files_and_machine() -> None:
    """Another content of a file that affects it, or another engine, is another state; another file's is not."""
    modules = next(area for area in AREAS if area.name == "modules")
    files = {"plugins/a.py": "1", "roles/kic_cluster/x.yml": "1"}
    state = state_of(modules, files, "podman 4")
    assert state_of(modules, {**files, "roles/kic_cluster/x.yml": "2"}, "podman 4") == state
    assert state_of(modules, {**files, "plugins/a.py": "2"}, "podman 4") != state
    assert state_of(modules, files, "podman 5") != state


def test_record(tmp_path: Path) -> None:
    """A pass counts in its state alone; a failure takes it back; the notes of another run stay."""
    file = tmp_path / "passes.json"
    first, other = (Passes(file, {"unit": "a", "stories": "a"}) for _run in range(2))
    first.add(UNIT, 1.0)
    first.save()
    other.add(STORY, 60.0)
    other.save()
    again = Passes(file, {"unit": "a", "stories": "b"})
    assert again.passed(UNIT) and not again.passed(STORY)
    assert again.of(area_of(UNIT)) == (1, 0, 0.0) and again.of(area_of(STORY)) == (0, 1, 60.0)
    again.remove(UNIT)
    again.save()
    assert not Passes(file, {"unit": "a"}).passed(UNIT)
    file.write_text("no JSON")
    assert not Passes(file, {"unit": "a"}).passed(UNIT)


def test_chapters_of_a_story_are_run_all_or_none() -> None:
    """A chapter on what the ones before it made; the next run may not begin in the middle."""
    story = "tests/integration/test_story.py::test_"
    assert together(f"{story}workload[own]") == together(f"{story}each_addon_is_repaired_alone[own-break_dns]")
    assert together(f"{story}workload[own]") != together(f"{story}workload[docker]")
    for alone in (
        f"{story}contract_on_docker",
        UNIT,
        "tests/integration/test_states.py::test_modules[podman-kic_node]",
    ):
        assert together(alone) == alone


def test_a_run_goes_on_where_another_ended(tmp_path: Path) -> None:
    """What passed is left out the next time; that nothing is left is no failure; without the option all is run."""
    test = "tests/unit/tools/test_release.py::test_taken"
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    closing = []
    for option in ("--area=unit", "--affected", "--area=lint", "--record-passes"):
        command = ["pytest", "-q", option, test]
        done = subprocess.run(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        closing.append(re.sub(r" in .*", "", done.stdout.splitlines()[-1]))
    assert closing == ["8 passed", "8 deselected", "8 deselected", "8 passed"]
    unknown = subprocess.run(
        ["pytest", "--area=kitchen", test],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == pytest.ExitCode.USAGE_ERROR and "kitchen" in unknown.stderr
