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
  - The file is merged on the controller, so the managed machine needs no YAML parser. Other entries stay, and so
    do fields of the cluster's entries that are not managed here, such as a namespace, C(proxy-url) or other programs'
    extensions, and a name that the user gave to an entry. Managed are CA, server and credentials.
    What was there before a change is kept next to it, with C(.nodeforge.kic~) at the end of its name.
  - The text is changed in the places that differ, so that comments, anchors and styles stay. Where that is not possible, such as
    for a comment within a list in flow style, a warning names what is lost, and the file as it was is kept for good, with
    C(.nodeforge.kic-original~) at the end of its name.
  - The file has mode 0600 and belongs to O(owner). It is read and written with that user's ids. Root writes no file of its
    own below a directory of another user - name that user as O(owner).
  - A file that is mounted by itself, as in a development container, is written in place and keeps owner and mode.
  - Entries have an extension that names the cluster, its CA, and the engine, user and machine that run it. An entry of the
    same name without it, or of another cluster of that name, is neither replaced nor removed; O(context) then makes room
    for both.
  - The access leads to the port that the control plane publishes, or the load balancer of several, so it works on this machine.
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
      - The file; C(~/) is the home of O(owner).
      - Left out, it is the one that kubectl would write to. With E(KUBECONFIG) in the task's environment, or on the
        controller itself in that of the user, that is the file of its list that has the entries, else the first that exists,
        else the last; without it C(~/.kube/config). RV(path) says which file it was.
      - Left out with O(state=absent), it is every file that was written for the cluster.
    type: str
  owner:
    description:
      - Whom the file belongs to. Left out, the one who asked - the user of the connection, also when the task became
        root, by whichever become method.
    type: str
  context:
    description:
      - Name of the context, and of its cluster and user; left out, C(kic-<cluster>). An entry that the user has renamed
        since keeps their name, until another is requested here.
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
  probe:
    description:
      - Whether to see only that the entries could be written, before there is a cluster - the file can be read and written as
        O(owner), and no other entry has the name of the context. Then nothing is written, and C(changed) is false. A play that
        creates a cluster fails so before it has made anything. For O(state=present).
    type: bool
    default: false
    version_added: 0.1.0
  search:
    description: The list of the environment variable E(KUBECONFIG). Set by the action plugin, of no use in a playbook.
    type: str
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
      context:
        description: Name of the cluster's context in it.
        type: str
      store:
        description: The engine in whose records the file is.
        type: str
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
  description: Name that the context has in the file; empty with O(state=absent).
  type: str
  returned: success
  sample: kic-lab
complete:
  description: Whether the file had the cluster's entries already, so that there was nothing to write; false with O(state=absent).
  type: bool
  returned: success
  sample: false
