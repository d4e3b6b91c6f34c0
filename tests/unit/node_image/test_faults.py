# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the builder says where a step fails: a cause and a fix, never a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest


def build(roles: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a step as the role does, and have it fail without a traceback."""
    command = [sys.executable, "-B", str(roles / "kic_image/files/node_image"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    return done


def test_a_program_that_fails(roles: Path, tmp_path: Path, go: str) -> None:
    """Its own words are before ours."""
    (roles / "kic_image/files/go/pause/broken").touch()
    said = build(roles, f"--cache={tmp_path / 'cache'}", f"--go={go}", "program", "pause").stderr.splitlines()
    assert said[-1].startswith("node_image program: go ended with exit code 1. Fix: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cache=/proc/nothing", "folders"], "No such file or directory. Fix: "),
        (["--cache=/proc/nothing", "program", "pause"], "No such file or directory. Fix: "),
        (["--cache=/dev/null/x", "folders"], "/dev/null"),
        (["--cache=x", "program", "nothing"], "has no program nothing; it has kubernetes, etcd"),
        (["--cache=x", "--recipe=/nonexistent", "plan"], "/nonexistent/recipe.json: No such file or directory. Fix: "),
    ],
)
def test_what_is_not_there(
    roles: Path, go: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], words: str
) -> None:
    """Files, programs and recipes that are not there are named."""
    monkeypatch.chdir(tmp_path)
    assert words in build(roles, f"--go={go}", *arguments).stderr


@pytest.mark.parametrize(
    "text", ["{", "{}", "[]", '"a"', '{"programs": {}}', '{"programs": []}', '{"based_on": 5}', "\xff"]
)
def test_a_recipe_that_is_none(roles: Path, go: str, tmp_path: Path, text: str) -> None:
    """Somebody's own recipe is named, and what to compare it with."""
    (tmp_path / "recipe.json").write_bytes(text.encode("latin-1"))
    said = build(roles, f"--go={go}", f"--recipe={tmp_path}", "--cache=x", "plan").stderr
    assert said.startswith(f"node_image plan: The recipe in {tmp_path} cannot be used (")
    assert "Fix: compare it with " in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "x", "/a"),
            "/a: No space left on device. Fix: free space there, or set kic_image_cache",
        ),
        (OSError(errno.EROFS, "x", "/a"), "/a: Read-only file system. Fix: set kic_image_cache"),
        (OSError(errno.ENOSPC, "x"), "No space left on device. Fix: "),
        (
            subprocess.CalledProcessError(-9, ["/usr/bin/go", "build"]),
            "go ended with signal 9. Fix: end other programs",
        ),
        (RuntimeError("containerd did not import x"), "containerd did not import x"),
    ],
)
def test_causes(program: Any, error: Exception, words: str) -> None:
    """Causes that have a fix of their own."""
    assert program.faults.told(error).startswith(words)


def test_what_nobody_thought_of(program: Any) -> None:
    """Any other error is one line, with the place for whoever repairs it."""
    with pytest.raises(ZeroDivisionError) as caught:
        print(1 // 0)
    assert program.faults.told(caught.value).startswith("An error of the builder itself: ZeroDivisionError: ")
    assert "test_faults.py:" in program.faults.told(caught.value)


def test_a_step_has_a_limit(program: Any) -> None:
    """What it waits for is ended; afterwards there is no limit any more."""
    began = time.monotonic()
    with pytest.raises(program.faults.Late, match="longer than 1 seconds"), program.faults.limited(1):
        subprocess.run(["sleep", "60"], check=True)
    assert time.monotonic() - began < 30
    with program.faults.limited(1):
        pass
    time.sleep(1.2)


def test_the_limit_ends_a_wait_for_another_run(program: Any, tmp_path: Path) -> None:
    """Another run that hangs is waited for no longer than that."""
    first, second = (program.cache.Cache(tmp_path) for _number in range(2))
    key = "0" * 64
    with (
        first.make("base", key),
        pytest.raises(program.faults.Late),
        program.faults.limited(1),
        second.make("base", key),
    ):
        pass
