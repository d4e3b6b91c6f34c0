# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: where a node keeps what must survive it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Callable

from .._core import checks, labels
from .._core.drift import in_use, label_drift, refuse_foreign, refuse_removal, without_removed
from .._core.operations import Operation
from .._core.plan import Drift, Plan, Resource
from .._core.replaced import checked_name, probe_name
from .._engine.base import Engine, EngineReader
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
    node_name: str | None = None
    """The name in Kubernetes of the node whose data it has, where that is another one."""

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
        named = {labels.NODE_NAME: self.node_name} if self.node_name else {}
        all_labels = {**self.labels, **labels.ownership(self.cluster), **named}
        return Volume(self.name, "local", "", all_labels, self.options or {})


@dataclass(frozen=True)
class VolumeSurvey:
    """What a change of a volume needs to know."""

    containers: tuple[Attached, ...] = ()
    """Who uses it; asked only where it may go."""
    left: Volume | None = None
    """The probe of a run that was interrupted."""
    mounts_by_program: bool = False
    """Whether the options of a volume become arguments of a program, which others can read."""


def plan_volume(spec: VolumeSpec, found: Volume | None, survey: VolumeSurvey, engine: str) -> Plan:
    """What there is to do."""
    plan = _plan_present(spec, found, survey, engine) if spec.present else _plan_absent(spec, found, survey, engine)
    if survey.left is None:
        return plan
    discard = _operation("discard", survey.left.name, _remove(survey.left.name), detail="an interrupted run left it")
    return replace(plan, operations=(discard, *plan.operations))


def _plan_absent(spec: VolumeSpec, found: Volume | None, survey: VolumeSurvey, engine: str) -> Plan:
    if found is None:
        return Plan()
    refuse_removal("volume", spec.name, engine, found.labels, spec.cluster)
    _refuse_used(spec, survey, engine)
    # It is nobody's to allocate; who replaces it meanwhile creates it later.
    remove = replace(_operation("remove", spec.name, _remove(spec.name)), exclusive=False)
    return Plan((remove,), describe(found), {})


def _plan_present(spec: VolumeSpec, found: Volume | None, survey: VolumeSurvey, engine: str) -> Plan:
    create = _operation("create", spec.name, partial(_create, spec.volume))
    warnings = _warnings(spec, engine) if survey.mounts_by_program else ()
    if found is None:
        return Plan((create,), {}, describe(spec.volume), warnings=warnings)
    before = describe(found)
    refuse_foreign("volume", spec.name, engine, found.labels, spec.cluster)
    drift = find_drift(spec, found)
    if not drift or not spec.replace:
        return Plan((), before, before, drift)
    _refuse_used(spec, survey, engine)
    why = "; ".join(str(item) for item in drift)
    probe = _operation("try", spec.name, partial(_try, replace(spec.volume, name=probe_name(spec.name))), changes=False)
    remove = _operation("remove", spec.name, _remove(spec.name), detail=why)
    return Plan((probe, remove, create), before, describe(spec.volume), warnings=warnings)


def _refuse_used(spec: VolumeSpec, survey: VolumeSurvey, engine: str) -> None:
    if survey.containers:
        raise in_use("volume", spec.name, engine, [item.name for item in survey.containers])


def _warnings(spec: VolumeSpec, engine: str) -> tuple[str, ...]:
    options = spec.options or {}
    warning = (
        f"At each start of a container {engine} gives the options of the volume {spec.name} to"
        " mount(8) as an argument, which every user of the machine can read. Write a secret to a file that only"
        " root can read, for example: o: credentials=/root/share.cred"
    )
    return (warning,) if masked_options(options) != dict(options) else ()


def _operation(
    verb: str, name: str, run: Callable[[Engine], None], detail: str = "", changes: bool = True
) -> Operation:
    return Operation(verb, "volume", name, detail, exclusive=True, changes=changes, run=run)


def _create(volume: Volume, engine: Engine) -> None:
    engine.create_volume(volume)


def _remove(name: str) -> Callable[[Engine], None]:
    return lambda engine: engine.remove_volume(name)


def _try(probe: Volume, engine: Engine) -> None:
    """An engine that refuses the new options must do so before the old volume is gone."""
    engine.create_volume(probe)
    engine.remove_volume(probe.name)


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


class VolumeResource(Resource[Volume, VolumeSurvey]):
    """The volume of a :class:`VolumeSpec` on an engine.

    :param removed: in check mode, nodes that earlier tasks of the run remove.
    """

    kind = "volume"

    def __init__(self, spec: VolumeSpec, engine: Engine, removed: Collection[str] = ()) -> None:
        self.name = spec.name
        self.seam = engine
        self._spec = spec
        self._engine: EngineReader = engine
        self._removed = removed

    def observe(self) -> Volume | None:
        return self._engine.volume(self.name)

    def survey(self, observed: Volume | None, refused: frozenset[Any] = frozenset()) -> VolumeSurvey:
        spec, engine = self._spec, self._engine
        # A probe is looked for where there can be one: in a run like the one that left it, and where all is to go.
        probe = engine.volume(probe_name(self.name)) if spec.replace or not spec.present else None
        may_go = observed is not None and (not spec.present or (spec.replace and bool(find_drift(spec, observed))))
        users = engine.attached_to_volume(self.name) if may_go else []
        return VolumeSurvey(
            without_removed(users, self._removed),
            probe if probe is not None and labels.is_ours(probe.labels) else None,
            engine.capabilities.mounts_by_program,
        )

    def plan(self, observed: Volume | None, survey: VolumeSurvey) -> Plan:
        return plan_volume(self._spec, observed, survey, self._engine.name)

    def describe(self, observed: Volume | None, plan: Plan) -> dict[str, Any]:
        if not plan.after:
            return {}
        return dict(plan.after, mountpoint=observed.mountpoint if observed is not None else None)
