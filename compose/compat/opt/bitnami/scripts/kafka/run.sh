#!/bin/bash
. /etc/kafka/docker/prepare
exec milena compat serve "$@"
