# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which users of a volume or network do not count in check mode: nodes that the same run removes before."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.drift import without_removed
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Attached
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import NetworkResource, NetworkSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import VolumeResource, VolumeSpec
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    OURS,
    MemoryEngine,
    fails,
    network_params,
    volume_params,
)

NODE = Attached("1", "node-1", {**OURS, labels.CLUSTER: "lab"})
OTHER_NODE = Attached("2", "node-2", OURS)
FOREIGN = Attached("3", "node-1", {})
OLD = Attached("4", "node-1.kic-replaced", OURS)


@pytest.mark.parametrize(
    ("users", "removed", "left"),
    [
        ([NODE, OTHER_NODE], (), [NODE, OTHER_NODE]),
        ([NODE, OTHER_NODE], ("node-1",), [OTHER_NODE]),
        ([NODE, OTHER_NODE], ("node-1", "node-2"), []),
        ([NODE, OLD], ("node-1",), []),
        ([NODE, OLD], (), [NODE, OLD]),
        ([FOREIGN], ("node-1",), [FOREIGN]),
        ([], ("node-1",), []),
    ],
)
def test_without_removed(users: list[Attached], removed: tuple[str, ...], left: list[Attached]) -> None:
    """A node of ours that is named does not count; a foreign container of that name does."""
    assert list(without_removed(users, removed)) == left


def _volume(engine: MemoryEngine, removed: tuple[str, ...], check_mode: bool, **given: Any) -> Outcome:
    resource = VolumeResource(VolumeSpec.from_params(volume_params(**given)), engine, removed)
    return converge(resource, check_mode=check_mode, lock=nullcontext)


def _network(engine: MemoryEngine, removed: tuple[str, ...], check_mode: bool, **given: Any) -> Outcome:
    resource = NetworkResource(NetworkSpec.from_params(network_params(**given)), engine, removed)
    return converge(resource, check_mode=check_mode, lock=nullcontext)


@pytest.mark.parametrize(
    ("run", "used"), [(_volume, "volume data"), (_network, "network kic")], ids=["volume", "network"]
)
def test_predicted(run: Callable[..., Outcome], used: str) -> None:
    """What is used by nodes alone that the run removes is removed in check mode; another user still fails it."""
    engine = MemoryEngine()
    run(engine, (), False)
    engine.users[used] = [NODE]
    with fails("in_use", "node-1"):
        run(engine, (), True, state="absent")
    foretold = run(engine, ("node-1",), True, state="absent")
    assert str(foretold.plan.actions[0]).startswith("remove") and foretold.value == {}
    engine.users[used] = [NODE, OTHER_NODE]
    with fails("in_use", "node-2"):
        run(engine, ("node-1",), True, state="absent")
    engine.users[used] = []
    assert run(engine, (), False, state="absent").plan.actions == foretold.plan.actions
