#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes the data of another cluster's etcd that of a new one, whose only member is the node $1 with the address $2. What in it is
# a credential of the original, names its API, or says who leads, goes before anybody reads it: Kubernetes makes all of it again.
set -euo pipefail
data=/var/lib/etcd done=/var/lib/nodeforge.kic/adopted
[ -d $data/member ] && [ ! -e $done ] || exit 0
mount=$(mktemp -d /run/nodeforge.kic.XXXXXX) log=$(mktemp /run/nodeforge.kic.XXXXXX)
etcd='' mounted=''
end() {
  if [ -n "$etcd" ]; then kill "$etcd" 2>/dev/null || true; wait "$etcd" 2>/dev/null || true; fi
  if [ -n "$mounted" ]; then ctr --namespace k8s.io images unmount --rm "$mount" >/dev/null 2>&1 || true; fi
  rmdir "$mount" 2>/dev/null || true
  rm -f "$log"
}
trap end EXIT
image=$(kubeadm config images list --kubernetes-version "$(cat /kind/version)" 2>/dev/null | grep /etcd:)
mounted=yes
ctr --namespace k8s.io images mount "$image" "$mount" >/dev/null
client=http://127.0.0.1:12379 peer=http://127.0.0.1:12380
"$mount"/usr/local/bin/etcd --name="$1" --data-dir=$data --force-new-cluster --unsafe-no-fsync \
  --listen-client-urls=$client --advertise-client-urls=$client --listen-peer-urls=$peer \
  --initial-advertise-peer-urls=$peer --initial-cluster="$1=$peer" >"$log" 2>&1 &
etcd=$!
ask() { # path, body
  curl --silent --show-error --fail-with-body --max-time 30 --noproxy '*' --data "$2" "$client/v3/$1"
}
for _attempt in $(seq 300); do
  if ask maintenance/status '{}' >/dev/null 2>&1; then break; fi
  if ! kill -0 $etcd 2>/dev/null; then tail -n 5 "$log"; exit 1; fi
  sleep 0.1
done
members=$(ask cluster/member/list '{}') || { echo "$members"; tail -n 5 "$log"; exit 1; }
address=$2
case $address in *:*) address="[$address]" ;; esac
for id in $(jq -r '.members[].ID' <<<"$members"); do
  ask cluster/member/update "{\"ID\": \"$id\", \"peerURLs\": [\"https://$address:2380\"]}" >/dev/null
done
base() { printf %s "$1" | base64 -w 0; }
remove() { # key; or the keys that begin so, with the key after them
  ask kv/deleterange "{\"key\": \"$(base "$1")\"${2:+, \"range_end\": \"$(base "$2")\"}}" >/dev/null
}
# Keys are /registry/RESOURCE/NAMESPACE/NAME; "0" follows "/", "." follows "-", and ";" follows ":".
remove /registry/secrets/kube-system/bootstrap-token- /registry/secrets/kube-system/bootstrap-token.
remove /registry/secrets/kube-system/kubeadm-certs
remove /registry/configmaps/kube-public/cluster-info
for name in kube-proxy kubeadm-config kubelet-config; do remove /registry/configmaps/kube-system/$name; done
remove /registry/leases/kube-system/kube-controller-manager
remove /registry/leases/kube-system/kube-scheduler
remove /registry/masterleases/ /registry/masterleases0
# What kubeadm is about to make: for what is there it needs twice as many requests, of which it sends five a second.
for name in get-nodes kubelet-bootstrap node-autoapprove-bootstrap node-autoapprove-certificate-rotation node-proxier; do
  remove /registry/clusterrolebindings/kubeadm:$name
done
remove /registry/clusterroles/kubeadm:get-nodes
for kind in roles rolebindings; do
  remove "/registry/$kind/kube-system/kubeadm:" "/registry/$kind/kube-system/kubeadm;"
  remove "/registry/$kind/kube-public/kubeadm:" "/registry/$kind/kube-public/kubeadm;"
  remove "/registry/$kind/kube-system/kube-proxy"
done
# The authority that pods trust: until the new one is there, none that needs it starts.
ask kv/range "{\"key\": \"$(base /registry/configmaps/)\", \"range_end\": \"$(base /registry/configmaps0)\", \"keys_only\": true}" |
  jq -r '.kvs[]?.key | @base64d | select(endswith("/kube-root-ca.crt"))' |
  while read -r key; do remove "$key"; done
kill $etcd
wait $etcd || true
etcd=''
sync -f $data
: >$done
