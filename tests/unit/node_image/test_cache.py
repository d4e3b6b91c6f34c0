# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of steps: there when a step went well, and never half."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

KEY = "0123456789abcdef" * 4


@pytest.fixture
def cache(program: Any, tmp_path: Path) -> Any:
    """A cache in a directory that is not there yet."""
    return program.cache.Cache(tmp_path / "cache")


def test_result_after_success(cache: Any) -> None:
    """What a step filled is the result when the step is through, and not before."""
    assert not cache.has("base", KEY)
    with cache.make("base", KEY) as work:
        (work / "file").write_text("content")
        assert not cache.has("base", KEY)
    assert cache.has("base", KEY)
    assert (cache.path("base", KEY) / "file").read_text() == "content"
    assert not cache.has("base", "f" * 64) and not cache.has("store", KEY)


def test_passable_whatever_the_umask(cache: Any) -> None:
    """Others may look into a result, whose root file system must be passable."""
    before = os.umask(0o077)
    try:
        with cache.make("base", KEY):
            pass
    finally:
        os.umask(before)
    assert cache.path("base", KEY).stat().st_mode & 0o777 == 0o755


def test_made_once(cache: Any) -> None:
    """A result that is there is not made again, but is marked as asked for."""
    with cache.make("base", KEY) as work:
        assert work is not None
    result = cache.path("base", KEY)
    os.utime(result, (1, 1))
    with cache.make("base", KEY) as work:
        assert work is None
    assert time.time() - result.stat().st_mtime < 60


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_nothing(cache: Any, error: type[BaseException]) -> None:
    """A step that fails or is interrupted leaves no result and no work, and can be done again."""

    def fail() -> None:
        with cache.make("base", KEY) as work:
            (work / "half").write_text("x")
            raise error

    with pytest.raises(error):
        fail()
    assert not cache.has("base", KEY)
    assert [path.name for path in (cache.directory / "base").iterdir() if path.is_dir()] == []
    with cache.make("base", KEY) as work:
        assert work is not None
    assert cache.has("base", KEY)


def test_what_a_killed_run_left_is_gone(cache: Any) -> None:
    """The work of a run that was killed is not part of the next result."""
    left = Path(f"{cache.path('base', KEY)}.part")
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    with cache.make("base", KEY) as work:
        (work / "whole").write_text("y")
    assert [path.name for path in cache.path("base", KEY).iterdir()] == ["whole"]


# Says when it begins to wait, and what it got.
SECOND = """
import sys
from pathlib import Path
from cache import Cache

print("begins", flush=True)
with Cache(Path(sys.argv[1])).make("base", sys.argv[2]) as work:
    print("nothing to do" if work is None else "makes it", flush=True)
"""


@pytest.mark.parametrize(
    ("well", "said"), [(True, "nothing to do\n"), (False, "makes it\n")], ids=["success", "failure"]
)
def test_second_process_waits(cache: Any, program: Any, well: bool, said: str) -> None:
    """A second process waits for the first: it finds the result, or makes it itself when the first one failed."""
    other: subprocess.Popen[str] | None = None
    try:
        with cache.make("base", KEY):
            code = Path(program.cache.__file__).parent
            other = subprocess.Popen(
                [sys.executable, "-B", "-c", SECOND, str(cache.directory), KEY],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(code)},
            )
            assert other.stdout is not None
            assert other.stdout.readline() == "begins\n"
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(0.2)
            if not well:
                raise RuntimeError
    except RuntimeError:
        assert not well
    assert other is not None
    out, _err = other.communicate(timeout=10)
    assert (out, other.returncode) == (said, 0)
    assert cache.has("base", KEY)


def test_other_keys_do_not_wait(cache: Any) -> None:
    """Different results are made at the same time."""
    with cache.make("programs", KEY) as first, cache.make("programs", "f" * 64) as second:
        assert first != second and first.is_dir() and second.is_dir()


def test_clean(cache: Any, program: Any) -> None:
    """Results that no one asked for in a long time go; the others stay, and so does what Go fetched."""
    for kind in ("programs", "base", "store", "archives"):
        for key in (KEY, "f" * 64):
            with cache.make(kind, key):
                pass
        old = time.time() - program.cache.UNUSED - 60
        os.utime(cache.path(kind, KEY), (old, old))
    modules = cache.directory / "go" / "mod"
    modules.mkdir(parents=True)
    os.utime(modules, (1, 1))
    cache.clean()
    for kind in ("programs", "base", "store", "archives"):
        assert not cache.has(kind, KEY) and cache.has(kind, "f" * 64)
    assert modules.is_dir()


def test_clean_of_nothing(cache: Any) -> None:
    """A cache that was never used can be cleaned."""
    cache.clean()
    assert not cache.directory.exists()
