# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine is given for nodes: what is planned for each part, what is ours, and what is taken back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Taken
from ansible_collections.nodeforge.kic.plugins.module_utils._host import delegation, files, kernel, sub_ids, user
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import look as delegation_look
from ansible_collections.nodeforge.kic.plugins.module_utils._host.sub_ids import Range
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host import sub_ids as ids_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.kernel_modules import ObservedModules
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.own_files import ObservedFiles
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.plan import (
    HostPlan,
    HostSpec,
    ObservedHost,
    plan_host,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.record import (
    HEADER,
    MODULE_FILE,
    SYSCTL_FILE,
    HostRecord,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.sub_ids import ObservedIds
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.sysctls import ObservedSysctls
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.units import ObservedUnits, Unit
from ansible_collections.nodeforge.kic.plugins.module_utils._state import writer
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails
from ansible_collections.nodeforge.kic.tests.unit.module_utils.test_delegation import FakeHost

INSTANCES = "fs.inotify.max_user_instances"
UID, GID = "/etc/subuid", "/etc/subgid"


def spec(**given: Any) -> HostSpec:
    """What a user asks for."""
    defaults: dict[str, Any] = {
        "user": None,
        "sub_ids": 0,
        "sysctls": {},
        "modules": [],
        "units": [],
        "packages": [],
        "state": "present",
    }
    return HostSpec.from_params({**defaults, **given})


def observed(
    record: HostRecord | None = None, root: bool = True, writable: bool = True, **changed: Any
) -> ObservedHost:
    """A machine with systemd on which nothing is ours yet, seen by root."""
    texts = {SYSCTL_FILE: None, MODULE_FILE: None, UID: "", GID: "", **changed.pop("files", {})}
    directories = changed.pop("directories", frozenset(("/etc/sysctl.d", "/etc/modules-load.d")))
    values = changed.pop("sysctls", {INSTANCES: 128, kernel.PORT_START: 1024})
    settings = {name: changed.pop(name) for name in ("several", "later") if name in changed}
    modules = {name: changed.pop(name) for name in vars(ObservedModules()) if name in changed}
    units = ObservedUnits(changed.pop("systemd", True), changed.pop("units", {}))
    return ObservedHost(
        record=record or HostRecord(),
        root=root,
        writable=writable,
        files=ObservedFiles({path: texts[path] for path in (SYSCTL_FILE, MODULE_FILE)}, directories),
        ids=ObservedIds({path: texts[path] for path in (UID, GID)}, **{"uid": 1000, **changed}),
        sysctls=ObservedSysctls(values, **settings),
        modules=ObservedModules(**modules),
        units=units,
    )


def actions(plan: HostPlan) -> list[str]:
    """The plan in words."""
    return [str(action) for action in plan.actions]


def named(plan: HostPlan, kind: str) -> list[str]:
    """What is changed of a kind."""
    return [item.name for item in plan.actions if item.kind == kind]


def settings(plan: HostPlan) -> dict[str, int]:
    """The settings as they will be."""
    return {name: plan.after[name] for name in named(plan, "setting")}


def texts(plan: HostPlan) -> dict[str, str | None]:
    """Our own files as they will be."""
    return {name: plan.after[name] or None for name in named(plan, "file")}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"user": "../x"}, "not a user's name"),
        ({"sub_ids": 65536}, "nobody is named"),
        ({"user": "dev", "sub_ids": -1}, "not a number of ids"),
        ({"sysctls": {"../../etc/passwd": 1}}, "not a setting's name"),
        ({"sysctls": {INSTANCES: "many"}}, "not a whole number"),
        ({"modules": ["a b"]}, "not a module's name"),
    ],
)
def test_bad_input(given: dict[str, Any], words: str) -> None:
    """What cannot be meant is refused before anything is looked at."""
    with fails("invalid_option", words):
        spec(**given)


