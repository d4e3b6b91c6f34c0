# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run inside nodes, as the rooms of Kubernetes use it."""

from __future__ import annotations

from ..._node.scripts import Scripts, script

__all__ = ["Scripts", "script"]
