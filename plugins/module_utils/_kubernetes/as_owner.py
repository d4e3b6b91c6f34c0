# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a user's files with that user's own ids, in a child process that cannot become root again.

What root does in a directory that a user controls, that user can lead elsewhere by a link, at any moment between two
calls. A process with the user's ids gets no further than the user, and nothing has to be given to the user afterwards.
It also works on NFS with root squashed.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import time
from contextlib import suppress
from typing import Any, Callable

from .._core.diagnosis import Diagnosis, KicError, failure

SECONDS = 60.0
"""The limit of the work: a file system that does not answer, such as NFS without its server, ends there."""


def as_owner(owner: pwd.struct_passwd, path: str, work: Callable[[], Any]) -> Any:
    """The result of ``work`` with the ids of ``owner``: of JSON types. ``path`` is what a failure names.

    Another user than root has no other ids to take: the work is done by this very process.
    """
    if os.geteuid() != 0 or owner.pw_uid == 0:
        return work()
    groups = os.getgrouplist(owner.pw_name, owner.pw_gid)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(writer, owner, groups, work)
    os.close(writer)
    try:
        said = _received(reader, time.monotonic() + SECONDS)
    finally:
        os.close(reader)
        _end(child)
    answer = json.loads(said) if said else {}
    if "value" in answer:
        return answer["value"]
    if "diagnosis" in answer:
        raise KicError(Diagnosis(**answer["diagnosis"]))
    default = f"its file system did not answer within {SECONDS:g} seconds" if said is None else "the process ended"
    fix = f"check as that user: ls -l {path}; or name another file with the option path"
    raise failure("kubeconfig_unusable", path=path, reason=answer.get("broken", default), fix=fix)


def _answer(writer: int, owner: pwd.struct_passwd, groups: list[int], work: Callable[[], Any]) -> None:
    """The child: take the ids for good, work, answer, end without anything of the parent's clean-up."""
    answer: dict[str, Any]
    try:
        os.setgroups(groups)
        os.setresgid(owner.pw_gid, owner.pw_gid, owner.pw_gid)
        os.setresuid(owner.pw_uid, owner.pw_uid, owner.pw_uid)
        answer = {"value": work()}
    except KicError as error:
        answer = {"diagnosis": error.diagnosis.as_dict()}
    except BaseException as error:  # whatever it is, the parent has to say it
        answer = {"broken": f"{type(error).__name__}: {error}"}
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as stream:
            json.dump(answer, stream)
    finally:
        os._exit(0)


def _received(reader: int, deadline: float) -> bytes | None:
    """All that the child says; None when it does not end in time."""
    said = b""
    while True:
        ready, _writable, _failed = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(reader, 65536)
        if not part:
            return said
        said += part


def _end(child: int) -> None:
    """End the child. One that hangs in the kernel is not waited for."""
    for _attempt in range(20):
        if os.waitpid(child, os.WNOHANG)[0] == child:
            return
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    for _attempt in range(20):
        if os.waitpid(child, os.WNOHANG)[0] == child:
            return
        time.sleep(0.01)
