#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_kubeconfig: documentation and arguments; it reads and writes, its action plugin merges."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_kubeconfig
short_description: Keep a cluster's entries in a kubeconfig
version_added: 0.1.0
description:
  - Writes a cluster's access into a kubeconfig on the managed machine, or takes it out again.
  - The file is merged on the controller, so the managed machine needs no YAML parser. Everything else in it stays.
    What was there before a change stays beside it, with C(.nodeforge.kic~) at the end of its name.
  - The file has mode 0600 and belongs to O(owner).
  - Entries are marked as ours. One of the same name that is not ours is never overwritten, and only ours are removed.
  - The access leads to the port that the control plane publishes, so it works on this machine.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  state:
    description:
      - V(present) makes the entries, replaced where they differ.
      - V(absent) removes them, also when the cluster is gone; the context that was current before is current again.
    type: str
    choices: [present, absent]
    default: present
  path:
    description:
      - The file; C(~/) is the home of O(owner). Left out, V(present) takes C(~/.kube/config), and V(absent) every
        file that was written for the cluster.
    type: str
  owner:
    description:
      - Whom the file belongs to. Left out, the one who asked - the user of the connection, also when the task became
        root.
    type: str
  context:
    description: Name of the context, and of its cluster and user; left out, C(kic-<cluster>).
    type: str
  merge:
    description: Whether everything else in the file stays. V(false) makes it a file of this cluster alone.
    type: bool
    default: true
  set_current:
    description:
      - Whether a context that is new becomes the current one. A user who chose another later keeps it.
    type: bool
    default: true
  write:
    description: Files to be written. Set by the action plugin, of no use in a playbook.
    type: list
    elements: dict
    suboptions:
      path:
        description: The file.
        type: str
        required: true
      sum:
        description: SHA-256 of the text that the merge was made from, empty when there was no file.
        type: str
        required: true
      text:
        description: What it is to hold. A secret.
        type: str
      empty:
        description: Whether nothing is left in it that could be missed.
        type: bool
        default: false
      lossy:
        description: Whether the merge could not keep all that was in the file.
        type: bool
        default: false
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_kubeadm
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Let the user of the connection use the cluster
  nodeforge.kic.kic_kubeconfig:
    cluster: lab

- name: A file of its own for the pipeline
  nodeforge.kic.kic_kubeconfig:
    cluster: lab
    path: /home/ci/lab.kubeconfig
    owner: ci
    merge: false
"""

RETURN = r"""
path:
  description: The file; with O(state=absent) the first that held the entries, if any.
  type: str
  returned: success
  sample: /home/ada/.kube/config
context:
  description: Name of the context; empty with O(state=absent).
  type: str
  returned: success
  sample: kic-lab
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: ["write context kic-lab: /home/ada/.kube/config"]
engine:
  description: The engine that was used.
  type: str
  returned: always
  sample: podman
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The engine's own words., type: str, returned: failure}
"""

import pwd
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure, keep_done
from ansible_collections.nodeforge.kic.plugins.module_utils._core.state import Subject
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file as files
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.kubeconfig import context_name


def body(task: Task) -> dict[str, Any]:
    """One half of the work: hand what is there to the action plugin, or write what it made of it."""
    params = task.params
    cluster = checks.host_name("cluster", params["cluster"])
    context = params["context"] or context_name(cluster)
    if params["write"] is not None:
        return _write(params, Subject(task.engine.store, cluster), context)
    return _present(task, cluster, context) if params["state"] == "present" else _absent(task, cluster)


def _write(params: dict[str, Any], subject: Subject, context: str) -> dict[str, Any]:
    fits: list[bool] = []
    done: list[str] = []
    for item in params["write"]:
        try:
            if params["state"] == "present":
                fits.append(files.write(item, files.owner_entry(params["owner"]), subject, context))
            else:
                fits.append(files.clear(item, subject, _owner(params, subject, item["path"])))
        except Exception as error:
            keep_done(error, tuple(done))
            raise
        done += [f"write kubeconfig: {item['path']}"] if fits[-1] else []
    return {"changed": True, "written": all(fits)}


def _present(task: Task, cluster: str, context: str) -> dict[str, Any]:
    owner = files.owner_entry(task.params["owner"])
    path = files.target(task.params["path"], owner)
    found = files.read(path, owner)
    result: dict[str, Any] = {"changed": False, "context": context, "path": path, "uid": owner.pw_uid, "files": [found]}
    container = files.control_plane(task.engine, cluster)
    if container is None:
        if not task.check_mode:
            raise failure("control_plane_missing", cluster=cluster)
        task.warn(f"The cluster {cluster} has no control plane yet; its entry would be new.")
        return result
    result["admin"] = files.admin_configuration(task.engine, container)
    result["server"] = files.server_of(container)
    if (
        not task.check_mode
        and found["text"] is not None
        and path not in files.known_files(Subject(task.engine.store, cluster))
    ):
        # The record was lost: what it is for must work all the same.
        result["unrecorded"] = True
    return result


def _absent(task: Task, cluster: str) -> dict[str, Any]:
    subject = Subject(task.engine.store, cluster)
    known = files.known_files(subject)
    if task.params["path"] is not None:
        paths = [files.target(task.params["path"], files.owner_entry(task.params["owner"]))]
    else:
        paths = list(known) or [files.target(None, files.owner_entry(task.params["owner"]))]
    found = [{**files.read(path, _owner(task.params, subject, path)), "known": path in known} for path in paths]
    return {"changed": False, "context": "", "path": paths[0], "files": found, "unrecorded": bool(known)}


def _owner(params: dict[str, Any], subject: Subject, path: str) -> pwd.struct_passwd:
    """Who is to change the file: the one for whom it was written, as far as that user is still there."""
    recorded = files.known_files(subject).get(path, {}).get("owner")
    if recorded:
        try:
            return pwd.getpwnam(recorded)
        except KeyError:
            pass
    return files.owner_entry(params["owner"])


def main() -> None:
    """Run the module."""
    run_module(
        {
            "cluster": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "path": {"type": "str"},
            "owner": {"type": "str"},
            "context": {"type": "str"},
            "merge": {"type": "bool", "default": True},
            "set_current": {"type": "bool", "default": True},
            "write": {
                "type": "list",
                "elements": "dict",
                # The text holds credentials; the path is what a failure has to name.
                "options": {
                    "path": {"type": "str", "required": True},
                    "sum": {"type": "str", "required": True},
                    "text": {"type": "str", "no_log": True},
                    "empty": {"type": "bool", "default": False},
                    "lossy": {"type": "bool", "default": False},
                },
            },
        },
        body,
        held="cluster:cluster",
    )


if __name__ == "__main__":
    main()
