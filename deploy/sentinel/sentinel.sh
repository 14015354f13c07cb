#!/bin/sh
# Starts one sentinel of compose.sentinel.yaml: sentinel.sh NAME
set -eu

cd /data
if [ ! -f sentinel.conf ]; then
    cat /deploy/sentinel.conf - >sentinel.conf.new <<END
sentinel announce-ip $1
END
    mv sentinel.conf.new sentinel.conf
fi
chown -R redis:redis .
exec setpriv --reuid redis --regid redis --clear-groups redis-server /data/sentinel.conf --sentinel
