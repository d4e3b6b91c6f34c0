# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin that merges kubeconfigs: what it plans, and what it writes with the module's real halves."""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task as PlaybookTask

from ansible_collections.nodeforge.kic.plugins.action import kic_kubeconfig as action
from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container, Limits
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file
from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record as state
from ansible_collections.nodeforge.kic.plugins.modules import kic_kubeconfig as module
from ansible_collections.nodeforge.kic.plugins.plugin_utils import kubeconfig_action, kubeconfig_plan, kubeconfig_yaml
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import Unplugged

ADMIN = """
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {certificate-authority-data: Q0E=, server: 'https://lab.kic.internal:6443'}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Q1JU, client-key-data: S0VZ}}]
contexts: [{name: a, context: {cluster: lab, user: kubernetes-admin}}]
"""
USERS = """\
# a comment
kind: Config
users:
- name: ada
  user: {token: c2VjcmV0, since: 2026-01-02, at: 2026-01-02T03:04:05Z}
contexts: [{name: ada, context: {user: ada, cluster: x}}]
current-context: ada
"""
SERVER = "https://127.0.0.1:40001"


def file(text: str | None, path: str = "/k/config", mode: int = 0o600, uid: int = 7) -> dict[str, Any]:
    """What the module read."""
    digest = "" if text is None else hashlib.sha256(text.encode()).hexdigest()
    return {
        "path": path,
        "text": text,
        "sum": digest,
        "mode": None if text is None else mode,
        "uid": None if text is None else uid,
    }


