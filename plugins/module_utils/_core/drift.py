# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing what was requested with what is there, field by field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from . import labels
from .diagnosis import KicError, failure
from .plan import Drift
from .replaced import node_of


class Labelled(Protocol):
    """A container, as far as it matters here."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""


Used = TypeVar("Used", bound=Labelled)


def without_removed(users: Iterable[Used], removed: Collection[str]) -> tuple[Used, ...]:
    """Those of ``users`` that are still there after the nodes ``removed`` are gone.

    In check mode the nodes that earlier tasks of the run remove are still there. Only what is ours can go that way: a
    container of others with such a name would have failed the earlier task, and keeps what it uses.
    """
    return tuple(item for item in users if node_of(item.name) not in removed or not labels.is_ours(item.labels))


def differing(asked: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Drift, ...]:
    """The fields that were requested (value not None) and are not so."""
    return tuple(
        Drift(field, value, found.get(field))
        for field, value in asked.items()
        if value is not None and found.get(field) != value
    )


def label_drift(asked: Mapping[str, str], found: Mapping[str, str]) -> tuple[Drift, ...]:
    """Labels that were requested and are missing or have another value. Labels of others are none of our business."""
    return tuple(
        Drift(f"labels.{key}", value, found.get(key)) for key, value in asked.items() if found.get(key) != value
    )


def refuse_foreign(kind: str, name: str, engine: str, found: Mapping[str, str], cluster: str | None) -> None:
    """Raise when what has this name is not ours (``name_taken``) or belongs to another cluster."""
    if not labels.is_ours(found):
        raise failure("name_taken", kind=kind, name=name, engine=engine)
    owner = found.get(labels.CLUSTER)
    if owner != (cluster or None):
        raise failure(
            "other_cluster", kind=kind, name=name, owner=owner or "(none)", cluster=cluster or "(none)", engine=engine
        )


def refuse_removal(kind: str, name: str, engine: str, found: Mapping[str, str], cluster: str | None) -> None:
    """Raise when what is to be removed is not ours (``not_ours``) or, where a cluster is named, belongs to another one."""
    if not labels.is_ours(found):
        raise failure("not_ours", kind=kind, name=name, label=labels.SCHEMA, engine=engine)
    if cluster is not None:
        refuse_foreign(kind, name, engine, found, cluster)


def in_use(kind: str, name: str, engine: str, containers: list[str]) -> KicError:
    """The error for what cannot be removed because ``containers`` use it."""
    return failure("in_use", kind=kind, name=name, engine=engine, containers=" ".join(containers))
