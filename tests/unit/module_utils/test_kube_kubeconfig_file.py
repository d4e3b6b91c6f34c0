# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kubeconfig on the managed machine, with real files: whose it is, and that a write is whole, private and undone."""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.absent import AbsentEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container, Limits
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import (
    cluster_nodes,
    control_plane,
    is_control_plane,
    load_balancer,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file as files
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.kubeconfig_entry import access
from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record as state

ME = pwd.getpwuid(os.geteuid())
LAB, PROD = state.Subject("podman", "lab"), state.Subject("podman", "prod")
BACKUP = ".nodeforge.kic~"


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the records of clusters, in place of this user's own."""
    directory = tmp_path / "state"
    for module in (lock, state):
        monkeypatch.setattr(module, "state_directory", lambda: str(directory))
    return directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A kubeconfig that is not there yet, in a directory that is not there yet."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / ".kube" / "config"


@pytest.fixture
def there(path: Path) -> Path:
    """A kubeconfig of the user that others may read."""
    path.parent.mkdir()
    path.write_text("users-own: 1\n")
    path.chmod(0o644)
    return path


def item(path: Path, text: str, **more: Any) -> files.Change:
    """What is to be written, made from the file as it is now."""
    return files.Change(str(path), files.read(str(path))["sum"], text, **more)


def mode(path: Path) -> int:
    """The permissions of a file or directory."""
    return stat.S_IMODE(path.stat().st_mode)


def left_in(directory: Path) -> list[str]:
    """The names in a directory."""
    return sorted(entry.name for entry in directory.iterdir())


# Whose file it is.
def test_owner_is_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the file is this user's."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert files.owner_entry(None) == ME


def other_user() -> pwd.struct_passwd:
    """Some user of this machine that is not this one."""
    return next(entry for entry in pwd.getpwall() if entry.pw_uid != os.geteuid())


def test_owner_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who became root with sudo owns the file, unless another was named."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    other = other_user()
    monkeypatch.setenv("SUDO_USER", other.pw_name)
    assert files.owner_entry(None).pw_name == other.pw_name
    assert files.owner_entry("root").pw_uid == 0
    monkeypatch.delenv("SUDO_USER")
    assert files.owner_entry(None).pw_uid == 0


def test_owner_of_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user writes files of its own only, whatever sudo left in the environment."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    nobody = pwd.getpwuid(65534)
    monkeypatch.setenv("SUDO_USER", "root")
    assert files.owner_entry(None) == nobody
    assert files.owner_entry(nobody.pw_name) == nobody
    with pytest.raises(KicError, match="only root can write a file of root"):
        files.owner_entry("root")


def test_owner_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that starts with a number as its user nobody has named an owner who could be missing."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(KicError, match="uid 54321, which has no entry in passwd"):
        files.owner_entry(None)


def test_owner_who_is_not_there() -> None:
    """A user that this machine does not know is refused by name."""
    with pytest.raises(KicError) as caught:
        files.owner_entry("no-such-user-here")
    assert caught.value.diagnosis.cause.startswith("owner: there is no user 'no-such-user-here'")


def test_user_without_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that starts with a number as its user has neither a name nor a home: nobody named an owner."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(KicError) as caught:
        files.owner_entry(None)
    assert caught.value.diagnosis.id == "user_unlisted" and "54321" in caught.value.diagnosis.cause


# Which file it is.
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "{home}/.kube/config"),
        ("", "{home}/.kube/config"),
        ("~/x", "{home}/x"),
        ("/a/../b", "/b"),
        ("/a~b", "/a~b"),
    ],
    ids=["default", "empty", "home", "normalized", "tilde-inside"],
)
def test_target(given: str | None, expected: str, tmp_path: Path) -> None:
    """The file is kubectl's own or the one that was named; ~ is the owner's home."""
    home = str(tmp_path.resolve())
    owner = pwd.struct_passwd(("ada", "x", 1, 1, "", home, "/bin/sh"))
    assert files.target(given, owner) == expected.format(home=home)


@pytest.mark.parametrize("given", ["config", "./config", "~ada/config"], ids=["bare", "dot", "home-of-another"])
def test_target_refused(given: str) -> None:
    """A path that depends on where the task runs is refused."""
    with pytest.raises(KicError, match="is not an absolute path"):
        files.target(given, ME)


