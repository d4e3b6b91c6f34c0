# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of an image that are read from: what they are made with, and that none is left."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import throw_away
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.throw_away import LABEL, PREFIX, container_of

from .support import IMAGE_NAME, NO_PROCESS, MemoryEngine, MemoryPorts, container, fails, host, image


class Machine(MemoryEngine):
    """An engine that refuses to remove containers, where a test says so."""

    stuck = False
    broken = False

    def remove_container(self, identity: str, seconds: int) -> None:
        """As a store that is busy, or a machine that cannot start a client."""
        if self.broken:
            raise OSError(errno.EMFILE, "Too many open files")
        if self.stuck:
            raise failure("engine_failed", engine=self.name, action="removing it", rc=125, output="busy")
        super().remove_container(identity, seconds)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One with the image, and a node."""
    monkeypatch.setattr(throw_away, "host_limits", host)
    monkeypatch.setattr(throw_away, "HostPorts", MemoryPorts)
    found = Machine()
    found.image_table["i"] = image()
    found.add(container())
    return found


def test_it_goes_after_the_block(engine: Machine) -> None:
    """In it there is a container that does not run, and that can be started."""
    with container_of(engine, IMAGE_NAME) as identity:
        (found,) = [item for item in engine.container_table.values() if item.id == identity]
        assert found.status == "created" and found.name.startswith(f"{PREFIX}{os.getpid()}-")
        engine.start_container(identity)
        assert engine.container_table[found.name].running
    assert [*engine.container_table] == ["node-1"]


def test_what_it_is_made_with(engine: Machine) -> None:
    """It needs nothing of the network, ends by itself, and is no node of anybody."""
    with container_of(engine, IMAGE_NAME):
        (new,) = engine.made
    assert (new.image, new.network, new.publish, new.volume, new.privileged) == (IMAGE_NAME, "none", (), None, False)
    assert new.entrypoint == "sleep" and int(new.command[0]) == throw_away.SECONDS
    assert dict(new.labels) == {LABEL: "1"} and not labels.is_ours(new.labels)
    assert new.passed_on == ("--rm",) and new.restart_policy == "no"


def test_two_at_the_same_time(engine: Machine) -> None:
    """They have names of their own."""
    with container_of(engine, IMAGE_NAME) as one, container_of(engine, IMAGE_NAME) as other:
        assert one != other and len(engine.container_table) == 3
    assert [*engine.container_table] == ["node-1"]


def refuse(engine: Machine, *, stuck: bool) -> None:
    """A failure in the block, after which the container may not be removed."""
    engine.stuck = stuck
    raise failure("node_missing", node="x")


def test_the_first_failure_is_reported(engine: Machine) -> None:
    """It goes also after a failure; what is wrong with its removal is said only where nothing else is wrong."""
    with fails("node_missing", "x"), container_of(engine, IMAGE_NAME):
        refuse(engine, stuck=False)
    assert [*engine.container_table] == ["node-1"]
    with fails("node_missing", "x"), container_of(engine, IMAGE_NAME):
        refuse(engine, stuck=True)
    engine.stuck, engine.broken = False, True
    with fails("node_missing", "x"), container_of(engine, IMAGE_NAME):
        refuse(engine, stuck=False)
    engine.broken = False
    with fails("engine_failed", "busy"), container_of(engine, IMAGE_NAME):
        engine.stuck = True


def test_without_the_image(engine: Machine) -> None:
    """Nothing is left where none can be created."""
    engine.image_table["i"] = image(architecture="other")
    with fails("image_platform"), container_of(engine, IMAGE_NAME):
        refuse(engine, stuck=False)
    assert [*engine.container_table] == ["node-1"]


GONE = NO_PROCESS


@pytest.mark.parametrize(
    ("name", "label", "stays"),
    [
        pytest.param(f"{PREFIX}{GONE}-abcdef", {LABEL: "1"}, False, id="its-process-is-gone"),
        pytest.param(f"{PREFIX}{os.getpid()}-abcdef", {LABEL: "1"}, True, id="its-process-lives"),
        pytest.param(f"{PREFIX}{GONE}-abcdef", {}, True, id="without-the-label"),
        pytest.param(f"mine-{GONE}-abcdef", {LABEL: "1"}, True, id="another-name"),
        pytest.param(f"{PREFIX}x-abcdef", {LABEL: "1"}, True, id="no-process-in-its-name"),
    ],
)
def test_what_runs_left_that_were_killed(name: str, label: dict[str, str], stays: bool, engine: Machine) -> None:
    """It goes when the next one is made; what another run uses stays, and what is not of ours."""
    engine.add(container(name, labels=label, status="created"))
    with container_of(engine, IMAGE_NAME):
        assert (name in engine.container_table) is stays
    assert (name in engine.container_table) is stays


def test_volumes(engine: Machine) -> None:
    """It has them where it is told to, and what a node has to read what the file systems of containers keep."""
    volumes = {"data": "/from:ro", "copy": "/to"}
    with container_of(engine, IMAGE_NAME, volumes=volumes):
        (new,) = engine.made
    assert new.passed_on == ("--rm", "--volume", "data:/from:ro", "--volume", "copy:/to")
    assert (new.volume, new.network, new.privileged, new.entrypoint) == (None, "none", True, "sleep")
    assert dict(new.labels) == {LABEL: "1"}


def test_what_runs_left_can_be_removed_before(engine: Machine) -> None:
    """It has its volumes for as long as it is there."""
    engine.add(container(f"{PREFIX}{GONE}-abcdef", labels={LABEL: "1"}))
    throw_away.remove_stale(engine)
    assert [*engine.container_table] == ["node-1"]
