#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Upgrades what kubeadm made in this node.
# Arguments: a program kubeadm ("" is the image's own), its release, what the node is (first: the control plane that upgrades
# what is the cluster's too; further: another one; "": a worker), a directory of patches or "", "yes" to restart kubelet, and its
# name.
set -euo pipefail
kubeadm=${1:-kubeadm} release=$2 node=$6
# Certificates are renewed by their age, not by the way. kubeadm's checks of the kernel are about a whole machine; that the
# cluster can start a pod was waited for, and kubeadm's own proof of it knows no machine that is slow.
options=(--certificate-renewal=false --ignore-preflight-errors=SystemVerification --ignore-preflight-errors=CreateJob)
if [ -n "$4" ]; then options+=(--patches="$4"); fi
# The release that the cluster is to have, as kubeadm recorded it.
cluster() {
  kubectl --kubeconfig=/etc/kubernetes/admin.conf --namespace=kube-system get configmap/kubeadm-config \
    --output='jsonpath={.data.ClusterConfiguration}' | sed -n 's/^kubernetesVersion: *//p'
}

# Waits of half a minute and more, in which the API answers nobody, are cut short. Without etcd the API server only makes kubelet
# wait, which asks it before it starts the new etcd. One that ends has closed its port, and waits for watches of clients, which
# come back by themselves. And when it is there again, kubelet would try again within a minute to report what it runs, which is
# what kubeadm waits for: at its start it does so at once.
ctr() { command ctr --namespace k8s.io "$@" 2>/dev/null; }
process() { # name of a static pod: the process of its container that runs
  local id pid status filter="labels.\"io.kubernetes.pod.namespace\"==kube-system,labels.\"io.kubernetes.container.name\"==\"$1\""
  for id in $(ctr containers list --quiet "$filter,labels.\"io.kubernetes.pod.name\"==\"$1-$node\""); do
    while read -r _ pid status; do
      if [ "$status" = RUNNING ]; then echo "$pid"; return; fi
    done < <(ctr tasks list | awk -v id="$id" '$1 == id')
  done
}
listens() { (: <>/dev/tcp/127.0.0.1/6443) 2>/dev/null; }
ready() { kubectl --kubeconfig=/etc/kubernetes/admin.conf --server=https://127.0.0.1:6443 --request-timeout=2s get --raw /readyz; }
hasten() {
  local api heard='' silent=0 down=''
  while sleep 0.5; do
    api=$(process kube-apiserver)
    if [ -n "$api" ] && listens; then
      silent=0 heard=$api
    else
      silent=$((silent + 1)) down=yes
    fi
    if [ -f /etc/kubernetes/manifests/etcd.yaml ] && [ -z "$(process etcd)" ]; then
      silent=6 down=yes
    fi
    # Not one that has just started.
    if [ $silent -ge 6 ] && [ -n "$api" ] && [ "$api" = "$heard" ]; then
      kill -9 "$api" || true
    elif [ $silent = 0 ] && [ -n "$down" ] && ready; then
      systemctl restart kubelet && down=
    fi
  done
}
if [ -n "$3" ]; then
  # Without the lock of the node, which it would hold for a moment longer.
  hasten </dev/null >/dev/null 2>&1 9>&- &
  trap 'kill %1 2>/dev/null' EXIT
fi

if [ "$3" = first ] || { [ "$3" = further ] && [ "$(cluster)" != "$release" ]; }; then
  "$kubeadm" upgrade apply "$release" --yes "${options[@]}" 2>&1
else
  "$kubeadm" upgrade node "${options[@]}" 2>&1
fi
if [ -n "$5" ]; then systemctl restart kubelet 2>&1; fi
