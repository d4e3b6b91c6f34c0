# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a control plane lets its administrator in; both as kubeadm has it."""

API_PORT = 6443
"""Where the API listens inside a node."""

ADMIN = "/etc/kubernetes/admin.conf"
"""The kubeconfig of the administrator."""
