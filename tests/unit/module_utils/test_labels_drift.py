# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels that say what is ours, and the comparison of what was requested with what is there."""

from __future__ import annotations

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.drift import (
    differing,
    in_use,
    label_drift,
    refuse_foreign,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Drift
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        ({"nodeforge.kic.schema": "1"}, True),
        ({"nodeforge.kic.schema": "2"}, True),
        ({"nodeforge.kic.cluster": "one"}, False),
        ({"nodeforge.kic.image.key": "x"}, False),
        ({}, False),
    ],
    ids=["ours", "of a later release", "cluster alone", "of our image", "none"],
)
def test_is_ours(found: dict[str, str], ours: bool) -> None:
    """Ours is what carries the label of the layout, whatever its version."""
    assert labels.is_ours(found) is ours


@pytest.mark.parametrize(
    ("cluster", "found"),
    [
        ("one", {"nodeforge.kic.schema": "1", "nodeforge.kic.cluster": "one"}),
        (None, {"nodeforge.kic.schema": "1"}),
        ("", {"nodeforge.kic.schema": "1"}),
    ],
)
def test_ownership(cluster: str | None, found: dict[str, str]) -> None:
    """Everything of ours has the layout's version, and its cluster if it has one."""
    assert labels.ownership(cluster) == found
    assert labels.is_ours(labels.ownership(cluster))


LAB = {labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ROLE: "control-plane", "team": "a"}
COMMITTED = {**LAB, labels.CREATED_FROM: "parent"}
NODE_IMAGE = {"nodeforge.kic.image.key": "k", "nodeforge.kic.probe": "1", "team": "a"}


@pytest.mark.parametrize(
    ("found", "image", "ours"),
    [
        ({**LAB, labels.CREATED_FROM: "me"}, "not asked", True),
        ({**LAB, **NODE_IMAGE}, NODE_IMAGE, True),
        (LAB, {}, True),
        ({**LAB, labels.CREATED_FROM: "other"}, {}, True),
        (LAB, LAB, False),
        (COMMITTED, COMMITTED, False),
        ({**COMMITTED, labels.CLUSTER: "mine"}, COMMITTED, False),
        (LAB, {labels.CLUSTER: "lab"}, False),
        (LAB, {labels.PUBLISH: "[]"}, False),
        (LAB, None, False),
        ({labels.CLUSTER: "lab"}, "not asked", False),
    ],
    ids=[
        "names-its-image",
        "schema-1",
        "schema-1-of-a-plain-image",
        "name-moved",
        "hostile-image",
        "commit-of-a-node",
        "commit-with-a-label-of-its-own",
        "cluster-from-the-image",
        "ports-from-the-image",
        "image-is-gone",
        "no-schema",
    ],
)
def test_own(found: dict[str, str], image: dict[str, str] | str | None, ours: bool) -> None:
    """A container is ours by labels of its own; those of others stay either way."""

    def ask() -> dict[str, str] | None:
        assert not isinstance(image, str), "a container that names its image costs no question"
        return image

    left = labels.own(found, "me", ask)
    assert labels.is_ours(left) is ours
    if ours:
        assert left == found
    assert {key: value for key, value in left.items() if key not in labels.OF_OBJECTS} == {
        key: value for key, value in found.items() if key not in labels.OF_OBJECTS
    }


def test_claims() -> None:
    """What an image of ours may carry is no claim; all else with our prefix is."""
    assert labels.claims(NODE_IMAGE) == []
    assert labels.claims({**NODE_IMAGE, **LAB}) == [labels.CLUSTER, labels.ROLE, labels.SCHEMA]


def test_of_user() -> None:
    """Labels of the collection are not the user's."""
    found = {"a": "1", "nodeforge.kic.spec": "x", "nodeforge.kicker": "2"}
    assert labels.of_user(found) == {"a": "1", "nodeforge.kicker": "2"}


def test_keys_stay() -> None:
    """A key keeps its meaning for ever: containers that earlier releases made carry these."""
    keys = (labels.SCHEMA, labels.CLUSTER, labels.ROLE, labels.SPEC, labels.ADDRESS, labels.ADDRESS6)
    assert [key[len(labels.PREFIX) :] for key in (*keys, labels.PUBLISH, labels.ADAPTATIONS)] == [
        "schema",
        "cluster",
        "role",
        "spec",
        "address",
        "address6",
        "publish",
        "adaptations",
    ]


def test_differing() -> None:
    """Fields that were requested are compared; None asks for nothing, but False and 0 do."""
    asked = {"same": 1, "other": 2, "missing": 3, "left out": None, "off": False, "zero": 0}
    found = {"same": 1, "other": 9, "left out": 5, "off": True, "zero": 1, "more": 7}
    assert differing(asked, found) == (
        Drift("other", 2, 9),
        Drift("missing", 3, None),
        Drift("off", False, True),
        Drift("zero", 0, 1),
    )


def test_label_drift() -> None:
    """Labels that were requested are compared; those of others are none of our business."""
    assert label_drift({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "other": "x"}) == (
        Drift("labels.b", "2", "9"),
        Drift("labels.c", "3", None),
    )


@pytest.mark.parametrize(
    ("cluster", "asked"),
    [(None, None), ("one", "one"), (None, "")],
)
def test_ours_is_not_refused(cluster: str | None, asked: str | None) -> None:
    """What is ours and of the same cluster, or of none, is fine."""
    refuse_foreign("network", "kic", "podman", labels.ownership(cluster), asked)


@pytest.mark.parametrize(
    ("found", "asked", "condition", "words"),
    [
        ({"a": "1"}, None, "name_taken", "a network named kic exists and was not made by nodeforge.kic"),
        ({"a": "1"}, "one", "name_taken", "podman network rm kic"),
        (labels.ownership("one"), "two", "other_cluster", "the network kic belongs to the cluster one, not to two"),
        (labels.ownership("one"), None, "other_cluster", "the cluster one, not to (none)"),
        (labels.ownership(None), "two", "other_cluster", "the cluster (none), not to two"),
    ],
)
def test_foreign_is_refused(found: dict[str, str], asked: str | None, condition: str, words: str) -> None:
    """What is not ours, or of another cluster, is refused by name."""
    with fails(condition, words):
        refuse_foreign("network", "kic", "podman", found, asked)


def test_in_use() -> None:
    """The error names all users, and the command that removes them."""
    error = in_use("volume", "data", "podman", ["a", "b"])
    assert error.diagnosis.id == "in_use"
    assert error.diagnosis.fix == "remove them first: podman rm --force a b"
