# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig on the managed machine: whose it is, reading it, writing it whole under kubectl's own lock."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import ipaddress
import itertools
import os
import pwd
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .._core import checks
from .._core.diagnosis import KicError, failure
from .._engine.base import Engine, EngineReader
from .._engine.model import Container
from .._host.process import mounts
from .._state.lock import host_lock
from .._state.record import ClusterState, Subject, recorded_clusters
from .._state.writer import write as write_whole
from .access.paths import ADMIN, API_PORT
from .as_owner import as_owner
from .bootstrap.look import STATE

KIND = "kubeconfig"
"""What these files are called in a cluster's state file."""

LOCK_SECONDS = 10.0
BACKUP = ".nodeforge.kic~"
ORIGINAL = ".nodeforge.kic-original~"
"""What a merge could not keep, such as comments; never overwritten."""


@dataclass(frozen=True)
class Change:
    """What is to be written in place of a text that was read, or, of ``clear``, with an ``empty`` result removed."""

    path: str
    sum: str
    """Of the text that it was made from."""
    text: str | None
    context: str = ""
    """The name of the cluster's context in it."""
    empty: bool = False
    lossy: bool = False
    """Whether something of the old text is not in the new one: it is kept under a name that no later change overwrites."""
    store: str = ""
    """The engine's store whose record names the file."""


def _before_root() -> str | None:
    return os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER") or None


def owner_entry(owner: str | None) -> pwd.struct_passwd:
    """Whose file it is: the one who was named, else the one who became root with sudo or doas, else this user."""
    asked = owner or (_before_root() if os.geteuid() == 0 else None)
    try:
        found = pwd.getpwnam(asked) if asked else pwd.getpwuid(os.geteuid())
    except KeyError:
        if asked is None:
            raise failure("user_unlisted", uid=os.geteuid()) from None
        raise checks.invalid("owner", f"there is no user {asked!r} on this machine", "name one that is") from None
    if os.geteuid() not in (0, found.pw_uid):
        raise checks.invalid(
            "owner", f"only root can write a file of {found.pw_name}", "leave owner out, or set become"
        )
    return found


def searched(search: str | None, owner: pwd.struct_passwd, known: Collection[str]) -> str | None:
    """The file of KUBECONFIG's list that is written to, by client-go's rule: the first that exists, else the last.

    One that holds the entries already, by the record, comes first, as kubectl too changes an entry where it is.
    ``search`` is the list of the one who asked. Without it, this process's own counts where the owner is its user.
    """
    own = owner.pw_uid == os.geteuid() or owner.pw_name == _before_root()
    listed = (search or (os.environ.get("KUBECONFIG") if own else None) or "").split(os.pathsep)
    files = [one for one in listed if os.path.isabs(one)]
    tilde = next((one for one in listed if one.startswith("~")), None)
    if not files and tilde is not None:
        # A shell expands it where it is not quoted; a file of variables, as of systemd or an editor, does not.
        whole = owner.pw_dir + tilde[1:]
        reason = "it is in KUBECONFIG, where kubectl takes ~ for the name of a directory"
        fix = f"write the whole path there, such as {whole}, or name a file with the option path"
        raise failure("kubeconfig_unusable", path=tilde, reason=reason, fix=fix)
    if not files:
        return None
    there: list[list[str]] = as_owner(
        owner, files[0], lambda: [[one, os.path.realpath(one)] for one in files if os.path.exists(one)]
    )
    recorded = [one for one, real in there if real in known]
    return [*recorded, *(one for one, _real in there), files[-1]][0]


def target(path: str | None, owner: pwd.struct_passwd) -> str:
    """The file to write: ``path``, whose ``~`` is the owner's home, else the place where kubectl looks.

    A link is followed, so that what it leads to is replaced and not the link: no further than the owner can go.
    """
    chosen = path or "~/.kube/config"
    if chosen == "~" or chosen.startswith("~/"):
        chosen = owner.pw_dir + chosen[1:]
    if not os.path.isabs(chosen):
        raise checks.invalid("path", f"{chosen!r} is not an absolute path", "begin it with / or ~/")
    _refuse_others(chosen, owner)
    found: str = as_owner(owner, chosen, lambda: os.path.realpath(chosen))
    return found


