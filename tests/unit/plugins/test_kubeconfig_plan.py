# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to do to a kubeconfig, as a table: what was requested, what is there, the operations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.plugin_utils import kubeconfig_yaml
from ansible_collections.nodeforge.kic.plugins.plugin_utils.kubeconfig_plan import (
    KubeconfigSpec,
    ObservedFile,
    ObservedKubeconfig,
    changes,
    describe,
    plan_kubeconfig,
)
from ansible_collections.nodeforge.kic.tests.unit.plugins.test_action_kic_kubeconfig import ADMIN, SERVER, USERS

HERE = {"engine": "podman", "uid": 0, "host": "a"}
THERE = {**HERE, "host": "b"}
SPEC = KubeconfigSpec("lab")
ABSENT = KubeconfigSpec("lab", present=False)
WRITE = "write context kic-lab: /k/config"
REMOVE = "remove context of lab: /k/config"


def file(text: str | None, **more: Any) -> ObservedFile:
    """A private file of the user 7."""
    values = {"sum": "", "mode": None, "uid": None} if text is None else {"sum": "s", "mode": 0o600, "uid": 7}
    return ObservedFile(**{"path": "/k/config", "text": text, **values, **more})


def observed(*files: ObservedFile, **more: Any) -> ObservedKubeconfig:
    """A cluster that is there, and what its files hold."""
    return ObservedKubeconfig(
        files, **{"context": "kic-lab", "uid": 7, "admin": ADMIN, "server": SERVER, "place": HERE, **more}
    )


def written(text: str | None = None, **more: Any) -> str:
    """What a run makes of a file."""
    (change,) = changes(plan_kubeconfig(SPEC, observed(file(text), **more)))
    return str(change.text)


OURS = written()
BOTH = written(USERS)
FOREIGN = written(place=THERE, admin=ADMIN.replace("Q0E=", "T1RIRVI="))
"""Of a cluster of the same name on another machine."""


@pytest.mark.parametrize(
    ("spec", "given", "operations"),
    [
        pytest.param(SPEC, observed(file(None)), [WRITE], id="new"),
        pytest.param(SPEC, observed(file(USERS)), [WRITE], id="other-contexts"),
        pytest.param(SPEC, observed(file(OURS)), [], id="there"),
        pytest.param(replace(SPEC, renewed=True), observed(file(OURS)), [WRITE], id="about-to-be-renewed"),
        pytest.param(SPEC, observed(file(BOTH)), [], id="there-with-others"),
        pytest.param(SPEC, observed(file(OURS), unrecorded=True), ["record kubeconfig /k/config"], id="record-lost"),
        pytest.param(SPEC, observed(file(OURS, mode=0o644)), [WRITE], id="readable-by-others"),
        pytest.param(SPEC, observed(file(OURS, uid=8)), [WRITE], id="of-another-owner"),
        pytest.param(SPEC, observed(file(OURS, mode=0o644, uid=8, mounted=True)), [], id="mounted"),
        pytest.param(SPEC, observed(file(OURS), server="https://127.0.0.1:2"), [WRITE], id="another-port"),
        pytest.param(SPEC, observed(file(OURS.replace("kic-lab", "mine"))), [WRITE], id="another-name-requested"),
        pytest.param(replace(SPEC, merge=False), observed(file(BOTH)), [WRITE], id="alone"),
        pytest.param(replace(SPEC, set_current=False), observed(file(USERS)), [WRITE], id="current-stays"),
        pytest.param(SPEC, observed(file(None), admin=None, server=""), [WRITE], id="before-the-cluster"),
        pytest.param(ABSENT, observed(file(None)), [], id="absent-without-a-file"),
        pytest.param(ABSENT, observed(file(USERS)), [], id="absent-already"),
        pytest.param(ABSENT, observed(file(OURS)), [REMOVE], id="absent"),
        pytest.param(ABSENT, observed(file(BOTH)), [REMOVE], id="absent-with-others"),
        pytest.param(ABSENT, observed(file(FOREIGN)), [], id="absent-of-a-foreign-cluster"),
        pytest.param(ABSENT, observed(file(OURS), admin=None), [REMOVE], id="absent-without-a-cluster"),
        pytest.param(
            ABSENT, observed(file(USERS, known=True)), ["forget kubeconfig /k/config"], id="absent-only-in-the-record"
        ),
        pytest.param(
            ABSENT,
            observed(file(OURS), file(USERS, path="/b", known=True), file(BOTH, path="/c")),
            [REMOVE, "forget kubeconfig /b", "remove context of lab: /c"],
            id="absent-of-several",
        ),
    ],
)
def test_plan(spec: KubeconfigSpec, given: ObservedKubeconfig, operations: list[str]) -> None:
    """The operations, and that only what changes something is reported and has a diff."""
    plan = plan_kubeconfig(spec, given)
    assert [*map(str, plan.operations)] == operations
    assert plan.changed is any(item.startswith(("write", "remove")) for item in operations)
    assert plan.changed or (plan.before, plan.after) == ({}, {})
    assert "S0VZ" not in str((plan.before, plan.after)), "a diff shows no credentials"


