#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints as JSON what has to be known before nodes leave the cluster: all nodes, persistent volumes that are bound to nodes,
# disruption budgets, and the pods on the nodes $2 and following. Each request may take $1 seconds.
set -uo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl="kubectl --request-timeout=$1s --cache-dir=/run/nodeforge.kic-discovery"
shift
work=$(mktemp -d /run/nodeforge.kic.XXXXXX)
trap 'rm -rf "$work"' EXIT
requests=(/api/v1/nodes /api/v1/persistentvolumes /apis/policy/v1/poddisruptionbudgets)
for node in "$@"; do requests+=("/api/v1/pods?fieldSelector=spec.nodeName%3D$node"); done
running=()
for index in "${!requests[@]}"; do
  $kubectl get --raw "${requests[$index]}" >"$work/$(printf %03d "$index")" &
  running+=($!)
done
for process in "${running[@]}"; do wait "$process" || exit 1; done
jq -nc --slurpfile all <(cat "$work"/*) '{
  nodes: [$all[0].items[] | {name: .metadata.name, hostname: (.metadata.labels["kubernetes.io/hostname"] // .metadata.name),
    leaving: (.metadata.annotations["nodeforge.kic/leaving"] // "")}],
  volumes: [$all[1].items[] | {name: .metadata.name, phase: .status.phase, policy: .spec.persistentVolumeReclaimPolicy,
    claim: (.spec.claimRef | if . then "\(.namespace)/\(.name)" else "" end),
    hosts: [.spec.nodeAffinity.required.nodeSelectorTerms[]? | (.matchExpressions[]?, .matchFields[]?)
      | select((.key == "kubernetes.io/hostname" or .key == "metadata.name") and .operator == "In") | .values[]]}],
  budgets: [$all[2].items[] | {namespace: .metadata.namespace, name: .metadata.name, selector: (.spec.selector // null),
    allowed: (.status.disruptionsAllowed // 0)}],
  pods: [$all[3:][].items[] | {namespace: .metadata.namespace, name: .metadata.name, node: .spec.nodeName,
    labels: (.metadata.labels // {}),
    owner: ([.metadata.ownerReferences[]? | select(.controller) | .kind] | first // ""),
    mirror: (.metadata.annotations["kubernetes.io/config.mirror"] != null),
    ended: (.status.phase == "Succeeded" or .status.phase == "Failed")}]}'
