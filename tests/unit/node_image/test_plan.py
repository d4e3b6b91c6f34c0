# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The builder's plan: the image's name, which steps are still to do, and what stands in their way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STEPS = ["kubernetes", "etcd", "coredns", "local-path", "pause", "base", "store", "archive"]
PROGRAMS = STEPS[:5]
MUCH = 1 << 50


@pytest.fixture
def builder(program: Any, roles: Path, tmp_path: Path, go: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A builder on a machine on which nothing is short, with an empty cache and a Go that only answers."""
    monkeypatch.setattr(program.main, "free_space", lambda _path: MUCH)
    monkeypatch.setattr(program.main, "available_memory", lambda: MUCH)
    monkeypatch.setattr(program.main.shutil, "which", lambda name, **_more: f"/usr/bin/{name}")
    recipe = program.recipe.Recipe.load(roles / "kic_image/files")
    return program.main.Builder(recipe, program.cache.Cache(tmp_path / "cache"), go)


def fill(builder: Any, *steps: str) -> None:
    """Put a result of each step into the cache."""
    for step in steps:
        with builder.cache.make(*builder.keys()[step]):
            pass


def test_plan_of_an_empty_cache(builder: Any) -> None:
    """Everything is to do at first, in the order of the steps, and nothing is made by planning."""
    plan = builder.plan()
    assert plan["missing"] == STEPS
    assert plan["problems"] == []
    assert plan["reference"] == builder.recipe.reference("go1.26.6")
    assert plan["kubernetes_version"] == builder.recipe.version("kubernetes").lstrip("v")
    assert plan["archive"].startswith(str(builder.cache.directory / "archives"))
    assert plan["archive"].endswith("/image.tar")
    assert plan["mmdebstrap"] is True
    assert not builder.cache.directory.exists()
    assert json.loads(json.dumps(plan)) == plan


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        (["pause", "base"], ["kubernetes", "etcd", "coredns", "local-path", "store", "archive"]),
        (STEPS[:-1], ["archive"]),
        (STEPS, []),
    ],
    ids=["some", "all-but-one", "all"],
)
def test_plan_knows_what_is_done(builder: Any, done: list[str], missing: list[str]) -> None:
    """What is in the cache is not to do."""
    fill(builder, *done)
    assert builder.plan()["missing"] == missing


def test_plan_follows_a_change(builder: Any, program: Any, roles: Path, go: str) -> None:
    """After a change of a node's file only the archive is to do, under another name."""
    fill(builder, *STEPS)
    before = builder.plan()
    (roles / "kic_image/files/node/etc/new").write_text("x")
    recipe = program.recipe.Recipe.load(roles / "kic_image/files")
    after = program.main.Builder(recipe, builder.cache, go).plan()
    assert after["missing"] == ["archive"]
    assert after["reference"] != before["reference"] and after["archive"] != before["archive"]


@pytest.mark.parametrize(
    ("slower", "processors", "kubernetes"),
    [
        pytest.param(1.0, 1, 1.0, id="as-measured"),
        pytest.param(3.0, 1, 3.0, id="slow"),
        pytest.param(1.0, 4, 0.25, id="four-processors"),
    ],
)
def test_how_long_it_takes_here(
    builder: Any, program: Any, monkeypatch: pytest.MonkeyPatch, slower: float, processors: int, kubernetes: float
) -> None:
    """What is to be compiled is told with the time that it takes at this machine's speed on its processors."""
    monkeypatch.setattr(program.speed, "measured", lambda: slower * program.speed.REFERENCE)
    monkeypatch.setattr(program.speed, "processors", lambda: processors)
    takes = builder.plan()["takes"]
    assert list(takes) == PROGRAMS
    seconds = builder.recipe.values["programs"]["kubernetes"]["seconds"] * kubernetes
    assert takes["kubernetes"] == f"about {program.speed.told(seconds)}"


def test_what_is_made_takes_no_time(builder: Any, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is to be compiled the machine's speed is not measured: each run of a play asks for a plan."""
    monkeypatch.setattr(program.speed, "measured", lambda: pytest.fail("measured"))
    fill(builder, *PROGRAMS)
    assert builder.plan()["takes"] == {}


def test_a_recipe_without_times(builder: Any) -> None:
    """A recipe of somebody else need not know how long a program takes."""
    del builder.recipe.values["programs"]["etcd"]["seconds"]
    assert list(builder.plan()["takes"]) == [name for name in PROGRAMS if name != "etcd"]


def test_speed(program: Any) -> None:
    """The measurement takes a moment, and not nothing."""
    assert 0.001 < program.speed.measured() < 5


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "1 s"), (7.4, "7 s"), (34, "30 s"), (84, "80 s"), (95, "2 min"), (700, "12 min")]
)
def test_durations(program: Any, seconds: float, told: str) -> None:
    """A duration is as exact as an estimate can be."""
    assert program.speed.told(seconds) == told


