#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Gives the node $2 the labels and taints of standard input, {labels: {KEY: VALUE}, taints: [{key, value, effect}]}, and takes those
# from it that a former run gave it and that are not among them; an annotation keeps which they are. For up to $1 seconds: kubelet
# registers its node some time after the join, and others change it at the same time.
export KUBECONFIG=/etc/kubernetes/admin.conf
end=$((SECONDS + $1))
node=$2
wanted=$(cat)
declare_once() {
  local found patch
  found=$(kubectl get node "$node" --output=json) || return 1
  patch=$(jq -c --argjson wanted "$wanted" '
    (.metadata.annotations["nodeforge.kic/declared"] // "{}" | try fromjson catch {}) as $before
    | ($wanted.labels | keys) as $labels
    | [$wanted.taints[] | "\(.key):\(.effect)"] as $taints
    | ($taints + [$before.taints[]?]) as $ours
    | {metadata: {
        resourceVersion: .metadata.resourceVersion,
        labels: ((([$before.labels[]?] - $labels) | map({(.): null}) | add // {}) + $wanted.labels),
        annotations: {"nodeforge.kic/declared": ({labels: $labels, taints: $taints} | tojson)}},
      spec: {taints: ([.spec.taints[]? | select("\(.key):\(.effect)" as $key | $ours | index($key) | not)] + $wanted.taints)}}
    ' <<<"$found") || return 1
  kubectl patch node "$node" --type=merge --patch="$patch"
}
until said=$(declare_once 2>&1); do
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.3
done
