#!/bin/bash
# The command of wurstmeister's image: what these two commands print stands where _{HOSTNAME_COMMAND} and
# _{PORT_COMMAND} do.
set -o errexit
for name in HOSTNAME_COMMAND PORT_COMMAND; do
  [ -n "${!name:-}" ] || continue
  value=$(eval "${!name}")
  for variable in "${!KAFKA_@}"; do
    export "$variable=${!variable//_\{$name\}/$value}"
  done
  if [ $name = HOSTNAME_COMMAND ]; then
    export KAFKA_ADVERTISED_HOST_NAME=${KAFKA_ADVERTISED_HOST_NAME:-$value}
  else
    export KAFKA_ADVERTISED_PORT=${KAFKA_ADVERTISED_PORT:-$value}
  fi
done
exec milena compat serve
