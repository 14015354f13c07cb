#!/bin/sh
# Makes one cluster of the nodes of compose.cluster.yaml: form.sh NODE...
#
# The first half of them become masters with an equal share of the slots each, the others their replicas. Each step does only
# what is not done yet. So a second run changes nothing (where a replica has taken over since, it stays the master), and one
# after a run that was cut off does the rest.
set -eu

SLOTS=16384
nodes=$#
masters=$((nodes / 2))

ask() { redis-cli -h "$@"; }
address_of() { getent ahostsv4 "$1" | awk 'NR == 1 {print $1}'; }
knows_all() { ask "$1" cluster info | grep -q "^cluster_known_nodes:$nodes\b"; }
every_slot_has_a_master() { ask "$1" cluster info | grep -q "^cluster_slots_assigned:$SLOTS\b"; }
has_nothing() { ask "$1" cluster nodes | awk '/myself,master/ {found = NF == 8} END {exit !found}'; } # the ninth field: its slots
is_whole() { ask "$1" cluster info | grep -q "^cluster_slots_ok:$SLOTS\b" && ask "$1" role | grep -qx 'master\|connected'; }
wait_until() {
    for _ in $(seq 300); do
        "$@" && return
        sleep 0.2
    done
    echo "not so after a minute: $*" >&2
    exit 1
}

number=0
for node in "$@"; do # whoever begins with different epochs has none to agree on; refused by a node that knows others already
    number=$((number + 1))
    ask "$node" cluster set-config-epoch $number >/dev/null
done
for node in "$@"; do
    knows_all "$node" || ask "$1" cluster meet "$(address_of "$node")" 6379 >/dev/null
done
for node in "$@"; do wait_until knows_all "$node"; done

number=0
for node in "$@"; do
    if [ $number -lt $masters ]; then
        every_slot_has_a_master "$node" ||
            ask "$node" cluster addslotsrange $((SLOTS * number / masters)) $((SLOTS * (number + 1) / masters - 1)) >/dev/null
    elif has_nothing "$node"; then
        eval "master=\${$((number - masters + 1))}"
        ask "$node" cluster replicate "$(ask "$master" cluster myid)" >/dev/null
    fi
    number=$((number + 1))
done
for node in "$@"; do wait_until is_whole "$node"; done
ask "$1" cluster nodes
