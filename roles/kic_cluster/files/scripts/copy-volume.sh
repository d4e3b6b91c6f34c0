#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in a container with the volume /to, and /from: gives /to what /from has, all of it or nothing. With "clone" as $1 what
# makes a node part of its cluster is left out: keys, certificates, kubeconfigs, its name and addresses. $2 is what becomes of
# etcd's data then: keep, or drop for a control plane that joins the first one.
set -euo pipefail
new=/to/.nodeforge.kic-new old=/to/.nodeforge.kic-old
rm -rf "$new" "$old"
mkdir "$new"
# Blocks are shared where the file system can.
cp --archive --reflink=auto /from/. "$new"
rm -rf "$new"/.nodeforge.kic-new "$new"/.nodeforge.kic-old
if [ "${1:-}" = clone ]; then
  state=$new/lib/nodeforge.kic
  # The order is that of a node's needs: what is cut off here cannot come up as a part of the original.
  rm -rf "$state"/etc/kubernetes "$state"/etc/cni "$state"/network
  rm -f "$state"/{kubeadm.json,kubeadm.conf,renewed,hosts,haproxy.cfg,machine-id,product_uuid,adopted}
  rm -rf "$new"/lib/kubelet/{pki,config.yaml,kubeadm-flags.env}
  if [ "$2" = drop ]; then rm -rf "$new"/lib/etcd; fi
fi
mkdir "$old"
find /to -mindepth 1 -maxdepth 1 ! -path "$new" ! -path "$old" -exec mv --target-directory="$old" {} +
find "$new" -mindepth 1 -maxdepth 1 -exec mv --target-directory=/to {} +
chown --reference="$new" /to
chmod --reference="$new" /to
rm -rf "$new" "$old"
