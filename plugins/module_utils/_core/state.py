# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What labels can not hold of a cluster: files that were written for it and limits that were changed since.

One small JSON file per cluster and user, beside the lock and written under it. Everything that is needed to run,
find or remove a cluster is in labels; losing this file loses only the memory of where kubeconfig entries were put and
which limits an engine forgets at a stop.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Any

from . import checks
from .lock import private_directory, state_directory

VERSION = 1


@dataclass
class ClusterState:
    """The record of one cluster.

    ``files`` are what was written on this machine: dictionaries with ``kind`` (``kubeconfig``), ``path`` and what
    that kind needs. ``limits`` are limits by node name, in the engine's units, that were changed after the create.
    """

    cluster: str
    files: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, cluster: str, directory: str | None = None) -> ClusterState:
        """The record; an empty one when there is none or it can not be read as ours."""
        try:
            with open(_path(cluster, directory), encoding="utf-8") as handle:
                found = json.load(handle)
        except (FileNotFoundError, ValueError):
            return cls(cluster)
        if not isinstance(found, dict) or found.get("version") != VERSION:
            return cls(cluster)
        return cls(cluster, list(found.get("files", [])), dict(found.get("limits", {})))

    def save(self, directory: str | None = None) -> None:
        """Write the record whole or not at all; an empty one removes its file. Call it under the lock."""
        kept = bool(self.files or self.limits)
        content = {"version": VERSION, "cluster": self.cluster, "files": self.files, "limits": self.limits}
        path = _path(self.cluster, directory)
        private_directory(os.path.dirname(os.path.dirname(path)))
        write_private(path, content if kept else None)

    def record_file(self, kind: str, path: str, **details: Any) -> None:
        """Remember that ``path`` was written; the same kind and path replace what was known of it."""
        self.forget_file(kind, path)
        self.files.append(dict(details, kind=kind, path=path))

    def forget_file(self, kind: str, path: str) -> None:
        """The file, or our part of it, is gone."""
        self.files = [item for item in self.files if (item.get("kind"), item.get("path")) != (kind, path)]


def recorded_clusters(directory: str | None = None) -> list[str]:
    """Names of the clusters that have a record, also of those whose containers are gone."""
    folder = os.path.join(directory or state_directory(), "clusters")
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name[: -len(".json")] for name in names if name.endswith(".json"))


def write_private(path: str, content: dict[str, Any] | None) -> None:
    """Write a record of ours as JSON, whole or not at all, readable for its user alone; None removes it."""
    private_directory(os.path.dirname(path))
    if content is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _path(cluster: str, directory: str | None) -> str:
    # The name becomes part of a path: it must not lead out of the folder.
    checks.name("cluster", cluster)
    return os.path.join(directory or state_directory(), "clusters", f"{cluster}.json")
