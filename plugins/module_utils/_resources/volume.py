# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: where a node keeps what must survive it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._core import checks, labels
from .._core.diagnosis import failure
from .._core.drift import in_use, label_drift, refuse_foreign, without_removed
from .._core.plan import Action, Drift, Plan, Resource
from .._core.replaced import checked_name, probe_name
from .._engine.base import Engine
from .._engine.model import Attached, Volume
from .._engine.secrecy import masked_options


@dataclass(frozen=True)
class VolumeSpec:
    """A volume as it was requested."""

    name: str
    present: bool
    labels: Mapping[str, str]
    options: Mapping[str, str] | None
    """Options of the local driver (``type``, ``device``, ``o``); None when nothing was said of them."""
    cluster: str | None
    replace: bool
    """Whether drift is repaired by making it again, empty (``recreate: on_drift``)."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> VolumeSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems."""
        problems = checks.Problems()
        given = cls(
            name=problems.take(checked_name, params["name"]),
            present=params["state"] == "present",
            labels=problems.take(checks.labels, "labels", params["labels"]),
            options=problems.optional(checks.labels, "options", params["options"]),
            cluster=problems.optional(checks.name, "cluster", params["cluster"]),
            replace=params["recreate"] == "on_drift",
        )
        problems.finish()
        return given

    @property
    def volume(self) -> Volume:
        """The volume to make."""
        all_labels = {**self.labels, **labels.ownership(self.cluster)}
        return Volume(self.name, "local", "", all_labels, self.options or {})


@dataclass(frozen=True)
class ObservedVolume:
    """A volume as it is, and who uses it."""

    volume: Volume
    containers: tuple[Attached, ...]


def plan_volume(spec: VolumeSpec, observed: ObservedVolume | None, engine: str) -> Plan:
    """What there is to do."""
    if observed is None:
        if not spec.present:
            return Plan()
        return Plan((Action("create", "volume", spec.name),), {}, describe(spec.volume))
    before = describe(observed.volume)
    users = [item.name for item in observed.containers]
    if not spec.present:
        if not labels.is_ours(observed.volume.labels):
            raise failure("not_ours", kind="volume", name=spec.name, label=labels.SCHEMA, engine=engine)
        if spec.cluster is not None:
            refuse_foreign("volume", spec.name, engine, observed.volume.labels, spec.cluster)
        if users:
            raise in_use("volume", spec.name, engine, users)
        return Plan((Action("remove", "volume", spec.name),), before, {})
    refuse_foreign("volume", spec.name, engine, observed.volume.labels, spec.cluster)
    drift = find_drift(spec, observed.volume)
    if not drift or not spec.replace:
        return Plan((), before, before, drift)
    if users:
        raise in_use("volume", spec.name, engine, users)
    why = "; ".join(str(item) for item in drift)
    actions = (Action("remove", "volume", spec.name, why), Action("create", "volume", spec.name))
    return Plan(actions, before, describe(spec.volume))


def find_drift(spec: VolumeSpec, found: Volume) -> tuple[Drift, ...]:
    """What was requested and is otherwise."""
    drift = label_drift(spec.labels, found.labels)
    if spec.options is not None and dict(spec.options) != dict(found.options):
        asked, there = masked_options(spec.options), masked_options(found.options)
        drift += (Drift("options", asked, there if there != asked else "other secrets"),)
    return drift


def describe(volume: Volume) -> dict[str, Any]:
    """The fields that a diff shows."""
    return {
        "name": volume.name,
        "labels": dict(sorted(volume.labels.items())),
        "options": masked_options(dict(sorted(volume.options.items()))),
    }


class VolumeResource(Resource[ObservedVolume]):
    """The volume of a :class:`VolumeSpec` on an engine.

    :param removed: in check mode, nodes that earlier tasks of the run remove.
    """

    kind = "volume"

    def __init__(self, spec: VolumeSpec, engine: Engine, removed: Collection[str] = ()) -> None:
        self.name = spec.name
        self._spec = spec
        self._engine = engine
        self._removed = removed
        self._left: Volume | None = None
        """The probe of a run that was interrupted."""

    def observe(self) -> ObservedVolume | None:
        # It is looked for where there can be one: in a run like that one, and where all is to go.
        probe = self._engine.volume(probe_name(self.name)) if self._spec.replace or not self._spec.present else None
        self._left = probe if probe is not None and labels.is_ours(probe.labels) else None
        found = self._engine.volume(self.name)
        if found is None:
            return None
        # Who uses it matters only to one that may go.
        may_go = not self._spec.present or (self._spec.replace and bool(find_drift(self._spec, found)))
        users = self._engine.attached_to_volume(self.name) if may_go else []
        return ObservedVolume(found, without_removed(users, self._removed))

    def plan(self, observed: ObservedVolume | None) -> Plan:
        plan = plan_volume(self._spec, observed, self._engine.name)
        options = self._spec.options or {}
        if plan.does("create") and self._engine.mounts_by_program and masked_options(options) != dict(options):
            warning = (
                f"At each start of a container {self._engine.name} gives the options of the volume {self.name} to"
                " mount(8) as an argument, which every user of the machine can read. Write a secret to a file that only"
                " root can read, for example: o: credentials=/root/share.cred"
            )
            plan = replace(plan, warnings=(*plan.warnings, warning))
        if self._left is not None:
            discard = Action("discard", "volume", self._left.name, "an interrupted run left it")
            plan = replace(plan, actions=(discard, *plan.actions))
        return plan

    def reserve(self, plan: Plan) -> None:
        if plan.does("discard"):
            self._engine.remove_volume(probe_name(self.name))
            self.did("discard")
        if plan.does("remove") and plan.does("create"):
            # An engine that refuses the new options must do so before the old volume is gone.
            probe = replace(self._spec.volume, name=probe_name(self.name))
            self._engine.create_volume(probe)
            self._engine.remove_volume(probe.name)
        if plan.does("remove"):
            self._engine.remove_volume(self.name)
            self.did("remove")
        if plan.does("create"):
            self._engine.create_volume(self._spec.volume)
            self.did("create")

    def apply(self, plan: Plan) -> None:
        """Nothing is left: the create itself reserves the name."""

    def describe(self, observed: ObservedVolume | None, plan: Plan) -> dict[str, Any]:
        if not plan.after:
            return {}
        mountpoint = observed.volume.mountpoint if observed is not None else None
        return dict(plan.after, mountpoint=mountpoint)
