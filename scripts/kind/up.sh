#!/usr/bin/env bash
# A local cluster with Kubeflow Pipelines, KServe (Standard mode) and what longtail needs there. Run again, it goes on where
# it stopped. Variables: KIND_CLUSTER (name), NEED_CPUS, NEED_MEMORY_GB, PATIENCE (how long to wait for each part).
# shellcheck source=scripts/kind/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
NEED_CPUS=${NEED_CPUS:-4}
NEED_MEMORY_GB=${NEED_MEMORY_GB:-12}
PATIENCE=${PATIENCE:-15m}

check_machine() {
    local given cpus memory
    say "needs $NEED_CPUS CPUs and $NEED_MEMORY_GB GB of memory for Docker, and 30 GB of disk (estimated)"
    command -v docker >/dev/null || fail "docker is not installed; kind makes its nodes of containers"
    given=$(docker info --format '{{.NCPU}} {{.MemTotal}}' 2>/dev/null) || fail "no Docker engine answers (docker info); start it"
    read -r cpus memory <<<"$given"
    memory=$((memory / 1000000000))
    if [ "$cpus" -lt "$NEED_CPUS" ] || [ "$memory" -lt "$NEED_MEMORY_GB" ]; then
        fail "Docker has $cpus CPUs and $memory GB of memory, but the cluster needs $NEED_CPUS and $NEED_MEMORY_GB; give it more (Docker Desktop: Settings, Resources), or try with less: make kind-up NEED_CPUS=$cpus NEED_MEMORY_GB=$memory"
    fi
    command -v git >/dev/null || fail "git is not installed; kubectl takes the manifests of Kubeflow Pipelines with it"
}

make_cluster() {
    if cluster_exists; then
        say "cluster $CLUSTER is there"
        docker start "$CLUSTER-control-plane" >/dev/null # after a restart of the machine
        kind export kubeconfig --name "$CLUSTER" --kubeconfig "$KUBECONFIG" >/dev/null 2>&1 ||
            fail "cluster $CLUSTER does not answer; make it anew: make kind-down kind-up"
    else
        say "making the cluster $CLUSTER"
        kind create cluster --name "$CLUSTER" --image "$NODE_IMAGE" --config scripts/kind/cluster.yaml --kubeconfig "$KUBECONFIG" ||
            fail "kind could not make the cluster; see the lines above, and docs/troubleshooting.md"
    fi
    await "the node" --for=condition=Ready node --all --timeout="$PATIENCE"
}

install_cert_manager() {
    local file=.kind/downloads/cert-manager-$CERT_MANAGER_VERSION.yaml
    say "cert-manager $CERT_MANAGER_VERSION"
    fetch "https://github.com/cert-manager/cert-manager/releases/download/$CERT_MANAGER_VERSION/cert-manager.yaml" "$file" "$CERT_MANAGER_SHA256"
    kube apply --server-side -f "$file" >/dev/null
    await "cert-manager" -n cert-manager --for=condition=Available deployment --all --timeout="$PATIENCE"
}

install_kserve() {
    local release=https://github.com/kserve/kserve/releases/download/$KSERVE_VERSION folder=.kind/downloads/kserve-$KSERVE_VERSION
    say "KServe $KSERVE_VERSION"
    mkdir -p "$folder"
    fetch "$release/kserve-crds.yaml" "$folder/kserve-crds.yaml" "$KSERVE_CRDS_SHA256"
    fetch "$release/kserve.yaml" "$folder/kserve.yaml" "$KSERVE_SHA256"
    fetch "$release/kserve-cluster-resources.yaml" "$folder/kserve-cluster-resources.yaml" "$KSERVE_RESOURCES_SHA256"
    # by the server: the resources are larger than the annotation in which a client keeps them
    kube apply --server-side --force-conflicts -f "$folder/kserve-crds.yaml" >/dev/null
    kube get namespace kserve >/dev/null 2>&1 || kube create namespace kserve >/dev/null
    kube apply --server-side --force-conflicts -f "$folder/kserve.yaml" >/dev/null
    kube -n kserve patch configmap inferenceservice-config --type merge \
        -p '{"data": {"deploy": "{\"defaultDeploymentMode\": \"Standard\"}"}}' >/dev/null
    await "KServe" -n kserve --for=condition=Available deployment/kserve-controller-manager --timeout="$PATIENCE"
    kube apply --server-side --force-conflicts -f "$folder/kserve-cluster-resources.yaml" >/dev/null
    kube patch clusterstoragecontainer default --type merge \
        --patch-file manifests/kserve/storage-initializer.patch.yaml >/dev/null
}

install_pipelines() {
    local manifests=github.com/kubeflow/pipelines/manifests/kustomize
    say "Kubeflow Pipelines $KFP_VERSION"
    kube apply -k "$manifests/cluster-scoped-resources?ref=$KFP_VERSION" >/dev/null
    await "its resources" --for=condition=Established crd/applications.app.k8s.io --timeout=120s
    kube apply -k "$manifests/env/platform-agnostic?ref=$KFP_VERSION" >/dev/null
    await "Kubeflow Pipelines (some minutes)" -n kubeflow --for=condition=Available deployment --all --timeout="$PATIENCE"
}

# shellcheck disable=SC2034  # fill reads the variables by their names
install_longtail() {
    say "longtail"
    if [ -d "$STATE/overlay" ]; then kube apply -k "$STATE/overlay"; else kube apply -k manifests/overlays/kind; fi >/dev/null # images.sh
    # those of the pipelines' object store, where the bundles are published: never on a command line, never in a file
    AWS_ACCESS_KEY_ID=$(object_store_key accesskey)
    AWS_SECRET_ACCESS_KEY=$(object_store_key secretkey)
    S3_ENDPOINT=seaweedfs.kubeflow:8333 S3_USE_HTTPS=0
    AWS_ENDPOINT_URL=http://$S3_ENDPOINT AWS_DEFAULT_REGION=us-east-1
    for NAMESPACE in longtail kubeflow; do
        fill manifests/base/s3-secret.template.yaml NAMESPACE S3_ENDPOINT S3_USE_HTTPS AWS_DEFAULT_REGION AWS_ENDPOINT_URL \
            AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY | kube apply -f - >/dev/null
    done
}

object_store_key() {
    kube -n kubeflow get secret mlpipeline-minio-artifact -o "jsonpath={.data.$1}" | base64 --decode
}

check_machine
tools
make_cluster
install_cert_manager
install_kserve
install_pipelines
install_longtail
say "ready; next: make kind-images kind-run kind-predict"
