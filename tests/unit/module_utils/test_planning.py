# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Planning starts no process, reads no file and asks no engine: every resource is planned on a machine that refuses all of it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import kubeadm, kubeadm_plan
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import Seen
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import plan_delegation
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.plan import plan_host
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.units import Unit

from . import test_delegation, test_host, test_image, test_kube_kubeadm, test_network, test_node, test_volume
from .lives import LIVES, Life, NameOnly, machine, plain_machine, planned_only, refusing_machine, run, state


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which nothing differs by where the test runs."""
    plain_machine(monkeypatch)


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_lives(life: Life) -> None:
    """What check mode predicts is planned so, and what a run does too."""
    engine = machine()
    life.before(engine)
    before = state(engine)
    expected = run(planned_only(life.resource(engine)), check_mode=True)
    assert state(engine) == before
    assert run(planned_only(life.resource(engine))).plan.actions == expected.plan.actions


@pytest.mark.parametrize("recreate", ["never", "on_drift"])
@pytest.mark.parametrize(("made", "asked"), [item[1:3] for item in test_node.CHANGES])
def test_drift_of_nodes(made: dict[str, Any], asked: dict[str, Any], recreate: str) -> None:
    """Each option of a node that differs."""
    spec, observed = test_node.spec(**asked, recreate=recreate), test_node.existing(test_node.spec(**made))
    surroundings = test_node.around(networks=test_node.NETWORKS)
    with refusing_machine():
        test_node.planned(spec, observed, around=surroundings)


@pytest.mark.parametrize(("asked", "there"), [item[1:3] for item in test_network.DRIFT])
def test_drift_of_networks(asked: dict[str, Any], there: dict[str, Any]) -> None:
    """Each option of a network that differs."""
    spec, observed = test_network.spec(**asked, recreate="on_drift"), test_network.seen(**there)
    with refusing_machine():
        assert test_network.planned(spec, observed).changed


@pytest.mark.parametrize(("asked", "there"), [item[:2] for item in test_volume.DRIFT])
def test_drift_of_volumes(asked: dict[str, Any], there: dict[str, Any]) -> None:
    """Each option of a volume that differs."""
    spec, found = test_volume.spec(**asked, recreate="on_drift"), test_volume.seen(**there)
    with refusing_machine():
        assert test_volume.planned(spec, found).changed


@pytest.mark.parametrize(("asked", "found", "offers"), [item[:3] for item in test_image.WHERE_FROM])
def test_images(asked: dict[str, Any], found: Any, offers: Any) -> None:
    """Each place that an image comes from."""
    spec = test_image.spec(**asked)
    with refusing_machine():
        assert test_image.planned(spec, found, offers).changed


@pytest.mark.parametrize("state", ["present", "absent"])
def test_parts_of_the_machine(state: str) -> None:
    """Ids, settings, modules and units, as they are given and taken back."""
    given: dict[str, Any] = {"user": "dev", "sub_ids": 65536, "sysctls": {test_host.INSTANCES: 8192}}
    given.update(modules=["tun"], units=["x.service"], packages=["uidmap"])
    machine = test_host.observed(units={"x.service": Unit("loaded", "disabled", "inactive", "notify")})
    plan = plan_host(test_host.spec(**given), machine)
    spec = test_host.spec(**given) if state == "present" else test_host.spec(user="dev", state="absent")
    observed = machine if state == "present" else test_host.after(plan, machine)
    with refusing_machine():
        assert plan_host(spec, observed).changed


@pytest.mark.parametrize("apply", ["now", "next_login"])
def test_delegation_of_controllers(apply: str) -> None:
    """Controllers that a user lacks."""
    spec, observed = test_delegation.spec(apply=apply, linger=True), test_delegation.FakeHost().observed()
    with refusing_machine():
        assert plan_delegation(spec, observed).changed


NODE = test_kube_kubeadm.container()
ASKED, WORKER = test_kube_kubeadm.spec(manifests=[test_kube_kubeadm.MANIFEST]), test_kube_kubeadm.worker()
ADDRESSES = (("192.168.128.2",), ("192.168.128.2",))


@pytest.mark.parametrize(
    ("asked", "found", "waits"),
    [
        (ASKED, kubeadm.NotRunning(None), []),
        (ASKED, kubeadm_plan.Booting(NODE, *ADDRESSES), ["boot"]),
        (ASKED, test_kube_kubeadm.fresh(boot=Boot("starting")), ["boot", "node"]),
        (ASKED, test_kube_kubeadm.fresh(), ["kubeadm in", "node"]),
        (ASKED, test_kube_kubeadm.seen(ASKED, api=False), ["API of"]),
        (ASKED, test_kube_kubeadm.seen(ASKED, node=replace(test_kube_kubeadm.API_NODE, ready=False)), ["node"]),
        (ASKED, test_kube_kubeadm.seen(ASKED), []),
        (WORKER, test_kube_kubeadm.fresh(), ["kubeadm in", "node"]),
        (WORKER, test_kube_kubeadm.seen_worker(network=test_kube_kubeadm.DIFFERS), ["node"]),
        (test_kube_kubeadm.spec(state="reset"), test_kube_kubeadm.seen(), []),
    ],
)
def test_kubernetes(asked: kubeadm_plan.KubeadmSpec, found: Any, waits: list[str]) -> None:
    """Steps of kubeadm and what is waited for, from what was seen in the node."""
    seen = kubeadm_plan.Observed(NODE, found, *ADDRESSES) if isinstance(found, Seen) else found
    resource = kubeadm.KubeadmResource(asked, NameOnly("podman"))  # type: ignore[arg-type]
    resource.seam = None
    with refusing_machine():
        operations = resource.plan(seen, ()).operations
    assert [item.kind for item in operations if item.verb == "wait for"] == waits


def test_what_refuses() -> None:
    """The machine and the engine do refuse."""
    with refusing_machine():
        # Not by pathlib: that of Python 3.9 keeps the functions of os that were there when it was imported.
        for touch in (
            partial(open, "/dev/null"),
            partial(os.path.exists, "/"),
            partial(os.open, "/dev/null", os.O_RDONLY),
        ):
            with pytest.raises(AssertionError, match="touched the machine"):
                touch()
    with pytest.raises(AssertionError, match="asked its engine for info"):
        NameOnly("podman").info  # noqa: B018