OTHERS = "ci:100000:65536\n"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, ["add range /etc/subuid: dev:100000:65536", "add range /etc/subgid: dev:100000:65536"]),
        (
            {UID: OTHERS, GID: "dev:300000:70000\n"},
            ["add range /etc/subuid: dev:165536:65536"],
        ),
        ({UID: "1000:200000:65536\n", GID: "dev:200000:65536\n"}, []),
        (
            {UID: "dev:200000:1000\n", GID: "dev:200000:65536"},
            ["add range /etc/subuid: dev:100000:65536"],
        ),
        (
            {UID: None, GID: "dev:1:30000\ndev:40000:40000\n"},
            ["add range /etc/subuid: dev:100000:65536"],
        ),
    ],
    ids=["nobody has any", "another has the first", "by number", "too few", "no file, and enough in two"],
)
def test_sub_ids(texts: dict[str, str | None], expected: list[str]) -> None:
    """Who has too few gets a range that nobody else has, of each kind."""
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(files=texts))
    assert actions(plan) == expected
    again = plan_host(spec(user="dev", sub_ids=65536), after(plan, observed(files=texts)))
    assert again.actions == ()


def after(plan: HostPlan, before: ObservedHost) -> ObservedHost:
    """The machine when the plan is done."""
    done = replace(before, record=plan.record)
    loaded = before.modules.loaded | set(named(plan, "module"))
    at_boot = before.modules.at_boot | set(plan.record.modules)
    return replace(
        done,
        files=replace(before.files, texts={**before.files.texts, **texts(plan)}),
        ids=replace(before.ids, texts=written(plan, before), mappers={}),
        sysctls=replace(before.sysctls, values={**before.sysctls.values, **settings(plan)}),
        modules=replace(before.modules, loaded=loaded, at_boot=at_boot),
        units=replace(before.units, units={name: Unit("loaded", "enabled", "active") for name in before.units.units}),
    )


def written(plan: HostPlan, before: ObservedHost) -> dict[str, str | None]:
    """The files of ids when the operations of the plan have run on them."""
    files = dict(before.ids.texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids_module, "_exact", files.get)
        patch.setattr(ids_module, "put", files.__setitem__)
        patch.setattr(sub_ids, "locked", nullcontext)
        for item in plan.operations:
            if item.kind == "range":
                item.run(None)
    return files


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        ([], 100000),
        ([Range("a", 100000, 65536)], 165536),
        ([Range("a", 90000, 10001)], 100001),
        ([Range("a", 165535, 5), Range("b", 100000, 1)], 165540),
        ([Range("a", 300000, 5), Range("b", 100000, 65536)], 165536),
        ([Range("a", 100000, 400000)], None),
        ([Range("a", 100000, 100), Range("b", 100000, 300000)], 400000),
    ],
)
def test_free_range(taken: list[Range], first: int | None) -> None:
    """The lowest range that touches nobody's, within the bounds."""
    assert sub_ids.free_range((100000, 500000), 65536, taken) == first


def test_no_room() -> None:
    """Bounds of login.defs hold; where there is no room, that is the answer."""
    with fails("no_free_ids", "SUB_UID_MAX", UID):
        plan_host(spec(user="dev", sub_ids=65536), observed(login_defs="SUB_UID_MIN 100\nSUB_UID_MAX  50000 # few\n"))
    assert sub_ids.bounds("#SUB_GID_MIN 5\n\tSUB_GID_MAX\t700000\n", "gid") == (100000, 700000)


def test_ids_in_use() -> None:
    """A range does not take the number of a user or a group that there is."""
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(owned=(0, 1000, 120000)))
    assert "dev:120001:65536" in actions(plan)[0]