def _refuse_others(path: str, owner: pwd.struct_passwd) -> None:
    """Root has no lesser ids to take: a file of root's own lies where nobody else can put a link."""
    if os.geteuid() != 0 or owner.pw_uid != 0:
        return
    todo, at, links = [part for part in path.split("/") if part][::-1], "/", 0
    while todo:
        part = todo.pop()
        at = os.path.dirname(at) if part == ".." else os.path.join(at, part) if part != "." else at
        try:
            found = os.lstat(at)
        except OSError:
            return  # nothing is there: the work itself says so
        link, directory = stat.S_ISLNK(found.st_mode), stat.S_ISDIR(found.st_mode)
        shared = directory and found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if (link or directory) and (found.st_uid != 0 or shared):
            user = _name_of(found.st_uid)
            reason = f"root does not write through {at}, which belongs to {user}" + (" and others" if shared else "")
            fix = f"set the option owner ({user}), or name another file with the option path"
            raise failure("kubeconfig_unusable", path=path, reason=reason, fix=fix)
        if link:
            links += 1
            if links > 40:
                return
            inside = os.readlink(at)
            todo += [one for one in inside.split("/") if one][::-1]
            at = "/" if inside.startswith("/") else os.path.dirname(at)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the uid {uid}"


_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read(path: str, owner: pwd.struct_passwd | None = None) -> dict[str, Any]:
    """The file as it is: text, checksum, mode and owner; text is None when there is none. Read as ``owner``."""
    if owner is not None:
        _refuse_others(path, owner)
        found: dict[str, Any] = as_owner(owner, path, lambda: read(path))
        return found
    try:
        with _diagnosed(path):
            content, status = _content(path)
    except FileNotFoundError:
        return {"path": path, "text": None, "sum": "", "mode": None, "uid": None, "gid": None, "mounted": False}
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        fix = "name another file with the option path"
        raise failure("kubeconfig_unusable", path=path, reason="it is not text", fix=fix) from error
    return {
        "path": path,
        "text": text,
        "sum": hashlib.sha256(content).hexdigest(),
        "mode": status.st_mode & 0o777,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mounted": _mounted(path),
    }


def refuse_unwritable(path: str, owner: pwd.struct_passwd) -> None:
    """Raise where ``owner`` could not write the file now. A disk that is full shows only when it is written."""
    _refuse_others(path, owner)
    as_owner(owner, path, lambda: _see_writable(path))


def _see_writable(path: str) -> None:
    with _diagnosed(path):
        place = path
        if not _mounted(path):
            # It is replaced by a new file, for which kubectl's own lock is created next to it.
            place = os.path.dirname(path)
            if not os.path.isdir(place):
                place = os.path.dirname(place)
            if not os.path.isdir(place):
                raise _no_directory(place)
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if not os.access(place, os.W_OK if place == path else os.W_OK | os.X_OK, effective_ids=True):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _content(path: str) -> tuple[bytes, os.stat_result]:
    """Only regular files are opened, and never waited for: a FIFO would hold the reader for ever."""
    _regular(path, os.stat(path).st_mode)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        _regular(path, status.st_mode)
        return stream.read(), status


def _regular(path: str, mode: int) -> None:
    for fits, kind in _KINDS:
        if fits(mode):
            fix = f"remove it (ls -ld {path}), or name another file with the option path"
            if kind == "a device":
                # KUBECONFIG=/dev/null keeps kubectl from a user's clusters; nobody is to remove that.
                fix = "name another file with the option path, or take it out of KUBECONFIG"
            raise failure("kubeconfig_unusable", path=path, reason=f"it is {kind}, not a regular file", fix=fix)


def _mounted(path: str) -> bool:
    """Whether the file itself is a mount point, as in a container that got this one file: it cannot be replaced."""
    return path in mounts("self")


@contextmanager
def _diagnosed(path: str) -> Iterator[None]:
    """What the system says of the file becomes a diagnosis; that it is not there stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: OSError) -> KicError:
    directory = os.path.dirname(path)
    reason, fix = str(error), f"check it (ls -ld {path} {directory}), or name another file with the option path"
    if error.errno in (errno.EACCES, errno.EPERM):
        user = pwd.getpwuid(os.geteuid())
        below = path.startswith(os.path.realpath(user.pw_dir) + os.sep) and user.pw_dir not in ("", "/")
        inner = below and directory != os.path.realpath(user.pw_dir)
        if below:
            # After a program that was run with sudo the directory is root's.
            fix = f"give it back, as root: chown -R {user.pw_name}: {directory if inner else path}"
        reason = f"{user.pw_name} may not read or write it ({error.strerror})"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, fix = (
            f"its disk or quota is full ({error.strerror})",
            f"free space: df -h {directory}; df -i {directory}",
        )
    elif error.errno == errno.EROFS:
        fix = f"make it writable (findmnt --target {directory}), or name another file with the option path"
        reason = f"its file system is read-only ({error.strerror})"
    return failure("kubeconfig_unusable", path=path, reason=reason, fix=fix)


def place_of(engine: EngineReader) -> dict[str, Any]:
    """What runs the engine's clusters: its name, the user whose engine it is, this machine.

    An engine that is not there yet (check mode) would be this user's.
    """
    user = os.geteuid()
    with suppress(KicError):
        user = os.geteuid() if engine.info.rootless else 0
    return {"engine": engine.name, "uid": user, "host": _machine()}


def _machine() -> str:
    """A short hash of this machine's id, which is not to be given away itself; empty where there is none."""
    try:
        with open("/etc/machine-id", "rb") as handle:
            found = handle.read().strip()
    except OSError:
        return ""
    return hashlib.sha256(found).hexdigest()[:12] if len(found) == 32 else ""


