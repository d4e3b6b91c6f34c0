#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs kubeadm join with the configuration of standard input, which holds a secret. What an interrupted join left behind goes:
# kubeadm refuses to join over it only in the preflight that is skipped. "checked" is as for init.
rm -f /etc/kubernetes/bootstrap-kubelet.conf
configuration=$(cat)
[ "${1:-}" != checked ] || kubeadm config validate --config <(printf '%s\n' "$configuration") 2>&1 || exit
exec kubeadm join --config <(printf '%s\n' "$configuration") 2>&1