def test_target_follows_a_link(tmp_path: Path) -> None:
    """A link stays a link: what it leads to is written."""
    real, link = tmp_path.resolve() / "real", tmp_path / "link"
    real.write_text("a: 1\n")
    link.symlink_to(real)
    assert files.target(str(link), ME) == str(real)
    files.write(item(Path(files.target(str(link), ME)), "b: 2\n"), ME, LAB, "kic-lab")
    assert link.is_symlink() and real.read_text() == "b: 2\n"


# Reading.
def test_read(there: Path) -> None:
    """A file is read with its checksum, mode and owner."""
    assert files.read(str(there)) == {
        "path": str(there),
        "text": "users-own: 1\n",
        "sum": hashlib.sha256(b"users-own: 1\n").hexdigest(),
        "mode": 0o644,
        "uid": os.geteuid(),
        "gid": there.stat().st_gid,
        "mounted": False,
    }


def test_read_of_no_file(path: Path) -> None:
    """A file that is not there has no text, which is another thing than an empty one."""
    nothing = {"text": None, "sum": "", "mode": None, "uid": None, "gid": None, "mounted": False}
    assert files.read(str(path)) == {"path": str(path), **nothing}
    path.parent.mkdir()
    path.touch()
    found = files.read(str(path))
    assert found["text"] == "" and found["sum"] != ""


def test_read_of_what_can_not_be_read(tmp_path: Path) -> None:
    """What is not a text or no file is refused with its path."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for found, reason in ((tmp_path / "bytes", "it is not text"), (tmp_path, "directory")):
        with pytest.raises(KicError) as caught:
            files.read(str(found))
        assert caught.value.diagnosis.id == "kubeconfig_unusable"
        assert str(found) in caught.value.diagnosis.cause and reason in caught.value.diagnosis.cause


# Writing.
def test_write_of_a_new_file(path: Path) -> None:
    """A new file and its directory are private, recorded as made, and nothing else is left next to it."""
    assert files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab") is True
    assert path.read_text() == "a: 1\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert left_in(path.parent) == ["config"]
    assert files.known_files(LAB) == {
        str(path): {
            "kind": "kubeconfig",
            "path": str(path),
            "context": "kic-lab",
            "owner": ME.pw_name,
            "made": True,
            "directory": True,
        }
    }


def test_write_over_the_users_file(there: Path) -> None:
    """What was there stays next to it; both are private from then on, and the record says that it was the user's."""
    assert files.write(item(there, "a: 1\n"), ME, LAB, "kic-lab") is True
    backup = Path(f"{there}{BACKUP}")
    assert there.read_text() == "a: 1\n" and backup.read_text() == "users-own: 1\n"
    assert (mode(there), mode(backup)) == (0o600, 0o600)
    assert left_in(there.parent) == ["config", "config" + BACKUP]
    known = files.known_files(LAB)[str(there)]
    assert (known["made"], known["directory"]) == (False, False)


def test_write_of_the_same_text(there: Path) -> None:
    """The same text is made private without a copy next to it."""
    assert files.write(item(there, "users-own: 1\n"), ME, LAB, "kic-lab") is True
    assert mode(there) == 0o600 and left_in(there.parent) == ["config"]


@pytest.mark.parametrize("change", ["changed", "removed", "made"])
def test_write_over_a_change(there: Path, change: str) -> None:
    """A file that another program wrote, made or removed since it was read is left as it is now."""
    if change == "made":
        planned = files.Change(str(there), "", "a: 1\n")
    else:
        planned = item(there, "a: 1\n")
        there.unlink()
    if change == "changed":
        there.write_text("kubectl: 2\n")
    before = there.read_text() if there.exists() else None
    assert files.write(planned, ME, LAB, "kic-lab") is False
    assert (there.read_text() if there.exists() else None) == before
    assert left_in(there.parent) == ([] if before is None else ["config"])
    assert files.known_files(LAB) == {}


