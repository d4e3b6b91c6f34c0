# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's entries in kubeconfigs: what was requested, what is there, and what there is to do. Pure.

It is made on the controller, where there is a YAML parser; the module reads and writes on the machine. The result of the
read and what is to be written hold credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.kubeconfig_file import Change
from ansible_collections.nodeforge.kic.plugins.plugin_utils import kubeconfig_yaml

PRIVATE = 0o600

_NO_YAML = (yaml.YAMLError, ValueError, RecursionError)
"""Of a text that is none. A tag such as !!int before what is no number, and lists in lists without end, are Python's errors."""


@dataclass(frozen=True)
class KubeconfigSpec:
    """Access to a cluster as it was requested."""

    cluster: str
    present: bool = True
    merge: bool = True
    set_current: bool = True
    renewed: bool = False
    """Whether the credentials are about to be others than those that were read: check mode only."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> KubeconfigSpec:
        """From the task's arguments, which the module has checked."""
        return cls(
            params["cluster"],
            params.get("state", "present") == "present",
            flag(params.get("merge", True)),
            flag(params.get("set_current", True)),
            flag(params.get("renewed", False)),
        )


@dataclass(frozen=True)
class ObservedFile:
    """A file as the module read it; ``text`` is None where there is none."""

    path: str
    text: str | None
    sum: str
    mode: int | None
    uid: int | None
    mounted: bool = False
    """By itself, as in a container: it keeps the mode and owner that whoever mounted it chose."""
    known: bool | None = None
    """Whether this machine recorded that it wrote the cluster's entries into it; None where that was not asked."""
    store: str = ""
    """The engine's store whose records name it."""

    @property
    def recorded(self) -> bool:
        """Whether what is in it counts as written by this machine."""
        return self.known is not False

    def decoded(self) -> kubeconfig.Config:
        """Its content. Raises ``kubeconfig_unusable``."""
        try:
            return kubeconfig.check(kubeconfig_yaml.load(self.text or ""), self.path)
        except _NO_YAML as error:
            mark = getattr(error, "problem_mark", None)
            # The text around the place may hold credentials: only the place is reported.
            where = f" in line {mark.line + 1}" if mark else ""
            fix = "repair it, or name another file with the option path"
            raise failure("kubeconfig_unusable", path=self.path, reason=f"it is not YAML{where}", fix=fix) from None


@dataclass(frozen=True)
class ObservedKubeconfig:
    """What the module read: the file to write, or all that may hold the cluster's entries, and what the cluster is."""

    files: tuple[ObservedFile, ...]
    context: str = ""
    uid: int = 0
    """Whose the file is to be."""
    admin: str | None = None
    """kubeadm's own kubeconfig; None before there is a cluster."""
    server: str = ""
    place: Mapping[str, Any] = field(default_factory=dict)
    """What runs the cluster, see :data:`kubeconfig.PLACE`."""
    unrecorded: bool = False
    """Whether the record has to be written also where the file is as it should be."""

    @classmethod
    def from_result(cls, found: Mapping[str, Any]) -> ObservedKubeconfig:
        """From the module's result."""
        names = {item.name for item in fields(ObservedFile)}
        files = (ObservedFile(**{key: item[key] for key in item if key in names}) for item in found["files"])
        others = {key: found[key] for key in ("context", "uid", "admin", "server", "unrecorded") if key in found}
        return cls(tuple(files), place=found.get("place") or {}, **others)


def plan_kubeconfig(spec: KubeconfigSpec, observed: ObservedKubeconfig) -> Plan:
    """What there is to do: the operations hand their :class:`Change` to a list. The diff shows no credentials."""
    return _plan_present(spec, observed) if spec.present else _plan_absent(spec, observed)


def changes(plan: Plan) -> list[Change]:
    """What the operations of a plan write."""
    found: list[Change] = []
    for operation in plan.operations:
        operation.run(found)
    return found


def describe(spec: KubeconfigSpec, observed: ObservedKubeconfig) -> dict[str, Any]:
    """The name of the context, which the user may have changed in the file."""
    if not spec.present or observed.admin is None:
        return {}
    file = observed.files[0]
    return {"context": _merged(file.decoded(), _entries(spec, observed), spec, file)[1]}


