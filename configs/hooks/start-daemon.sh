#!/bin/sh
# Starts the daemon of this workspace, unless one answers already, and returns once it is ready.
# For places without a service manager: dev containers, images. It outlives this script, its session and
# its terminal. Wants: phased on the PATH, setsid (util-linux).
set -eu
workspace=${1:-$PWD}
log=${PHASED_DAEMON_LOG:-${TMPDIR:-/tmp}/phased-daemon-$(id -u).log}
phased -q status > /dev/null 2>&1 && exit 0
setsid phased serve -C "$workspace" > "$log" 2>&1 < /dev/null &
daemon=$!
tries=0
until phased -q status > /dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge 300 ] || ! kill -0 "$daemon" 2> /dev/null; then
    echo "cannot start the daemon of $workspace; it said:" >&2
    cat "$log" >&2
    exit 1
  fi
  sleep 0.2
done
