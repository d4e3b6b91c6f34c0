# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only place that starts processes."""

from __future__ import annotations

import ast
import gzip
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils import _command
from ansible_collections.nodeforge.kic.plugins.module_utils._command import (
    TIMED_OUT,
    CommandNotFound,
    CommandResult,
    Feed,
    Runner,
    Sink,
    SubprocessRunner,
    Unreadable,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._host.pipe import connect


class Run(Protocol):
    """A runner's ``run`` with a limit that is never reached."""

    def __call__(self, argv: Sequence[str], *, timeout: float = 60, **more: Any) -> CommandResult:
        """Run it."""


def by(runner: Runner) -> Run:
    """``runner.run`` for a test that is not about time."""

    def run(argv: Sequence[str], *, timeout: float = 60, **more: Any) -> CommandResult:
        return runner.run(argv, timeout=timeout, **more)

    return run


RUN = by(SubprocessRunner())


def test_feed() -> None:
    """What one program writes reaches several, whole; one that ends before gets no more."""
    count = Sink(["sh", "-c", "cat | wc -c; echo err >&2"])
    writer = ["sh", "-c", "head -c 3000000 /dev/zero; echo w >&2; exit 4"]
    found = Feed().run(writer, [count, Sink(["sh", "-c", "exit 3"]), count], timeout=60)
    assert [item.rc for item in found.sinks] == [0, 3, 0]
    assert found.sinks[0].out == found.sinks[2].out == "3000000\n" and found.sinks[0].err == "err\n"
    assert found.source is not None and (found.source.rc, found.source.err) == (4, "w\n")


def test_feed_of_those_who_do_not_read() -> None:
    """Nobody waits for them: the one that writes is ended by its next write."""
    found = Feed().run(
        ["cat", "/dev/zero"], [Sink(["false"]), Sink(["sh", "-c", "head -c 10 >/dev/null; exit 2"])], timeout=60
    )
    assert found.source is not None and found.source.rc == -signal.SIGPIPE and not found.source.timed_out
    assert [item.rc for item in found.sinks] == [1, 2]


def test_feed_of_a_file(tmp_path: Path) -> None:
    """A file, compressed or not; one that ends too early is named."""
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(os.urandom(100000)))
    with gzip.open(path) as stream:
        assert Feed().run(stream, [Sink(["wc", "-c"])], timeout=60).sinks[0].out == "100000\n"
    path.write_bytes(path.read_bytes()[:-50])
    with gzip.open(path) as stream, pytest.raises(Unreadable, match="EOFError"):
        Feed().run(stream, [Sink(["cat"])], timeout=60)


def test_feed_of_a_pipe(tmp_path: Path) -> None:
    """A program that makes a named pipe and reads it, reached by the process that it is in; one that ends before; a link."""
    pipe = tmp_path / "pipe"
    reader = Sink(["sh", "-c", f"sleep 0.3; mkfifo {pipe}; wc -c <{pipe}"], partial(connect, os.getpid(), str(pipe)))
    early = Sink(["false"], partial(connect, os.getpid(), str(tmp_path / "none")))
    found = Feed().run(["head", "-c", "3000000", "/dev/zero"], [reader, early], timeout=60)
    assert found.sinks[0].out == "3000000\n" and [item.rc for item in found.sinks] == [0, 1]
    (tmp_path / "link").symlink_to(pipe)
    (tmp_path / "file").write_text("kept")
    for name in ("link", "file"):
        with pytest.raises(OSError, match=r"named pipe|symbolic"):
            connect(os.getpid(), str(tmp_path / name), lambda: True)
    assert (tmp_path / "file").read_text() == "kept"


def test_feed_has_a_limit() -> None:
    """Programs that hang are ended, all of them, with what they have started."""
    began = time.monotonic()
    found = Feed().run(
        ["sh", "-c", "sleep 50; true"], [Sink(["cat"]), Sink(["sh", "-c", "sleep 50; true"])], timeout=0.5
    )
    assert found.source is not None and found.source.timed_out and found.sinks[1].timed_out
    assert time.monotonic() - began < 20
    with pytest.raises(CommandNotFound):
        Feed().run(["kictest-none"], [Sink(["cat"])], timeout=60)