def _plan_present(spec: KubeconfigSpec, observed: ObservedKubeconfig) -> Plan:
    file = observed.files[0]
    before = file.decoded()
    merged, name = _merged(before, _entries(spec, observed), spec, file)
    shown = {} if file.text is None else {**kubeconfig.summary(before), "mode": f"{file.mode:04o}", "uid": file.uid}
    access = {} if file.mounted else {"mode": f"{PRIVATE:04o}", "uid": observed.uid}
    after = {**shown, **access, **kubeconfig.summary(merged)}
    if observed.admin is None:
        return Plan((Operation("write", "context", name, file.path),), shown, after)
    text, lost = kubeconfig_yaml.changed(file.text, before, merged)
    if kubeconfig.others(before, spec.cluster) - kubeconfig.others(merged, spec.cluster):
        lost = [*lost, "other entries"]
    run = partial(_hand_over, Change(file.path, file.sum, text, context=name, lossy=bool(lost)))
    fits = merged == before and not spec.renewed
    if fits and (file.mounted or (file.mode, file.uid) == (PRIVATE, observed.uid)):
        record = Operation("record", "kubeconfig", file.path, changes=False, run=run)
        return Plan((record,) if observed.unrecorded else ())
    write = Operation("write", "context", name, file.path, run=run)
    return Plan((write,), shown, after, warnings=_losses(file, lost))


def _entries(spec: KubeconfigSpec, observed: ObservedKubeconfig) -> kubeconfig.Config:
    """The entries that the cluster should have; in check mode, before there is one, as far as they are known."""
    name, place = observed.context, observed.place or None
    if observed.admin is None:
        return kubeconfig.expected(cluster=spec.cluster, name=name, place=place)
    return kubeconfig.entries(
        _decoded(observed.admin), cluster=spec.cluster, name=name, server=observed.server, place=place
    )


def _decoded(admin: str) -> Any:
    """kubeadm's own kubeconfig, which a node hands out; nothing where it is damaged. PyYAML's errors show what it holds."""
    try:
        return kubeconfig_yaml.load(admin) or {}
    except _NO_YAML:
        return {}


def _merged(
    before: kubeconfig.Config, ours: kubeconfig.Config, spec: KubeconfigSpec, file: ObservedFile
) -> tuple[kubeconfig.Config, str]:
    """What the file is to hold, and the name that the cluster's context has in it."""
    base = before if spec.merge else kubeconfig.only(before, ours, cluster=spec.cluster, recorded=file.recorded)
    merged = kubeconfig.merge(
        base,
        ours,
        cluster=spec.cluster,
        path=file.path,
        set_current=not spec.merge or spec.set_current,
        recorded=file.recorded,
    )
    name = kubeconfig.name_of(merged, ours)
    return (merged if spec.merge else {**merged, "current-context": name}), name


def _plan_absent(spec: KubeconfigSpec, observed: ObservedKubeconfig) -> Plan:
    ca = kubeconfig.authority_of(_decoded(observed.admin)) if observed.admin else ""
    operations: list[Operation] = []
    shown: dict[str, Any] = {}
    left: dict[str, Any] = {}
    warnings: list[str] = []
    for file in observed.files:
        before = file.decoded()
        identity = {**observed.place, "ca": ca, "recorded": file.recorded}
        after = kubeconfig.remove(before, cluster=spec.cluster, identity=identity)
        if after != before:
            text, lost = kubeconfig_yaml.changed(file.text, before, after)
            empty = kubeconfig.is_empty(after)
            change = Change(file.path, file.sum, text, empty=empty, lossy=bool(lost), store=file.store)
            what = f"of {spec.cluster}: {file.path}"
            operations.append(Operation("remove", "context", what, run=partial(_hand_over, change)))
            warnings += _losses(file, lost)
            shown[file.path], left[file.path] = kubeconfig.summary(before), kubeconfig.summary(after)
        elif file.known and kubeconfig.remove(before, cluster=spec.cluster) == before:
            # Somebody took the entries out already; the record of them goes too.
            run = partial(_hand_over, Change(file.path, file.sum, file.text, store=file.store))
            operations.append(Operation("forget", "kubeconfig", file.path, changes=False, run=run))
    return Plan(tuple(operations), shown, left, warnings=tuple(warnings))


def _losses(file: ObservedFile, lost: Sequence[str]) -> tuple[str, ...]:
    """What a user has to know of a file that cannot be changed without losing something in it."""
    return (f"{file.path} cannot be changed without losing some of its {' and '.join(lost)}.",) if lost else ()


def _hand_over(change: Change, found: list[Change]) -> None:
    found.append(change)


def flag(value: Any) -> bool:
    """A flag of a task, of which a template may have made a string."""
    return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes", "on", "y", "t")
