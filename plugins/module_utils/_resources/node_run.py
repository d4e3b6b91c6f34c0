# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of a node's plan: what each does to the engine. What they need of the plan is bound in them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Callable

from .._command import Runner
from .._core.diagnosis import KicError, failure
from .._core.operations import Operation, Taken
from .._engine.base import Engine
from .._engine.model import Container, Limits, NewContainer
from .._host.preflight import refuse_unfit
from .._node import boot
from .._node.boot import Boot, lost
from .._state.lock import host_lock
from .._state.record import ClusterState, Subject
from .node_readback import differences, limit_differences
from .node_spec import LIMIT_OPTIONS, NodeSpec, same_limit
from .replacement import Replacement, stop

NEVER_STARTED = ("created", "initialized")

Refusals = Mapping[str, frozenset[Any]]
"""What was chosen, by the id of the failure that says that it is taken."""


@dataclass(frozen=True)
class NodeSeam:
    """What the operations of a node work on."""

    engine: Engine
    runner: Runner
    """Asks the machine's systemd, where the engine is an ordinary user's."""


def operation(verb: str, name: str, run: Callable[[NodeSeam], Any], detail: str = "", **more: Any) -> Operation:
    """One on the node ``name``."""
    return Operation(verb, "node", name, detail, run=run, **more)


def create(new: NewContainer, *, keeps: bool) -> Operation:
    """Create a container. Where it does not come to its first start, it goes; unless it ``keeps`` an old one's place."""
    return operation("create", new.name, partial(_create, new), exclusive=True, undo=None if keeps else _never_started)


def _create(new: NewContainer, seam: NodeSeam) -> str:
    return seam.engine.create_container(new)


def _never_started(seam: NodeSeam, identity: str | None, error: Exception) -> Exception | None:
    # The first failure is the one to report.
    with suppress(Exception):
        found = seam.engine.container(identity) if identity is not None else None
        if found is not None and found.status in NEVER_STARTED:
            seam.engine.remove_container(found.id, 0)
            return error
    return None


def copy_files(spec: NodeSpec, identity: str) -> tuple[Operation, ...]:
    """Copy the files that are requested; nothing where there are none."""
    if not spec.files:
        return ()
    return (operation("copy files to", spec.name, partial(_copy_files, spec, identity), changes=False),)


def _copy_files(spec: NodeSpec, identity: str, seam: NodeSeam) -> None:
    seam.engine.put_files(identity, archive(spec))


def first_start(new: NewContainer, refusals: Refusals) -> Operation:
    """Start a new container. What was chosen for it and turns out to be taken is in ``refusals``."""
    return operation("start", new.name, partial(_first_start, new.name, refusals))


def _first_start(name: str, refusals: Refusals, seam: NodeSeam) -> None:
    engine = seam.engine
    try:
        engine.start_container(name)
    except KicError as error:
        found = engine.container(name)
        runs = found is not None and found.running
        if found is not None and not runs and found.status not in NEVER_STARTED:
            # It did start, and ended at once: it is kept, with its log.
            with naming_who_withholds(seam):
                raise boot.died(engine, name) from error
        values = refusals.get(error.diagnosis.id)
        # One that runs although the engine did not say so in time is what a next run waits for.
        if values and not runs:
            raise Taken(error, values) from error
        raise


def start(name: str, identity: str) -> Operation:
    """Start a container that was there before."""
    return operation("start", name, partial(_start, identity))


def _start(identity: str, seam: NodeSeam) -> None:
    with naming_who_withholds(seam):
        seam.engine.start_container(identity)


def stop_node(name: str, container: Container) -> Operation:
    """Shut the system down."""
    return operation("stop", name, lambda seam: stop(seam.engine, container))


def resume(name: str, identity: str) -> Operation:
    """Let a paused one go on."""
    return operation("resume", name, lambda seam: seam.engine.resume_container(identity))


def pause(name: str, identity: str) -> Operation:
    """Freeze its processes."""
    return operation("pause", name, lambda seam: seam.engine.pause_container(identity))


def wait(spec: NodeSpec, identity: str, new: NewContainer | None = None, kept: str = "") -> Operation:
    """See that the node runs, that a new one has what was requested, and wait until its system is up, if that is requested.

    Its result is what systemd says. ``kept`` is the name of an old container that is still there.
    """
    return operation("wait for", spec.name, partial(_wait, spec, identity, new, kept), changes=False)


