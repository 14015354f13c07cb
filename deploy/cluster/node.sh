#!/bin/sh
# Starts one node of compose.cluster.yaml: node.sh NAME
#
# Nodes talk to each other by address, and a container that is made anew has another one. So whoever starts looks the others up
# again by the names that nodes.conf has beside their addresses. The last to start finds all of them, and they learn its
# address, and each other's, from it.
set -eu

address_of() { getent ahostsv4 "$1" | awk 'NR == 1 {print $1}'; }

cd /data
if [ -f nodes.conf ]; then
    for name in $(sed -n 's/^[0-9a-f]* [^ ]*:6379@16379,\([a-z0-9-]*\),.*/\1/p' nodes.conf); do
        address=$(address_of "$name")
        [ -z "$address" ] || sed -i "s/ [^ ]*:6379@16379,$name,/ $address:6379@16379,$name,/" nodes.conf
    done
fi
chown -R redis:redis .
# Not by way of the image's own entrypoint, which changes the owner of some files only.
exec setpriv --reuid redis --regid redis --clear-groups \
    redis-server /deploy/redis.conf --cluster-announce-hostname "$1" --cluster-announce-ip "$(address_of "$1")"
