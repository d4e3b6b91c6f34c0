# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies what a volume of a node holds into another one, in a container of a node image: only the engine reaches volumes of all
its users and file systems."""

from __future__ import annotations

from .._core.diagnosis import failure
from .._engine.base import Engine
from .._node.scripts import Scripts, script
from .throw_away import container_of

SECONDS = 1800.0
"""How long a copy may take."""


def copy_volume(engine: Engine, image: str, source: str, target: str, scripts: Scripts, part: str = "") -> None:
    """Give the volume ``target`` what ``source`` has, all of it or nothing; raises ``copy_failed``.

    :param image: a node image, whose programs are used.
    :param part: the node's part in a clone, ``first``, ``further`` or ``worker``, so that nothing is copied that makes it part of the
        original; "" copies all.
    """
    volumes = {source: "/from:ro", target: "/to"}
    with container_of(engine, image, volumes=volumes) as identity:
        engine.start_container(identity)
        command = script(scripts, "copy-volume", part)
        result = engine.exec(identity, command, check=False, timeout=SECONDS)
    if result.rc != 0:
        raise failure("copy_failed", output=result.words, source=source, target=target, engine=engine.name)