def wait_key(name: str) -> str:
    """Under which the result of a wait is found."""
    return Operation("wait for", "node", name).key


def _wait(spec: NodeSpec, identity: str, new: NewContainer | None, kept: str, seam: NodeSeam) -> Boot | None:
    with _naming_old(kept), naming_who_withholds(seam):
        container = seam.engine.container(identity)
        # The signal that ended one while it was frozen, with its monitor, takes effect when it goes on.
        if container is None or not container.running or lost(seam.engine, container):
            raise boot.died(seam.engine, spec.name)
        if new is not None:
            _refuse_otherwise(spec.name, differences(new, container), seam.engine)
        return boot.wait(seam.engine, container, spec.wait_timeout) if spec.wait else None


@contextmanager
def naming_who_withholds(seam: NodeSeam) -> Iterator[None]:
    """The engine and the node's entrypoint see that a controller is missing, systemd knows why."""
    try:
        yield
    except KicError as error:
        if error.diagnosis.id != "controller_not_delegated":
            raise
        try:
            refuse_unfit(seam.engine.info, seam.runner)
        except KicError as found:
            raise KicError(replace(found.diagnosis, output=error.diagnosis.output)) from error
        raise


@contextmanager
def _naming_old(kept: str) -> Iterator[None]:
    """What an interrupted run was to replace is still there, and the user is told."""
    try:
        yield
    except KicError as error:
        if not kept:
            raise
        text = f"; the old node is kept as {kept}: remove the new one, and the next run restores it"
        raise KicError(replace(error.diagnosis, fix=error.diagnosis.fix + text)) from error


def update(
    name: str, container: Container, changes: Mapping[str, Any], wanted: Mapping[str, Any], cluster: str | None
) -> tuple[Operation, Operation]:
    """Change limits of a running node, and, at the end of the plan, see that the kernel has them."""
    detail = ", ".join(f"{LIMIT_OPTIONS[key]} = {value}" for key, value in changes.items())
    limits = Limits(**changes)
    return (
        operation("update", name, partial(_update, name, container, limits, wanted, cluster), detail),
        operation("read back", name, partial(_read_back, name, container.id, limits), changes=False),
    )


def _update(
    name: str, before: Container, limits: Limits, wanted: Mapping[str, Any], cluster: str | None, seam: NodeSeam
) -> None:
    found = seam.engine.container(before.id)
    if found is not None and found.running:
        seam.engine.update_limits(before.id, limits)
        _tell_kubelet(seam.engine, found)
        found = seam.engine.container(before.id)
    # docker keeps the change itself: what is recorded next to it would undo what another user sets meanwhile.
    _record(name, cluster, kept_limits(wanted, found.limits if found is not None else before.limits), seam)


def _tell_kubelet(engine: Engine, container: Container) -> None:
    """Have kubelet look at the node's limits, which it does at its start. Before the node is up it has not done so yet."""
    command = ["systemctl", "try-restart", "--no-block", "kubelet.service"]
    action = f"restarting kubelet in {container.name}"
    # A node without Kubernetes has none; what it is not told now, it is told at its next start.
    with suppress(KicError):
        if boot.entered(engine, container):
            engine.exec(container.id, command, action=action, timeout=30, check=False)


def _read_back(name: str, identity: str, limits: Limits, seam: NodeSeam) -> None:
    found = seam.engine.container(identity)
    if found is not None and found.running:
        _refuse_otherwise(name, limit_differences(limits, found), seam.engine)


def _refuse_otherwise(name: str, found: list[str], engine: Engine) -> None:
    if found:
        raise failure("not_as_asked", node=name, fields="; ".join(found), engine=engine.name)


def kept_limits(wanted: Mapping[str, Any], by_engine: Limits) -> dict[str, Any]:
    """The limits that the engine would not set at the next start."""
    return {key: value for key, value in wanted.items() if not same_limit(value, getattr(by_engine, key))}


def record(name: str, cluster: str | None, kept: Mapping[str, Any], **more: Any) -> Operation:
    """Keep limits for the next start, or forget those of an older node."""
    return operation("record limits of", name, partial(_record, name, cluster, kept), changes=False, **more)


