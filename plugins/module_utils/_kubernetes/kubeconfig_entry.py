# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster's entries in a kubeconfig are made from: the file as it is, and the access that the cluster gives out.

The controller, which has a YAML parser, merges the two. Both hold credentials.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core.diagnosis import KicError
from .._engine.base import Engine
from .._engine.model import Container
from .._state.record import Subject
from . import kubeconfig_file as files
from .kubeconfig import context_name

WANTED: dict[str, dict[str, Any]] = {
    "path": {"type": "str"},
    "owner": {"type": "str"},
    "context": {"type": "str"},
    "search": {"type": "str"},
}
"""Arguments of a module by which a file is named."""


@dataclass(frozen=True)
class Wanted:
    """Which file of whom, and the name of the context in it, as far as the user said."""

    path: str | None = None
    owner: str | None = None
    context: str | None = None
    search: str | None = None
    """The list of KUBECONFIG of the one who asks."""

    @classmethod
    def named_in(cls, params: Mapping[str, Any]) -> Wanted:
        """From a module's parameters."""
        return cls(**{name: params[name] for name in WANTED})


def look(engine: Engine, cluster: str, wanted: Wanted, *, to_write: bool) -> dict[str, Any]:
    """The file that is meant, read with its owner's ids; with ``to_write`` one that could not be written is refused.

    ``known`` of its only file is whether this machine recorded that it wrote the cluster's entries into it.
    """
    owner = files.owner_entry(wanted.owner)
    recorded = files.known_files(Subject(engine.store, cluster))
    path = files.target(wanted.path or files.searched(wanted.search, owner, recorded), owner)
    found = files.read(path, owner)
    if to_write:
        files.refuse_unwritable(path, owner)
    return {
        "context": wanted.context or context_name(cluster),
        "path": path,
        "uid": owner.pw_uid,
        # A member of group docker, too, uses it as that user.
        "needs_sudo": os.geteuid() == 0 and owner.pw_uid != 0,
        "files": [{**found, "known": path in recorded}],
        "place": files.place_of(engine),
    }


def access(
    engine: Engine, container: Container, publisher: Container | None = None, *, may_lack: bool
) -> dict[str, str]:
    """What kubeadm made for the administrator in a control plane, and where this machine reaches its API.

    :param publisher: the load balancer that offers the API on the host; None where the control plane does itself.

    Nothing where a run that was ended has not made it; with ``may_lack`` also where the node does not say.
    """
    admin = ""
    try:
        admin = files.admin_configuration(engine, container)
    except KicError:
        if not may_lack:
            raise
    return {"admin": admin, "server": files.server_of(publisher or container)} if admin else {}
