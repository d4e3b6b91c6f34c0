#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs in a container with the volume /to, and /from: gives /to what /from has, all of it or nothing. $1 is the node's part in a
# clone, of which what makes it part of its cluster is left out: keys, certificates, kubeconfigs, its name and addresses. "first"
# begins the clone with etcd's data, "further" is a control plane that joins it, "worker" keeps the settings of its kubelet.
set -euo pipefail
new=/to/.nodeforge.kic-new old=/to/.nodeforge.kic-old
rm -rf "$new" "$old"
mkdir "$new"
# Blocks are shared where the file system can.
cp --archive --reflink=auto /from/. "$new"
rm -rf "$new"/.nodeforge.kic-new "$new"/.nodeforge.kic-old
if [ -n "${1:-}" ]; then
  state=$new/lib/nodeforge.kic
  rm -rf "$state"/etc/kubernetes "$state"/etc/cni "$state"/network-before "$new"/lib/kubelet/pki
  rm -f "$state"/{kubeadm.json,kubeadm.conf,renewed,hosts,haproxy.cfg,machine-id,product_uuid,adopted}
  # Ranges stay; addresses are put into it when they are known (network-move.sh).
  if [ -e "$state"/network ]; then mv "$state"/network "$state"/network-before; fi
  if [ "$1" != worker ]; then rm -f "$new"/lib/kubelet/{config.yaml,kubeadm-flags.env}; fi
  if [ "$1" = further ]; then rm -rf "$state"/network-before "$new"/lib/etcd; fi
fi
mkdir "$old"
find /to -mindepth 1 -maxdepth 1 ! -path "$new" ! -path "$old" -exec mv --target-directory="$old" {} +
find "$new" -mindepth 1 -maxdepth 1 -exec mv --target-directory=/to {} +
chown --reference="$new" /to
chmod --reference="$new" /to
rm -rf "$new" "$old"