def found(*files: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the module handed over, of a cluster that is there."""
    return {"context": "kic-lab", "files": list(files), "uid": 7, "admin": ADMIN, "server": SERVER, **more}


def plan(given: dict[str, Any], **arguments: Any) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    """The plan for the cluster lab: what is written, the actions and the diff."""
    spec = kubeconfig_plan.KubeconfigSpec.from_params({"cluster": "lab", **arguments})
    made = kubeconfig_plan.plan_kubeconfig(spec, kubeconfig_plan.ObservedKubeconfig.from_result(given))
    diff = {"before": dict(made.before), "after": dict(made.after)} if made.changed else {}
    return [vars(change) for change in kubeconfig_plan.changes(made)], [*map(str, made.actions)], diff


def ours() -> str:
    """A file with the cluster's entries alone, as a first run writes it."""
    (written,), _actions, _diff = plan(found(file(None)))
    text: str = written["text"]
    return text


def test_plan_of_a_new_file() -> None:
    """A file that is not there gets the cluster's entries, and the diff shows no credentials."""
    (written,), actions, diff = plan(found(file(None)))
    assert (written["path"], written["sum"]) == ("/k/config", "")
    assert yaml.safe_load(written["text"])["current-context"] == "kic-lab"
    assert actions == ["write context kic-lab: /k/config"]
    assert diff["before"] == {}
    assert diff["after"]["contexts"] == {"kic-lab": SERVER} and diff["after"]["mode"] == "0600"
    assert "S0VZ" not in str(diff) and "S0VZ" in written["text"]


def test_plan_of_a_users_file() -> None:
    """A user's entries stay next to the cluster's, and neither's credentials are in the diff."""
    (written,), actions, diff = plan(found(file(USERS, mode=0o644)))
    after = yaml.safe_load(written["text"])
    assert [item["name"] for item in after["users"]] == ["ada", "kic-lab"]
    assert actions == ["write context kic-lab: /k/config"]
    assert diff["before"]["mode"] == "0644" and diff["before"]["current-context"] == "ada"
    assert "c2VjcmV0" not in str(diff) and "S0VZ" not in str(diff)


def test_dates_stay_text() -> None:
    """What looks like a date is written back as it was, and not as YAML's idea of it."""
    (written,), _actions, _diff = plan(found(file(USERS)))
    again = kubeconfig_yaml.load(written["text"])["users"][0]["user"]
    assert again == {"token": "c2VjcmV0", "since": "2026-01-02", "at": "2026-01-02T03:04:05Z"}
    assert kubeconfig_yaml.load("{a: 2026-01-02, b: 7, c: true, d: null, e: 1.5}") == {
        "a": "2026-01-02",
        "b": 7,
        "c": True,
        "d": None,
        "e": 1.5,
    }


TEXTS = ("12:30:45", "0123", "0x_", "1_000", "1.10", "0b1", "0o7", "1e3", "+7", "1.", ".5", "-01")
NUMBERS = {"7": 7, "-7": -7, "0": 0, "1.5": 1.5, "-1.5": -1.5, "10.25": 10.25, "1.0": 1.0}


@pytest.mark.parametrize(("text", "expected"), [*zip(TEXTS, TEXTS), *NUMBERS.items()], ids=[*TEXTS, *NUMBERS])
def test_numbers_stay_as_they_are_written(text: str, expected: Any) -> None:
    """A number is read as one only where it is written back the same; anything like one stays text."""
    found = kubeconfig_yaml.load(f"a: {text}\n")["a"]
    assert (found, type(found)) == (expected, type(expected))
    encoded = kubeconfig_yaml.dump({"a": found})
    assert kubeconfig_yaml.load(encoded) == {"a": expected}
    assert encoded.replace("'", "") == f"a: {text}\n"


@pytest.mark.parametrize(
    ("mode", "uid", "changed"), [(0o600, 7, False), (0o644, 7, True), (0o600, 8, True)], ids=["fits", "mode", "owner"]
)
def test_plan_of_what_is_there(mode: int, uid: int, changed: bool) -> None:
    """The same entries once more are no change, unless the file is not private or not its owner's."""
    text = "# by hand\n" + ours()
    there = file(text, mode=mode, uid=uid)
    written, actions, diff = plan(found(there))
    assert bool(written) is changed and bool(actions) is changed and bool(diff) is changed
    (again,), _actions, _diff = plan(found(there, unrecorded=True))
    assert again["text"] == text, "a file with nothing to change keeps its very text"


@pytest.mark.parametrize(("merge", "names"), [(True, ["ada", "kic-lab"]), ("no", ["kic-lab"])], ids=["merged", "alone"])
def test_plan_without_merging(merge: Any, names: list[str]) -> None:
    """With merge: false it becomes a file of this cluster alone, however the flag is written."""
    (written,), _actions, _diff = plan(found(file(USERS)), merge=merge)
    assert [item["name"] for item in yaml.safe_load(written["text"])["users"]] == names


@pytest.mark.parametrize(("set_current", "current"), [(True, "kic-lab"), ("false", "ada")], ids=["set", "kept"])
def test_plan_of_the_current_context(set_current: Any, current: str) -> None:
    """The current context is set or kept, however the flag is written."""
    (written,), _actions, _diff = plan(found(file(USERS)), set_current=set_current)
    assert yaml.safe_load(written["text"])["current-context"] == current


def test_plan_before_there_is_a_cluster() -> None:
    """In check mode without a cluster nothing is to be written, and the context would be new."""
    given = found(file(USERS))
    del given["admin"], given["server"]
    written, actions, diff = plan(given)
    assert written == [] and actions == ["write context kic-lab: /k/config"]
    assert diff["after"]["contexts"] == {"ada": None, "kic-lab": "(not known yet)"}


def test_plan_of_a_taken_name() -> None:
    """A name that is the user's is refused."""
    with pytest.raises(KicError) as caught:
        plan(found(file("contexts: [{name: kic-lab, context: {cluster: x}}]\n")))
    assert caught.value.diagnosis.id == "context_taken"


def test_plan_absent() -> None:
    """Each file that has entries of the cluster loses them; the others are not touched."""
    (both,), _actions, _diff = plan(found(file(USERS)))
    files = [file(ours(), "/a"), file(USERS, "/b"), file(both["text"], "/c"), file(None, "/d")]
    written, actions, diff = plan(found(*files), state="absent")
    assert [(item["path"], item["empty"]) for item in written] == [("/a", True), ("/c", False)]
    assert [item["sum"] for item in written] == [files[0]["sum"], files[2]["sum"]]
    assert actions == ["remove context of lab: /a", "remove context of lab: /c"]
    assert kubeconfig_yaml.load(written[1]["text"])["users"] == kubeconfig_yaml.load(USERS)["users"]
    assert list(diff["before"]) == list(diff["after"]) == ["/a", "/c"]
    assert diff["after"]["/a"]["contexts"] == {} and "S0VZ" not in str(diff)


def test_plan_absent_forgets() -> None:
    """A recorded file that has no entries any more is to be forgotten, with its very text, and is no change."""
    files = [{**file(USERS, "/a"), "known": True}, {**file(None, "/b"), "known": True}, {**file(USERS), "known": False}]
    written, actions, diff = plan(found(*files), state="absent")
    assert [(item["path"], item["sum"], item["text"], item["empty"]) for item in written] == [
        ("/a", files[0]["sum"], USERS, False),
        ("/b", "", None, False),
    ]
    assert (actions, diff) == ([], {})


def test_plan_absent_of_nothing() -> None:
    """Where no file has entries of the cluster there is nothing to do and no diff."""
    assert plan(found(file(USERS), file(None)), state="absent") == ([], [], {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("users: [\n  {token: TOPSECRET\n", "it is not YAML in line "),
        ("a: 1\nb: TOPSECRET: x\n", "it is not YAML in line 2"),
        ("a: !!python/object:TOPSECRET {}\n", "it is not YAML in line 1"),
        ("a: TOPSECRET\x00\n", "it is not YAML"),
        ("a: !!int TOPSECRET\n", "it is not YAML"),
        ("a: !!timestamp 2001-99-99\nb: TOPSECRET\n", "it is not YAML"),
        ("a: " + "[" * 5000 + "TOPSECRET", "it is not YAML"),
        ("- TOPSECRET\n", "it is not a kubeconfig"),
        ("kind: TOPSECRET\n", "it is not a kubeconfig"),
        ("users: TOPSECRET\n", "its users are no list"),
    ],
    ids=[
        "open-bracket",
        "two-colons",
        "tag",
        "control-character",
        "no-number",
        "no-date",
        "without-end",
        "list",
        "other-kind",
        "users",
    ],
)
def test_decode_shows_no_content(text: str, reason: str) -> None:
    """A file that cannot be read is told by place and reason, and nothing that is in it is shown."""
    with pytest.raises(KicError) as caught:
        kubeconfig_plan.ObservedFile(**file(text)).decoded()
    assert caught.value.diagnosis.id == "kubeconfig_unusable"
    assert reason in caught.value.diagnosis.cause and "/k/config" in caught.value.diagnosis.cause
    assert "TOPSECRET" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "text", [None, "", "# only a comment\n", "---\n"], ids=["none", "empty", "comment", "document"]
)
def test_decode_of_nothing(text: str | None) -> None:
    """A file that is not there or holds nothing is an empty kubeconfig."""
    assert kubeconfig_plan.ObservedFile(**file(text)).decoded() == {}


