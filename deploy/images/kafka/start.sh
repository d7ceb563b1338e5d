#!/bin/sh
# start.sh SERVER_PROPERTIES CLUSTER_ID: formats the log's folder if it is new, then is the broker.
set -eu

settings=$1
cluster=$2
set -- "-Xmx${KAFKA_HEAP:-512m}" -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/*'
java "$@" kafka.tools.StorageTool format --standalone --ignore-formatted --cluster-id "$cluster" --config "$settings"
exec java "$@" kafka.Kafka "$settings"