def test_ids_written_by_others_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the plan and the write another program gave the range away: another one is to be chosen."""
    plan = plan_host(spec(user="dev", sub_ids=65536), observed())
    monkeypatch.setattr(ids_module, "_exact", lambda _path: OTHERS)
    monkeypatch.setattr(sub_ids, "locked", nullcontext)
    (first, _second) = [item for item in plan.operations if item.kind == "range"]
    with pytest.raises(Taken):
        first.run(None)


def test_ids_from_elsewhere() -> None:
    """What a name service gives is not in files, and so not added to them; an unknown user is named."""
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(from_service=True))
    assert plan.actions == () and "nsswitch" in plan.left_out[0]
    with fails("user_unknown", "dev"):
        plan_host(spec(user="dev", sub_ids=65536), observed(uid=None))


@pytest.mark.parametrize(
    ("podman", "renewed", "warned"), [("", False, False), ("idle", True, False), ("running", False, True)]
)
def test_podman_takes_them_up(podman: str, renewed: bool, warned: bool) -> None:
    """podman goes on with the ids that it has; containers that run are not ended for it."""
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(podman=podman))
    assert ("renew ids of podman dev" in actions(plan)) is renewed
    assert bool(plan.warnings) is warned


@pytest.mark.parametrize(
    "text", ["", OTHERS, OTHERS.rstrip("\n"), "\n\n"], ids=["empty", "line", "no newline", "blank"]
)
@pytest.mark.parametrize("later", ["", "new:700000:65536\n"], ids=["", "another came later"])
def test_ids_and_back(text: str, later: str) -> None:
    """What was added is taken out again, byte for byte, also from between what others added."""
    machine = observed(files={UID: text, GID: None})
    done = after(plan_host(spec(user="dev", sub_ids=65536), machine), machine)
    assert done.record.created == (GID,)
    there = {**done.ids.texts, UID: (done.ids.texts[UID] or "") + later}
    done = replace(done, ids=replace(done.ids, texts=there))
    plan = plan_host(spec(user="dev", state="absent"), done)
    gone = after(plan, done)
    expected = text + ("\n" if text and not text.endswith("\n") and later else "") + later
    assert gone.ids.texts[UID] == expected and gone.ids.texts[GID] is None
    assert gone.record == HostRecord()
    assert plan_host(spec(user="dev", state="absent"), gone).actions == ()


def test_ids_that_were_changed_since() -> None:
    """A line that is no longer as we wrote it is somebody's decision."""
    record = HostRecord(users={"dev": {UID: ["dev:100000:65536\n"]}})
    plan = plan_host(spec(state="absent"), observed(record=record, files={UID: "dev:100000:9\n"}))
    assert plan.operations == () and "left alone" in plan.warnings[0]


@pytest.mark.parametrize(
    ("added", "text", "left"),
    [
        ("ci:1:2\n", "gitlab-ci:1:2\nbob:3:2\n", None),
        ("\nci:1:2\n", "a:9:9\nci:1:20\n", None),
        ("ci:1:2\n", "ci:1:2\ngitlab-ci:1:2\n", "gitlab-ci:1:2\n"),
        ("ci:1:2\n", "gitlab-ci:1:2\nci:1:2\nbob:3:2\n", "gitlab-ci:1:2\nbob:3:2\n"),
        ("\nci:1:2\n", "a:9:9\nci:1:2\nbob:3:2\n", "a:9:9\nbob:3:2\n"),
        ("ci:1:2\n", "ci:1:2", None),
    ],
    ids=["other user", "longer number", "both", "both, ours later", "no newline before", "no newline after"],
)
def test_only_whole_lines_are_taken_back(added: str, text: str, left: str | None) -> None:
    """A line that merely ends like ours is another user's."""
    record = HostRecord(users={"ci": {UID: [added]}})
    machine = observed(record=record, files={UID: text})
    plan = plan_host(spec(state="absent"), machine)
    assert written(plan, machine)[UID] == (text if left is None else left)
    assert bool(plan.warnings) is (left is None)


def test_a_record_of_another_users_line_is_dropped() -> None:
    """What an interrupted run recorded and never wrote is not found in another user's line."""
    record = HostRecord(users={"ci": {UID: ["ci:100000:65536\n"]}})
    machine = observed(record=record, files={UID: "gitlab-ci:100000:65536\n"})
    plan = plan_host(spec(user="ci", sub_ids=65536), machine)
    assert plan.record.users["ci"][UID] == ["ci:165536:65536\n"]


@pytest.mark.parametrize(
    ("podman", "held", "renewed", "warned"),
    [("idle", 10, True, False), ("running", 10, False, True), ("idle", 65536, False, False), ("", None, False, False)],
)
def test_ids_that_were_not_taken_up(podman: str, held: int | None, renewed: bool, warned: bool) -> None:
    """A run that was interrupted between the files and podman is finished by the next one."""
    there = {UID: "dev:100000:65536\n", GID: "dev:100000:65536\n"}
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(files=there, podman=podman, held=held))
    assert actions(plan) == (["renew ids of podman dev"] if renewed else [])
    assert bool(plan.warnings) is warned


