# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place of the collection that starts a process.

Everything above talks to a :class:`Runner`: an argument list goes in, an exit code and bytes come out. A shell is
never involved, so no value of a user is ever parsed a second time.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

TIMED_OUT = 124
"""The exit code of coreutils' timeout(1) when the limit was reached; both runners report it."""

_C_LOCALE = {"LANGUAGE": "C", "LANG": "C", "LC_ALL": "C"}


@dataclass(frozen=True)
class CommandResult:
    """What a process answered. ``rc`` is 124 when it was ended at its time limit."""

    argv: tuple[str, ...]
    rc: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        """Standard output as text; undecodable bytes are kept visible."""
        return self.stdout.decode("utf-8", "backslashreplace")

    @property
    def err(self) -> str:
        """Standard error as text; undecodable bytes are kept visible."""
        return self.stderr.decode("utf-8", "backslashreplace")

    @property
    def words(self) -> str:
        """What the process said of its failure: standard error, else standard output, stripped."""
        return self.err.strip() or self.out.strip()


class CommandNotFound(Exception):
    """The program is not on PATH. ``args[0]`` is its name."""


class Runner(Protocol):
    """Runs one command to its end."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run ``argv``; ``timeout`` in seconds. Raises :class:`CommandNotFound`; any exit code is an answer."""


class SubprocessRunner:
    """A :class:`Runner` on the standard library, for inventory plugins and tests."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        environment = {**os.environ, **_C_LOCALE, **(env or {})}
        feed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        try:
            done = subprocess.run(
                list(argv),
                capture_output=True,
                timeout=timeout,
                env=environment,
                check=False,
                **feed,
            )
        except FileNotFoundError as error:
            raise CommandNotFound(argv[0]) from error
        except subprocess.TimeoutExpired as error:
            return CommandResult(tuple(argv), TIMED_OUT, error.stdout or b"", error.stderr or b"")
        return CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)


class ModuleRunner:
    """A :class:`Runner` on ``AnsibleModule.run_command``, which the sanity rules ask of modules.

    :param module: anything with AnsibleModule's ``run_command`` and ``get_bin_path``.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        program = self._module.get_bin_path(argv[0])
        if program is None:
            raise CommandNotFound(argv[0])
        command = [program, *argv[1:]]
        if timeout is not None:
            # run_command knows no time limit; timeout(1) of coreutils does, and ends the whole process group.
            command = ["timeout", "--kill-after=5", f"{timeout:.3f}", *command]
        rc, stdout, stderr = self._module.run_command(
            command,
            data=stdin,
            binary_data=True,
            encoding=None,
            expand_user_and_vars=False,
            handle_exceptions=False,
            environ_update=dict(_C_LOCALE, **(env or {})),
        )
        return CommandResult(tuple(argv), rc, stdout, stderr)