@pytest.mark.parametrize(
    "there",
    [file(None), file(USERS), file(USERS, mode=0o644, uid=8), file(USERS, mode=0o644, mounted=True)],
    ids=["new", "other-contexts", "of-another-owner", "mounted"],
)
def test_plan_before_there_is_a_cluster(there: ObservedFile) -> None:
    """Check mode shows of the file what the run will, mode and owner too; only the port of the API is not known yet."""
    predicted = plan_kubeconfig(SPEC, observed(there, admin=None, server=""))
    run = plan_kubeconfig(SPEC, observed(there))
    known = json.loads(json.dumps(dict(predicted.after)).replace("(not known yet)", SERVER))
    assert (predicted.before, known) == (run.before, dict(run.after))


def test_plan_reaches_what_it_says() -> None:
    """What a plan writes is what a second one finds nothing to do to."""
    for text in (None, USERS, FOREIGN.replace("kic-lab", "far")):
        once = written(text)
        assert changes(plan_kubeconfig(SPEC, observed(file(once)))) == []
        (change,) = changes(plan_kubeconfig(ABSENT, observed(file(once))))
        assert changes(plan_kubeconfig(ABSENT, observed(file(change.text)))) == []


@pytest.mark.parametrize(
    "text", ["contexts: [{name: kic-lab, context: {cluster: x}}]\n", FOREIGN], ids=["users", "foreign-cluster"]
)
def test_name_taken(text: str) -> None:
    """An entry of this name that is of something else is refused, not replaced."""
    with pytest.raises(KicError) as caught:
        plan_kubeconfig(SPEC, observed(file(text)))
    assert caught.value.diagnosis.id == "context_taken"


@pytest.mark.parametrize(
    "admin",
    ["client-key-data: TOPSECRET: x\n", "a: !!int TOPSECRET\n", "[" * 5000, "TOPSECRET"],
    ids=["yaml", "tag", "deep", "text"],
)
def test_credentials_that_are_damaged(admin: str) -> None:
    """What a node hands out in place of its administrator's kubeconfig is not shown; the entries go all the same."""
    with pytest.raises(KicError) as caught:
        plan_kubeconfig(SPEC, observed(file(USERS), admin=admin))
    assert caught.value.diagnosis.id == "kubeconfig_unusable" and "TOPSECRET" not in str(caught.value)
    assert caught.value.__cause__ is None or "TOPSECRET" not in str(caught.value.__cause__)
    assert [*map(str, plan_kubeconfig(ABSENT, observed(file(OURS), admin=admin)).operations)] == [REMOVE]


def test_a_kind_that_is_left_empty() -> None:
    """kubectl takes a file without a kind, and one whose kind is null."""
    for kind in ("", "kind:\n", "kind: ''\n"):
        (change,) = changes(plan_kubeconfig(SPEC, observed(file(f"{kind}contexts: []\n"))))
        assert "kic-lab" in str(change.text)


def test_losses_are_warned_of() -> None:
    """Where the entries of others go, the old text is kept and the plan says so."""
    plan = plan_kubeconfig(replace(SPEC, merge=False), observed(file(USERS)))
    (change,) = changes(plan)
    assert change.lossy and plan.warnings[0].endswith("other entries.") and "/k/config" in plan.warnings[0]
    assert plan_kubeconfig(SPEC, observed(file(USERS))).warnings == ()


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        (SPEC, observed(file(None)), {"context": "kic-lab"}),
        (SPEC, observed(file(OURS.replace("name: kic-lab", "name: mine"))), {"context": "kic-lab"}),
        (SPEC, observed(file(None), admin=None), {}),
        (ABSENT, observed(file(OURS)), {}),
    ],
    ids=["new", "another-name-written", "before-the-cluster", "absent"],
)
def test_describe(spec: KubeconfigSpec, given: ObservedKubeconfig, expected: dict[str, Any]) -> None:
    """The context's name, where there is one to tell."""
    assert describe(spec, given) == expected


def test_renamed_context_is_told() -> None:
    """A name that the user gave to the context stays, and is the one that is returned."""
    config = kubeconfig_yaml.load(OURS)
    config["contexts"][0]["name"] = "mine"
    given = observed(file(kubeconfig_yaml.dump({**config, "current-context": "mine"})))
    assert describe(SPEC, given) == {"context": "mine"}
    assert plan_kubeconfig(SPEC, given).operations == ()
