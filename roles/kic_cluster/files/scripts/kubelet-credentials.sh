#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints a kubeconfig for the kubelet of the node $1 with a new key and a certificate for the time $2, with kubeadm's
# configuration of standard input. It works without the API, on the node that has the key of the authority, or gets it within $3
# seconds.
umask 077
configuration=$(mktemp /run/nodeforge.kic.XXXXXX)
trap 'rm -f "$configuration"' EXIT
cat >"$configuration"
end=$((SECONDS + $3))
until [ -s /etc/kubernetes/pki/ca.key ] && [ -s /etc/kubernetes/pki/ca.crt ] || [ $SECONDS -ge $end ]; do sleep 0.1; done
kubeadm kubeconfig user --config "$configuration" --client-name "system:node:$1" --org system:nodes --validity-period "$2"
