#!/bin/sh
# Starts one Redis of compose.sentinel.yaml: server.sh NAME [FIRST-MASTER]
#
# Sentinel decides who is the master, and each Redis writes its role into its configuration file. So the file lies on the
# volume. Of the former one only the role is kept; all else is taken from redis.conf again, so that a change there counts.
# FIRST-MASTER is followed at the very first start, when there is no former one.
set -eu

cd /data
if [ -f redis.conf ]; then
    role=$(grep '^replicaof ' redis.conf || true)
else
    role=${2:+replicaof $2 6379}
fi
cat /deploy/redis.conf - >redis.conf.new <<END
# Names and not addresses: a container that is made anew has another address.
replica-announce-ip $1
$role
END
mv redis.conf.new redis.conf
chown -R redis:redis .
# Not by way of the image's own entrypoint: it loads modules by option, Redis would write those into the file as well, and
# a module that is loaded twice stops the start.
exec setpriv --reuid redis --regid redis --clear-groups redis-server /data/redis.conf
