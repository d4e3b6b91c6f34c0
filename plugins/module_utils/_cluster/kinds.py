# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of what a cluster is made of, as its operations name them."""

from __future__ import annotations

NETWORK, VOLUME, NODE, KUBERNETES = "network", "volume", "node", "Kubernetes on node"
POD_NETWORK, REGISTERED, IMAGES = "pod network", "Kubernetes node", "images"
BOOT = "boot of cluster"
ETCD, BALANCER = "etcd member", "load balancer"
RELEASE, CONTROL_PLANE = "Kubernetes", "control plane"
SNAPSHOT, DATA = "snapshot", "data of node"
