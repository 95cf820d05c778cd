#!/bin/bash
for script in /docker-entrypoint-initdb.d/*.sh; do
  if [ -x "$script" ]; then
    "$script"
  elif [ -f "$script" ]; then
    . "$script"
  fi
done
exec milena compat serve "$@"
