# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines there are, and the class of each.

Ansible sends a module's source and Python compiles it again at each start, so an engine that is not asked is not imported.
"""

from __future__ import annotations

from .cli import CommandLineEngine
from .model import BY_PRIORITY

ENGINES = ("auto", *sorted(BY_PRIORITY))
"""What the option ``engine`` takes."""


def driver(name: str) -> type[CommandLineEngine]:
    """The class of the engine ``name``, one of BY_PRIORITY."""
    if name == "podman":
        from .podman import Podman

        return Podman
    from .docker import Docker

    return Docker
