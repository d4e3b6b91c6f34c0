# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oci_volume on podman."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.modules import oci_volume

from .conftest import Client, Predicted

Module = Callable[..., dict[str, Any]]
Names = Callable[[str], str]

# Option: value before, value after, field of the drift, and what it shows as asked for and found.
DRIFT: dict[str, tuple[Any, Any, str, Any, Any]] = {
    "labels": ({"tier": "one"}, {"tier": "two"}, "labels.tier", "two", "one"),
    "options": (
        {"type": "tmpfs", "device": "tmpfs"},
        {"type": "tmpfs", "device": "none"},
        "options",
        {"type": "tmpfs", "device": "none"},
        {"type": "tmpfs", "device": "tmpfs"},
    ),
}
# It is found by its name, another cluster's is refused, and the others say what is to be done.
NO_DRIFT = {"name", "state", "cluster", "recreate", "removed_nodes"}


def created(podman: Client, name: str) -> str:
    """When the volume was made: another one of its name is another volume."""
    return podman.out("volume", "inspect", "--format", "{{.CreatedAt}}", name)


def content(podman: Client, name: str) -> Path:
    """Where the volume's files are on this machine."""
    return Path(podman.out("volume", "inspect", "--format", "{{.Mountpoint}}", name))


def test_every_option_has_a_case() -> None:
    """Each documented option of the module is in the table or is one that cannot drift."""
    assert set(yaml.safe_load(oci_volume.DOCUMENTATION)["options"]) == DRIFT.keys() | NO_DRIFT


def test_present_and_absent(predicted: Predicted, podman: Client, unique: Names) -> None:
    """Made once, with our labels and the user's; removed once."""
    name = unique("volume")
    made = predicted("oci_volume", name=name, cluster="kictest", labels={"tier": "one"})
    assert made["actions"] == [f"create volume {name}"]
    assert made["volume"]["mountpoint"] == str(content(podman, name))
    labels = json.loads(podman.out("volume", "inspect", "--format", "{{json .Labels}}", name))
    assert labels == {"nodeforge.kic.schema": "1", "nodeforge.kic.cluster": "kictest", "tier": "one"}
    again = predicted("oci_volume", name=name, cluster="kictest", labels={"tier": "one"})
    assert (again["changed"], again["actions"], again["drift"]) == (False, [], [])
    assert again["volume"] == made["volume"]
    gone = predicted("oci_volume", name=name, state="absent")
    assert (gone["actions"], gone["volume"]) == ([f"remove volume {name}"], {})
    assert name not in podman.holdings()["volumes"]
    assert predicted("oci_volume", name=name, state="absent")["changed"] is False


@pytest.mark.full("ten seconds; the story has names much like its own around it in the quick set")
def test_names_are_compared_whole(predicted: Predicted, podman: Client, unique: Names) -> None:
    """A volume whose name holds another's, in front or behind, is another volume: to make, to keep and to remove."""
    name = unique("kic")
    longer, around = f"{name}-2", unique("my") + f"-{name}"
    for other in (longer, around):
        podman.run("volume", "create", other)
    assert predicted("oci_volume", name=name, state="absent")["changed"] is False
    assert predicted("oci_volume", name=name)["actions"] == [f"create volume {name}"]
    assert predicted("oci_volume", name=name)["changed"] is False
    assert predicted("oci_volume", name=name, state="absent")["actions"] == [f"remove volume {name}"]
    assert {longer, around} <= podman.holdings()["volumes"]
    # The beginning of a name, which podman itself takes for it.
    assert predicted("oci_volume", name=longer[:-1], state="absent")["changed"] is False
    assert longer in podman.holdings()["volumes"]


def test_two_runs_at_once(run_module: Module, podman: Client, unique: Names) -> None:
    """Of several runs that want the same volume one makes it, and for the others it is there already."""
    name = unique("volume")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: run_module("oci_volume", name=name), range(4)))
    assert not [result for result in results if result.get("failed")]
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert name in podman.holdings()["volumes"]


