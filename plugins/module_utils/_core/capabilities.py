# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one engine does and another does not. Decisions ask for one of these, never for an engine's name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Each engine states its own in its file; without a statement it has none of them."""

    per_user: bool = False
    """Each user has a store and containers of their own, and no daemon that others may ask too."""
    watches: bool = False
    """A daemon watches the containers: then one that runs has its process, here or where it cannot be seen."""
    mounts_by_program: bool = False
    """It mounts a volume by mount(8), in whose arguments its options can be read."""
    privileged_by_degrees: bool = False
    """A privileged container gets what the machine can give; else its start fails where the bounding set lacks one."""
    skips_image_volumes: bool = False
    """It can leave out volumes that an image declares."""
    forwards_at_each_start: bool = False
    """It has the kernel forward with each container that it starts, not only when its daemon starts."""
    restarts: bool = False
    """Its daemon starts containers again by their restart policy, also at boot, and remembers which of them were stopped."""
    opens_bridges: bool = False
    """It has the packet filter accept what stays on a bridge of its own."""
