#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes a node with the data of a worker a worker of the clone: its kubelet gets the credentials of the kubeconfig on standard
# input, and $1 as its address; its settings are those of the data. Files are as kubeadm join leaves them.
set -euo pipefail
umask 077
pki=/var/lib/kubelet/pki own=/etc/kubernetes/kubelet.conf
mkdir -p $pki /etc/kubernetes/pki
credentials=$(cat)
field() { sed -n "s/^ *$1: *//p" <<<"$credentials" | base64 --decode; }
field certificate-authority-data >/etc/kubernetes/pki/ca.crt
chmod 0644 /etc/kubernetes/pki/ca.crt
pem=$pki/kubelet-client-$(date -u +%Y-%m-%d-%H-%M-%S).pem
{ field client-certificate-data; field client-key-data; } >"$pem"
ln -sfn "$pem" $pki/kubelet-client-current.pem
echo "$credentials" >$own.new
sed -i "s|^\( *\)client-certificate-data:.*|\1client-certificate: $pki/kubelet-client-current.pem|
  s|^\( *\)client-key-data:.*|\1client-key: $pki/kubelet-client-current.pem|" $own.new
mv $own.new $own
sed -i -E "s|--node-ip=[^ \"]*|--node-ip=$1|" /var/lib/kubelet/kubeadm-flags.env
systemctl restart kubelet 2>&1
