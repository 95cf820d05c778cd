#!/bin/bash
# The command of wurstmeister's image.
set -o errexit
. /etc/kafka/docker/prepare
exec milena compat serve
