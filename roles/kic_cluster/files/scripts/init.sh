#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs kubeadm init with the configuration of standard input. It stays in the file $1 for those who look into the node; what it
# holds is no secret, and who reads it is root. With "checked" as $2, a field that kubeadm does not know ends it; kubeadm itself goes
# on without it.
umask 077
cat >"$1"
[ "${2:-}" != checked ] || kubeadm config validate --config "$1" 2>&1 || exit
exec kubeadm init --config "$1" --skip-token-print 2>&1
