#!/usr/bin/env bash
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# One look at a node: prints a line of JSON for each of PARTS (boot, local, api), or with info lines of the system and of
# certificates. An exec costs as much as all that is asked, so that one asks everything. The node has what every node image has:
# bash, jq, kubectl.
# In the environment: BOOT, seconds to wait for the system to come up, 0 to look only; STATE, where a node remembers; NETWORK, the
# program of the pod network; BALANCER, that of a load balancer; LOCK, what a kubeadm that runs holds; CERTIFICATES, files that may
# hold one; NODE and OBJECTS, what is queried in the API; ALL, whether for all nodes too; MEMBERS, whether etcd's members are
# queried; REQUEST, seconds for a request.
# Arguments are files of which those are printed that exist; on standard input are manifests as [{name, content} or {name, path}].

# systemd answers a little after it has taken its control group; from then on it is systemd itself that waits.
boot() {
  end=$(($(date +%s) + BOOT)) wait=--wait
  if [ "$BOOT" = 0 ]; then wait=; fi
  while :; do
    state=$(systemctl is-system-running $wait 2>/dev/null)
    case $state in running|degraded|maintenance|stopping) break ;; esac
    if [ "$(date +%s)" -ge $end ]; then break; fi
    sleep 0.1
  done
  echo "${state:-unknown}"
  systemctl list-units --failed --plain --no-legend --no-pager 2>/dev/null | while read -r unit _; do echo "failed $unit"; done
  if [ "$state" != running ] && [ "$state" != degraded ]; then
    systemctl list-jobs --plain --no-legend --no-pager 2>/dev/null | while read -r _ unit _; do echo "waits $unit"; done
  fi
}

content() { cat "$1" 2>/dev/null || true; }
flag() { if "$@" >/dev/null 2>&1; then echo true; else echo false; fi; }
lower() { (echo -999 >/proc/self/oom_score_adj) 2>/dev/null; }
mapped() { ! grep -Eq '^ *0 +0 +4294967295$' /proc/self/uid_map; }
driver() {
  containerd config dump 2>/dev/null | awk '
    /^ *\[/ { inside = /runtimes\.runc\.options\]/ }
    inside && $1 == "SystemdCgroup" { print $3; exit }'
}
# Or told not to: the file is there, and does not ask for it.
rotating() {
  grep -q kubelet-client-current.pem /etc/kubernetes/kubelet.conf ||
    { [ -s /var/lib/kubelet/config.yaml ] && ! grep -q '^rotateCertificates: true' /var/lib/kubelet/config.yaml; }
}
# The first certificate of each file as lines of path, time of the last change, base64; of a kubeconfig a PEM file in base64.
# Keys are in some of the files too, and are none of it.
certificates() {
  local path there=()
  for path in $CERTIFICATES; do if [ -s "$path" ]; then there+=("$path"); fi; done
  [ ${#there[@]} -gt 0 ] || return 0
  stat --dereference --format='%Y %n' "${there[@]}" 2>/dev/null | awk '
    NR == FNR { written[$2] = $1; next }
    FNR == 1 { inside = over = 0 }
    over { next }
    $1 == "client-certificate-data:" { print FILENAME, written[FILENAME], $2; over = 1; next }
    /^-----BEGIN CERTIFICATE-----/ { inside = 1; text = ""; next }
    /^-----END CERTIFICATE-----/ { if (inside) print FILENAME, written[FILENAME], text; over = inside; next }
    inside { text = text $0 }' - "${there[@]}" 2>/dev/null
}
# null where this node cannot have a load balancer of its own.
balancer() {
  if [ -x "$BALANCER" ] && [ -f /etc/systemd/system/kic-api.service ]; then
    # shellcheck disable=SC2153 # not state
    jq -Rsc . <<<"$(content "$STATE/haproxy.cfg")"
  else
    echo null
  fi
}
# Who held the lock last, and whether they still do: before what they may be changing is read.
holder() {
  local state=free
  if [ -e "$LOCK.lock" ] && ! flock --shared --nonblock "$LOCK.lock" true; then state=held; fi
  echo "$state $(content "$LOCK.holder")"
}
network() { if [ -x "$NETWORK" ]; then "$NETWORK" status 2>/dev/null; fi; }
local_state() { # files
  local stands holder
  holder=$(holder)
  stands=$(for path in "$@"; do if [ -s "$path" ]; then echo "$path"; fi; done)
  jq -nc --arg kubeadm "$holder" --arg stands "$stands" \
    --arg version "$(content /kind/version)" --arg record "$(content "$STATE/kubeadm.json")" \
    --arg hosts "$(content "$STATE/hosts")" --arg names "$(content /etc/hosts)" --arg network "$(network)" \
    --arg certificates "$(certificates)" --argjson now "$EPOCHSECONDS" --arg renewed "$(content "$STATE/renewed")" \
    --arg driver "$(driver)" --argjson v2 "$(flag test -f /sys/fs/cgroup/cgroup.controllers)" \
    --argjson balancer "$(balancer)" --argjson lowers "$(flag lower)" --argjson mapped "$(flag mapped)" --argjson rotating "$(flag rotating)" \
    '{local: {kubeadm: $kubeadm, stands: ($stands | split("\n")), version: ($version | rtrimstr("\n")), record: $record,
      hosts: $hosts, names: $names, network: $network, systemd_cgroup: ($driver == "true"), cgroup_version: (if $v2 then 2 else 1 end),
      lowers: $lowers, mapped: $mapped, rotating: $rotating, certificates: $certificates, now: $now, renewed: $renewed,
      balancer: $balancer}}'
}

