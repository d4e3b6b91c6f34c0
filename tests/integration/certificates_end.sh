#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Signs the certificates of the node $1 again, so that they end in $2 seconds, which may be before now; with the same keys. On a
# worker, whose authority has its key elsewhere, that of kubelet alone, with the authority of the directory $3.
set -e
node=$1
first=$(date -u --date='-345 days' +%Y%m%d%H%M%SZ)
last=$(date -u --date="$2 seconds" +%Y%m%d%H%M%SZ)
pki=${3:-/etc/kubernetes/pki}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

signed() { # certificate, authority
  openssl x509 -in "$1" -CA "$pki/$2.crt" -CAkey "$pki/$2.key" -not_before "$first" -not_after "$last" -out "$work/new" 2>/dev/null
  cat "$work/new"
}

for name in apiserver:ca apiserver-kubelet-client:ca apiserver-etcd-client:etcd/ca front-proxy-client:front-proxy-ca \
  etcd/server:etcd/ca etcd/peer:etcd/ca etcd/healthcheck-client:etcd/ca; do
  file=/etc/kubernetes/pki/${name%:*}.crt
  if [ -e "$file" ]; then signed "$file" "${name#*:}" >"$work/file" && cat "$work/file" >"$file"; fi
done
for name in admin super-admin controller-manager scheduler; do
  file=/etc/kubernetes/$name.conf
  if [ -e "$file" ]; then
    sed -n 's/^ *client-certificate-data: //p' "$file" | base64 -d >"$work/old"
    data=$(signed "$work/old" ca | base64 -w0)
    sed -i "s|client-certificate-data: .*|client-certificate-data: $data|" "$file"
  fi
done
file=/var/lib/kubelet/pki/kubelet-client-current.pem
openssl x509 -in $file >"$work/old"
openssl pkey -in $file >"$work/key"
signed "$work/old" ca >"$work/file"
cat "$work/file" "$work/key" >"$(readlink -f $file)"
# Of kubelet's own making.
file=/var/lib/kubelet/pki/kubelet
openssl req -x509 -key $file.key -subj "/CN=$node" -not_before "$first" -not_after "$last" -out "$work/file" 2>/dev/null
cat "$work/file" >$file.crt
# A certificate begins where its file was last changed.
touch --date='-345 days' /etc/kubernetes/*.conf /etc/kubernetes/pki/*.crt /var/lib/kubelet/pki/* 2>/dev/null
if [ -d /etc/kubernetes/pki/etcd ]; then touch --date='-345 days' /etc/kubernetes/pki/etcd/*.crt; fi