@pytest.mark.parametrize("kind", ["missing", "not-a-program", "failing"])
def test_plan_without_go(builder: Any, program: Any, tmp_path: Path, kind: str) -> None:
    """Without Go the image has no name, which is no error: another source may have it."""
    path = tmp_path / "other-go"
    if kind != "missing":
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755 if kind == "failing" else 0o644)
    other = program.main.Builder(builder.recipe, builder.cache, str(path))
    plan = other.plan()
    assert plan["reference"] == "" and plan["archive"] == ""
    assert plan["missing"] == [] and plan["problems"] == [] and plan["takes"] == {}
    assert plan["kubernetes_version"] == builder.recipe.version("kubernetes").lstrip("v")
    with pytest.raises(SystemExit, match="there is no Go on this machine"):
        other.make("pause")


@pytest.mark.parametrize(
    ("short", "done", "said"),
    [
        pytest.param({"free_space": (8 << 30) - 1}, [], ["less than 8 GiB free"], id="disk"),
        pytest.param({"free_space": 8 << 30}, [], [], id="disk-just-enough"),
        pytest.param({"free_space": 0}, ["kubernetes"], [], id="disk-when-compiled"),
        pytest.param({"memory": (3 << 30) - 1}, [], ["Less than 3 GiB of memory"], id="memory"),
        pytest.param({"memory": 0}, ["kubernetes"], [], id="memory-when-compiled"),
        pytest.param(
            {"free_space": 0, "memory": 0}, [], ["less than 8 GiB free", "Less than 3 GiB of memory"], id="both"
        ),
        pytest.param({"apt": False}, STEPS[:-1], ["Debian or Ubuntu controller"], id="other-distribution"),
        pytest.param({"apt": False, "free_space": 0, "memory": 0}, STEPS, [], id="nothing-to-do"),
    ],
)
def test_problems(
    builder: Any, program: Any, monkeypatch: pytest.MonkeyPatch, short: dict[str, Any], done: list[str], said: list[str]
) -> None:
    """What is short for the steps that are to do is told with a fix, and only for those."""
    fill(builder, *done)
    monkeypatch.setattr(program.main, "free_space", lambda _path: short.get("free_space", MUCH))
    monkeypatch.setattr(program.main, "available_memory", lambda: short.get("memory", MUCH))
    if short.get("apt") is False:
        monkeypatch.setattr(program.main.shutil, "which", lambda _name, **_more: None)
    problems = builder.plan()["problems"]
    assert len(problems) == len(said)
    for problem, words in zip(problems, said, strict=True):
        assert words in problem


def test_free_space_of_a_directory_to_come(program: Any, tmp_path: Path) -> None:
    """The space of a directory that is not there yet is that of the one it will be made in."""
    usage = os.statvfs(tmp_path)
    found = program.main.free_space(tmp_path / "a" / "b")
    assert abs(found - usage.f_bavail * usage.f_frsize) < 1 << 30


def test_available_memory(program: Any) -> None:
    """The memory is read from the kernel, in bytes, and is more than none and less than all."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 1 << 20 < program.main.available_memory() <= total


def test_make_of_a_program(builder: Any, tmp_path: Path) -> None:
    """A program is compiled once for this machine with this Go, and then found."""
    result = builder.make("etcd")
    assert (result / "program").read_text() == f"go.etcd.io/etcd/server/v3 {builder.recipe.architecture} local\n"
    assert builder.make("etcd") == result
    assert (tmp_path / "built").read_text().splitlines() == ["go.etcd.io/etcd/server/v3"]
    assert builder.plan()["missing"] == [step for step in STEPS if step != "etcd"]


def test_failed_make(builder: Any, roles: Path) -> None:
    """A program that does not compile leaves no result."""
    (roles / "kic_image/files/go/pause/broken").touch()
    with pytest.raises(subprocess.CalledProcessError):
        builder.make("pause")
    assert "pause" in builder.plan()["missing"]


def test_as_it_is_started(roles: Path, tmp_path: Path, go: str) -> None:
    """Started as a program it prints its plan as JSON, and the place of what it makes."""
    command = [
        sys.executable,
        "-B",
        str(roles / "kic_image/files/node_image"),
        f"--cache={tmp_path / 'cache'}",
        f"--go={go}",
    ]
    plan = json.loads(subprocess.run([*command, "plan"], capture_output=True, check=True).stdout)
    assert plan["missing"] == STEPS and plan["reference"].startswith("localhost/nodeforge/kic-node:v")
    made = subprocess.run([*command, "program", "pause"], capture_output=True, check=True, text=True).stdout
    assert (Path(made.strip()) / "program").is_file()
    assert subprocess.run([*command, "clean"], capture_output=True, check=True).stdout == b""
    refused = subprocess.run([*command, "everything"], capture_output=True, check=False)
    assert refused.returncode == 2
