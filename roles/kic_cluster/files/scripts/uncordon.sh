#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Takes the mark of cordon.sh from the nodes $2 and following: they take pods again, except those that took none before.
# Nodes that are not there or have no mark stay as they are.
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl="kubectl --request-timeout=$1s"
shift
status=0
for node in "$@"; do
  found=$($kubectl get node "$node" --ignore-not-found --output=json) || { status=1; continue; }
  patch=$(jq -c '
    .metadata.annotations["nodeforge.kic/leaving"] | values
    | {metadata: {annotations: {"nodeforge.kic/leaving": null}}} + (if . == "cordoned" then {spec: {unschedulable: null}} else {} end)
    ' <<<"${found:-null}")
  if [ -n "$patch" ]; then $kubectl patch node "$node" --type=merge --patch="$patch" >/dev/null || status=1; fi
done
exit $status
