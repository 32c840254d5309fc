#!/usr/bin/env bash
# Run the pipeline on the cluster: the demo shop, or your tables in INTERACTIONS, ITEMS and USERS (s3:// in the cluster's object
# store) with the settings in CONFIG. Prints the run's address, follows it, and ends as it ends. Variables: UI_PORT, S3_PORT,
# LONGTAIL_FLAGS (more of `longtail submit`).
# shellcheck source=scripts/kind/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
UI_PORT=${UI_PORT:-8080}
S3_PORT=${S3_PORT:-8333}
STORE=s3://mlpipeline/longtail

need_cluster
[ -f "$STATE/train-image" ] || fail "no images were loaded; first: make kind-images"
[ -x "$VENV/bin/longtail" ] || fail "$VENV/bin/longtail is not there; first: make setup"

if [ -z "${INTERACTIONS:-}" ]; then
    say "the demo shop, into the cluster's object store"
    "$VENV/bin/longtail" demo-data --out "$STATE/data"
    forward "$S3_PORT" kubeflow service/seaweedfs:8333 "http://127.0.0.1:$S3_PORT"
    kube -n kubeflow get secret longtail-s3 -o json | "$VENV/bin/python" scripts/kind/upload.py \
        "http://127.0.0.1:$S3_PORT" "$STORE/data" "$STATE"/data/{interactions,items,users}.parquet
    INTERACTIONS=$STORE/data/interactions.parquet ITEMS=$STORE/data/items.parquet USERS=$STORE/data/users.parquet
    CONFIG=${CONFIG:-pipelines/cli/demo.yaml}
fi

forward "$UI_PORT" kubeflow service/ml-pipeline-ui:80 "http://127.0.0.1:$UI_PORT/apis/v2beta1/healthz"
# shellcheck disable=SC2086  # LONGTAIL_FLAGS is a list of words
LONGTAIL_TRAIN_IMAGE=$(<"$STATE/train-image") "$VENV/bin/longtail" submit --follow --host "http://127.0.0.1:$UI_PORT" \
    --interactions "$INTERACTIONS" --items "$ITEMS" ${USERS:+--users "$USERS"} \
    ${CONFIG:+--config "$CONFIG"} --resources manifests/overlays/kind/resources.yaml \
    --set deploy.target=cluster --set "deploy.registry_uri=$STORE/registry" --set deploy.max_replicas=1 ${LONGTAIL_FLAGS:-}
say "next: make kind-predict"