def test_text_is_kept_readable() -> None:
    """Keys keep their order, and letters of all languages stay as they are."""
    text = kubeconfig_yaml.dump({"z": "größe", "a": [{"name": "x"}]})
    assert text == "z: größe\na:\n- name: x\n"


class Fake(Unplugged):
    """Holds the control plane, when there is one, and gives out its admin.conf."""

    def __init__(self, *held: Container) -> None:
        super().__init__()
        self.held = held

    def containers(self, label: str) -> list[Container]:
        return list(self.held)

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        return CommandResult((), 0, ADMIN.encode(), b"")


CONTROL_PLANE = Container(
    id="c",
    name="lab-control-plane-1",
    image_id="",
    image_name="",
    status="running",
    pid=1,
    exit_code=0,
    error="",
    oom_killed=False,
    labels={labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ROLE: "control-plane"},
    environment={},
    addresses={},
    runtime="",
    limits=Limits(),
    raw={"HostConfig": {"PortBindings": {"6443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40001"}]}}},
)


class Plugin(action.ActionModule):
    """The plugin with the real module, run in this process in place of on a machine."""

    engine: Unplugged = Fake(CONTROL_PLANE)
    before_write: Any = None

    def module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        defaults: dict[str, Any] = dict.fromkeys(("path", "owner", "context", "search", "write"))
        defaults |= {"state": "present", "probe": False}
        self.calls = [*getattr(self, "calls", []), "write" if "write" in arguments else "read"]
        if "write" in arguments and self.before_write:
            self.before_write()
        real = SimpleNamespace(
            params={**defaults, **arguments}, check_mode=self._task.check_mode, warn=lambda _text: None
        )
        task: Any = SimpleNamespace(params=real.params, check_mode=real.check_mode, warn=real.warn, engine=self.engine)
        try:
            return module.body(task)
        except KicError as error:
            return {"failed": True, "msg": str(error), "diagnosis": error.diagnosis.as_dict()}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the kubeconfig is to be; the records of clusters are in a directory of the test."""
    for one in (lock, state):
        monkeypatch.setattr(one, "state_directory", lambda: str(tmp_path / "state"))
    return tmp_path / "kube" / "config"


def plugin(path: Path, *, check: bool = False, diff: bool = False, **arguments: Any) -> Plugin:
    """The plugin for one task."""
    task = PlaybookTask()
    task.action = "nodeforge.kic.kic_kubeconfig"
    task.args = {"cluster": "lab", "path": str(path), "owner": pwd.getpwuid(os.geteuid()).pw_name, **arguments}
    task.check_mode, task.diff, task.async_val = check, diff, 0
    connection: Any = SimpleNamespace(become=None, transport="local", _shell=SimpleNamespace(tmpdir=None))
    nothing: Any = None
    return Plugin(task, connection, nothing, DataLoader(), nothing, nothing)


def test_run_and_run_again(path: Path) -> None:
    """A first run writes the file, a second only reads, and neither returns what holds credentials."""
    first = plugin(path)
    result = first.run(task_vars={})
    assert result["changed"] is True and result["actions"] == [f"write context kic-lab: {path}"]
    assert (result["path"], result["context"]) == (str(path), "kic-lab")
    assert first.calls == ["read", "write"]
    assert path.stat().st_mode & 0o777 == 0o600
    again = plugin(path)
    second = again.run(task_vars={})
    assert second["changed"] is False and second["actions"] == [] and again.calls == ["read"]
    for one in (result, second):
        assert not {"files", "admin", "server", "uid"} & set(one) and "S0VZ" not in str(one)


def test_run_and_undo(path: Path) -> None:
    """What a run made, an absent run removes; a user's file is left with the user's entries."""
    plugin(path).run(task_vars={})
    assert plugin(path, state="absent").run(task_vars={})["changed"] is True
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_text(USERS)
    plugin(path).run(task_vars={})
    assert plugin(path, state="absent").run(task_vars={})["changed"] is True
    left = kubeconfig_yaml.load(path.read_text())
    assert (
        left["users"] == kubeconfig_yaml.load(USERS)["users"]
        and left["contexts"] == kubeconfig_yaml.load(USERS)["contexts"]
    )
    assert plugin(path, state="absent").run(task_vars={})["changed"] is False


def known_files() -> list[str]:
    """The recorded files of the cluster lab."""
    return list(kubeconfig_file.known_files(state.Subject(Plugin.engine.store, "lab")))


@pytest.mark.parametrize("named", [True, False], ids=["named", "by-the-record"])
@pytest.mark.parametrize("left", [USERS, "", None], ids=["users", "empty", "gone"])
def test_run_absent_forgets(path: Path, left: str | None, named: bool) -> None:
    """A file whose entries somebody took out already is forgotten, which is no change, and is left as it is."""
    plugin(path).run(task_vars={})
    assert known_files() == [str(path)]
    path.unlink()
    if left is not None:
        path.write_text(left)

    def absent(check: bool = False) -> Plugin:
        one = plugin(path, state="absent", check=check)
        if not named:
            del one._task.args["path"]
        return one

    only = absent(check=True)
    assert only.run(task_vars={})["changed"] is False and only.calls == ["read"] and known_files() == [str(path)]
    first = absent()
    result = first.run(task_vars={})
    assert (result["changed"], result["actions"], first.calls) == (False, [], ["read", "write"])
    assert known_files() == []
    assert (path.read_text() if path.exists() else None) == left
    assert not path.with_name(f"{path.name}{kubeconfig_file.BACKUP}").exists()
    # By its name: where there is no record, it is the file of the user who runs this that is meant.
    again = plugin(path, state="absent")
    assert again.run(task_vars={})["changed"] is False and again.calls == ["read"]


def test_check_mode_writes_nothing(path: Path) -> None:
    """In check mode the change and its diff are told and nothing is written."""
    only = plugin(path, check=True, diff=True)
    result = only.run(task_vars={})
    assert result["changed"] is True and result["diff"]["after"]["contexts"] == {"kic-lab": SERVER}
    assert only.calls == ["read"] and not path.parent.exists()


def test_merge_is_made_again(path: Path) -> None:
    """When another program writes the file meanwhile, the merge is made again from what is there then."""
    path.parent.mkdir()
    one = plugin(path)
    texts = [USERS]
    one.before_write = lambda: path.write_text(texts.pop()) if texts else None
    assert one.run(task_vars={})["changed"] is True
    assert one.calls == ["read", "write", "read", "write"]
    assert [item["name"] for item in kubeconfig_yaml.load(path.read_text())["users"]] == ["ada", "kic-lab"]


def test_more_others_than_a_few(path: Path) -> None:
    """As many others as there are hosts may come first, each once."""
    path.parent.mkdir()
    one = plugin(path)
    texts = [USERS.replace("ada", f"user{number}") for number in range(20)]
    one.before_write = lambda: path.write_text(texts.pop()) if texts else None
    assert one.run(task_vars={})["changed"] is True
    assert one.calls == ["read", "write"] * 21


def test_others_keep_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who never gets to write gives up with a failure, and does not overwrite."""
    monkeypatch.setattr(kubeconfig_action, "PATIENCE", 0.0)
    path.parent.mkdir()
    one = plugin(path)
    one.before_write = lambda: path.write_text((path.read_text() if path.exists() else "") + "# again\n")
    result = one.run(task_vars={})
    assert result["failed"] is True and result["diagnosis"]["id"] == "kubeconfig_unusable"
    assert path.read_text() == "# again\n"