def test_mapped_ids() -> None:
    """The ids of a namespace are those of all its ranges but the user himself."""
    assert sub_ids.mapped("         0       1000          1\n         1     100000      65536\n") == 65536
    assert sub_ids.mapped("0 0 4294967295\n") > 65536
    assert sub_ids.mapped("") == -1


def test_directories_are_open_whatever_the_umask(tmp_path: Path) -> None:
    """A hardened machine's umask does not close the machine's configuration to its users."""
    before = os.umask(0o077)
    try:
        files.make_directory(str(tmp_path / "a/b.d"))
        files.make_directory(str(tmp_path / "a/b.d"))
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b.d")] == [0o755, 0o755]


def test_setting_of_several_numbers() -> None:
    """It is there, and said to be what it is."""
    machine = observed(sysctls={"net.ipv4.tcp_rmem": None}, several=frozenset(["net.ipv4.tcp_rmem"]))
    with fails("invalid_option", "net.ipv4.tcp_rmem is not a single number", "ansible.posix.sysctl"):
        plan_host(spec(sysctls={"net.ipv4.tcp_rmem": 4096}), machine)


def test_mapper() -> None:
    """A program that may not map ids is made set-uid, its mode recorded once, and brought back."""
    machine = observed(files={UID: "dev:1:65536\n", GID: "dev:1:65536\n"}, mappers={"/usr/bin/newuidmap": 0o755})
    plan = plan_host(spec(user="dev", sub_ids=65536), machine)
    assert actions(plan) == ["set mode /usr/bin/newuidmap: 4755"]
    back = plan_host(spec(user="dev", state="absent"), after(plan, machine))
    assert actions(back) == ["set mode /usr/bin/newuidmap: 0755"]


def test_sysctls() -> None:
    """Low settings are raised, a port lowered; what is enough or not there is left, and the second run does nothing."""
    asked = spec(sysctls={INSTANCES: 512, kernel.PORT_START: 80, "no.such": 1, "vm.enough": 5})
    machine = observed(sysctls={INSTANCES: 128, kernel.PORT_START: 1024, "no.such": None, "vm.enough": 9})
    plan = plan_host(asked, machine)
    assert settings(plan) == {INSTANCES: 512, kernel.PORT_START: 80}
    assert texts(plan) == {SYSCTL_FILE: f"{HEADER}{INSTANCES} = 512\n{kernel.PORT_START} = 80\n"}
    assert plan.left_out == ("sysctls: this kernel has no no.such",)
    done = after(plan, machine)
    assert plan_host(asked, done).actions == ()
    more = plan_host(spec(sysctls={INSTANCES: 1024}), done)
    assert more.record.sysctls[INSTANCES] == {"before": 128, "set": 1024}
    back = plan_host(spec(state="absent"), done)
    assert settings(back) == {INSTANCES: 128, kernel.PORT_START: 1024}
    assert texts(back) == {SYSCTL_FILE: None}
    since = replace(done, sysctls=replace(done.sysctls, values={**done.sysctls.values, INSTANCES: 4096}))
    assert settings(plan_host(spec(state="absent"), since)) == {kernel.PORT_START: 1024}


@pytest.mark.parametrize(
    ("names", "overruled"),
    [
        ({"99-sysctl.conf": "fs/inotify/max_user_instances=128"}, True),
        ({"10-early.conf": f"{INSTANCES}=1"}, False),
        ({"70-a.conf": f"{INSTANCES}=1", "80-b.conf": f"-{INSTANCES} = 9999"}, False),
        ({"99-x.conf": f"# {INSTANCES}=1\n;{INSTANCES}=1\n"}, False),
    ],
    ids=["later", "earlier", "made good", "comments"],
)
def test_overruled(names: dict[str, str], overruled: bool) -> None:
    """A file that undoes ours at the next start is named before anything is changed."""
    machine = observed(later=[(f"/etc/sysctl.d/{name}", text) for name, text in names.items()])
    if overruled:
        with fails("sysctl_overruled", "99-sysctl.conf", "512"):
            plan_host(spec(sysctls={INSTANCES: 512}), machine)
    else:
        assert plan_host(spec(sysctls={INSTANCES: 512}), machine).changed


