# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on the machine itself, and on Kubernetes in a node, that are killed before and after each operation of their plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Resource
from ansible_collections.nodeforge.kic.plugins.module_utils._host import delegation as delegated
from ansible_collections.nodeforge.kic.plugins.module_utils._host import kernel, sub_ids
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS, Tried
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm import KubeadmResource
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.kubeadm_plan import KubeadmSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import Seen
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import delegation
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import (
    DelegationRecord,
    DelegationResource,
    ObservedDelegation,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host import (
    own_files,
    record,
    sysctls,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host import sub_ids as ids
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.plan import HostResource, ObservedHost
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.record import HostRecord
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.units import observe_units

from . import test_delegation, test_host, test_kube_kubeadm
from .lives import planned_only, run
from .test_delegation import ALL, SOME, UNITS, FakeHost
from .test_killed import ends
from .test_kube_kubeadm import (
    API_NODE,
    JOIN_COMMAND,
    MANIFEST,
    NO_PROGRAM,
    WORKER_CONTAINER,
    Fake,
    container,
    fresh,
    said,
    seen,
    seen_worker,
)


def killed_everywhere(
    prepared: Callable[[], Any], resource: Callable[[Any], Resource[Any, Any]], state: Callable[[Any], Any]
) -> None:
    """Kill the run before and after each of its operations: a plain run ends in the state of an undisturbed one.

    :param prepared: makes a machine as it is before.
    """
    machine = prepared()
    assert run(planned_only(resource(machine))).plan.changed
    expected = state(machine)
    assert not run(resource(machine)).plan.changed
    at = 0
    while True:
        for done in (False, True):
            machine = prepared()
            if not ends(lambda killing: run(killing.armed(resource(machine))), at, done):  # noqa: B023
                assert at > 0, "the plan has no operation"
                return
            run(resource(machine))
            assert state(machine) == expected, (at, done)
        at += 1


class Machine:
    """Files below a directory, and programs that change what is kept in memory."""

    def __init__(self, root: Path, usermod: bool) -> None:
        self.root, self.usermod = root, usermod
        self.loaded: set[str] = set()
        self.units = {"x.service": ["disabled", "inactive"]}
        self.held = 10
        for path, text in (
            ("subuid", "ci:100000:65536\n"),
            ("subgid", ""),
            ("vm.max", "128\n"),
            ("sysctl.d/a.conf", ""),
        ):
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_text(text)

    def run(self, argv: Sequence[str], **_more: Any) -> CommandResult:
        """Do what the program does."""
        words = list(argv)
        if "migrate" in words:
            self.held = 65536
        elif words[0] == "modprobe" and "--dry-run" not in words:
            self.loaded.add(words[-1])
        elif words[0] == "usermod":
            first, last = words[2].split("-")
            with (self.root / f"{words[1].removeprefix('--add-').removesuffix('s')}").open("a") as stream:
                stream.write(f"{words[3]}:{first}:{int(last) - int(first) + 1}\n")
        elif words[0] == "systemctl" and words[1] != "show":
            enabled, active = self.units[words[-1]]
            self.units[words[-1]] = [
                f"{words[1]}d" if "able" in words[1] else enabled,
                "active" if words[1] == "start" else active,
            ]
        elif words[0] == "systemctl":
            enabled, active = self.units[words[-1]]
            text = f"LoadState=loaded\nUnitFileState={enabled}\nActiveState={active}\nType=notify\n"
            return CommandResult((), 0, text.encode(), b"")
        return CommandResult((), 0, b"", b"")

    def state(self) -> list[Any]:
        """All that is there."""
        files = {str(path): path.read_text() if path.is_file() else None for path in sorted(self.root.rglob("*"))}
        return [files, self.loaded, self.units, self.held, HostRecord.load()]


class HostHere(HostResource):
    """Asks systemd also where this machine has none."""

    def observe(self) -> ObservedHost:
        found = super().observe()
        names = ("x.service", *found.record.units)
        return replace(found, root=True, writable=True, units=observe_units(names, True, self.seam))


HOST: dict[str, Any] = {
    "user": "root",
    "sub_ids": 65536,
    "sysctls": {"vm.max": 512},
    "modules": ["tun"],
    "units": ["x.service"],
    "packages": ["uidmap"],
}


@pytest.mark.parametrize("usermod", [True, False], ids=["usermod", "no usermod"])
@pytest.mark.parametrize("back", [False, True], ids=["given", "taken back"])
def test_parts_of_the_machine(
    back: bool, usermod: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each part is given, and taken back exactly."""
    monkeypatch.setattr(kernel, "module_directory", lambda: "/")
    monkeypatch.setattr(sub_ids, "MAPPERS", ())
    monkeypatch.setattr(sub_ids, "locked", nullcontext)
    monkeypatch.setattr(sub_ids, "podman", lambda _uid: "idle")
    monkeypatch.setattr(ids, "ids_from_service", lambda: False)
    monkeypatch.setattr(ids, "has_program", lambda _name: usermod)
    monkeypatch.setattr(sysctls, "drop_ins", lambda _kind: [])
    asked = test_host.spec(**HOST)

    def prepared() -> Machine:
        machine = Machine(tmp_path_factory.mktemp("machine"), usermod)
        root, state = str(machine.root), str(tmp_path_factory.mktemp("state"))
        monkeypatch.setattr(record, "state_directory", lambda: state)
        monkeypatch.setattr(sub_ids, "FILES", {kind: f"{root}/sub{kind}" for kind in ("uid", "gid")})
        monkeypatch.setattr(sub_ids, "held", lambda _uid: machine.held)
        monkeypatch.setattr(kernel, "sysctl_path", lambda name: f"{root}/{name}")
        monkeypatch.setattr(kernel, "modules_now", lambda: (frozenset(), frozenset(machine.loaded)))
        for module in (record, own_files, sysctls):
            monkeypatch.setattr(module, "SYSCTL_FILE", f"{root}/sysctl.d/60.conf")
        for module in (record, own_files):
            monkeypatch.setattr(module, "MODULE_FILE", f"{root}/modules-load.d/kic.conf")
        texts = Path(root, "modules-load.d/kic.conf")
        monkeypatch.setattr(
            kernel, "modules_at_boot", lambda: kernel.names_of(texts.read_text() if texts.exists() else "")
        )
        if back:
            run(HostHere(asked, machine))
        return machine

    requested = test_host.spec(user="root", state="absent") if back else asked
    killed_everywhere(
        prepared,
        lambda machine: HostHere(requested, machine),
        lambda machine: json.loads(json.dumps(machine.state(), default=str).replace(str(machine.root), "")),
    )


class Managed:
    """A machine whose systemd has read a drop-in or not, and whose user's manager has taken it up or not."""

    def __init__(self, root: Path) -> None:
        self.drop_in = str(root / "user@.service.d/99.conf")
        self.known: str | None = None
        self.taken = self.lingers = False

    def run(self, argv: Sequence[str], **_more: Any) -> CommandResult:
        """Do what systemctl and loginctl do."""
        text = Path(self.drop_in)
        if argv[1] == "daemon-reload":
            self.known = text.read_text() if text.exists() else None
        if argv[0] == "loginctl":
            self.lingers = argv[1] == "enable-linger"
        return CommandResult((), 0, b"", b"")

    def look(self, _user: str, _runner: Any) -> ObservedDelegation:
        """What is there now."""
        given = ALL if self.taken and self.known else SOME
        fake = FakeHost(delegates=ALL if self.known else SOME, gives=dict.fromkeys(UNITS[:3], given))
        if self.known:
            fake.drop_ins[UNITS[-1]], fake.files[self.drop_in] = [self.drop_in], self.known
        text = Path(self.drop_in)
        return fake.observed(
            record=DelegationRecord.load(),
            drop_in=text.read_text() if text.exists() else None,
            directory=text.parent.exists(),
            lingers=self.lingers,
            tried=Tried(given),
        )

    def state(self) -> list[Any]:
        """All that is there."""
        text = Path(self.drop_in)
        there = text.read_text() if text.exists() else None
        return [there, self.known, self.taken, self.lingers, text.parent.exists(), DelegationRecord.load()]


@pytest.mark.parametrize("back", [False, True], ids=["given", "taken back"])
def test_controllers(back: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The drop-in, systemd that reads it, and the manager that takes it up."""
    asked = {"controllers": list(CONTROLLERS), "linger": True}

    def prepared() -> Managed:
        machine, state = Managed(tmp_path_factory.mktemp("machine")), str(tmp_path_factory.mktemp("state"))
        monkeypatch.setattr(delegation, "state_directory", lambda: state)
        monkeypatch.setattr(delegation, "DROP_IN", machine.drop_in)
        monkeypatch.setattr(delegation, "_look", machine.look)
        monkeypatch.setattr(delegated, "take_up", lambda *_given: setattr(machine, "taken", True))
        if back:
            run(DelegationResource(test_delegation.spec(**asked), machine))
        return machine

    requested = test_delegation.spec(**asked) if not back else test_delegation.spec(state="absent")
    killed_everywhere(prepared, lambda machine: DelegationResource(requested, machine), Managed.state)


class Kubernetes(Fake):
    """A node that keeps what is done in it."""

    def __init__(self, asked: KubeadmSpec) -> None:
        super().__init__(container(), WORKER_CONTAINER, token_create=said(JOIN_COMMAND))
        self.whole = seen(asked) if asked.control_plane == asked.node else seen_worker()
        self.now = fresh(network=NO_PROGRAM, changes={"storage": "x created (server dry run)"})

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        self.looks = [self.now]
        answer = super().call(arguments, **given)
        self.now = replace(self.now, **self.effects(self.calls[-1][0], (given.get("stdin") or b"").decode()))
        return answer

    def effects(self, purpose: str, stdin: str) -> dict[str, Any]:
        """What a command leaves behind."""
        whole = self.whole
        made = {"stands": whole.stands, "api": True, "objects": whole.objects}
        found: dict[str, dict[str, Any]] = {
            "hosts": {"hosts": whole.hosts, "names": whole.names},
            "init": {**made, "node": replace(API_NODE, labels=dict(API_NODE.labels))},
            "join": {**made, "node": whole.node},
            "apply": {"changes": {"storage": "x unchanged"}},
            "finalize": {"rotating": True},
            "reset": vars(fresh(network=NO_PROGRAM)),
        }
        if purpose == "record":
            return {"record": json.loads(stdin)}
        if purpose == "labels":
            assert self.now.node is not None
            return {"node": replace(self.now.node, labels={**self.now.node.labels, "tier": "one"})}
        return found.get(purpose, {})


@pytest.mark.parametrize("state", ["initialized", "joined", "reset"])
def test_kubernetes(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane and a worker are made, and undone."""
    monkeypatch.setattr(boot, "read", lambda _path: "0::/machine.slice/libpod-x.scope/init.scope\n")
    given: dict[str, Any] = {"pod_network": "none", "wait": False, "labels": {"tier": "one"}}
    make = test_kube_kubeadm.worker if state == "joined" else test_kube_kubeadm.spec
    asked = make(**given, manifests=[MANIFEST])
    requested = test_kube_kubeadm.spec(state="reset") if state == "reset" else asked

    def prepared() -> Kubernetes:
        machine = Kubernetes(asked)
        if state == "reset":
            run(KubeadmResource(asked, machine))
        return machine

    def left(machine: Kubernetes) -> Seen:
        return machine.now

    killed_everywhere(prepared, lambda machine: KubeadmResource(requested, machine), left)
