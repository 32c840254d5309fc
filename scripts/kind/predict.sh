#!/usr/bin/env bash
# Ask the service on the cluster for recommendations. Variables: REQUEST (a V1 body), SERVICE, PORT.
# shellcheck source=scripts/kind/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
SERVICE=${SERVICE:-longtail}
PORT=${PORT:-8081}
REQUEST=${REQUEST:-'{"instances": [{"interests": "a gift for a coffee lover", "k": 5}, {"k": 3}]}'}

need_cluster
kube -n longtail get inferenceservice "$SERVICE" >/dev/null 2>&1 ||
    fail "there is no InferenceService $SERVICE; the pipeline makes it when its gate passes: make kind-run"
await "the service $SERVICE" -n longtail --for=condition=Ready "inferenceservice/$SERVICE" --timeout=5m
forward "$PORT" longtail "service/$SERVICE-predictor:80" "http://127.0.0.1:$PORT/v2/models/$SERVICE/ready"
say "POST http://127.0.0.1:$PORT/v1/models/$SERVICE:predict $REQUEST"
curl --fail-with-body --silent --show-error --max-time 60 --header 'Content-Type: application/json' \
    --data "$REQUEST" "http://127.0.0.1:$PORT/v1/models/$SERVICE:predict" || fail "the service refused; its answer is above"
echo