def test_write_remembers_who_made_the_file(path: Path) -> None:
    """A later write does not forget that the file was made for the cluster, and takes over the new context."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    files.write(item(path, "a: 2\n"), ME, LAB, "my-lab")
    (known,) = files.known_files(LAB).values()
    assert (known["made"], known["directory"], known["context"]) == (True, True, "my-lab")


def test_write_where_no_directory_can_be_made(tmp_path: Path) -> None:
    """Only the last directory is made; a path further from what is there is taken for a mistake."""
    with pytest.raises(KicError, match="does not exist"):
        files.write(files.Change(str(tmp_path / "a" / "b" / "config"), "", "x"), ME, LAB, "kic-lab")
    assert not (tmp_path / "a").exists()


def test_failed_write_leaves_nothing(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the file as it was, no lock and no half file."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KicError, match="its disk or quota is full"):
        files.write(item(there, "a: 1\n"), ME, LAB, "kic-lab")
    assert there.read_text() == "users-own: 1\n" and left_in(there.parent) == ["config"]


# kubectl's lock.
class Clock:
    """Time that passes only by sleeping; at ``event`` something happens."""

    def __init__(self, event: float, happens: Any) -> None:
        self.now, self._event, self._happens = 0.0, event, happens

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        if self.now >= self._event:
            self._happens()


def test_lock_of_another_is_waited_for(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While kubectl holds its lock nothing is written, and when it lets go the write is done."""
    held = Path(f"{there}.lock")
    held.touch()
    before = there.read_text()

    def let_go() -> None:
        assert there.read_text() == before
        held.unlink()

    monkeypatch.setattr(files, "time", Clock(3.0, let_go))
    assert files.write(item(there, "a: 1\n"), ME, LAB, "kic-lab") is True
    assert there.read_text() == "a: 1\n" and not held.exists()


def test_lock_that_stays(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is never let go ends the write after ten seconds with what to do, and is not removed."""
    held = Path(f"{there}.lock")
    held.touch()
    clock = Clock(float("inf"), lambda: None)
    monkeypatch.setattr(files, "time", clock)
    with pytest.raises(KicError) as caught:
        files.write(item(there, "a: 1\n"), ME, LAB, "kic-lab")
    assert caught.value.diagnosis.id == "kubeconfig_locked"
    assert f"rm {held}" in caught.value.diagnosis.fix
    assert held.exists() and there.read_text() == "users-own: 1\n"
    assert 9.5 < clock.now < 11


def test_lock_is_held_while_writing(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kubectl's lock is there while the file is replaced, and gone afterwards."""
    seen: list[bool] = []
    replace = os.replace

    def watched(source: str, target: str) -> None:
        seen.append(Path(f"{there}.lock").exists())
        replace(source, target)

    planned = item(there, "a: 1\n")
    monkeypatch.setattr(os, "replace", watched)
    files.write(planned, ME, LAB, "kic-lab")
    assert seen[:2] == [True, True] and not Path(f"{there}.lock").exists()


# Clearing.
def test_clear_removes_what_was_made(path: Path) -> None:
    """A file that was made for the cluster and is empty now goes, with its copy, its directory and its record."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    files.write(item(path, "a: 2\n"), ME, LAB, "kic-lab")
    assert files.clear(item(path, "", empty=True), LAB) is True
    assert not path.parent.exists()
    assert files.known_files(LAB) == {}


def test_clear_keeps_a_directory_with_more_in_it(path: Path) -> None:
    """A directory that was made for the file stays when something else is in it."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    (path.parent / "cache").mkdir()
    files.clear(item(path, "", empty=True), LAB)
    assert left_in(path.parent) == ["cache"]


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "with-more"])
def test_clear_keeps_the_users_file(there: Path, empty: bool) -> None:
    """A file that was the user's stays, also when it is empty now, and what was in it is kept next to it."""
    files.write(item(there, "a: 1\n"), ME, LAB, "kic-lab")
    assert files.clear(item(there, "left: 1\n", empty=empty), LAB) is True
    assert there.read_text() == "left: 1\n" and Path(f"{there}{BACKUP}").read_text() == "a: 1\n"
    assert files.known_files(LAB) == {}


def test_clear_keeps_a_made_file_with_more_in_it(path: Path) -> None:
    """A file that was made for the cluster and holds entries of others now stays."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    assert files.clear(item(path, "others: 1\n", empty=False), LAB) is True
    assert path.read_text() == "others: 1\n"


def test_the_last_cluster_takes_the_file_along(path: Path) -> None:
    """A file of two clusters goes with the second one, also where it was made for the first and that one went before."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    files.write(item(path, "a: 1\nb: 1\n"), ME, PROD, "kic-prod")
    files.clear(item(path, "b: 1\n", empty=False), LAB)
    assert path.read_text() == "b: 1\n"
    assert files.clear(item(path, "", empty=True), PROD) is True
    assert not path.parent.exists()


