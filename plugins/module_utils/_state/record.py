# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What labels cannot hold: files that were written for a cluster, and limits of nodes that were changed since.

One small JSON file per engine, cluster and user, next to the lock and written under it; a node that belongs to no cluster
has one of its own. Everything that is needed to run, find or remove a cluster is in labels; losing this file loses only
the memory of where kubeconfig entries were put and which limits an engine forgets at a stop.

Layout below the state directory, which is the user's own::

    clusters/ENGINE/CLUSTER.json    nodes/ENGINE/NODE.json
    clusters/NAME.json              the first layout: no engine, and a node without a cluster is in the file of its name
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._core import checks
from .lock import private_directory, state_directory
from .writer import write

VERSION = 1
"""Of both layouts: a reader ignores keys that it does not know."""


@dataclass(frozen=True)
class Subject:
    """What a record is about: a cluster, or a node that belongs to none. Its user is the one who runs the module."""

    engine: str
    """The store that it is in, as :attr:`Engine.store` names it; empty in a record of the first layout, which does not say."""
    cluster: str | None
    node: str = ""
    """Where there is no cluster."""

    @property
    def name(self) -> str:
        """The name of the cluster, or of the node."""
        return self.cluster or self.node

    def path(self, directory: str | None) -> str:
        """Where its record lies."""
        # The name becomes part of a path: it must not lead out of the folder.
        checks.name("cluster", self.name)
        folder = "clusters" if self.cluster else "nodes"
        return os.path.join(directory or state_directory(), folder, self.engine, f"{self.name}.json")

    def old_path(self, directory: str | None) -> str:
        """Where the first layout had it, together with what has this name on other engines."""
        checks.name("cluster", self.name)
        return os.path.join(directory or state_directory(), "clusters", f"{self.name}.json")


@dataclass
class ClusterState:
    """The record of one cluster, or of one node without a cluster.

    ``files`` are what was written on this machine: dictionaries with ``kind`` (``kubeconfig``), ``path`` and what
    that kind needs. ``limits`` are limits by node name, in the engine's units, that were changed after the create.
    """

    subject: Subject
    files: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)
    restoring: dict[str, Any] = field(default_factory=dict)
    """Of a cluster whose data a run was copying from a snapshot: the ``snapshot``, and the ``nodes`` that have not got it yet."""

    @classmethod
    def load(cls, subject: Subject, directory: str | None = None) -> ClusterState:
        """The record; an empty one when there is none or it cannot be read as ours.

        A record of the first layout says nothing of its engine. It counts as that of each engine until one of them saves
        its own: the first that does so takes it over.
        """
        found = load_record(subject.path(directory))
        if found.get("uid", os.geteuid()) != os.geteuid() or found.get("engine", subject.engine) != subject.engine:
            found = {}
        if not found:
            found = load_record(subject.old_path(directory))
        files, limits = _parts(found, subject)
        restoring = found.get("restoring") if subject.cluster else None
        return cls(subject, files, limits, restoring if isinstance(restoring, dict) else {})

    def save(self, directory: str | None = None) -> None:
        """Write the record whole or not at all; an empty one removes its file. Call it under the lock."""
        subject = self.subject
        content = {
            "engine": subject.engine,
            "uid": os.geteuid(),
            "cluster": subject.cluster,
            "node": subject.node or None,
            "files": self.files,
            "limits": self.limits,
            **({"restoring": self.restoring} if self.restoring else {}),
        }
        path = subject.path(directory)
        private_directory(directory or state_directory())
        private_directory(os.path.dirname(os.path.dirname(path)))
        save_record(path, content if self.files or self.limits or self.restoring else None)
        self._take_over(directory)

    def _take_over(self, directory: str | None) -> None:
        """Take what is written now out of the record of the first layout."""
        path = self.subject.old_path(directory)
        found = load_record(path) if self.subject.engine else {}
        if not found:
            return
        files, limits = _parts(found, self.subject)
        found["files"] = [item for item in found.get("files", []) if item not in files]
        found["limits"] = {key: value for key, value in found.get("limits", {}).items() if key not in limits}
        save_record(path, found if found["files"] or found["limits"] else None)

    def record_file(self, kind: str, path: str, **details: Any) -> None:
        """Remember that ``path`` was written; the same kind and path replace what was known of it."""
        self.forget_file(kind, path)
        self.files.append(dict(details, kind=kind, path=path))

    def forget_file(self, kind: str, path: str) -> None:
        """The file, or our part of it, is gone."""
        self.files = [item for item in self.files if (item.get("kind"), item.get("path")) != (kind, path)]


def recorded_clusters(directory: str | None = None) -> list[Subject]:
    """The clusters that have a record, also those whose containers are gone; ``engine`` is empty where it names none."""
    folder = os.path.join(directory or state_directory(), "clusters")
    # An empty part of a path is none: the records of the first layout.
    engines = ["", *sorted(name for name in _listed(folder) if os.path.isdir(os.path.join(folder, name)))]
    return [
        Subject(engine, name[: -len(".json")])
        for engine in engines
        for name in sorted(_listed(os.path.join(folder, engine)))
        if name.endswith(".json") and os.path.isfile(os.path.join(folder, engine, name))
    ]


def recorded_cluster(engine: str, cluster: str) -> str | None:
    """The cluster, where the records of this user say that it was made on ``engine``."""
    # A user's own daemon has a store of its own.
    stores = (engine, f"{engine}-rootless")
    found = any(item.name == cluster and item.engine in stores for item in recorded_clusters())
    return cluster if found else None


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _parts(found: dict[str, Any], subject: Subject) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The files and limits of a record that are about ``subject``."""
    limits = dict(found.get("limits", {}))
    if subject.cluster:
        return list(found.get("files", [])), limits
    return [], {key: value for key, value in limits.items() if key == subject.node}


def load_record(path: str, version: int = VERSION) -> dict[str, Any]:
    """A record's content; empty where there is none that can be read as ours, of this version."""
    try:
        with open(path, encoding="utf-8") as handle:
            found = json.load(handle)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("version") == version else {}


def save_record(path: str, content: Mapping[str, Any] | None, version: int = VERSION) -> None:
    """Write a record, readable for its user alone; None removes it. Call it under the lock."""
    private_directory(os.path.dirname(path))
    if content is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    text = json.dumps({**content, "version": version}, indent=1, sort_keys=True)
    write(path, text.encode(), private=True)
