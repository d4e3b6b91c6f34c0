# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container of a node in the place of another, so that at each step one of the two can be the node.

The old one is renamed first, while it runs, and the new one created next to it: an engine that refuses the new options
does so before anything has stopped. Neither a created nor a stopped container holds an address or a port (podman 4.3 and
docker 20.10, seen), so the new one may have those of the old one. Every step can be the last of a run that is ended: the
names say how far it came, and the next run goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .._core import labels, replaced
from .._core.diagnosis import KicError, failure
from .._engine.base import Engine
from .._engine.model import Container, NewContainer

STOP_SECONDS = 30
"""How long a system may take to shut down before it is ended."""

RESTARTING = "restarting"
"""docker's word for one that has ended, and that its daemon is about to start again by its restart policy."""

_WITHOUT_THE_NEW_ONE: Mapping[str, str] = {
    "controller_not_delegated": "ansible localhost --become -m nodeforge.kic.cgroup_delegation -a user=USER; then run again",
    "node_died": "its last lines are below; correct what they name, then run again",
    "node_not_ready": "give it more time with wait_timeout, then run again",
    "not_as_asked": "request what this machine can give, then run again",
    "process_lost": "run again",
}
"""Fixes for what is otherwise fixed in a new container that was kept."""


def stop(engine: Engine, container: Container) -> None:
    """Shut the system of a container down, if it is up."""
    if container.status == "paused":
        # What is frozen cannot shut down.
        engine.resume_container(container.id)
    if is_up(container) or container.status == RESTARTING:
        engine.stop_container(container.id, STOP_SECONDS)


def is_up(container: Container) -> bool:
    """Whether it has processes, also where they are frozen."""
    return container.running or container.status == "paused"


@dataclass(frozen=True)
class Replacement:
    """``old`` is the container that another one replaces as the node ``name``."""

    name: str
    old: Container

    @property
    def ran(self) -> bool:
        """Whether the old one ran before, so that it has to run again when it is restored."""
        return is_up(self.old) or replaced.ran(self.old.name)

    def set_aside(self, engine: Engine) -> None:
        """Free the name for the new one."""
        if not replaced.is_aside(self.old.name):
            engine.rename_container(self.old.id, replaced.aside_name(self.name, self.ran))

    def marked(self, new: NewContainer) -> NewContainer:
        """``new`` with the label by which a later run finds the old one."""
        return replace(new, labels={**new.labels, labels.REPLACES: self.old.id})

    def restored(self, engine: Engine, error: Exception) -> Exception:
        """Make the old one the node again, as a step has failed with ``error``: that, with what became of the node.

        Raises it where the old one could not be restored. The first failure is the one to report.
        """
        try:
            self._restore(engine)
        except Exception as problem:
            if not isinstance(error, KicError):
                raise error from problem
            why = problem.diagnosis.cause if isinstance(problem, KicError) else f"{problem}."
            raise self._lost(engine.name, error, why) from problem
        if not isinstance(error, KicError):
            return error
        found, state = error.diagnosis, " and runs" if self.ran else ""
        cause = f"{found.cause} The old node {self.name} was restored{state}."
        return KicError(replace(found, cause=cause, fix=_WITHOUT_THE_NEW_ONE.get(found.id, found.fix)))

    def _restore(self, engine: Engine) -> None:
        """Remove the new one, and give the old one its name and state back."""
        now = engine.container(self.old.id)
        if now is None:
            raise failure("vanished", kind="node", name=self.name)
        new = engine.container(self.name)
        if new is not None and new.labels.get(labels.REPLACES) == now.id:
            engine.remove_container(new.id, 0)
        if now.name != self.name:
            engine.rename_container(now.id, self.name)
        if self.ran and not is_up(now):
            engine.start_container(now.id)

    def _lost(self, program: str, error: KicError, why: str) -> KicError:
        found, old = error.diagnosis, replaced.aside_name(self.name, self.ran)
        fix = _WITHOUT_THE_NEW_ONE.get(found.id, found.fix)
        by_hand = f"{program} rm --force {self.name}; {program} rename {old} {self.name}; {program} start {self.name}"
        return KicError(
            replace(
                found,
                cause=f"{found.cause} The old node {self.name} could not be restored: {why}",
                fix=f"{fix}. The next run restores the old node, which is kept as {old}; by hand: {by_hand}",
            )
        )
