# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a cluster's etcd: who they are, and the removal of one whose control plane is gone or goes."""

from __future__ import annotations

from collections.abc import Collection

from ..._core.diagnosis import failure
from ..._engine.base import Engine
from ..._node.scripts import Scripts, script
from ..network import kic
from .look import RECORD
from .steps import CLIENT_SECONDS

_SECONDS = 30
"""How long the questions and the removal may take. etcd answers within seconds or not at all: it has lost its majority."""


def forget(engine: Engine, identity: str) -> None:
    """Have a control plane's container not be taken for one of a member any more, whatever becomes of the run."""
    engine.put_files(identity, kic.archive({RECORD.lstrip("/"): ""}))


def remove(engine: Engine, through: str, node: str, addresses: Collection[str], scripts: Scripts) -> None:
    """Remove the member of ``node`` from etcd, if there is one; raises ``step_failed`` where etcd refuses it.

    :param through: the control plane in which etcd is asked.
    :param addresses: of the node: one that never started has no name yet.
    """
    command = script(scripts, "etcd-remove", str(_SECONDS), node, *addresses)
    result = engine.exec(through, command, check=False, timeout=_SECONDS + CLIENT_SECONDS)
    if result.rc != 0:
        reason = f"etcd of {through} did not remove its member {node}"
        raise failure("step_failed", step="etcd", node=through, reason=reason, engine=engine.name, output=result.words)
