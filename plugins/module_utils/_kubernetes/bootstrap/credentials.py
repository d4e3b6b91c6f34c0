# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of kubelets, which a control plane signs without its API."""

from __future__ import annotations

from ..._node.scripts import script
from . import configuration as conf
from .kubeadm_plan import KubeadmSpec, Observed
from .seam import NEVER, KubeadmSeam

_YEAR = "8760h"
"""For how long kubeadm signs where nothing else is requested."""


def configuration(observed: Observed, limit: float, spec: KubeadmSpec) -> str:
    """kubeadm's configuration for the control plane, which asks the API for it otherwise."""
    documents = conf.init_documents(
        spec.shape,
        observed.seen.facts,
        node=spec.registered if spec.is_plane else spec.control_plane,
        addresses=observed.addresses if spec.is_plane else observed.api_addresses,
        sans=(),
        skip_phases=NEVER,
        patches=None,
        seconds=limit,
        user=spec.user,
    )
    return conf.render(documents)


def kubelet_credentials(observed: Observed, seam: KubeadmSeam, step: str, *, seconds: int = 0) -> str:
    """A kubeconfig for the kubelet of a node, with a new key that the control plane signs; the API is not needed for it.

    :param step: as which it fails.
    :param seconds: how long it waits for the key of the authority, which a control plane may be about to make.
    """
    spec, limit = seam.spec, seam.limit("kubeadm")
    period = (spec.user.get("ClusterConfiguration") or {}).get("certificateValidityPeriod") or _YEAR
    result = seam.engine.exec(
        seam.api_node,
        script(spec.scripts, "kubelet-credentials", spec.registered, str(period), str(seconds)),
        action=f"signing a certificate for kubelet of {spec.node}",
        stdin=configuration(observed, limit, spec).encode(),
        timeout=limit + seconds,
        check=False,
    )
    if result.rc != 0:
        # Not what it printed: that may be a key.
        raise seam.failed(step, f"kubeadm ended with exit code {result.rc}", result.err)
    return result.out
