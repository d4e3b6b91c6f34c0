# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig on the managed machine: whose it is, reading it, writing it whole under kubectl's own lock."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import pwd
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from .._core import checks, labels
from .._core.diagnosis import failure
from .._core.lock import host_lock
from .._core.state import ClusterState, recorded_clusters
from .._engine.base import Engine
from .._engine.model import Container
from .access import ADMIN, API_PORT

KIND = "kubeconfig"
"""What these files are called in a cluster's state file."""

LOCK_SECONDS = 10.0
BACKUP = ".nodeforge.kic~"


def owner_entry(owner: str | None) -> pwd.struct_passwd:
    """Whose file it is: the one who was named, else the one who became root with sudo, else this user."""
    asked = owner or (os.environ.get("SUDO_USER") if os.geteuid() == 0 else None)
    try:
        found = pwd.getpwnam(asked) if asked else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise checks.invalid("owner", f"there is no user {asked!r} on this machine", "name one that is") from None
    if os.geteuid() not in (0, found.pw_uid):
        raise checks.invalid(
            "owner", f"only root can write a file of {found.pw_name}", "leave owner out, or set become"
        )
    return found


def target(path: str | None, owner: pwd.struct_passwd) -> str:
    """The file to write: ``path``, whose ``~`` is the owner's home, else the place where kubectl looks."""
    chosen = path or "~/.kube/config"
    if chosen == "~" or chosen.startswith("~/"):
        chosen = owner.pw_dir + chosen[1:]
    if not os.path.isabs(chosen):
        raise checks.invalid("path", f"{chosen!r} is no absolute path", "begin it with / or ~/")
    # A link is followed, so that what it leads to is replaced and not the link.
    return os.path.realpath(chosen)


def read(path: str) -> dict[str, Any]:
    """The file as it is: text, checksum, mode and owner; text is None when there is none."""
    try:
        with open(path, "rb") as handle:
            content = handle.read()
            status = os.fstat(handle.fileno())
    except FileNotFoundError:
        return {"path": path, "text": None, "sum": "", "mode": None, "uid": None, "gid": None}
    except OSError as error:
        reason, fix = str(error), "look at it, or name another file with the option path"
        raise failure("kubeconfig_unusable", path=path, reason=reason, fix=fix) from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        fix = "name another file with the option path"
        raise failure("kubeconfig_unusable", path=path, reason="it is no text", fix=fix) from error
    digest = hashlib.sha256(content).hexdigest()
    mode, uid, gid = status.st_mode & 0o777, status.st_uid, status.st_gid
    return {"path": path, "text": text, "sum": digest, "mode": mode, "uid": uid, "gid": gid}


def control_plane(engine: Engine, cluster: str) -> Container | None:
    """The first control plane of the cluster that runs."""
    found = [
        container
        for container in engine.containers(f"{labels.CLUSTER}={cluster}")
        if container.labels.get(labels.ROLE) == "control-plane"
        and container.running
        and labels.is_ours(container.labels)
    ]
    return min(found, key=lambda item: item.name) if found else None


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
    """kubeadm's own kubeconfig in the node, as text. A secret."""
    action = f"reading the administrator's configuration of {container.name}"
    return engine.exec(container.name, ["cat", ADMIN], action=action).out


@contextmanager
def _locked(path: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    # client-go: the lock is a file made with O_EXCL beside the kubeconfig, removed by its holder.
    lock = path + ".lock"
    end = time.monotonic() + seconds
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() >= end:
                raise failure("kubeconfig_locked", path=path, seconds=seconds) from None
            time.sleep(0.1)
    try:
        yield
    finally:
        os.unlink(lock)


def _replace(path: str, content: bytes, uid: int, gid: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".kic-")
    try:
        with os.fdopen(handle, "wb") as stream:
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), uid, gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _make_directory(path: str, owner: pwd.struct_passwd) -> bool:
    """Make the file's directory, private and the owner's; whether it was made."""
    directory = os.path.dirname(path)
    if os.path.isdir(directory):
        return False
    if not os.path.isdir(os.path.dirname(directory)):
        raise checks.invalid("path", f"the directory {os.path.dirname(directory)} does not exist", "make it first")
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:  # by another cluster's run, in between
        return False
    if os.geteuid() == 0:
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    return True


def write(item: Mapping[str, Any], owner: pwd.struct_passwd, cluster: str, context: str) -> bool:
    """Write one merged file; False when it is not any more what the merge was made from.

    ``item`` has ``path``, ``sum`` (of the text it was made from) and ``text``. What was there stays beside it.
    """
    path = item["path"]
    directory_made = _make_directory(path, owner)
    with _locked(path):
        before = read(path)
        if before["sum"] != item["sum"]:
            return False
        if before["text"] is not None and before["text"] != item["text"]:
            _replace(path + BACKUP, before["text"].encode(), owner.pw_uid, owner.pw_gid)
        _replace(path, item["text"].encode(), owner.pw_uid, owner.pw_gid)
    record(cluster, path, context=context, owner=owner.pw_name, made=before["text"] is None, directory=directory_made)
    return True


def clear(item: Mapping[str, Any], cluster: str) -> bool:
    """Write one file without the cluster's entries, or remove it when it is empty now and was made for the cluster.

    ``item`` as for :func:`write`, and ``empty``. False when it changed meanwhile.
    """
    path = item["path"]
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        forget(cluster, path)
        return True
    with _locked(path):
        before = read(path)
        if before["sum"] != item["sum"]:
            return False
        known = known_files(cluster).get(path, {})
        if before["text"] is not None and item["empty"] and known.get("made"):
            os.unlink(path)
            if os.path.exists(path + BACKUP):
                os.unlink(path + BACKUP)
        elif before["text"] is not None and before["text"] != item["text"]:
            _replace(path + BACKUP, before["text"].encode(), before["uid"], before["gid"])
            _replace(path, item["text"].encode(), before["uid"], before["gid"])
        # Under the lock, so that the next cluster finds what it inherits.
        forget(cluster, path)
    if known.get("directory"):
        with suppress(OSError):  # there is more in it
            os.rmdir(directory)
    return True


def known_files(cluster: str) -> dict[str, dict[str, Any]]:
    """What was recorded of the files with entries of the cluster, by path."""
    return {item["path"]: item for item in ClusterState.load(cluster).files if item.get("kind") == KIND}


def record(cluster: str, path: str, *, context: str, owner: str, made: bool, directory: bool) -> None:
    """Remember the file, so that it is found when the variables have changed."""
    with host_lock():
        state = ClusterState.load(cluster)
        known = {item["path"]: item for item in state.files if item.get("kind") == KIND}.get(path, {})
        made, directory = bool(known.get("made", made)), bool(known.get("directory", directory))
        state.record_file(KIND, path, context=context, owner=owner, made=made, directory=directory)
        state.save()


def forget(cluster: str, path: str) -> None:
    """The file has no entries of the cluster any more. Whether it was made is known of the next cluster in it then."""
    known = known_files(cluster).get(path)
    if known is None:
        return
    with host_lock():
        state = ClusterState.load(cluster)
        state.forget_file(KIND, path)
        state.save()
        heirs = [other for other in recorded_clusters() if path in known_files(other)]
        if heirs and (known.get("made") or known.get("directory")):
            heir = ClusterState.load(heirs[0])
            (item,) = [item for item in heir.files if item.get("kind") == KIND and item["path"] == path]
            for key in ("made", "directory"):
                item[key] = bool(item.get(key) or known.get(key))
            heir.save()