def test_answer() -> None:
    """Exit code, both streams and the command come back; any exit code is an answer."""
    found = RUN(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert found == CommandResult(("sh", "-c", "echo out; echo err >&2; exit 3"), 3, b"out\n", b"err\n")


def test_no_shell() -> None:
    """An argument reaches the program as it is."""
    assert RUN(["printf", "%s|", "$HOME", "a b", "*", ";", "'"]).out == "$HOME|a b|*|;|'|"


def test_standard_input() -> None:
    """Bytes are handed in as they are; without any, a program that reads finds the end at once."""
    assert RUN(["cat"], stdin=b"a\0\xff").stdout == b"a\0\xff"
    assert RUN(["cat"], timeout=10).stdout == b""


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs speak English and have our environment with what is added."""
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("KIC_TEST", "kept")
    found = RUN(["sh", "-c", 'echo "$LANG $LC_ALL $LANGUAGE $KIC_TEST $ADDED"'], env={"ADDED": "1"})
    assert found.out == "C C C kept 1\n"


@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LANGUAGE"])
def test_environment_of_another_language(name: str) -> None:
    """Who asks for another language gets it."""
    command = ["sh", "-c", f'echo "${name}"']
    assert RUN(command, env={name: "de_DE.UTF-8"}).out == "de_DE.UTF-8\n"


def test_time_limit() -> None:
    """A program is ended at its time, with the exit code of timeout(1) and what it had said so far."""
    begin = time.monotonic()
    found = RUN(["sh", "-c", "echo early; exec sleep 30"], timeout=0.2)
    assert (found.rc, found.out) == (TIMED_OUT, "early\n")
    assert time.monotonic() - begin < 10


def test_in_time() -> None:
    """A program that ends in time is not touched."""
    assert RUN(["true"], timeout=30).rc == 0


def test_not_found() -> None:
    """A program that is not there is told by its name."""
    with pytest.raises(CommandNotFound) as caught:
        RUN(["kictest-no-such-program", "x"])
    assert caught.value.args[0] == "kictest-no-such-program"


@pytest.mark.parametrize(
    ("stdout", "stderr", "words"),
    [(b"out", b" err\n", "err"), (b" out\n", b" \n", "out"), (b"", b"", ""), (b"", b"a\xffb", "a\\xffb")],
    ids=["both", "only output", "nothing", "no text"],
)
def test_words(stdout: bytes, stderr: bytes, words: str) -> None:
    """What a program said of its failure is its standard error, else its output; bytes that are no text stay visible."""
    assert CommandResult(("x",), 1, stdout, stderr).words == words


@pytest.mark.parametrize("run", [RUN, lambda argv: Feed().run(argv, [], timeout=60)], ids=["run", "feed"])
def test_not_found_behind_a_closed_directory(
    run: Callable[[list[str]], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a PATH with a part that is closed to this user the system says that permission is denied: the program is not there.
    With a part that is not, it is."""
    # What may not be executed says the same, also to root.
    (tmp_path / "kictest-none").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CommandNotFound, match="kictest-none"):
        run(["kictest-none"])
    with pytest.raises(PermissionError):
        run([str(tmp_path / "kictest-none")])


def test_found_outside_of_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH of an ordinary user may lack the directories of the system's programs, as an AnsibleModule knows; PATH goes first."""
    monkeypatch.setattr(_command, "SYSTEM_DIRECTORIES", (str(tmp_path),))
    for name in ("kictest-program", "true"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 7\n")
        (tmp_path / name).chmod(0o755)
    assert RUN(["kictest-program"]).rc == 7 and RUN(["true"]).rc == 0


def test_python_is_found() -> None:
    """A path in place of a name is taken as it is."""
    assert RUN([sys.executable, "-S", "-c", "print(1)"]).out == "1\n"


STUBBORN = "trap '' TERM; (trap '' TERM; sleep 30) & echo $! >%s; wait; sleep 30"
"""A client that ignores the request to end, and has started another program that does too."""


@pytest.mark.parametrize("ignores", [True, False])
def test_end_of_a_stubborn_program(ignores: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ignores SIGTERM has timed out as well, and what the program started has ended with it."""
    monkeypatch.setattr(_command, "KILL_AFTER", 0.5)
    note = tmp_path / "pid"
    script = STUBBORN % note if ignores else f"sleep 30 & echo $! >{note}; wait"
    found = SubprocessRunner().run(["sh", "-c", script], timeout=0.5)
    assert (found.rc, found.timed_out) == (TIMED_OUT, True)
    child = Path("/proc") / note.read_text().strip() / "stat"
    deadline = time.monotonic() + 5
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "what the program started is still there"
        time.sleep(0.01)


@pytest.mark.parametrize("script", ["exit 124", "kill -9 $$"])
def test_own_exit_code(script: str) -> None:
    """A program that ends with such an exit code by itself, long before its limit, has not timed out."""
    assert SubprocessRunner().run(["sh", "-c", script], timeout=60).timed_out is False


def test_every_call_has_a_limit() -> None:
    """The limit is not an option: a runner cannot be called without, and nothing but a runner starts a program."""
    for kind in (Runner, SubprocessRunner):
        limit = inspect.signature(kind.run).parameters["timeout"]
        assert limit.default is inspect.Parameter.empty and "None" not in str(limit.annotation), kind
    plugins = Path(_command.__file__).parents[1]
    starters = {"run_command", "Popen", "check_call", "check_output", "getoutput", "system", "popen", "execv", "spawnv"}
    for path in sorted(plugins.rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        # It has no limit, and now and then waits a second for nothing.
        assert "run_command" not in names, path
        if path.name != "_command.py":
            modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            assert not names & starters and "subprocess" not in modules, path
