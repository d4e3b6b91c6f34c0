#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Prints the machine of a node and the images that its containerd holds for Kubernetes. Waits for containerd for $1 seconds; ends
# with 75 (EX_TEMPFAIL of sysexits.h) where it does not answer.
end=$((SECONDS + $1))
until table=$(ctr --connect-timeout 3s --namespace k8s.io images ls 2>/dev/null); do
  if [ "$SECONDS" -ge "$end" ]; then exit 75; fi
  sleep 0.2
done
uname -m
echo "$table"
