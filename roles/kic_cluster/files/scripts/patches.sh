#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Writes kubeadm's patches, on standard input as {file name: text}, into the directory $1.
umask 077
rm -rf "$1"
mkdir -p "$1"
input=$(cat)
jq -r "keys[]" <<<"$input" | while read -r name; do
  jq -r --arg name "$name" '.[$name]' <<<"$input" >"$1/$name"
done
