# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root and a user's kubeconfig: all work is done with the user's ids, and whatever is in the way is a diagnosis."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import as_owner as child
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file as files
from ansible_collections.nodeforge.kic.plugins.module_utils._state.lock import host_lock
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import Subject

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's ids")
ME = pwd.getpwuid(os.geteuid())
LAB = Subject("podman", "lab")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home directory of the user nobody, which that user can reach, next to a directory of root's."""
    top = Path(tempfile.mkdtemp(dir="/tmp"))
    top.chmod(0o755)
    home = top / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, 65534, 65534)
    (top / "root").mkdir(mode=0o755)
    yield home
    shutil.rmtree(top)


def user(home: Path) -> pwd.struct_passwd:
    """The second user."""
    return pwd.struct_passwd(("nobody", "x", 65534, 65534, "", str(home), "/bin/sh"))


def names(directory: Path) -> list[str]:
    """What is in a directory."""
    return sorted(found.name for found in directory.iterdir())


def put(path: str | None, owner: pwd.struct_passwd, text: str = "ours: 1\n", **more: Any) -> str:
    """Find, read and write as the module does; the file's path."""
    found = files.target(path, owner)
    before = files.read(found, owner)
    assert files.write(files.Change(found, before["sum"], text, **more), owner, LAB, "kic-lab")
    return found


@root_only
def test_all_of_it_is_the_users(home: Path) -> None:
    """Directory, file and copy are the user's without being given away, and the record is root's."""
    for text in ("a: 1\n", "a: 2\n"):
        found = put(None, user(home), text)
    assert found == f"{home}/.kube/config"
    for path in (found, f"{home}/.kube", found + files.BACKUP):
        assert (Path(path).stat().st_uid, Path(path).stat().st_gid) == (65534, 65534)
    (known,) = files.known_files(LAB).values()
    assert known["made"] and known["directory"]
    before = files.read(found, user(home))
    item = files.Change(found, before["sum"], "", empty=True)
    assert files.clear(item, LAB, user(home)) and not (home / ".kube").exists()


@root_only
@pytest.mark.parametrize("secret", [0o600, 0o644], ids=["closed", "readable"])
@pytest.mark.parametrize("way", ["file", "directory"])
def test_a_link_leads_no_further_than_the_user(home: Path, way: str, secret: int) -> None:
    """A link to root's file is read and written as far as the user could, which is not at all."""
    target = home.parent / "root" / "config"
    target.write_text("roots: 1\n")
    target.chmod(secret)
    before = target.stat()
    if way == "file":
        (home / ".kube").mkdir()
        (home / ".kube" / "config").symlink_to(target)
        os.chown(home / ".kube", 65534, 65534)
    else:
        (home / ".kube").symlink_to(target.parent)
    with pytest.raises(KicError) as caught:
        put(None, user(home))
    assert caught.value.diagnosis.id == "kubeconfig_unusable"
    after = target.stat()
    assert (after.st_uid, after.st_ino, target.read_text()) == (0, before.st_ino, "roots: 1\n")
    assert names(target.parent) == ["config"]


@root_only
def test_a_link_of_the_user_stays_one(home: Path) -> None:
    """A link within what is the user's is followed and kept."""
    (home / "dotfiles").mkdir()
    (home / ".kube").mkdir()
    (home / ".kube" / "config").symlink_to("../dotfiles/kube")
    for path in (home / "dotfiles", home / ".kube"):
        os.chown(path, 65534, 65534)
    assert put(None, user(home)) == f"{home}/dotfiles/kube"
    assert (home / ".kube" / "config").is_symlink()


@root_only
@pytest.mark.parametrize("way", ["directory", "link"])
def test_root_itself_writes_nowhere_of_another(home: Path, way: str) -> None:
    """A file of root's own below a directory of another is refused, with the owner to name."""
    path = home / "config"
    if way == "link":
        link = home.parent / "root" / "link"
        link.symlink_to(home)
        path = link / "config"
    with pytest.raises(KicError, match=r"which belongs to nobody.*owner \(nobody\)"):
        put(str(path), pwd.getpwuid(0))
    assert names(home) == []
    assert put(str(home.parent / "root" / "config"), pwd.getpwuid(0))


