#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Removes the member of the node $2 from the etcd of this control plane, within $1 seconds for each request. A member that has
# never started has no name: it is known by the node's addresses, $3 and following. etcd's JSON interface is asked, as not every
# image has its client.
set -uo pipefail
seconds=$1 node=$2
shift 2
pki=/etc/kubernetes/pki/etcd
# An etcd that is not kubeadm's is its owner's.
[ -s /etc/kubernetes/manifests/etcd.yaml ] || exit 0

ask() { # path, body, where
  curl --silent --show-error --fail-with-body --max-time "$seconds" --noproxy '*' --cacert $pki/ca.crt \
    --cert $pki/healthcheck-client.crt --key $pki/healthcheck-client.key --data "$2" "${3:-https://127.0.0.1:2379}/v3/$1"
}

members=$(ask cluster/member/list '{}') || { echo "$members"; exit 1; }
found=$(jq -r --arg node "$node" '.members[] | select(.name == $node
  or ((.name // "") == "" and any(.peerURLs[]; sub("^https?://"; "") | sub(":[0-9]+$"; "") | ltrimstr("[") | rtrimstr("]")
    | IN($ARGS.positional[])))) | "\(.ID) \(.clientURLs[0] // "")"' --args "$@" <<<"$members") || exit 1
while read -r id url; do
  [ -n "$id" ] || continue
  # A leader that removes itself may be gone before the others know: of two, the one that is left would wait for it.
  status=$(ask maintenance/status '{}') || { echo "$status"; exit 1; }
  read -r own leader < <(jq -r '"\(.header.member_id) \(.leader)"' <<<"$status")
  if [ "$leader" = "$id" ] && [ -n "$url" ]; then
    ask maintenance/transfer-leadership "{\"targetID\": \"$own\"}" "$url" >/dev/null || exit 1
  fi
  ask cluster/member/remove "{\"ID\": \"$id\"}" || exit 1
done <<<"$found"