def test_not_ours() -> None:
    """A file of somebody else under our name is neither written over nor removed."""
    theirs = observed(files={SYSCTL_FILE: f"{INSTANCES} = 100\n"})
    with fails("file_not_ours", SYSCTL_FILE):
        plan_host(spec(sysctls={INSTANCES: 512}), theirs)
    assert plan_host(spec(state="absent"), theirs).actions == ()


def test_modules() -> None:
    """Modules are loaded now and at each start; those of the kernel itself need neither."""
    machine = observed(built_in=frozenset(["overlay"]), loaded=frozenset(["tun"]), directories=frozenset())
    plan = plan_host(spec(modules=["overlay", "tun", "nf-tables"]), machine)
    assert named(plan, "module") == ["nf_tables"]
    assert texts(plan) == {MODULE_FILE: f"{HEADER}nf_tables\ntun\n"}
    assert plan.record.created == ("/etc/modules-load.d",)
    assert plan_host(spec(modules=["overlay", "tun", "nf-tables"]), after(plan, machine)).actions == ()
    with fails("module_unknown", "nosuch"):
        plan_host(spec(modules=["nosuch"]), observed(unknown=frozenset(["nosuch"])))
    none = plan_host(spec(modules=["tun"]), observed(directory=False))
    assert none.actions == () and "no directory of modules" in none.left_out[0]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (Unit("loaded", "disabled", "inactive", "oneshot"), ["enable unit x.service"]),
        (Unit("loaded", "disabled", "inactive", "notify"), ["enable unit x.service", "start unit x.service"]),
        (Unit("loaded", "enabled", "inactive", "notify"), ["start unit x.service"]),
        (Unit("loaded", "static", "active", "notify"), []),
        (Unit(), []),
    ],
)
def test_units(unit: Unit, expected: list[str]) -> None:
    """What is not enabled is; a daemon runs too, while what acts once is not set off."""
    machine = observed(units={"x.service": unit})
    plan = plan_host(spec(units=["x.service"]), machine)
    assert actions(plan) == expected
    back = plan_host(spec(state="absent"), after(plan, machine))
    assert actions(back) == (["disable unit x.service"] if "enable unit x.service" in expected else [])


def test_units_without_systemd() -> None:
    """Where systemd does not manage the machine there is nothing to enable; a masked unit is named."""
    plan = plan_host(spec(units=["x.service"]), observed(systemd=False))
    assert plan.actions == () and "systemd" in plan.left_out[0]
    with fails("engine_unit_masked", "x.service"):
        plan_host(spec(units=["x.service"]), observed(units={"x.service": Unit("masked")}))


def test_packages() -> None:
    """Packages are recorded once, and named when all else goes."""
    plan = plan_host(spec(packages=["podman", "uidmap"]), observed(record=HostRecord(packages=("podman",))))
    assert actions(plan) == ["record packages uidmap"]
    back = plan_host(spec(state="absent"), after(plan, observed()))
    assert back.packages == ("podman", "uidmap")


def test_of_two_users() -> None:
    """With one user what is shared stays as long as there is another."""
    users = {name: {UID: [f"{name}:1:2\n"]} for name in ("ci", "dev")}
    record = HostRecord(users=users, sysctls={INSTANCES: {"before": 128, "set": 512}})
    machine = observed(record=record, files={UID: "ci:1:2\ndev:1:2\n", SYSCTL_FILE: HEADER}, sysctls={INSTANCES: 512})
    one = plan_host(spec(user="dev", state="absent"), machine)
    assert one.record.users == {"ci": users["ci"]} and settings(one) == {}
    assert "ci" in one.warnings[0]
    both = plan_host(spec(state="absent"), machine)
    assert both.record == HostRecord() and settings(both) == {INSTANCES: 128}