def _record(name: str, cluster: str | None, kept: Mapping[str, Any], seam: NodeSeam) -> None:
    subject = record_of(seam.engine, cluster, name)
    if kept == ClusterState.load(subject).limits.get(name, {}):
        return
    with host_lock():
        state = ClusterState.load(subject)
        state.limits.pop(name, None)
        if kept:
            state.limits[name] = dict(kept)
        state.save()


def remove(name: str, container: Container, seconds: int) -> Operation:
    """Remove the node, whose programs have ``seconds`` to end."""
    return operation("remove", name, partial(_remove, container, seconds))


def _remove(container: Container, seconds: int, seam: NodeSeam) -> None:
    now = seam.engine.container(container.id) if container.status == "paused" and seconds else None
    if now is not None and now.status == "paused":
        # What is frozen cannot write what it holds.
        seam.engine.resume_container(now.id)
    seam.engine.remove_container(container.id, seconds)


def remove_old(name: str, old: Container, detail: str, needs: str) -> Operation:
    """Remove what was replaced and has been stopped, when ``needs`` is done: the new one is there."""
    return operation("remove", name, partial(_remove, old, 0), detail, needs=(needs,))


def remove_beside(name: str, kind: str, container: Container, seconds: int, *, exclusive: bool = False) -> Operation:
    """Remove another container of the node: a new one that never was up, or an old one."""
    run = partial(_remove, container, seconds)
    return Operation("remove", kind, name, exclusive=exclusive, changes=False, run=run)


def discard(aside: Container, *, stops: bool, exclusive: bool = False) -> Operation:
    """Finish a replacement that was interrupted after the new container was there."""
    detail = "the node that replaces it is there"
    run = partial(_discard, aside, stops)
    return operation("discard", aside.name, run, detail, exclusive=exclusive, commits=True)


def _discard(aside: Container, stops: bool, seam: NodeSeam) -> None:
    if stops:
        stop(seam.engine, aside)
    seam.engine.remove_container(aside.id, 0)


def set_aside(replacement: Replacement) -> Operation:
    """Free the name of the old container, which becomes the node again when a later operation fails."""
    run, undo = partial(_set_aside, replacement), partial(_restored, replacement)
    return operation("set aside", replacement.name, run, exclusive=True, changes=False, undo=undo)


def _set_aside(replacement: Replacement, seam: NodeSeam) -> None:
    replacement.set_aside(seam.engine)


def stop_old(replacement: Replacement, *, restores: bool = False) -> Operation:
    """Stop the old container, which has what the new one needs."""
    undo = partial(_restored, replacement) if restores else None
    run = partial(_stop, replacement.old)
    return Operation("stop", "old node", replacement.name, changes=False, run=run, undo=undo)


def _stop(container: Container, seam: NodeSeam) -> None:
    stop(seam.engine, container)


def _restored(replacement: Replacement, seam: NodeSeam, _result: None, error: Exception) -> Exception:
    return replacement.restored(seam.engine, error)


def restore(name: str, aside: Container) -> Operation:
    """Give the old container its name back, as a run was interrupted before it had a replacement."""
    why = "a run was interrupted before it had a replacement"
    return operation("restore", name, lambda seam: seam.engine.rename_container(aside.id, name), why, exclusive=True)


def record_of(engine: Engine, cluster: str | None, node: str) -> Subject:
    """The record that a node is in: its cluster's, or its own where it belongs to none."""
    return Subject(engine.store, cluster) if cluster else Subject(engine.store, None, node)


def recorded_limits(subject: Subject, node: str) -> Limits:
    """Limits of a node that were changed after it was made."""
    found = ClusterState.load(subject).limits.get(node, {})
    return Limits(**{key: found.get(key) for key in LIMIT_OPTIONS})


def archive(spec: NodeSpec) -> bytes:
    """The node's files as a tar archive. Directories on the way are left as they are in the image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in spec.files:
            item = tarfile.TarInfo(file.path.lstrip("/"))
            item.size, item.mode = len(file.content), file.mode
            tar.addfile(item, io.BytesIO(file.content))
    return buffer.getvalue()