# The names of etcd's members as JSON; null where etcd is not kubeadm's, or does not answer. Its JSON interface is asked, as not
# every image has its client.
members() {
  local pki=/etc/kubernetes/pki/etcd
  curl --silent --fail --max-time "$REQUEST" --noproxy '*' --cacert $pki/ca.crt --cert $pki/healthcheck-client.crt \
    --key $pki/healthcheck-client.key --data '{}' https://127.0.0.1:2379/v3/cluster/member/list 2>/dev/null |
    jq -c '[.members[] | select(.isLearner | not) | .name]' 2>/dev/null | grep . || echo null
}

api_state() {
  export KUBECONFIG=/etc/kubernetes/admin.conf
  if [ ! -s "$KUBECONFIG" ]; then echo '{"api": {"error": "no administrator configuration"}}'; exit 0; fi
  work=$(mktemp -d /run/nodeforge.kic.XXXXXX)
  trap 'rm -rf "$work"' EXIT
  kubectl="kubectl --request-timeout=${REQUEST}s --cache-dir=/run/nodeforge.kic-discovery"
  # Without the descriptions of all types, which take the API and kubectl longer than all else: whether something differs is
  # decided by the types that kubectl has built in, and a manifest is checked when it is applied.
  dry_run() { $kubectl apply --dry-run=server --validate=false --openapi-patch=false "${@/#/--filename=}"; }
  applied() { # file, name
    dry_run "$1" >"$work/$2.out" 2>"$work/$2.err" || echo failed >>"$work/$2.out"
  }
  # One kubectl for all costs half as much. What it says is of each manifest as long as nothing is to be done.
  all_unchanged() {
    dry_run "${paths[@]}" >"$work/all" 2>/dev/null && ! grep -v ' unchanged (server dry run)$' "$work/all" >/dev/null
  }
  addons() {
    [ ${#paths[@]} -gt 0 ] || return 0
    if all_unchanged; then
      for name in "${!paths[@]}"; do cp "$work/all" "$work/$name.out"; true >"$work/$name.err"; done
    else
      for name in "${!paths[@]}"; do applied "${paths[$name]}" "$name" & done
      wait
    fi
  }
  cat >"$work/manifests"
  # All nodes, for the pod network; only where a control plane queries its own API.
  : >"$work/nodes"
  if [ -n "$ALL" ]; then $kubectl get --raw /api/v1/nodes >"$work/nodes" 2>/dev/null & fi
  # shellcheck disable=SC2086 # many words on purpose
  $kubectl -n kube-system get "node/$NODE" $OBJECTS --ignore-not-found -o json >"$work/objects" 2>"$work/error" \
    || echo '{"failed": true}' >"$work/objects" &
  declare -A paths=()
  names=()
  while read -r name path; do
    names+=("$name")
    if [ -z "$path" ]; then
      path=$work/$name.yaml
      jq -r --arg name "$name" '.[] | select(.name == $name) | .content' "$work/manifests" >"$path"
    fi
    if [ -s "$path" ]; then paths[$name]=$path; fi
  done < <(jq -r '.[] | "\(.name) \(.path // "")"' "$work/manifests")
  if [ -n "$MEMBERS" ]; then members >"$work/members"; else echo null >"$work/members"; fi
  addons
  wait
  said=()
  for name in "${names[@]}"; do
    if [ -f "$work/$name.out" ]; then said+=(--arg "$name" "$(cat "$work/$name.out" "$work/$name.err")"); fi
  done
  changes=$(jq -nc "${said[@]}" '$ARGS.named')
  jq -sc --arg error "$(cat "$work/error")" --argjson changes "$changes" \
    --argjson signs "$(flag test -s /etc/kubernetes/pki/ca.key)" --argjson members "$(cat "$work/members")" '
    (.[0] // {}) as $answer
    | ([$answer.items[]?, ($answer | select(.kind != null and .kind != "List"))]) as $items
    | {api: {
        error: (if $answer.failed then $error else "" end),
        signs: $signs,
        members: $members,
        objects: [$items[] | "\(.kind)/\(.metadata.name)"],
        changes: $changes,
        nodes: [.[1].items[]? | {metadata: (.metadata | {name, creationTimestamp}), spec: {podCIDRs: .spec.podCIDRs},
          status: {conditions: .status.conditions}}],
        node: ([$items[] | select(.kind == "Node") | {
          name: .metadata.name, labels: (.metadata.labels // {}), taints: (.spec.taints // []),
          declared: (.metadata.annotations["nodeforge.kic/declared"] // ""),
          leaving: (.metadata.annotations["nodeforge.kic/leaving"] != null),
          pod_cidrs: (.spec.podCIDRs // []), version: (.status.nodeInfo.kubeletVersion // ""),
          ready: ([.status.conditions[]? | select(.type == "Ready") | .status] | first // "Unknown"),
          heartbeat: ([.status.conditions[]? | select(.type == "Ready") | .lastHeartbeatTime | fromdate?] | max),
          why: ([.status.conditions[]? | select(.type == "Ready") | .message] | first // ""),
          address: ([.status.addresses[]? | select(.type == "InternalIP") | .address] | first // "")}] | first)}}' \
    "$work/objects" "$work/nodes"
}

# Any image has bash.
if [ "$PARTS" = info ]; then boot; certificates; exit 0; fi
case " $PARTS " in *" boot "*) boot | jq -Rsc '{boot: .}' ;; esac
case " $PARTS " in
  *" local api "*)
    # The two at once: the API works on its answers while the node is read.
    seen=$(mktemp /run/nodeforge.kic.XXXXXX)
    (local_state "$@") </dev/null >"$seen" &
    (api_state)
    wait
    cat "$seen"
    rm "$seen"
    ;;
  *" local "*) local_state "$@" ;;
  *" api "*) (api_state) ;;
esac
