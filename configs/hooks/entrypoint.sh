#!/bin/sh
# Entrypoint of an image: the daemon in the background, then what the workspace starts, then the command itself.
# In a Dockerfile: COPY entrypoint.sh start-daemon.sh /usr/local/bin/ and ENTRYPOINT ["entrypoint.sh"]
set -eu
here=$(dirname "$0")
sh "$here/start-daemon.sh" "${WORKSPACE:-$PWD}"
phased trigger postMachineStart > /dev/null
phased trigger postEnvironmentStart > /dev/null
exec "$@"
