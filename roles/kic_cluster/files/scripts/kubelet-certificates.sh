#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Gives kubelet new certificates, of the names $3 and following: kubelet-client is that of the kubeconfig on standard input;
# kubelet-server kubelet makes itself at its next start. The file $1 keeps in $2 what has to be restarted for it, until that
# is done (restart.sh).
set -e
umask 077
mkdir -p "${1%/*}"
if [ -n "$2" ]; then echo "$2" >"$1"; fi
shift 2
pki=/var/lib/kubelet/pki
own=/etc/kubernetes/kubelet.conf
credentials=$(cat)
field() { sed -n "s/^ *client-$1-data: *//p" <<<"$credentials"; }

client() {
  local certificate key pem
  certificate=$(field certificate) key=$(field key)
  [ -n "$certificate" ] && [ -n "$key" ]
  # Where kubelet looks first is written last. The key is nobody's argument.
  if [ -e "$pki/kubelet-client-current.pem" ] || ! grep -q client-certificate-data "$own"; then
    mkdir -p "$pki"
    pem=$pki/kubelet-client-$(date -u +%Y-%m-%d-%H-%M-%S).pem
    base64 -d <<<"$certificate" >"$pem.new"
    base64 -d <<<"$key" >>"$pem.new"
    mv "$pem.new" "$pem"
    ln -sfn "$pem" "$pki/kubelet-client-current.new"
    mv -T "$pki/kubelet-client-current.new" "$pki/kubelet-client-current.pem"
  fi
  if grep -q client-certificate-data "$own"; then
    sed -i -f <(printf 's|client-%s-data:.*|client-%s-data: %s|\n' certificate certificate "$certificate" key key "$key") "$own"
  fi
}

for name in "$@"; do
  case $name in
    kubelet-client) client ;;
    kubelet-server) rm -f "$pki/kubelet.crt" "$pki/kubelet.key" ;;
  esac
done
