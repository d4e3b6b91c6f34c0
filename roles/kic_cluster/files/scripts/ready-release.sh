#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Waits until a node is Ready with the kubelet of a release. Arguments: the node, seconds, the release.
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
end=$((SECONDS + $2))
until said=$(kubectl get node "$1" --output=json --request-timeout=10s 2>&1) && jq -e --arg release "$3" '
  .status | .nodeInfo.kubeletVersion == $release and any(.conditions[]?; .type == "Ready" and .status == "True")' \
  <<<"$said" >/dev/null 2>&1; do
  if [ $SECONDS -ge $end ]; then
    jq -r '.status | .nodeInfo.kubeletVersion, (.conditions[]? | select(.type == "Ready") | .message)' <<<"$said" 2>/dev/null || echo "$said"
    exit 1
  fi
  sleep 0.3
done
