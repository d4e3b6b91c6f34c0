# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a machine is ours, and what was there before."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..._state.lock import state_directory
from ..._state.record import load_record, save_record

SYSCTL_FILE = "/etc/sysctl.d/60-nodeforge.kic.conf"
MODULE_FILE = "/etc/modules-load.d/nodeforge.kic.conf"
HEADER = "# Written by nodeforge.kic.kic_host, which also removes it (state: absent).\n"


@dataclass(frozen=True)
class HostRecord:
    """What of this machine is ours, and what was there before; kept next to the lock, so that ``absent`` need not guess."""

    users: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """By user and file, the texts that were added to it."""
    created: tuple[str, ...] = ()
    """Files and directories that were not there."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """By path, the mode of a program before it was made set-uid."""
    sysctls: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By name, the value ``before`` and the one that was ``set``."""
    modules: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    """Units that were enabled."""
    packages: tuple[str, ...] = ()

    @classmethod
    def load(cls, directory: str | None = None) -> HostRecord:
        """The record; an empty one when there is none or it cannot be read as ours."""
        found = load_record(_path(directory))
        known: dict[str, Any] = {item.name: found[item.name] for item in fields(cls) if item.name in found}
        for name, item in known.items():
            known[name] = tuple(item) if isinstance(item, list) else item
        return cls(**known)

    def save(self, directory: str | None = None) -> None:
        """Write it whole or not at all; an empty one removes its file. Call it under the lock."""
        save_record(_path(directory), vars(self) if any(vars(self).values()) else None)

    def files(self) -> dict[str, str | None]:
        """Our own files and their text; None for one that is not to be."""
        lines = [f"{name} = {value['set']}\n" for name, value in sorted(self.sysctls.items())]
        modules = [f"{name}\n" for name in self.modules]
        return {
            SYSCTL_FILE: f"{HEADER}{''.join(lines)}" if lines else None,
            MODULE_FILE: f"{HEADER}{''.join(modules)}" if modules else None,
        }


def _path(directory: str | None) -> str:
    return os.path.join(directory or state_directory(), "host.json")
