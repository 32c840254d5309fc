#!/usr/bin/env bash
# Build the images of this checkout and load them into the cluster's node; one that is there already is left alone.
# shellcheck source=scripts/kind/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_cluster
names=$(IMAGES="train-cpu predict" IMAGE_PREFIX='' docker/build.sh)
while read -r name; do
    say "loading $name"
    kind load docker-image "$name" --name "$CLUSTER" </dev/null || fail "kind could not load $name; see the line above, and docs/troubleshooting.md"
    case $name in
        longtail-train-cpu:*) train=$name ;;
        longtail-predict:*) predict=$name ;;
    esac
done <<<"$names"

# the ServingRuntime names what was built
mkdir -p "$STATE/overlay"
cat >"$STATE/overlay/kustomization.yaml" <<YAML
resources: [../../../manifests/overlays/kind]
images:
  - {name: longtail-predict, newTag: "${predict#*:}"}
YAML
kube apply -k "$STATE/overlay" >/dev/null
printf '%s\n' "$train" >"$STATE/train-image"
say "ready; next: make kind-run kind-predict"
