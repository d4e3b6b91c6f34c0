# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run on a cluster that fails: what it created for nothing goes, what was there before stays, and check mode changes nothing."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster import presenting
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import NOTHING, There
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.run import ClusterRun
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import ClusterSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Volume
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node

from .support import IMAGE_SCRIPTS, MemoryEngine, host, image, network

PLANE = "lab-control-plane-1"
MINE = labels.ownership("lab")


def completed(arguments: Mapping[str, Any], given: Mapping[str, Any], _option: str) -> dict[str, Any]:
    """What Ansible makes of arguments, as far as these tests need it: defaults, also of the keys of lists."""
    found = {**{name: item.get("default") for name, item in arguments.items()}, **given}
    for name, item in arguments.items():
        inner = {key: option.get("default") for key, option in (item.get("options") or {}).items()}
        found[name] = [{**inner, **one} for one in found[name]] if inner else found[name]
    return found


SPECS: dict[str, ClusterSpec] = {}
"""Those that were read before: the tests that end a run at each operation declare one cluster some ten thousand times."""


def spec(there: There = NOTHING, **given: Any) -> ClusterSpec:
    """A cluster whose image is another machine's, so that no node of it can be created."""
    key = repr((there, sorted((name, value) for name, value in given.items() if name != "scripts")))
    key += str(hash(tuple(given.get("scripts", {}).items())))
    if key not in SPECS:
        SPECS[key] = read_spec(there, given)
    return SPECS[key]


def read_spec(there: There, given: Mapping[str, Any]) -> ClusterSpec:
    """The same, read from what is given."""
    defaults = {name: item.get("default") for name, item in CLUSTER.items()}
    own = {"name": "lab", "image": "localhost/node:1", "node_files": []}
    return ClusterSpec.from_params({**defaults, **own, **given}, {}, completed, there)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    """An engine whose image is for another machine."""
    monkeypatch.setattr(node, "host_limits", host)
    found = MemoryEngine()
    found.image_table["i"] = image(tags=("localhost/node:1",), architecture="other")
    return found


def refused(engine: MemoryEngine, check_mode: bool, runner: Any = None) -> KicError:
    """How the run fails."""
    with pytest.raises(KicError) as caught:
        ClusterRun(engine, runner, check_mode).present(spec(), [])
    assert caught.value.diagnosis.id == "image_platform", caught.value
    return caught.value


def test_what_was_created_for_nothing_goes(engine: MemoryEngine) -> None:
    """The network and the volume of this run."""
    error = refused(engine, check_mode=False)
    assert (engine.network_table, engine.volume_table, error.done) == ({}, {}, ())
    assert {"create network lab", f"create volume {PLANE}"} < set(engine.done)


@pytest.mark.parametrize(
    "problem", [failure("disk_full", engine="podman"), OSError(errno.ENOSPC, "No space left")], ids=["engine", "system"]
)
def test_what_cannot_be_taken_back_hides_nothing(engine: MemoryEngine, problem: Exception) -> None:
    """The first failure is reported, with what is still there."""

    def full(_identity: str) -> None:
        raise problem

    engine.remove_network = engine.remove_volume = full  # type: ignore[method-assign,assignment]
    error = refused(engine, check_mode=False)
    assert error.done == ("create network lab", f"create volume {PLANE}")


def test_what_was_there_before_stays(engine: MemoryEngine) -> None:
    """Also a network of which this run only discarded what an interrupted one had left."""
    engine.network_table["lab"] = network("lab", labels=MINE)
    engine.network_table["probe"] = network("lab.kic-probe", "10.6.0.0/24", labels=MINE)
    engine.volume_table[PLANE] = Volume(PLANE, "local", "", MINE, {})
    error = refused(engine, check_mode=False)
    assert set(engine.network_table) == {"lab"} and set(engine.volume_table) == {PLANE}
    assert [text for text in error.done if "discard" not in text] == []


@pytest.mark.parametrize("there", [False, True], ids=["nothing", "left-by-another-run"])
def test_check_mode_changes_nothing(engine: MemoryEngine, there: bool) -> None:
    """Whatever fails in it: nothing was done, and nothing is taken back."""
    if there:
        engine.network_table["lab"] = network("lab", labels=MINE)
        engine.network_table["probe"] = network("lab.kic-probe", "10.6.0.0/24", labels=MINE)
    before = dict(engine.network_table)
    error = refused(engine, check_mode=True)
    assert (engine.done, engine.network_table, error.done) == ([], before, ())


def test_check_mode_warns_of_nothing_that_the_run_brings(engine: MemoryEngine) -> None:
    """Network, volumes and nodes are the cluster's own: no earlier task has to create them. The image is another's."""
    engine.image_table["i"] = image(tags=("localhost/other:1",))
    runner: Any = None
    outcome = ClusterRun(engine, runner, check_mode=True).present(spec(workers=1, boot=False), [])
    assert outcome.warnings == (
        "There is no image localhost/node:1 yet; it is taken as one that an earlier task will make.",
    )


def test_check_mode_names_the_images_of_new_nodes(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of nodes that the same run creates, and no warning that these are not there."""
    engine.image_table["i"] = image(tags=("localhost/node:1",))
    engine.image_table["app"] = image(id="2" * 64, tags=("localhost/app:1",))
    monkeypatch.setattr(presenting, "converge_kubeadm", lambda *_given, **_more: Outcome(Plan(), {}))
    declared = spec(images=["localhost/app:1"], scripts=IMAGE_SCRIPTS, workers=1, pod_network="none", boot=False)
    outcome = ClusterRun(engine, None, check_mode=True).present(declared, [])  # type: ignore[arg-type]
    loads = [text for text in outcome.actions if text.startswith("load")]
    assert loads == [f"load image localhost/app:1 into {name}" for name in (PLANE, "lab-worker-1")]
    assert not any("image" in text for text in outcome.warnings) and engine.containerd == {}
