#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs kubeadm join with the configuration of standard input, which holds a secret. What an interrupted join left behind goes:
# kubeadm refuses to join over it only in the preflight that is skipped.
rm -f /etc/kubernetes/bootstrap-kubelet.conf
exec kubeadm join --config /dev/stdin 2>&1
