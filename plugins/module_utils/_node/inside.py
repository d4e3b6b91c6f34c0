# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of itself to whoever only wants to know: its system, and when its certificates end."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.diagnosis import KicError
from .._engine.base import Engine
from .._engine.model import Container
from .boot import Boot, decode_boot, entered, peek
from .certificates import PATHS, Certificate, decode_certificates
from .scripts import Scripts, script

_SECONDS = 10.0


@dataclass(frozen=True)
class Inside:
    """What a running node said; None where it was not asked or did not answer."""

    boot: Boot | None = None
    certificates: tuple[Certificate, ...] | None = None


def peek_inside(engine: Engine, container: Container, scripts: Scripts) -> Inside:
    """Ask a running node, in one command; nothing is waited for."""
    if not scripts:
        return Inside(peek(engine, container))
    if not entered(engine, container):
        return Inside(Boot("initializing"))
    words = {"PARTS": "info", "BOOT": "0", "CERTIFICATES": " ".join(PATHS)}
    command = ["env", *(f"{key}={value}" for key, value in words.items()), *script(scripts, "look")]
    try:
        result = engine.exec(
            container.id, command, action=f"asking the node {container.name}", timeout=_SECONDS, check=False
        )
    except KicError:
        return Inside(Boot("unknown"))
    if result.rc != 0:
        # An image without bash.
        return Inside(peek(engine, container))
    return Inside(decode_boot(result.out), decode_certificates(result.out))
