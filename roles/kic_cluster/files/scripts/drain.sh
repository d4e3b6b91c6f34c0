#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Evicts the pods of the node $1, for up to $2 seconds. A node whose kubelet does not report cannot say that a pod has ended:
# that is not waited for. Nothing happens where the node is not there.
export KUBECONFIG=/etc/kubernetes/admin.conf
found=$(kubectl get node "$1" --ignore-not-found --output=json --request-timeout=30s) || exit 1
[ -n "$found" ] || exit 0
options=(--ignore-daemonsets --delete-emptydir-data --timeout="$2s")
if ! jq -e 'any(.status.conditions[]?; .type == "Ready" and .status == "True")' <<<"$found" >/dev/null; then
  options+=(--skip-wait-for-delete-timeout=1)
fi
exec timeout --kill-after=5 $(($2 + 30)) kubectl drain "$1" "${options[@]}" 2>&1
