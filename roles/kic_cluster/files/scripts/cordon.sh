#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Lets no further pods come to the node $1, and marks it as one that leaves the cluster: whether it took pods before is in
# the mark, for uncordon.sh. Nothing happens to a node that is not there or has the mark.
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl="kubectl --request-timeout=$2s"
found=$($kubectl get node "$1" --ignore-not-found --output=json) || exit 1
[ -n "$found" ] || exit 0
patch=$(jq -c '
  select(.metadata.annotations["nodeforge.kic/leaving"] == null)
  | {metadata: {annotations: {"nodeforge.kic/leaving": (if .spec.unschedulable then "was-cordoned" else "cordoned" end)}},
     spec: {unschedulable: true}}' <<<"$found")
if [ -n "$patch" ]; then $kubectl patch node "$1" --type=merge --patch="$patch" >/dev/null; fi