def record_of(engine: EngineReader, cluster: str) -> Subject:
    """What the records of an engine's cluster are kept by, also where the engine does not answer."""
    try:
        return Subject(engine.store, cluster)
    except KicError:
        return Subject(engine.name, cluster)


def is_recorded(cluster: str) -> bool:
    """Whether there is a record of a cluster of this name, on whichever engine."""
    return any(subject.cluster == cluster for subject in recorded_clusters())


def server_of(container: Container) -> str:
    """Where this machine reaches the API of a control plane: its published port."""
    bindings = ((container.raw.get("HostConfig") or {}).get("PortBindings") or {}).get(f"{API_PORT}/tcp") or ()
    for binding in bindings:
        address, port = binding.get("HostIp") or "0.0.0.0", binding.get("HostPort")
        if not port or port == "0":
            continue
        parsed = ipaddress.ip_address(address)
        if parsed.is_unspecified:
            # Everywhere is also here, and this is a name that the certificate has.
            address, parsed = "127.0.0.1", ipaddress.ip_address("127.0.0.1")
        return f"https://[{address}]:{port}" if parsed.version == 6 else f"https://{address}:{port}"
    raise failure("api_not_published", node=container.name)


def admin_configuration(engine: Engine, container: Container) -> str:
    """kubeadm's own kubeconfig in the node, as text; empty where a node that does not run has none. A secret."""
    if not container.running:
        # What lies below /etc/kubernetes in a node that runs is kept on its volume, and bound there at each start.
        found = engine.read_file(container.id, f"{STATE}{ADMIN}") or engine.read_file(container.id, ADMIN)
        return (found or b"").decode("utf-8", "backslashreplace")
    action = f"reading the administrator's configuration of {container.name}"
    return engine.exec(container.name, ["cat", ADMIN], action=action).out


_MARK = b"nodeforge.kic "