def test_who_may() -> None:
    """Changes take root, and a place to write to."""
    with fails("root_needed", "set setting"):
        plan_host(spec(sysctls={INSTANCES: 512}), observed(root=False))
    with fails("etc_read_only", SYSCTL_FILE):
        plan_host(spec(sysctls={INSTANCES: 512}), observed(writable=False))


def test_record(tmp_path: Path) -> None:
    """A record comes back as it was saved; an empty one leaves no file, and what is not ours counts as none."""
    directory = str(tmp_path / "state")
    record = HostRecord(
        {"dev": {UID: ["dev:1:2\n"]}}, (GID,), {"/x": 0o755}, {INSTANCES: {"before": 1, "set": 2}}, ("tun",)
    )
    record.save(directory)
    assert HostRecord.load(directory) == record
    for text in ("{", "[]", '{"version": 99}'):
        (tmp_path / "state" / "host.json").write_text(text)
        assert HostRecord.load(directory) == HostRecord()
    (tmp_path / "state" / "host.json").write_text('{"version": 1, "units": ["a"], "of_a_later_release": {}}')
    assert HostRecord.load(directory) == HostRecord(units=("a",))
    HostRecord().save(directory)
    assert not (tmp_path / "state" / "host.json").exists()


def test_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """lckpwdf's lock is taken and given back, and waited for where another process holds it."""
    monkeypatch.setattr(sub_ids, "PASSWORD_LOCK", str(tmp_path / "pwd.lock"))
    monkeypatch.setattr(sub_ids, "_WAIT_SECONDS", 0.1)
    take = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", f"{take}; print('held', flush=True); sys.stdin.read()", sub_ids.PASSWORD_LOCK]
    with sub_ids.locked():
        assert subprocess.run(command, input="", capture_output=True, text=True, check=False).returncode != 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with fails("lock_timeout", "pwd.lock"), sub_ids.locked():
            pass
        other.communicate()
    with sub_ids.locked():
        pass


class Usermod:
    """usermod of shadow, which adds to files of a dictionary; ``meanwhile`` is what another program adds before it."""

    def __init__(self, files: dict[str, str | None], meanwhile: str = "", rc: int = 0) -> None:
        self.files, self.meanwhile, self.rc = files, meanwhile, rc
        self.asked: list[list[str]] = []

    def run(self, argv: Sequence[str], **_options: Any) -> CommandResult:
        """Add a range."""
        self.asked.append(list(argv))
        _program, option, numbers, user = argv
        path = f"/etc/{option.rpartition('-')[2][:-1]}"
        first, _separator, last = numbers.partition("-")
        line = f"{user}:{first}:{int(last) - int(first) + 1}\n"
        text = (self.files[path] or "") + self.meanwhile
        self.meanwhile = ""
        if not self.rc:
            self.files[path] = text + line
        return CommandResult(tuple(argv), self.rc, b"", b"cannot lock" if self.rc else b"")


def with_usermod(monkeypatch: pytest.MonkeyPatch, runner: Usermod, plan: HostPlan) -> None:
    """Run the operations on ids."""
    monkeypatch.setattr(ids_module, "_exact", runner.files.get)
    monkeypatch.setattr(ids_module, "put", runner.files.__setitem__)
    monkeypatch.setattr(sub_ids, "locked", nullcontext)
    for item in plan.operations:
        if item.kind == "range":
            item.run(runner)


LOCAL = frozenset({"root", "dev"})


