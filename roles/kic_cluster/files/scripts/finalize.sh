#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# What kubeadm's phase kubelet-finalize writes: at its next start kubelet takes the certificate that it renews itself. The
# one that runs renews it in any case (kubeadm's phases/kubelet/kubelet.go; no file where rotation is off).
pem=/var/lib/kubelet/pki/kubelet-client-current.pem
if [ -s $pem ]; then
  sed -i "s|^\( *\)client-certificate-data:.*|\1client-certificate: $pem|; s|^\( *\)client-key-data:.*|\1client-key: $pem|" \
    /etc/kubernetes/kubelet.conf
fi