@root_only
def test_a_directory_of_root(home: Path) -> None:
    """~/.kube of root, left by a program that was run with sudo: the diagnosis gives it back."""
    (home / ".kube").mkdir(mode=0o755)
    with pytest.raises(KicError) as caught:
        put(None, user(home))
    assert caught.value.diagnosis.id == "kubeconfig_unusable"


@root_only
def test_the_fix_is_chown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is denied below the user's home is given back by a command that can be typed."""
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: user(home))
    found = files._unusable(f"{home}/.kube/config", PermissionError(errno.EACCES, "Permission denied"))
    assert f"chown -R nobody: {home}/.kube" in found.diagnosis.fix
    found = files._unusable("/etc/kube/config", PermissionError(errno.EACCES, "Permission denied"))
    assert "chown" not in found.diagnosis.fix


@root_only
def test_a_file_system_that_hangs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that does not end is given up, and its process ended."""
    monkeypatch.setattr(child, "SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(KicError, match=r"did not answer within 0\.2 seconds"):
        child.as_owner(user(home), "/x", lambda: time.sleep(60))
    assert time.monotonic() - started < 5


@root_only
def test_what_breaks_in_the_child_is_told(home: Path) -> None:
    """A defect in the child is a diagnosis, and the ids cannot be taken back."""
    with pytest.raises(KicError, match="PermissionError"):
        child.as_owner(user(home), "/x", lambda: os.setuid(0))
    assert child.as_owner(user(home), "/x", lambda: [*os.getresuid(), *os.getresgid()]) == [65534] * 6


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_file(home: Path, kind: str) -> None:
    """A FIFO or a directory in the file's place is refused at once."""
    path = home / "config"
    (os.mkfifo if kind == "fifo" else os.mkdir)(path)
    with pytest.raises(KicError, match="not a regular file"):
        files.read(str(path))


def test_a_device_is_not_to_be_removed() -> None:
    """KUBECONFIG=/dev/null keeps kubectl from a user's clusters: what helps is another file."""
    with pytest.raises(KicError, match="it is a device, not a regular file") as caught:
        files.read("/dev/null")
    assert "remove" not in caught.value.diagnosis.fix and "KUBECONFIG" in caught.value.diagnosis.fix