def test_clear_over_a_change(path: Path) -> None:
    """A file that changed since it was read is left, and so is its record."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    planned = item(path, "", empty=True)
    path.write_text("kubectl: 2\n")
    assert files.clear(planned, LAB) is False
    assert path.read_text() == "kubectl: 2\n" and list(files.known_files(LAB)) == [str(path)]


def test_clear_of_a_file_that_is_gone(path: Path) -> None:
    """A file that is gone already, with its directory, is only forgotten."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    path.unlink()
    path.parent.rmdir()
    assert files.clear(files.Change(str(path), "", "", empty=True), LAB) is True
    assert files.known_files(LAB) == {} and not path.parent.exists()


def test_clear_of_the_same_text(there: Path) -> None:
    """A file whose entries somebody took out already is forgotten and otherwise not touched."""
    files.write(item(there, "a: 1\n"), ME, LAB, "kic-lab")
    Path(f"{there}{BACKUP}").unlink()
    there.write_text("left: 1\n")
    before = there.stat()
    assert files.clear(item(there, "left: 1\n", empty=False), LAB) is True
    assert (there.stat().st_ino, there.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert left_in(there.parent) == ["config"] and files.known_files(LAB) == {}


def test_clear_of_no_text(path: Path) -> None:
    """A file that is gone from its directory, which holds more, is only forgotten."""
    files.write(item(path, "a: 1\n"), ME, LAB, "kic-lab")
    path.unlink()
    (path.parent / "cache").mkdir()
    assert files.clear(files.Change(str(path), "", None, empty=False), LAB) is True
    assert left_in(path.parent) == ["cache"] and files.known_files(LAB) == {}


# Records.
def test_records_of_clusters_are_apart(tmp_path: Path) -> None:
    """Each cluster knows its own files, and forgets one without the others."""
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    for cluster, path in ((LAB, first), (LAB, second), (PROD, first)):
        files.record(cluster, path, context="c", owner="o", made=False, directory=False)
    files.forget(LAB, first)
    assert list(files.known_files(LAB)) == [second] and list(files.known_files(PROD)) == [first]


def test_forgetting_what_is_not_known_touches_nothing(records: Path) -> None:
    """To forget what was never recorded makes no file and no directory."""
    files.forget(LAB, "/nowhere")
    assert not records.exists()


# The control plane.
def container(name: str, **changes: Any) -> Container:
    """A node's container that runs."""
    fields: dict[str, Any] = {
        "labels": {labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ROLE: "control-plane"},
        "status": "running",
        "raw": {},
        **changes,
    }
    return Container(
        id=name,
        name=name,
        image_id="",
        image_name="",
        pid=1,
        exit_code=0,
        error="",
        oom_killed=False,
        environment={},
        addresses={},
        runtime="",
        limits=Limits(),
        **fields,
    )


class Fake(AbsentEngine):
    """Holds containers."""

    def __init__(self, *held: Container) -> None:
        super().__init__("podman", failure("engine_not_installed", engine="podman", package="podman"))
        self.held = held

    def containers(self, label: str) -> list[Container]:
        key, _separator, value = label.partition("=")
        return [found for found in self.held if found.labels.get(key) == value]


WORKER = {labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ROLE: "worker"}
FOREIGN = {labels.CLUSTER: "lab", labels.ROLE: "control-plane"}
OTHER = {labels.SCHEMA: "1", labels.CLUSTER: "prod", labels.ROLE: "control-plane"}


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param([container("b"), container("a")], "a", id="first-by-name"),
        pytest.param([container("a", status="exited"), container("b")], "b", id="one-that-runs"),
        pytest.param([container("a", labels=WORKER), container("b")], "b", id="no-worker"),
        pytest.param([container("a", labels=FOREIGN), container("b")], "b", id="ours"),
        pytest.param([container("a", labels=OTHER)], None, id="of-the-cluster"),
        pytest.param([container("a.kic-replaced-running"), container("b")], "b", id="not-being-replaced"),
        pytest.param([], None, id="none"),
    ],
)
def test_control_plane(held: list[Container], expected: str | None) -> None:
    """The first control plane of the cluster that is ours and runs is taken."""
    found = control_plane(cluster_nodes(Fake(*held), "lab"))
    assert (found.name if found else None) == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [("/var/lib/nodeforge.kic/etc/kubernetes/admin.conf", "a: 1"), ("/etc/kubernetes/admin.conf", "a: 1"), ("/x", "")],
    ids=["volume", "container", "nowhere"],
)
def test_control_plane_that_does_not_run(place: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it may be stopped one that runs is still preferred, and its configuration is read from where it is kept."""
    stopped = container("a", status="exited")
    assert control_plane([stopped]) is None
    assert control_plane([stopped, container("b")], stopped=True) == container("b")
    engine = Fake(stopped)
    monkeypatch.setattr(engine, "read_file", lambda _container, path: b"a: 1" if path == place else None)
    found = control_plane([stopped], stopped=True)
    assert found is stopped and files.admin_configuration(engine, found) == expected


def published(*bindings: dict[str, str]) -> dict[str, Any]:
    """What an engine says of a container with these bindings of the API's port."""
    return {"HostConfig": {"PortBindings": {"6443/tcp": list(bindings), "80/tcp": [{"HostIp": "", "HostPort": "80"}]}}}


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        pytest.param([{"HostIp": "127.0.0.1", "HostPort": "40001"}], "https://127.0.0.1:40001", id="address"),
        pytest.param([{"HostIp": "0.0.0.0", "HostPort": "40001"}], "https://127.0.0.1:40001", id="everywhere"),
        pytest.param([{"HostIp": "", "HostPort": "40001"}], "https://127.0.0.1:40001", id="not-said"),
        pytest.param([{"HostIp": "::", "HostPort": "40001"}], "https://127.0.0.1:40001", id="everywhere-ipv6"),
        pytest.param([{"HostIp": "2001:db8::7", "HostPort": "40001"}], "https://[2001:db8::7]:40001", id="ipv6"),
        pytest.param(
            [{"HostIp": "192.0.2.7", "HostPort": "0"}, {"HostIp": "192.0.2.8", "HostPort": "7"}],
            "https://192.0.2.8:7",
            id="first-with-a-port",
        ),
    ],
)
def test_server_of(bindings: list[dict[str, str]], expected: str) -> None:
    """The API is reached at the published port, by an address that the certificate has."""
    assert files.server_of(container("a", raw=published(*bindings))) == expected