def test_what_is_not_ours(predicted: Predicted, podman: Client, unique: Names) -> None:
    """A volume that somebody else made is neither taken, changed nor removed; nor is another cluster's."""
    foreign, other = unique("foreign"), unique("volume")
    podman.run("volume", "create", foreign)
    before = created(podman, foreign)
    for recreate in ("never", "on_drift"):
        refused = predicted("oci_volume", name=foreign, labels={"tier": "one"}, recreate=recreate)
        assert refused["diagnosis"]["id"] == "name_taken"
        assert f"podman volume rm {foreign}" in refused["diagnosis"]["fix"]
    assert predicted("oci_volume", name=foreign, state="absent")["diagnosis"]["id"] == "not_ours"
    assert created(podman, foreign) == before

    predicted("oci_volume", name=other, cluster="kictest-a")
    for params in ({"cluster": "kictest-b"}, {}, {"cluster": "kictest-b", "state": "absent"}):
        refused = predicted("oci_volume", name=other, **params)
        assert refused["diagnosis"]["id"] == "other_cluster"
        assert "belongs to the cluster kictest-a" in refused["diagnosis"]["cause"]
    assert other in podman.holdings()["volumes"]


def test_labels_with_commas_leave_nothing_else(predicted: Predicted, podman: Client, unique: Names) -> None:
    """podman reads them from standard input then, and would make a network for pods as well."""
    name, before = unique("volume"), podman.holdings()["networks"]
    assert predicted("oci_volume", name=name, labels={"tiers": "one,two"})["changed"]
    assert '"tiers":"one,two"' in podman.out("volume", "inspect", "--format", "{{json .Labels}}", name)
    assert podman.holdings()["networks"] == before


KNOWN = pytest.mark.full("five seconds; test_states.py changes labels in the quick set")


@pytest.mark.parametrize("option", [pytest.param(item, marks=[KNOWN] if item == "labels" else []) for item in DRIFT])
def test_drift(predicted: Predicted, podman: Client, unique: Names, option: str) -> None:
    """A changed option is reported and its volume left; with on_drift it is made again, empty, and then fits."""
    name = unique("volume")
    before, after, field, asked, found = DRIFT[option]
    predicted("oci_volume", name=name, **{option: before})
    made = created(podman, name)
    left = predicted("oci_volume", name=name, **{option: after})
    assert (left["changed"], left["drift"]) == (False, [{"field": field, "asked": asked, "found": found}])
    assert created(podman, name) == made
    # Left out, it fits as it is.
    assert predicted("oci_volume", name=name)["drift"] == []
    repaired = predicted("oci_volume", name=name, recreate="on_drift", **{option: after})
    assert [action.partition(":")[0] for action in repaired["actions"]] == [
        f"remove volume {name}",
        f"create volume {name}",
    ]
    assert created(podman, name) != made
    again = predicted("oci_volume", name=name, recreate="on_drift", **{option: after})
    assert (again["changed"], again["drift"]) == (False, [])


def test_data_is_not_lost(predicted: Predicted, podman: Client, unique: Names, node_image: str) -> None:
    """A volume that a container has, running or not, is not removed, and one that fits keeps its data."""
    name, user = unique("volume"), unique("user")
    predicted("oci_volume", name=name)
    file = content(podman, name) / "data"
    file.write_text("kept")
    podman.run("create", "--name", user, "--volume", f"{name}:/mnt", node_image)
    for params in ({"state": "absent"}, {"labels": {"tier": "two"}, "recreate": "on_drift"}):
        refused = predicted("oci_volume", name=name, **params)
        assert refused["diagnosis"]["id"] == "in_use"
        assert user in refused["diagnosis"]["cause"]
        assert f"podman rm --force {user}" in refused["diagnosis"]["fix"]
    assert predicted("oci_volume", name=name, labels={"tier": "two"})["changed"] is False
    assert predicted("oci_volume", name=name, recreate="on_drift")["changed"] is False
    assert file.read_text() == "kept"
    podman.run("rm", user)
    assert predicted("oci_volume", name=name, state="absent")["changed"]