needs_sudo:
  description: Whether root used the engine for another user, whose file it is; false with O(state=absent).
  type: bool
  returned: success
  sample: true
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
engine_facts:
  description: With O(probe) what the engine is like, for the option of the same name of other modules; else null.
  type: dict
  returned: success
  sample:
    address_pools: []
    apparmor: false
    architecture: amd64
    cgroup_controllers: [cpuset, cpu, memory, pids]
    cgroup_manager: systemd
    cgroup_version: 2
    cpus: 2
    memory: 25276510208
    name: podman
    network_backend: netavark
    rootless: false
    runtime: crun
    runtimes: [crun]
    selinux: false
    storage_driver: overlay
    storage_filesystem: extfs
    storage_path: /var/lib/containers/storage
    userns_remap: false
    version: 5.4.2
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
from contextlib import suppress
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure, keep_done
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.drivers import driver
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import BY_PRIORITY
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import (
    cluster_nodes,
    control_plane,
    holds_cluster,
    load_balancer,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_entry as entry
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file as files
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.kubeconfig import EXTENSION, context_name
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import Subject


def body(task: Task) -> dict[str, Any]:
    """One half of the work: hand what is there to the action plugin, or write what it made of it."""
    params = task.params
    cluster = checks.host_name("cluster", params["cluster"])
    if params["write"] is not None:
        return _write(params, Subject(task.engine.store, cluster), params["context"] or context_name(cluster))
    return _present(task, cluster) if params["state"] == "present" else _absent(task, cluster)


def _write(params: dict[str, Any], subject: Subject, context: str) -> dict[str, Any]:
    fits: list[bool] = []
    done: list[str] = []
    for change in map(_change, params["write"]):
        try:
            if params["state"] == "present":
                fits.append(files.write(change, files.owner_entry(params["owner"]), subject, context))
            else:
                recorded = Subject(change.store or subject.engine, subject.cluster)
                fits.append(files.clear(change, recorded, _owner(params, recorded, change.path)))
        except Exception as error:
            keep_done(error, tuple(done))
            raise
        done += [f"write kubeconfig: {change.path}"] if fits[-1] else []
    return {"changed": True, "written": all(fits)}


def _change(given: dict[str, Any]) -> files.Change:
    # What Ansible adds is what was left out.
    values = {key: value for key, value in given.items() if value is not None}
    return files.Change(**{"text": None, **values})


def _present(task: Task, cluster: str) -> dict[str, Any]:
    probe = task.params["probe"]
    found = entry.look(task.engine, cluster, entry.Wanted.named_in(task.params), to_write=probe)
    result = {"changed": False, **found, "engine_facts": task.engine.info.as_dict() if probe else None}
    # In check mode an earlier task of the play may be about to start it.
    nodes = cluster_nodes(task.engine, cluster)
    container, publisher = control_plane(nodes, stopped=task.check_mode or probe), load_balancer(nodes)
    # A run that was ended before kubeadm had made it: the one that comes next makes it.
    lacks = task.check_mode or probe
    given = entry.access(task.engine, container, publisher, may_lack=lacks) if container is not None else {}
    if not given:
        if probe:
            return result
        if not task.check_mode:
            raise failure("control_plane_missing", cluster=cluster)
        task.warn(f"The cluster {cluster} has no control plane yet; its entry would be new.")
        return result
    (file,) = found["files"]
    # The record was lost: what it is for must work all the same.
    return {**result, **given, "unrecorded": not task.check_mode and file["text"] is not None and not file["known"]}


def _absent(task: Task, cluster: str) -> dict[str, Any]:
    params, container = task.params, control_plane(cluster_nodes(task.engine, cluster))
    given = params["path"] is not None
    known = dict.fromkeys(files.known_files(Subject(task.engine.store, cluster)), task.engine)
    paths = [] if given else list(known)
    if not paths:
        owner = files.owner_entry(params["owner"])
        paths = [files.target(params["path"] or files.searched(params["search"], owner, known), owner)]
    found = {path: _read(task, known, cluster, path) for path in paths}
    written = any(EXTENSION in (item["text"] or "") for item in found.values())
    ask = container is None and (written or files.is_recorded(cluster))
    asked = {engine: holds_cluster(engine, cluster) for engine in _others(task)} if ask else {}
    # Where nobody has the cluster, what is left of it goes, whichever engine it was on.
    gone = [engine for engine, held in asked.items() if held is False and params["engine"] == "auto"]
    for engine in gone:
        for path in files.known_files(files.record_of(engine, cluster)):
            known.setdefault(path, engine)
            if not given and path not in found:
                found[path] = _read(task, known, cluster, path)
    place = {
        **files.place_of(task.engine),
        "places": list(map(files.place_of, gone)),
        "elsewhere": True in asked.values(),
    }
    result = {"changed": False, "context": "", "path": paths[0], "place": place, "unrecorded": bool(known)}
    result["engine_facts"] = None
    result["needs_sudo"] = False
    result["files"] = [
        {**item, "known": path in known, "store": files.record_of(known.get(path, task.engine), cluster).engine}
        for path, item in found.items()
    ]
    if container is not None and written:
        with suppress(KicError):  # it tells apart what earlier releases wrote; a node that is broken goes all the same
            result["admin"] = files.admin_configuration(task.engine, container)
    return result


def _read(task: Task, known: dict[str, Engine], cluster: str, path: str) -> dict[str, Any]:
    """One file, read as the user for whom it was recorded."""
    subject = files.record_of(known.get(path, task.engine), cluster)
    return files.read(path, _owner(task.params, subject, path))


def _others(task: Task) -> list[Engine]:
    """The other engines, which may have the cluster."""
    return [driver(name)(task.runner) for name in BY_PRIORITY if name != task.engine.name]


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
            **entry.WANTED,
            "merge": {"type": "bool", "default": True},
            "set_current": {"type": "bool", "default": True},
            "probe": {"type": "bool", "default": False},
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
                    "context": {"type": "str"},
                    "store": {"type": "str"},
                },
            },
        },
        body,
        held="cluster:cluster",
    )


if __name__ == "__main__":
    main()