BALANCER = {labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ROLE: "load-balancer"}


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param([container("b")], None, id="none"),
        pytest.param([container("b"), container("x", labels=BALANCER)], "x", id="by-its-role"),
        pytest.param([container("x", labels=BALANCER, status="exited")], "x", id="stopped"),
        pytest.param([container("x.kic-replaced-running", labels=BALANCER)], None, id="being-replaced"),
    ],
)
def test_load_balancer(held: list[Container], expected: str | None) -> None:
    """It is no control plane, and the one that is being replaced is none."""
    found = load_balancer(held)
    assert (found.name if found else None) == expected
    assert not [item for item in held if item.labels is BALANCER and is_control_plane(item)]


def test_server_of_a_load_balancer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator is that of the control plane, and the address that of the load balancer where there is one."""
    plane = container("a", raw=published({"HostIp": "127.0.0.1", "HostPort": "40001"}))
    balancer = container("x", labels=BALANCER, raw=published({"HostIp": "192.0.2.7", "HostPort": "16443"}))
    engine = Fake(plane, balancer)
    monkeypatch.setattr(files, "admin_configuration", lambda _engine, item: f"of {item.name}")
    assert access(engine, plane, may_lack=False) == {"admin": "of a", "server": "https://127.0.0.1:40001"}
    assert access(engine, plane, balancer, may_lack=False) == {"admin": "of a", "server": "https://192.0.2.7:16443"}


@pytest.mark.parametrize(
    "raw",
    [{}, {"HostConfig": None}, {"HostConfig": {"PortBindings": None}}, published()],
    ids=["nothing", "null", "no-ports", "no-port"],
)
def test_api_that_is_not_published(raw: dict[str, Any]) -> None:
    """A control plane whose API cannot be reached from outside is told by name."""
    with pytest.raises(KicError) as caught:
        files.server_of(container("lab-control-plane-1", raw=raw))
    assert caught.value.diagnosis.id == "api_not_published"
    assert "lab-control-plane-1" in caught.value.diagnosis.cause