@pytest.mark.parametrize(
    ("text", "usermod", "by_usermod"),
    [
        pytest.param(OTHERS, LOCAL, True, id="local"),
        pytest.param("", LOCAL, True, id="empty"),
        pytest.param(OTHERS, frozenset({"root"}), False, id="of-a-name-service"),
        pytest.param(OTHERS, frozenset(), False, id="no-usermod"),
        pytest.param(None, LOCAL, False, id="no-file"),
        pytest.param(OTHERS.rstrip("\n"), LOCAL, False, id="no-newline"),
    ],
)
def test_usermod_writes(
    monkeypatch: pytest.MonkeyPatch, text: str | None, usermod: frozenset[str], by_usermod: bool
) -> None:
    """shadow's own program writes the ids where it knows user and file; both ways come to the same, and back."""
    files: dict[str, str | None] = {UID: text, GID: text}
    machine = observed(files=files, usermod=usermod)
    plan = plan_host(spec(user="dev", sub_ids=65536), machine)
    runner = Usermod(dict(files))
    with_usermod(monkeypatch, runner, plan)
    assert runner.files == written(plan_host(spec(user="dev", sub_ids=65536), observed(files=files)), machine)
    assert [argv[1] for argv in runner.asked] == (["--add-subuids", "--add-subgids"] if by_usermod else [])
    if text is not None:
        there = replace(machine, record=plan.record, ids=replace(machine.ids, texts=dict(runner.files)))
        with_usermod(monkeypatch, runner, plan_host(spec(user="dev", state="absent"), there))
        assert runner.files == files


def test_usermod_and_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """usermod gives a range that another user got a moment ago: it is taken back, and another one is to be chosen."""
    files: dict[str, str | None] = {UID: "", GID: ""}
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(files=files, usermod=LOCAL))
    runner = Usermod(files, meanwhile="new:100000:65536\n")
    with pytest.raises(Taken):
        with_usermod(monkeypatch, runner, plan)
    assert files[UID] == "new:100000:65536\n"


def test_usermod_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What usermod says is told."""
    files: dict[str, str | None] = {UID: "", GID: ""}
    plan = plan_host(spec(user="dev", sub_ids=65536), observed(files=files, usermod=LOCAL))
    with fails("engine_failed", "usermod", UID):
        with_usermod(monkeypatch, Usermod(files, rc=10), plan)


def test_replace(tmp_path: Path) -> None:
    """A file keeps its mode, a new one can be read by all, and one that cannot be written leaves nothing."""
    path = tmp_path / "file"
    writer.write_text(str(path), "one\n")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    writer.write_text(str(path), "two\udcff\n")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two\xff\n", 0o600)
    with pytest.raises(UnicodeEncodeError):
        writer.write_text(str(path), "\ud800")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_drop_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are read by name, wherever they lie, and one in /etc hides the distribution's."""
    for place in ("lib", "etc"):
        (tmp_path / place / "x.d").mkdir(parents=True)
    (tmp_path / "lib" / "x.d" / "20.conf").write_text("lib")
    (tmp_path / "lib" / "x.d" / "10.conf").write_text("hidden")
    (tmp_path / "etc" / "x.d" / "10.conf").write_text("etc")
    (tmp_path / "etc" / "x.d" / "README").write_text("")
    monkeypatch.setattr(files, "DROP_INS", tuple(str(tmp_path / place) for place in ("lib", "none", "etc")))
    assert [text for _path, text in files.drop_ins("x.d")] == ["etc", "lib"]


def test_drop_ins_that_are_not_for_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hardened machine closes /etc/sysctl.d to its users; what cannot be read says nothing, and the rest is read."""
    for place in ("lib", "etc"):
        (tmp_path / place / "x.d").mkdir(parents=True)
    (tmp_path / "lib" / "x.d" / "10.conf").write_text("lib")
    (tmp_path / "lib" / "x.d" / "20.conf").mkdir()
    os.mkfifo(tmp_path / "lib" / "x.d" / "30.conf")
    (tmp_path / "lib" / "x.d" / "40.conf").symlink_to("/dev/null")
    closed, listdir = str(tmp_path / "etc" / "x.d"), os.listdir

    def refusing(path: str) -> list[str]:
        if path == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return listdir(path)

    monkeypatch.setattr(files, "DROP_INS", tuple(str(tmp_path / place) for place in ("lib", "etc")))
    monkeypatch.setattr(os, "listdir", refusing)
    assert [text for _path, text in files.drop_ins("x.d")] == ["lib", "", "", ""]
    assert files.listed(closed) == files.listed(str(tmp_path / "none")) == []


def test_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules by the kernel's own lists, with hyphens or without."""
    monkeypatch.setattr(kernel, "drop_ins", lambda _kind: [("x", "# tun\nnf-tables option=1\n\n;x\n")])
    table = {
        f"{kernel.module_directory()}/modules.builtin": "kernel/fs/overlayfs/overlay.ko\nkernel/lib/crc-t10.ko\n",
        "/proc/modules": "tun 65536 0 - Live 0x0\n",
    }
    assert kernel.modules_now(table.get) == (frozenset(["overlay", "crc_t10"]), frozenset(["tun"]))
    assert kernel.modules_at_boot({"/etc/modules": "loop\n"}.get) == {"nf_tables", "loop"}
    assert kernel.sysctl("a.b", {"/proc/sys/a/b": "7\n"}.get) == 7
    assert kernel.sysctl("a.b", {"/proc/sys/a/b": "7 8\n"}.get) is None


