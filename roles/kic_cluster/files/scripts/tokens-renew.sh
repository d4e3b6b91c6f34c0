#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Has the service accounts' tokens that are kept as Secrets issued again: those of the original are signed with its key. Each
# request may take $1 seconds.
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl="kubectl --request-timeout=$1s --cache-dir=/run/nodeforge.kic-discovery"
$kubectl get secrets --all-namespaces --field-selector=type=kubernetes.io/service-account-token --output=json |
  jq -r '.items[].metadata | "\(.namespace) \(.name)"' |
  while read -r namespace name; do
    $kubectl --namespace="$namespace" patch secret "$name" --type=merge --patch='{"data": {"token": null, "ca.crt": null}}'
  done 2>&1
