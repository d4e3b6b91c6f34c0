# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only place that starts processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import (
    TIMED_OUT,
    CommandNotFound,
    CommandResult,
    ModuleRunner,
    SubprocessRunner,
)

RUN = SubprocessRunner().run


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
    """Who asks for another language gets it, by either runner."""
    command = ["sh", "-c", f'echo "${name}"']
    assert RUN(command, env={name: "de_DE.UTF-8"}).out == "de_DE.UTF-8\n"
    assert ModuleRunner(Module()).run(command, env={name: "de_DE.UTF-8"}).out == "de_DE.UTF-8\n"


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


class Module:
    """AnsibleModule's two methods on the standard library, which write down how they were called."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path or os.environ["PATH"]
        self.argv: list[str] = []
        self.given: dict[str, Any] = {}

    def get_bin_path(self, name: str) -> str | None:
        """The program's path."""
        return next(
            (f"{place}/{name}" for place in self.path.split(":") if os.access(f"{place}/{name}", os.X_OK)), None
        )

    def run_command(self, argv: list[str], **given: Any) -> tuple[int, bytes, bytes]:
        """Run it."""
        self.argv, self.given = argv, given
        environment = {**os.environ, **given["environ_update"]}
        found = subprocess.run(argv, input=given["data"], env=environment, capture_output=True, check=False)
        return found.returncode, found.stdout, found.stderr


def test_module_runner() -> None:
    """By a module the same answers come back as by the standard library."""
    module = Module()
    command = ["sh", "-c", 'cat; echo "$LC_ALL $ADDED" >&2; exit 3']
    found = ModuleRunner(module).run(command, stdin=b"a\0\xff", env={"ADDED": "1"})
    assert found == CommandResult(tuple(command), 3, b"a\0\xff", b"C 1\n")
    assert module.argv[0].endswith("/sh")


def test_module_runner_keeps_bytes_and_values() -> None:
    """The module is told to hand bytes through, expand nothing and raise what it can not start."""
    module = Module()
    ModuleRunner(module).run(["true", "$HOME", "~"])
    assert module.argv[1:] == ["$HOME", "~"]
    assert module.given["binary_data"] is True
    assert module.given["encoding"] is None
    assert module.given["expand_user_and_vars"] is False
    assert module.given["handle_exceptions"] is False


def test_module_runner_time_limit() -> None:
    """A module knows no time limit: timeout(1) ends the program, with the same exit code."""
    module = Module()
    begin = time.monotonic()
    found = ModuleRunner(module).run(["sleep", "30"], timeout=0.2)
    assert found.rc == TIMED_OUT
    assert found.argv == ("sleep", "30")
    assert time.monotonic() - begin < 10
    assert module.argv[:3] == ["timeout", "--kill-after=5", "0.200"]


def test_module_runner_not_found(tmp_path: Path) -> None:
    """A program that is not there is told by its name, and nothing is started."""
    module = Module(str(tmp_path))
    with pytest.raises(CommandNotFound, match="podman"):
        ModuleRunner(module).run(["podman", "ps"])
    assert module.argv == []


def test_python_is_found() -> None:
    """A path in place of a name is taken as it is."""
    assert RUN([sys.executable, "-S", "-c", "print(1)"]).out == "1\n"
