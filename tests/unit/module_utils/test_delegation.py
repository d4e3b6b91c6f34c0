# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers on their way to a user: where each is lost, and what there is to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound, CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._host import delegation as host
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS, Tried
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import (
    DROP_IN,
    HEADER,
    DelegationRecord,
    DelegationSpec,
    ObservedDelegation,
    plan_delegation,
    wanted_record,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails

ALL = frozenset(CONTROLLERS)
SOME = frozenset(("cpu", "memory", "pids"))
VENDOR = "/usr/lib/systemd/system/user@.service"
VENDOR_TEXT = "[Service]\nDelegate=pids memory cpu\n"
UNITS = ("-.slice", "user.slice", "user-1000.slice", "user@1000.service")


class FakeHost:
    """A machine of files and units: what /sys, /proc and systemctl show of one on which Debian 13 was installed."""

    def __init__(self, **changed: Any) -> None:
        self.kernel = ALL
        self.files = {VENDOR: VENDOR_TEXT, "/proc/cmdline": "root=/dev/vda quiet"}
        self.gives: dict[str, frozenset[str]] = dict.fromkeys(UNITS[:3], SOME)
        self.disables: dict[str, str] = {}
        self.delegates = SOME
        self.drop_ins: dict[str, list[str]] = {}
        self.load = "loaded"
        self.active = "active"
        self.__dict__.update(changed)

    def read(self, path: str) -> str | None:
        """Read a file of the machine."""
        given = self.kernel
        group = host.MOUNT
        for unit in UNITS:
            group = group if unit == "-.slice" else f"{group}/{unit}"
            if path == f"{group}/cgroup.controllers":
                return None if unit == UNITS[-1] and self.active != "active" else " ".join(sorted(given)) + "\n"
            if path == f"{group}/cgroup.subtree_control":
                return " ".join(sorted(given & self.gives.get(unit, frozenset()))) + "\n"
            given &= self.gives.get(unit, frozenset())
        return self.files.get(path)

    def run(
        self,
        argv: Iterable[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Answer systemctl show, in its form."""
        blocks = []
        for unit in [part for part in argv if part in UNITS]:
            manager = unit == UNITS[-1]
            lines = {
                "Id": unit,
                "LoadState": self.load if manager else "loaded",
                "ActiveState": self.active if manager else "active",
                "DelegateControllers": " ".join(sorted(self.delegates)) if manager else "",
                "DisableControllers": self.disables.get(unit, ""),
                "FragmentPath": VENDOR if manager else "",
                "DropInPaths": " ".join(self.drop_ins.get(unit, [])),
            }
            blocks.append("".join(f"{name}={value}\n" for name, value in lines.items()))
        return CommandResult(tuple(argv), 0, "\n".join(blocks).encode(), b"")

    def observed(self, **changed: Any) -> ObservedDelegation:
        """What the module sees of it, as root, where nothing is ours yet."""
        way = host.look(1000, self, self.read, systemd=True)
        defaults: dict[str, Any] = {
            "uid": 1000,
            "way": way,
            "tried": Tried(way.given()) if way.runs else None,
            "drop_in": None,
            "directory": False,
            "writable": True,
            "lingers": False,
            "root": True,
            "record": DelegationRecord(),
        }
        return ObservedDelegation(**{**defaults, **changed})


def spec(**given: Any) -> DelegationSpec:
    """What a user asks for."""
    defaults = {"user": "dev", "controllers": list(CONTROLLERS), "state": "present", "apply": "now", "linger": None}
    return DelegationSpec.from_params({**defaults, **given})


def verbs(plan: Plan) -> list[str]:
    """The actions' verbs."""
    return [action.verb for action in plan.actions]


DROPPED = "/etc/systemd/system/user.slice.d/w.conf"


@pytest.mark.parametrize(
    ("changed", "controller", "expected"),
    [
        ({}, "cpu", None),
        ({}, "cpuset", ("user@1000.service", "not_delegated", "user@1000.service", VENDOR)),
        ({"kernel": ALL - {"io"}}, "io", ("kernel", "not_built", "", "")),
        (
            {"kernel": SOME, "files": {"/proc/cmdline": "quiet cgroup_disable=blkio,pids"}},
            "io",
            ("kernel", "disabled_at_boot", "", ""),
        ),
        (
            {"kernel": SOME, "files": {f"{host.MOUNT}/cgroup.type": "domain"}},
            "io",
            ("container", "not_given", "", ""),
        ),
        ({"disables": {"-.slice": "cpu io"}}, "cpu", ("root", "disabled_by_unit", "-.slice", "")),
        (
            {
                "disables": {"user.slice": "cpu"},
                "drop_ins": {"user.slice": ["/a.conf", DROPPED, "/z.conf"]},
                "files": {DROPPED: "[Slice]\n DisableControllers = cpu\n", "/z.conf": "# DisableControllers=io\n"},
            },
            "cpu",
            ("user.slice", "disabled_by_unit", "user.slice", DROPPED),
        ),
        (
            {"disables": {"user-1000.slice": "cpu", "user@1000.service": "cpu"}},
            "cpu",
            ("user-1000.slice", "disabled_by_unit", "user-1000.slice", ""),
        ),
        (
            {"disables": {"user@1000.service": "pids"}},
            "pids",
            ("user@1000.service", "disabled_by_unit", "user@1000.service", ""),
        ),
        ({"delegates": ALL}, "io", ("root", "not_in_effect", "-.slice", "")),
        (
            {"delegates": ALL, "gives": {"-.slice": ALL, "user.slice": SOME, "user-1000.slice": SOME}},
            "io",
            ("user.slice", "not_in_effect", "user.slice", ""),
        ),
        (
            {"delegates": ALL, "gives": {"-.slice": ALL, "user.slice": ALL, "user-1000.slice": SOME}},
            "io",
            ("user-1000.slice", "not_in_effect", "user-1000.slice", ""),
        ),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value,
)
def test_where_it_is_lost(changed: dict[str, Any], controller: str, expected: tuple[str, ...] | None) -> None:
    """The topmost that withholds it is named, with the file that decides; what nobody decided is not in effect yet."""
    files = {VENDOR: VENDOR_TEXT, **changed.get("files", {})}
    lost = FakeHost(**{**changed, "files": files}).observed().lost(controller)
    assert (None if lost is None else (lost.level, lost.reason, lost.unit, lost.file)) == expected


def test_manager_that_does_not_run() -> None:
    """Where there is no manager there is nothing to read: what its unit delegates is all that can be told."""
    observed = FakeHost(active="inactive").observed()
    assert observed.way.runs is False and observed.works() == frozenset()
    lost = {name: observed.lost(name) for name in ("cpu", "io")}
    assert {name: item.reason if item else None for name, item in lost.items()} == {
        "cpu": "not_running",
        "io": "not_delegated",
    }


def test_manager_that_has_not_heard() -> None:
    """What the kernel gives and the manager cannot set a limit of is not in effect."""
    fake = FakeHost(delegates=ALL, gives=dict.fromkeys(UNITS[:3], ALL))
    lost = fake.observed(tried=Tried(SOME)).lost("io")
    assert lost is not None and (lost.level, lost.reason) == ("user@1000.service", "not_in_effect")
    assert fake.observed().lost("io") is None


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["[Service]\nDelegate=cpu memory\n"], {"cpu", "memory"}),
        (["Delegate=cpu", "Delegate=pids"], {"cpu", "pids"}),
        (["Delegate=cpu\nDelegate=\nDelegate=pids"], {"pids"}),
        (["Delegate=cpu", "Delegate=no"], set()),
        (["Delegate=yes"], ALL),
        (["Delegate=yes", "Delegate=", " Delegate = io "], {"io"}),
        (["#Delegate=cpu", "; Delegate=cpu", "XDelegate=cpu"], set()),
        ([], set()),
    ],
)
def test_lines_add_up(texts: list[str], expected: Iterable[str]) -> None:
    """Lists add, an empty value and "no" begin again, "yes" is all."""
    assert host.delegated_by([(str(number), text) for number, text in enumerate(texts)]) == frozenset(expected)


@pytest.mark.parametrize(
    ("files", "mode"),
    [
        (["cgroup.controllers"], "v2"),
        (["unified/cgroup.controllers"], "hybrid"),
        ([], "v1"),
    ],
)
def test_mode(files: list[str], mode: str) -> None:
    """Version 2 is that of the mount point itself."""
    table = {f"{host.MOUNT}/{name}": "cpu" for name in files}
    assert host.cgroup_mode(table.get) == mode


def test_first_run() -> None:
    """On a fresh Debian two controllers are missing: the drop-in is written and taken up, and the diff shows both."""
    plan = plan_delegation(spec(), FakeHost().observed())
    assert verbs(plan) == ["write", "reload", "reexecute"]
    assert plan.before == {"drop_in": "", "controllers": ["cpu", "memory", "pids"], "linger": False}
    text = f"{HEADER}# For dev: cpu cpuset io memory pids\n[Service]\nDelegate=cpu cpuset io memory pids\n"
    assert plan.after == {"drop_in": text, "controllers": list(CONTROLLERS), "linger": False}
    record = wanted_record(spec(), FakeHost().observed())
    assert (record.users, record.linger, record.directory) == ({"dev": list(CONTROLLERS)}, [], True)


def done(**changed: Any) -> ObservedDelegation:
    """The machine after the first run."""
    record = changed.pop("record", DelegationRecord({"dev": list(CONTROLLERS)}, [], directory=True))
    text = record.drop_in
    fake = FakeHost(delegates=ALL, gives=dict.fromkeys(UNITS[:3], ALL), **changed.pop("fake", {}))
    fake.drop_ins.setdefault(UNITS[-1], [DROP_IN])
    fake.files[DROP_IN] = text
    return fake.observed(**{"record": record, "drop_in": text, "directory": True, **changed})


def test_second_run() -> None:
    """Nothing is left to do, also for one who may not do anything."""
    assert plan_delegation(spec(), done(root=False)).actions == ()


def test_enough_by_others() -> None:
    """What others delegate needs no drop-in of ours."""
    asked, observed = spec(controllers=["cpu", "pids"]), FakeHost().observed()
    assert plan_delegation(asked, observed).operations == () and wanted_record(asked, observed) == DelegationRecord()


@pytest.mark.parametrize(
    ("given", "observed", "expected"),
    [
        ({"apply": "next_login"}, FakeHost().observed(), ["write", "reload"]),
        ({}, FakeHost(active="inactive").observed(), ["write", "reload"]),
        ({"linger": True}, FakeHost(active="inactive").observed(), ["write", "reload", "enable"]),
        ({"linger": True}, done(lingers=True), []),
        ({"linger": False}, done(lingers=True), ["disable"]),
        ({}, done(tried=Tried(SOME)), ["reexecute"]),
        ({"apply": "next_login"}, done(tried=Tried(SOME)), []),
        # Somebody changed our file.
        ({}, done(drop_in=f"{HEADER}[Service]\nDelegate=cpu\n"), ["write", "reload"]),
    ],
)
def test_actions(given: dict[str, Any], observed: ObservedDelegation, expected: list[str]) -> None:
    """Only what is missing is done."""
    assert verbs(plan_delegation(spec(**given), observed)) == expected


def test_written_but_not_read() -> None:
    """A drop-in that is right and that systemd has not read is not written again, but read."""
    observed = done()
    manager = replace(observed.way.manager, delegates=SOME, files=((VENDOR, VENDOR_TEXT),))
    way = replace(observed.way, units=(*observed.way.units[:-1], manager))
    assert verbs(plan_delegation(spec(), replace(observed, way=way))) == ["reload", "reexecute"]


def test_second_user() -> None:
    """The drop-in holds for all users: it has what each of them asked for, and goes with the last."""
    first = DelegationRecord({"ci": ["io"]}, [], directory=True)
    asked = spec(controllers=["cpuset"])
    assert wanted_record(asked, done(record=first)).users == {"ci": ["io"]}, "what others delegate for them was enough"
    observed = replace(FakeHost().observed(), record=first, drop_in=first.drop_in, directory=True)
    both = wanted_record(asked, observed)
    assert both.users == {"ci": ["io"], "dev": ["cpuset"]}
    assert (both.drop_in or "").endswith("# For ci: io\n# For dev: cpuset\n[Service]\nDelegate=cpuset io\n")
    plan = plan_delegation(spec(state="absent"), done(record=both))
    assert verbs(plan) == ["write", "reload"] and plan.after["drop_in"] == first.drop_in
    plan = plan_delegation(spec(user="ci", state="absent"), done(record=first))
    assert verbs(plan) == ["remove", "reload"] and plan.after["drop_in"] == ""
    assert wanted_record(spec(user="ci", state="absent"), done(record=first)) == DelegationRecord()


def test_absent() -> None:
    """What was ours goes, lingering too where it was ours; what is not ours stays, and is no error anywhere."""
    record = DelegationRecord({"dev": list(CONTROLLERS)}, ["dev"], directory=True)
    plan = plan_delegation(spec(state="absent"), done(record=record, lingers=True))
    assert verbs(plan) == ["remove", "reload", "disable"] and plan.after["linger"] is False
    assert verbs(plan_delegation(spec(state="absent"), done(lingers=True))) == ["remove", "reload"]
    bare = FakeHost(load="masked").observed(uid=None, writable=False, lingers=True, root=False)
    for mode in ("v1", "hybrid", "v2"):
        way = replace(bare.way, mode=mode, systemd=False)
        assert plan_delegation(spec(state="absent"), replace(bare, way=way)).actions == ()


def changed_way(**changed: Any) -> ObservedDelegation:
    """A fresh machine that is otherwise in one respect."""
    observed = FakeHost().observed()
    return replace(observed, way=replace(observed.way, **changed))


OVERRULED = {UNITS[-1]: ["/etc/systemd/system/user@.service.d/99-zz.conf"]}


@pytest.mark.parametrize(
    ("observed", "condition", "words"),
    [
        (FakeHost().observed(uid=None), "user_unknown", ("no user dev", "useradd")),
        (changed_way(mode="v1", systemd=False), "cgroup_not_unified", ("of version 1", "become: true")),
        (changed_way(mode="hybrid"), "cgroup_not_unified", ("hybrid",)),
        (replace(changed_way(systemd=False), init="openrc-init"), "no_systemd", ("is openrc-init",)),
        (FakeHost(load="masked", delegates=frozenset()).observed(), "unit_masked", ("unmask user@1000.service",)),
        (FakeHost().observed(writable=False), "etc_read_only", (DROP_IN, "remount,rw")),
        (FakeHost().observed(drop_in="[Service]\n", directory=True), "file_not_ours", (f"mv {DROP_IN}",)),
        (FakeHost().observed(root=False), "root_needed", ("write drop-in", "become: true")),
        (FakeHost(kernel=SOME).observed(), "controller_not_built", ("no cgroup controller cpuset",)),
        (
            FakeHost(kernel=SOME, files={"/proc/cmdline": "cgroup_disable=cpuset"}).observed(),
            "controller_disabled_at_boot",
            ("controller cpuset", "update-grub"),
        ),
        (
            FakeHost(kernel=SOME, files={f"{host.MOUNT}/cgroup.type": "domain"}).observed(),
            "controller_not_given",
            ("itself a container",),
        ),
        (
            FakeHost(
                disables={"user.slice": "memory"},
                drop_ins={"user.slice": [DROPPED]},
                files={DROPPED: "DisableControllers=memory"},
            ).observed(),
            "controller_disabled_by_unit",
            ("memory does not reach dev", "user.slice withholds", DROPPED),
        ),
        (
            FakeHost(drop_ins=OVERRULED, files={OVERRULED[UNITS[-1]][0]: "Delegate=\nDelegate=pids"}).observed(),
            "delegation_overruled",
            ("99-zz.conf is read after our drop-in", "cpu, cpuset, io, memory"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(observed: ObservedDelegation, condition: str, words: tuple[str, ...]) -> None:
    """What is not ours to change is one clear answer, before anything is done."""
    with fails(condition, *words):
        plan_delegation(spec(), observed)


@pytest.mark.parametrize("given", [{"user": ""}, {"user": "../x"}, {"user": "-x"}, {"controllers": []}], ids=str)
def test_bad_option(given: dict[str, Any]) -> None:
    """A value that cannot be used is refused by its option's name."""
    with fails("invalid_option", next(iter(given))):
        spec(**given)


def test_record(tmp_path: Path) -> None:
    """The record is read as it was written, is for its user alone, and leaves no file when it is empty."""
    folder = tmp_path / "state"
    assert DelegationRecord.load(str(folder)) == DelegationRecord()
    record = DelegationRecord({"dev": ["cpu"]}, ["dev"], directory=True)
    record.save(str(folder))
    assert DelegationRecord.load(str(folder)) == record
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    for text in ("{", "[]", '{"version": 99}'):
        path.write_text(text)
        assert DelegationRecord.load(str(folder)) == DelegationRecord()
    DelegationRecord().save(str(folder))
    assert list(folder.iterdir()) == []


class ScopeRunner:
    """Answers as systemd-run does, and keeps what it was asked."""

    def __init__(self, out: str, rc: int = 0, error: Exception | None = None) -> None:
        self.out, self.rc, self.error = out, rc, error
        self.asked: list[tuple[tuple[str, ...], Mapping[str, str]]] = []

    def run(
        self,
        argv: Iterable[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Give the one answer."""
        self.asked.append((tuple(argv), env or {}))
        if self.error is not None:
            raise self.error
        return CommandResult(tuple(argv), self.rc, self.out.encode(), b"words" if self.rc else b"")


def test_try_limits() -> None:
    """A controller works when its file shows the limit; the user's manager is found by their number."""
    out = "cpu.max=50000 100000\ncpuset.cpus=2\nmemory.max=max\npids.max=64\n"
    runner = ScopeRunner(out)
    found = host.try_limits("dev", 4711, runner, {f"{host.MOUNT}/cpuset.cpus.effective": "2-3\n"}.get)
    assert found == Tried(frozenset(("cpu", "cpuset", "pids")))
    ((argv, env),) = runner.asked
    assert argv[:5] == ("runuser", "-u", "dev", "--", "systemd-run")
    assert "--property=AllowedCPUs=2" in argv and env["XDG_RUNTIME_DIR"] == "/run/user/4711"


def test_try_limits_in_vain() -> None:
    """A scope that does not run shows that nothing works, and why."""
    assert host.try_limits("dev", 4711, ScopeRunner("", 1)) == Tried(frozenset(), "words")
    missing = ScopeRunner("", error=CommandNotFound("runuser"))
    assert host.try_limits("dev", 4711, missing) == Tried(frozenset(), "runuser is not installed")