@contextmanager
def _locked(path: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """client-go's lock: a file created with O_EXCL next to the kubeconfig, removed by its holder.

    Ours has a mark in it and is held by flock(2), which ends with its holder: what a killed run left is recognised.
    """
    lock = path + ".lock"
    end = time.monotonic() + seconds
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            break
        except FileExistsError:
            if _left_behind(lock):
                continue
            if time.monotonic() >= end:
                raise failure("kubeconfig_locked", path=path, seconds=seconds) from None
            time.sleep(0.1)
    try:
        with suppress(OSError):  # a full disk or one without flock: then it is as good as kubectl's
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(handle, _MARK + f"pid {os.getpid()}\n".encode())
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(lock)
        os.close(handle)


def _left_behind(lock: str) -> bool:
    """Remove a lock of ours whose holder is dead; whether it is gone."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if os.read(handle, len(_MARK)) != _MARK:
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == os.stat(lock).st_ino:
            os.unlink(lock)
        return True
    except FileNotFoundError:
        return True
    except OSError:  # held, or not to be said
        return False
    finally:
        os.close(handle)


def _replace(path: str, content: bytes) -> None:
    """Write a file whole or not at all; one that is mounted by itself cannot be replaced and is written in place."""
    try:
        write_whole(path, content, private=True)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _in_place(path, content)


def _in_place(path: str, content: bytes) -> None:
    """Write into the file itself; what was in it comes back when that fails."""
    before, _status = _content(path)
    with open(path, "r+b") as stream:
        try:
            _overwrite(stream, content)
        except OSError:
            stream.seek(0)
            _overwrite(stream, before)
            raise
        with suppress(OSError):  # the file's owner may be another: who mounted it chose that
            os.fchmod(stream.fileno(), 0o600)


def _overwrite(stream: Any, content: bytes) -> None:
    stream.write(content)
    stream.truncate()
    stream.flush()
    os.fsync(stream.fileno())


def _make_directory(path: str) -> bool:
    """Make the file's directory, private; whether it was made."""
    directory = os.path.dirname(path)
    if os.path.isdir(directory):
        return False
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:  # by another cluster's run, in between
        return False
    except FileNotFoundError:
        raise _no_directory(os.path.dirname(directory)) from None
    return True


def _no_directory(directory: str) -> KicError:
    return checks.invalid("path", f"the directory {directory} does not exist", "make it first")


def write(change: Change, owner: pwd.struct_passwd, subject: Subject, context: str) -> bool:
    """Write one merged file as its owner; False when it is not any more what the merge was made from.

    The previous content stays next to it.
    """
    path = change.path
    _refuse_others(path, owner)
    done = as_owner(owner, path, lambda: _write(change))
    if done is None:
        return False
    record(subject, path, context=change.context or context, owner=owner.pw_name, **done)
    return True


def _write(change: Change) -> dict[str, bool] | None:
    path = change.path
    with _diagnosed(path):
        directory_made = _make_directory(path)
        with _locked(path):
            before = read(path)
            if before["sum"] != change.sum:
                return None
            _put(change, before["text"])
    return {"made": before["text"] is None, "directory": directory_made}


def _put(change: Change, before: str | None) -> None:
    """Write the file, and keep what it replaces next to it."""
    _keep(change, before)
    _replace(change.path, (change.text or "").encode())


def _keep(change: Change, before: str | None) -> None:
    path = change.path
    if before is None or before == change.text:
        return
    content = before.encode()
    if change.lossy:
        for number in itertools.count(1):
            original = path + (ORIGINAL if number == 1 else f"{ORIGINAL}{number}")
            if not os.path.lexists(original):
                _replace(original, content)
                break
            if os.path.isfile(original) and _content(original)[0] == content:
                break
    _replace(path + BACKUP, content)


def clear(change: Change, subject: Subject, owner: pwd.struct_passwd | None = None) -> bool:
    """Write one file without the cluster's entries, or remove it when it is empty now and was made for the cluster.

    False when it changed meanwhile. The lock of the machine comes first: nobody waits for it while holding kubectl's.
    """
    path, user = change.path, owner or owner_entry(None)
    _refuse_others(path, user)
    with host_lock():
        known = known_files(subject).get(path, {})
        done: bool = as_owner(
            user, path, lambda: _clear(change, made=known.get("made"), directory=known.get("directory"))
        )
        if done:
            _forget(subject, path)
    return done


def _clear(change: Change, *, made: bool | None, directory: bool | None) -> bool:
    path = change.path
    folder = os.path.dirname(path)
    with _diagnosed(path):
        if not os.path.isdir(folder) or (change.text is None and read(path)["text"] is None):
            return True
        with _locked(path):
            before = read(path)
            if before["sum"] != change.sum:
                return False
            if before["text"] is not None and change.empty and made and not before["mounted"]:
                os.unlink(path)
                if os.path.exists(path + BACKUP):
                    os.unlink(path + BACKUP)
            elif before["text"] is not None and before["text"] != change.text:
                _put(change, before["text"])
    if directory:
        with suppress(OSError):  # there is more in it
            os.rmdir(folder)
    return True


def known_files(subject: Subject) -> dict[str, dict[str, Any]]:
    """What was recorded of the files with entries of the cluster, by path."""
    return {item["path"]: item for item in ClusterState.load(subject).files if item.get("kind") == KIND}


def record(subject: Subject, path: str, *, context: str, owner: str, made: bool, directory: bool) -> None:
    """Remember the file, so that it is found when the variables have changed."""
    with host_lock():
        state = ClusterState.load(subject)
        known = {item["path"]: item for item in state.files if item.get("kind") == KIND}.get(path, {})
        made, directory = bool(known.get("made", made)), bool(known.get("directory", directory))
        state.record_file(KIND, path, context=context, owner=owner, made=made, directory=directory)
        state.save()


def forget(subject: Subject, path: str) -> None:
    """The file has no entries of the cluster any more. Whether it was made is known of the next cluster in it then."""
    if path in known_files(subject):
        with host_lock():
            _forget(subject, path)


def _forget(subject: Subject, path: str) -> None:
    known = known_files(subject).get(path)
    if known is None:
        return
    state = ClusterState.load(subject)
    state.forget_file(KIND, path)
    state.save()
    heirs = [other for other in recorded_clusters() if path in known_files(other)]
    if heirs and (known.get("made") or known.get("directory")):
        heir = ClusterState.load(heirs[0])
        (item,) = [item for item in heir.files if item.get("kind") == KIND and item["path"] == path]
        for key in ("made", "directory"):
            item[key] = bool(item.get(key) or known.get(key))
        heir.save()
