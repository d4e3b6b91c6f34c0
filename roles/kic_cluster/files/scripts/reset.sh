#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Undoes kubeadm and the pod network; the other arguments than the network's program $1 are files of ours.
kubeadm reset --force 2>&1 || exit 1
if [ -x "$1" ]; then "$1" remove; fi
shift
rm -rf "$@"