@pytest.mark.parametrize(
    ("mode", "owner", "unfit"),
    [(0o4755, 0, None), (0o755, 0, 0o755), (0o4755, 1000, 0o4755)],
    ids=["fit", "plain", "their"],
)
def test_unfit_mode(monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, unfit: int | None) -> None:
    """What maps ids is root's and set-uid, or has a capability; what is not there is not unfit."""
    found = os.stat_result((0o100000 | mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    attributes: list[str] = []
    monkeypatch.setattr(os, "stat", lambda _path: found)
    monkeypatch.setattr(os, "listxattr", lambda _path: attributes)
    assert sub_ids.unfit_mode("/usr/bin/newuidmap") == unfit
    attributes.append("security.capability")
    assert sub_ids.unfit_mode("/usr/bin/newuidmap") is None
    monkeypatch.undo()
    assert sub_ids.unfit_mode("/no/such/program") is None


def test_user_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is for an ordinary user; root is not asked."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert user.user_facts(FakeHost()) is None
    fake = FakeHost()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(delegation, "look", lambda uid, runner: delegation_look(uid, runner, fake.read, True))
    found = user.user_facts(fake)
    assert found is not None
    assert (found["uid"], found["controllers"], found["manager_running"]) == (1000, ["cpu", "memory", "pids"], True)
    assert set(found["programs"]) <= set(user.PROGRAMS)
    for uid, home in ((1, True), (1 << 30, False)):
        # The second one has no entry in passwd, and so no home.
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        found = user.user_facts(fake)
        assert found is not None and bool(found["environment"].get("HOME")) is home


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([("python3", 1000), ("sh", 1000), ("sudo", 0), ("sudo", 0), ("ansible-playbook", 1001)], True),
        ([("python3", 1000), ("sh", 1000), ("su", 1001), ("sh", 1001)], True),
        ([("python3", 1000), ("sh", 1000), ("doas", 0), ("sshd", 1001)], True),
        ([("python3", 1000), ("sh", 1000), ("sh", 1001), ("ansible-playboo", 1001)], True),
        # The user's own Ansible, in a shell that another one became.
        ([("python3", 1000), ("sh", 1000), ("ansible-playboo", 1000), ("bash", 1000), ("su", 1001)], False),
        # Root hands its files over by chown, however it became root.
        ([("python3", 1000), ("sh", 1000), ("sudo", 0), ("ansible-playbook", 0), ("sudo", 0), ("bash", 1001)], False),
        ([("python3", 1000), ("sh", 1000), ("ansible-playbook", 1000), ("sshd", 1000), ("sshd", 0)], False),
        ([("python3", 1000), ("sh", 1000), ("sudo", 0), ("sh", 1000)], False),
        # hidepid
        ([("python3", 1000), ("sh", 1000)], False),
    ],
    ids=["sudo", "su", "doas", "doas has gone", "own", "root", "self", "to itself", "hidden"],
)
def test_handed_over(monkeypatch: pytest.MonkeyPatch, chain: list[tuple[str, int]], expected: bool) -> None:
    """Who became this user is the first process above sudo, su or doas."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    known = {
        f"/proc/{100 - step}/status": f"Name:\t{name}\nPPid:\t{99 - step}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
        for step, (name, uid) in enumerate(chain)
    }
    assert user.handed_over(known.get, 100) is expected
