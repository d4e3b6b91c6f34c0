# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations that renew certificates of a node. None needs the API, which may not answer for want of them.

A certificate is renewed before what works with it is restarted, and a run may end in between: the node remembers what is
still to be restarted.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from threading import Lock

from ..._core.operations import Again, Operation
from ..._node.scripts import script
from .credentials import configuration, kubelet_credentials
from .kubeadm_plan import Observed, plan_renewal
from .kubeadm_run import run_alone, waiting
from .look import RENEWED
from .renewal import CLIENT, RENEW, RENEW_KUBELET, RESTART, Renewal
from .seam import KubeadmSeam

_STOP_SECONDS = 30
"""How long what is restarted may take to end by itself. The API ends its requests within that."""


def renew(observed: Observed, renewal: Renewal, *, several: bool) -> tuple[Operation, ...]:
    """Renew, restart, and look again: what else there is to do may need the API.

    :param several: whether there are other control planes.
    """
    runs = {RENEW: _renew, RENEW_KUBELET: _renew_kubelet, RESTART: _restart}
    steps = tuple(
        Operation("run", "step", name, detail, run=partial(runs[name], observed, renewal))
        for name, detail in renewal.steps.items()
    )
    if several and not observed.seen.api:
        # The others may have to be renewed too before etcd has a majority: what the API says, the next run reads.
        return steps
    return (
        *steps,
        waiting("API of", observed.container.name, partial(_renewed, observed)),
    )


def _renew(observed: Observed, renewal: Renewal, seam: KubeadmSeam) -> None:
    limit = seam.limit("kubeadm")
    command = script(
        seam.spec.scripts, "certificates-renew", RENEWED, " ".join(renewal.restarts), *renewal.certificates
    )
    run_alone(command, configuration(observed, limit, seam.spec), limit, RENEW, seam)


def _renew_kubelet(observed: Observed, renewal: Renewal, seam: KubeadmSeam) -> None:
    """The client's key goes from the control plane to the node by standard input, and nowhere else."""
    credentials = kubelet_credentials(observed, seam, RENEW_KUBELET) if CLIENT in renewal.kubelet else ""
    command = script(seam.spec.scripts, "kubelet-certificates", RENEWED, " ".join(renewal.restarts), *renewal.kubelet)
    seam.run(RENEW_KUBELET, command, stdin=credentials.encode())


_restarting = Lock()
"""Held while one control plane is restarted: with two at once etcd could lose its majority."""


def _restart(observed: Observed, _renewal: Renewal, seam: KubeadmSeam) -> None:
    command = script(seam.spec.scripts, "restart", RENEWED, seam.spec.registered, str(_STOP_SECONDS))
    with _restarting if seam.spec.is_plane else nullcontext():
        run_alone(command, "", seam.limit(RESTART, 120.0), RESTART, seam)
        if seam.spec.is_plane and observed.seen.api:
            seam.await_api(own=True)


def _renewed(observed: Observed, seam: KubeadmSeam) -> None:
    """Wait for the API, and have the rest planned for what is there then."""
    seam.await_api(own=seam.spec.is_plane)
    seen = seam.answered(seam.look())
    left = plan_renewal(seam.spec, seen)
    if left.steps:
        # Once more would come to the same.
        said = "; ".join(f"{name}: {detail}" for name, detail in left.steps.items())
        reason = f"afterwards there is still to be done: {said}"
        raise seam.failed(next(iter(left.steps)), reason, str(dict(left.ends)))
    raise Again(replace(observed, seen=seen))
