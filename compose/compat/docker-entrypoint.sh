#!/bin/bash
# The entry point of Debezium's image: start, create-topic and watch-topic.
set -o errexit
command=${1:-start}
[ $# -eq 0 ] || shift
case $command in
  start) exec milena compat serve ;;
  create-topic)
    partitions=1 replicas=1 policy=delete
    while getopts p:r:c: option; do
      case $option in
        p) partitions=$OPTARG ;;
        r) replicas=$OPTARG ;;
        c) policy=$OPTARG ;;
        *) exit 1 ;;
      esac
    done
    shift $((OPTIND - 1))
    exec kafka-topics --create --bootstrap-server "${KAFKA_BROKER:-localhost:9092}" --topic "$1" \
      --partitions "$partitions" --replication-factor "$replicas" --config cleanup.policy="$policy"
    ;;
  watch-topic)
    from=() keys=()
    while getopts akm: option; do
      case $option in
        a) from=(--from-beginning) ;;
        k) keys=(--property print.key=true) ;;
        m) from+=(--max-messages "$OPTARG") ;;
        *) exit 1 ;;
      esac
    done
    shift $((OPTIND - 1))
    exec kafka-console-consumer --bootstrap-server "${KAFKA_BROKER:-localhost:9092}" --topic "$1" "${from[@]}" "${keys[@]}"
    ;;
  *) exec "$command" "$@" ;;
esac