@pytest.mark.parametrize(
    "text", ["users: [\n  TOPSECRET: {\n", "contexts: [{name: kic-lab}]\n"], ids=["broken", "taken"]
)
def test_failure_leaves_the_file(path: Path, text: str) -> None:
    """A file that cannot be merged into stays as it is, and the failure has a diagnosis and no content."""
    path.parent.mkdir()
    path.write_text(text)
    result = plugin(path).run(task_vars={})
    assert result["failed"] is True and result["actions"] == [] and result["diagnosis"]["fix"]
    assert path.read_text() == text and "TOPSECRET" not in str(result)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "/tmp/x"), KeyError("files")])
def test_no_traceback(path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """What fails on the controller is a diagnosis as well."""

    def broken(*_arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(kubeconfig_action, "plan_kubeconfig", broken)
    result = plugin(path).run(task_vars={})
    assert result["failed"] is True and result["actions"] == [] and result["changed"] is False
    assert result["diagnosis"]["id"] == ("internal_error" if isinstance(error, KeyError) else "file_system_full")


def test_without_a_control_plane(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that is not there is a failure of a run, and a change that is to come in check mode."""
    monkeypatch.setattr(Plugin, "engine", Fake())
    result = plugin(path).run(task_vars={})
    assert result["failed"] is True and result["diagnosis"]["id"] == "control_plane_missing"
    assert plugin(path, check=True).run(task_vars={})["actions"] == [f"write context kic-lab: {path}"]
    assert plugin(path, state="absent").run(task_vars={})["changed"] is False
