# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exceptions of Python as diagnoses, and what a failure keeps of what was done before it."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan, Resource, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure
from ansible_collections.nodeforge.kic.plugins.module_utils._host import files, permission
from ansible_collections.nodeforge.kic.plugins.module_utils._state import writer


def system_error(number: int, *names: str) -> OSError:
    """What a system call raises."""
    first, second = (*names, None, None)[:2]
    return OSError(number, os.strerror(number), first, None, second)


@pytest.mark.parametrize(
    ("error", "condition", "words"),
    [
        (system_error(errno.ENOSPC, "/var/lib/x"), "file_system_full", ("/var/lib/x", "ENOSPC", "df -i /var")),
        (system_error(errno.EDQUOT, "/tmp/a"), "file_system_full", ("/tmp/a", "EDQUOT", "quota")),
        (system_error(errno.EROFS, "/", "/no/such"), "file_system_read_only", ("/no/such", "findmnt --target /;")),
        (system_error(errno.EIO, "/x"), "system_refused", ("/x", "EIO", "stat /x")),
        (system_error(errno.EMFILE), "system_refused", ("a system call", "EMFILE")),
        (OSError("no number"), "system_refused", ("no number",)),
        (CommandNotFound("timeout"), "program_missing", ("timeout",)),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "text_unreadable", ("invalid start byte",)),
        (KeyError("getpwuid(): uid not found: 54321"), "user_unlisted", (str(os.geteuid()), "useradd")),
        (MemoryError(), "memory_exhausted", ("free -h",)),
        (KeyError("State"), "internal_error", ("KeyError: 'State'", "report it")),
        (AssertionError(), "internal_error", ("AssertionError,",)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_of_exceptions(error: Exception, condition: str, words: tuple[str, ...]) -> None:
    """Each has its cause with path and errno, and something to type."""
    found = as_failure(error)
    assert found.diagnosis.id == condition, found
    for word in words:
        assert word in str(found)
    assert "Traceback" not in str(found)


def test_of_ours() -> None:
    """What is a diagnosis already stays the same."""
    error = failure("volume_missing", name="x")
    assert as_failure(error) is error


def test_place_of_a_defect() -> None:
    """An error of our own names the line, and the calls without any source."""
    with pytest.raises(TypeError) as caught:
        files.make_directory(None)  # type: ignore[arg-type]
    found = as_failure(caught.value).diagnosis
    assert found.id == "internal_error" and "module_utils/_host/files.py:" in found.cause
    assert found.output.endswith(" make_directory")


def test_write_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that finds the disk full has no name of a file; whoever wrote knows it."""

    def full(_descriptor: int) -> None:
        raise system_error(errno.ENOSPC)

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "x.conf"
    with pytest.raises(OSError, match="No space") as caught:
        writer.write_text(str(path), "text")
    found = as_failure(caught.value)
    assert found.diagnosis.id == "file_system_full" and f"{path} cannot be written" in str(found)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def as_other(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Have one path be closed to the user who asks, as the kernel says it to those who are not root."""

    def close(closed: Path) -> None:
        monkeypatch.setattr(os, "access", lambda path, _mode, **_more: not str(path).endswith(closed.name))

    return close


@pytest.mark.parametrize(
    ("closed", "path"), [("local", "local/state/kic"), ("file", "file"), ("local", "local/there"), ("local", "local")]
)
def test_closed_on_the_way(tmp_path: Path, as_other: Callable[[Path], None], closed: str, path: str) -> None:
    """What refuses is named with its owner: it may lie above what was to be used."""
    (tmp_path / "local" / "there").mkdir(parents=True)
    (tmp_path / "file").touch()
    as_other(tmp_path / closed)
    found = as_failure(system_error(errno.EACCES, str(tmp_path / path)))
    owner = pwd.getpwuid(os.geteuid()).pw_name
    assert found.diagnosis.id == "permission_denied"
    assert f"{tmp_path / closed} belongs to {owner} and has the mode 0" in str(found)


def test_owner_is_another(tmp_path: Path, as_other: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of root below one's own home is to be given back."""
    as_other(tmp_path)
    monkeypatch.setattr(permission, "_user", lambda uid: "dev" if uid == 1 else "root")
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    found = as_failure(system_error(errno.EACCES, str(tmp_path / "x")))
    assert (
        found.diagnosis.fix
        == f"if it is meant for dev, as root: chown dev {tmp_path}; else run the task with become: true"
    )


def test_refused_beside_the_mode(tmp_path: Path) -> None:
    """Where the mode allows it, something else refuses."""
    found = as_failure(system_error(errno.EPERM, str(tmp_path / "x")))
    assert found.diagnosis.id == "access_refused" and "lsattr" in str(found)


class Steps(Resource[int, None]):
    """Three operations of which one fails, or what is inspected after them."""

    kind, name, lock_name = "thing", "t", ""

    def __init__(self, fails_at: str, error: Exception, undoes: bool = False) -> None:
        self.fails_at, self.error, self.undoes = fails_at, error, undoes

    def observe(self) -> int | None:
        return 1

    def survey(self, observed: int | None, refused: frozenset[Any] = frozenset()) -> None:
        """Nothing."""

    def plan(self, observed: int | None, survey: None) -> Plan:
        create = Operation(
            "create", "thing", "t", run=partial(self._do, "create"), undo=self._undo if self.undoes else None
        )
        limits = (Operation("set", "limit", name, run=partial(self._do, name)) for name in "ab")
        return Plan((create, *limits), {}, {"t": 1})

    def _do(self, name: str, _seam: None) -> None:
        if self.fails_at == name:
            raise self.error

    def _undo(self, _seam: None, _result: None, error: Exception) -> Exception:
        return error

    def inspect(self, results: Any) -> int | None:
        self._do("observe", None)
        return len(results)

    def describe(self, observed: int | None, plan: Plan) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    "error", [failure("volume_missing", name="x"), OSError(errno.ENOSPC, "full")], ids=["ours", "system"]
)
@pytest.mark.parametrize(
    ("fails_at", "undoes", "done"),
    [
        ("create", False, ()),
        ("a", False, ("create thing t",)),
        ("a", True, ()),
        ("b", False, ("create thing t", "set limit a")),
        ("observe", False, ("create thing t", "set limit a", "set limit b")),
    ],
)
def test_done_is_kept(error: Exception, fails_at: str, undoes: bool, done: tuple[str, ...]) -> None:
    """A failure carries the actions that were done before it, but none that was taken back."""
    vars(error).pop("done", None)
    with pytest.raises((KicError, OSError)) as caught:
        converge(Steps(fails_at, error, undoes), check_mode=False, lock=nullcontext)
    assert as_failure(caught.value).done == done
