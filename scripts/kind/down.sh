#!/usr/bin/env bash
# Delete the cluster with all that is in it. Downloads and images stay.
# shellcheck source=scripts/kind/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v kind >/dev/null || { say "kind was never here: nothing to delete"; exit; }
if cluster_exists; then
    kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"
else
    say "there is no cluster $CLUSTER"
fi
rm -rf "$STATE"