@pytest.mark.parametrize(
    ("number", "reason", "fix"),
    [
        (errno.ENOSPC, "disk or quota is full", "df -i"),
        (errno.EDQUOT, "disk or quota is full", "df -h"),
        (errno.EROFS, "read-only", "findmnt"),
        (errno.EACCES, "may not", "option path"),
        (errno.EPERM, "may not", "option path"),
        (errno.EIO, "Input/output", "ls -ld"),
        (errno.ELOOP, "symbolic links", "ls -ld"),
        (errno.ENOTDIR, "Not a directory", "ls -ld"),
        (errno.ESTALE, "tale file handle", "ls -ld"),
        (errno.ENAMETOOLONG, "too long", "ls -ld"),
    ],
    ids=["full", "quota", "read-only", "denied", "immutable", "broken-disk", "loop", "no-directory", "stale", "long"],
)
@pytest.mark.parametrize("call", ["open", "mkstemp", "mkdir"])
def test_whatever_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, reason: str, fix: str
) -> None:
    """Each error of the system in each step is a diagnosis with path and fix, and leaves nothing behind."""
    path = tmp_path / ("new" if call == "mkdir" else "") / "config"

    def refused(*_arguments: Any, **_named: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(tempfile if call == "mkstemp" else os, call, refused)
        with pytest.raises(KicError) as caught:
            files.write(files.Change(str(path), "", "a: 1\n"), ME, LAB, "kic-lab")
    found = caught.value.diagnosis
    assert found.id == "kubeconfig_unusable" and reason in found.cause and fix in found.fix and str(path) in found.cause
    assert names(tmp_path) == []


@root_only
def test_what_could_not_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is made: by the owner's rights, not root's, and without leaving anything."""
    for path in (home / "config", home / "new" / "config"):
        files.refuse_unwritable(str(path), user(home))
    (home / "roots").mkdir(mode=0o755)
    for path in (home / "roots" / "config", home / "roots" / "new" / "config", home.parent / "root" / "config"):
        with pytest.raises(KicError) as caught:
            files.refuse_unwritable(str(path), user(home))
        found = caught.value.diagnosis
        assert found.id == "kubeconfig_unusable" and "nobody may not read or write it" in found.cause
    with pytest.raises(KicError) as caught:
        files.refuse_unwritable(str(home / "a" / "b" / "config"), user(home))
    assert f"the directory {home}/a does not exist" in caught.value.diagnosis.cause
    monkeypatch.setattr(os, "statvfs", lambda _path: type("Found", (), {"f_flag": os.ST_RDONLY}))
    with pytest.raises(KicError, match="read-only"):
        files.refuse_unwritable(str(home / "config"), user(home))
    assert names(home) == ["roots"]


def test_a_mounted_file_in_a_directory_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is mounted by itself its own rights count: it is written in place."""
    path = tmp_path / "config"
    path.write_text("")
    asked: list[str] = []

    def access(place: str, *_mode: int, **_more: bool) -> bool:
        asked.append(place)
        return True

    monkeypatch.setattr(files, "_mounted", lambda _path: True)
    monkeypatch.setattr(os, "access", access)
    files.refuse_unwritable(str(path), ME)
    assert asked == [str(path)]


def test_a_file_that_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be replaced is written in place, after its copy was made."""
    path = tmp_path / "config"
    path.write_text("users: 1 with more text\n")
    inode, replace = path.stat().st_ino, os.replace

    def busy(source: str, target: str) -> None:
        if target == str(path):
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    put(str(path), ME, "a: 1\n")
    assert path.read_text() == "a: 1\n" and path.stat().st_ino == inode
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["config", "config" + files.BACKUP]


def test_a_lock_of_a_killed_run(tmp_path: Path) -> None:
    """A lock of ours that nobody holds is taken over; one that is held, or another program's, is not."""
    path = tmp_path / "config"
    lock = Path(f"{path}.lock")
    lock.write_bytes(files._MARK + b"pid 1\n")
    put(str(path), ME)
    assert not lock.exists()
    lock.write_bytes(files._MARK + b"pid 1\n")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert files._left_behind(str(lock)) is False
    lock.write_bytes(b"")
    assert files._left_behind(str(lock)) is False and lock.exists()


def test_killed_while_it_holds_the_lock(tmp_path: Path) -> None:
    """A process that is killed under the lock leaves one that the next run recognises."""
    path = tmp_path / "config"
    pid = os.fork()
    if pid == 0:
        with files._locked(str(path)):
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert Path(f"{path}.lock").exists()
    put(str(path), ME)
    assert names(tmp_path) == ["config"]


def test_nobody_waits_for_us_under_kubectls_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another run holds the machine's lock, clearing does not hold kubectl's."""
    path = tmp_path / "config"
    put(str(path), ME)
    seen = []
    real = host_lock

    def watched() -> Any:
        seen.append(Path(f"{path}.lock").exists())
        return real()

    monkeypatch.setattr(files, "host_lock", watched)
    before = files.read(str(path))
    files.clear(files.Change(str(path), before["sum"], "", empty=True), LAB, ME)
    assert seen == [False]


def test_what_a_merge_loses_is_kept_for_good(tmp_path: Path) -> None:
    """A copy that holds what is nowhere else is never overwritten."""
    path = tmp_path / "config"
    path.write_text("# one\n")
    put(str(path), ME, "a: 1\n", lossy=True)
    put(str(path), ME, "a: 2\n")
    path.write_text("# two\n")
    put(str(path), ME, "a: 3\n", lossy=True)
    path.write_text("# two\n")
    put(str(path), ME, "a: 4\n", lossy=True)
    kept = {one: (tmp_path / one).read_text() for one in names(tmp_path) if "original" in one}
    assert kept == {f"config{files.ORIGINAL}": "# one\n", f"config{files.ORIGINAL}2": "# two\n"}


@root_only
def test_a_real_mount_of_one_file(home: Path) -> None:
    """A bind mount of one file, as in a development container, is written in place by its owner."""
    (home / "config").touch()
    (home / "source").touch()
    for one in ("config", "source"):
        os.chown(home / one, 65534, 65534)
    mounted = subprocess.run(["mount", "--bind", home / "source", home / "config"], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("no mounts here")
    try:
        assert files.read(str(home / "config"), user(home))["mounted"] is True
        put(str(home / "config"), user(home))
        assert (home / "source").read_text() == "ours: 1\n"
    finally:
        subprocess.run(["umount", home / "config"], check=True)
