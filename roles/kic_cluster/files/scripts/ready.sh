#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Waits up to $2 seconds until kubectl says $3 (for kubectl wait) of the node $1, and prints the node. What a kubelet reported
# before the time $4 (in seconds since 1970) is not of this one: the API keeps it for 40 seconds after that one has ended.
end=$((SECONDS + $2))
while :; do
  said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf wait --for="$3" "node/$1" --timeout=$((end - SECONDS))s 2>&1) &&
    found=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf get "node/$1" -o json 2>&1) &&
    jq -e --argjson since "$4" '[.status.conditions[]? | select(.type == "Ready") | .lastHeartbeatTime | fromdate?] | max // $since
      | . >= $since' <<<"$found" >/dev/null 2>&1 && break
  # A node that has not registered yet and an API that starts again pass; the limit ends what does not.
  if [ $SECONDS -ge $end ]; then
    case $said in *"condition met"*) said="its kubelet has not reported since the node was started" ;; esac
    echo "$said"
    exit 1
  fi
  # A connection costs less than a kubectl that finds no API.
  for _attempt in $(seq 8); do
    sleep 0.2
    if (: </dev/tcp/127.0.0.1/6443) 2>/dev/null || [ $SECONDS -ge $end ]; then break; fi
  done
done
echo "$found"
