# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why Kubernetes did not come up, read from the words of kubelet and of the clients of the API. Pure.

Neither has codes for it. The words were recorded from kubelet and kubectl 1.35.4 that were really broken
(tests/unit/module_utils/recorded/kubernetes-1.35.4.json), but where a line says otherwise.
"""

from __future__ import annotations

import re

from ..._core.diagnosis import KicError, failure

# What is a cause of others stands before them; the first match wins.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    # kubeadm says the same of a field that it leaves out, as a warning.
    (
        re.compile(
            r"^error: error unmarshaling configuration .*Kind:\"(?P<kind>\w+)\"\}: strict decoding error: (?P<problem>[^\n]+)",
            re.MULTILINE,
        ),
        "kubeadm_field_unknown",
    ),
    # inotify(7) and fsnotify; kind's known issues and minikube #18831 show both forms.
    (re.compile(r"(?:inotify\w*|fsnotify)[^\n]*[Tt]oo many open files"), "inotify_exhausted"),
    (re.compile(r"kubelet is configured to not run on a host using cgroup v1"), "kubelet_cgroup_v1"),
    (re.compile(r"running with swap on is not supported"), "kubelet_swap"),
    # Version 1 says "paths", version 2 "controllers" (kubernetes, pkg/kubelet/cm/cgroup_manager_linux.go).
    (re.compile(r"has some missing (?:paths|controllers): (?P<missing>[^\"\n]+)"), "kubelet_cgroup_missing"),
    (re.compile(r"expected cgroupsPath to be of format"), "kubelet_cgroup_driver"),
    (re.compile(r"listen tcp\d? (?P<address>\S+):(?P<port>\d+): bind: address already in use"), "kubelet_port_taken"),
    (re.compile(r"validate CRI v1 runtime API for endpoint \W*(?P<endpoint>[\w:/.-]+)"), "kubelet_no_runtime"),
    (re.compile(r"failed to pull image \W*(?P<image>[\w./:@-]+)"), "kubelet_image_missing"),
    (re.compile(r"failed to validate kubelet configuration, error: (?P<problem>[^\"\n]+)"), "kubelet_refuses"),
    (re.compile(r"failed to run Kubelet: (?P<problem>[^\"\n]+)"), "kubelet_refuses"),
    (
        re.compile(r"x509: certificate is valid for (?P<valid>[^\n]+?), not (?P<address>[^\s\"]+)"),
        "certificate_address",
    ),
    (re.compile(r"x509: certificate has expired or is not yet valid: (?P<times>[^\n\"]+)"), "certificate_time"),
    (re.compile(r"The connection to the server (?P<endpoint>\S+) was refused"), "api_not_answering"),
)


def reason(words: str, *, step: str, node: str, engine: str) -> KicError | None:
    """The cause that ``words`` tell of a failed ``step``; None where they tell none that is known."""
    for pattern, condition in _WORDS:
        match = pattern.search(words)
        if match:
            return failure(condition, output=words, step=step, node=node, engine=engine, **match.groupdict())
    return None
