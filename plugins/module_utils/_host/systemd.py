# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where units of systemd lie, of the machine or of a user, whether they are enabled, and how their lines are quoted."""

from __future__ import annotations

import glob
import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .._command import CommandResult, Runner, run_if_there
from .environment import client_environment
from .files import make_directory
from .machine import has_systemd

SYSTEM_UNITS = "/etc/systemd/system"
USER_UNITS = ".config/systemd/user"
"""Below the home directory."""
_DROP_IN = "nodeforge.kic.conf"


@dataclass(frozen=True)
class Units:
    """The units of the systemd that manages the machine, or of the one that manages a user's processes.

    What is enabled is read from the links that systemctl(1) makes, so that no program has to be asked.
    """

    directory: str
    target: str
    """What starts them at boot."""
    manager: bool
    """Whether the systemd that runs them can be asked now."""
    user: bool

    def path(self, name: str) -> str:
        """The file of a unit."""
        return f"{self.directory}/{name}"

    def drop_in(self, name: str) -> str:
        """The file of ours for a unit of somebody else, also for one that is made while it runs (systemd.unit(5))."""
        return f"{self.directory}/{name}.d/{_DROP_IN}"

    def with_drop_in(self) -> Iterator[str]:
        """The units that have one of ours."""
        for path in glob.iglob(f"{glob.escape(self.directory)}/*.d/{_DROP_IN}"):
            yield os.path.basename(os.path.dirname(path))[: -len(".d")]

    def enabled(self, name: str) -> bool:
        """Whether the target starts the unit."""
        return os.path.lexists(self._link(name))

    def enable(self, name: str) -> None:
        """Have the target start the unit from the next boot on."""
        make_directory(os.path.dirname(self._link(name)))
        with suppress(FileExistsError):
            os.symlink(self.path(name), self._link(name))

    def disable(self, name: str) -> None:
        """Have it not start the unit any more."""
        with suppress(FileNotFoundError):
            os.unlink(self._link(name))

    def writable(self) -> bool:
        """Whether a unit can be written there: a distribution may keep its configuration read-only."""
        path = self.directory
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        return os.access(path, os.W_OK)

    def systemctl(self, runner: Runner, *arguments: str, seconds: float) -> CommandResult:
        """Ask the systemd that runs them."""
        scope = ("--user",) if self.user else ("--system",)
        command = ["systemctl", *scope, "--no-ask-password", *arguments]
        return run_if_there(runner, command, timeout=seconds, env=client_environment())

    def _link(self, name: str) -> str:
        return f"{self.directory}/{self.target}.wants/{name}"


def units() -> Units | None:
    """Those of the user who runs the task; None where systemd does not manage the machine."""
    if not has_systemd():
        return None
    uid = os.geteuid()
    if uid == 0:
        return Units(SYSTEM_UNITS, "multi-user.target", manager=True, user=False)
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:
        return None
    manager = os.path.exists(f"/run/user/{uid}/systemd/private")
    return Units(os.path.join(home, USER_UNITS), "default.target", manager, user=True)


def quoted(text: str) -> str:
    """One word of a unit's line, whatever is in it (systemd.syntax(7), systemd.unit(5) on specifiers)."""
    found = "".join(
        f"\\x{byte:02x}"
        if byte < 0x20 or byte >= 0x7F
        else {"\\": "\\\\", '"': '\\"', "%": "%%"}.get(chr(byte), chr(byte))
        for byte in text.encode("utf-8", "surrogateescape")
    )
    return f'"{found}"'


def command_line(argv: Sequence[str]) -> str:
    """A program, whose path is absolute, and its arguments. In arguments alone a ``$`` begins a variable (systemd.service(5))."""
    program, *arguments = argv
    return " ".join([quoted(program), *(quoted(item).replace("$", "$$") for item in arguments)])
