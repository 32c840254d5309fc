# shellcheck shell=bash
# What the steps share. Each step may be run again; each kubectl names its cluster, so that no other is ever touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/kind/versions.sh
source scripts/kind/versions.sh

CLUSTER=${KIND_CLUSTER:-longtail}
STATE=.kind/$CLUSTER
VENV=${VENV:-.venv}
PATH=$PWD/.kind/bin:$PATH
export KUBECONFIG=$PWD/$STATE/kubeconfig
umask 077
mkdir -p "$STATE" .kind/bin .kind/downloads

say() { printf 'kind: %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

kube() { kubectl --context "kind-$CLUSTER" "$@"; }

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1; }

# Download $1 to $2, unless it is there with the sha256 $3. Without a $3 it is fetched once, and its sha256 said.
fetch() {
    local url=$1 path=$2 wanted=${3:-} found
    if [ ! -f "$path" ] || { [ -n "$wanted" ] && [ "$(sha256 "$path")" != "$wanted" ]; }; then
        curl --fail --silent --show-error --location --retry 3 --proto '=https' --output "$path.partial" "$url" ||
            fail "cannot download $url; see the line above, and docs/troubleshooting.md"
        found=$(sha256 "$path.partial")
        if [ -n "$wanted" ] && [ "$found" != "$wanted" ]; then
            rm "$path.partial"
            fail "$url has the sha256 $found, but $wanted was expected; it was cut off or changed: do not use it"
        fi
        mv "$path.partial" "$path"
    fi
    [ -n "$wanted" ] || say "${path##*/}: no published checksum, trusted by TLS alone; its sha256 is $(sha256 "$path")"
}

# $1 is on the PATH with the version $2, as "$1 $3" prints it, or it is downloaded from $4 with the checksum file $4$5.
tool() {
    local name=$1 version=$2 ask=$3 url=$4 suffix=$5 sum
    # shellcheck disable=SC2086  # words
    if "$name" $ask 2>/dev/null | grep -qF "$version"; then return; fi
    say "$name $version into .kind/bin"
    sum=$(curl --fail --silent --show-error --location --retry 3 --proto '=https' "$url$suffix" | cut -d ' ' -f 1) ||
        fail "cannot download the checksum $url$suffix; install $name $version by hand"
    [[ $sum =~ ^[0-9a-f]{64}$ ]] || fail "$url$suffix holds no sha256; install $name $version by hand"
    fetch "$url" ".kind/bin/$name" "$sum"
    chmod +x ".kind/bin/$name"
}

tools() {
    local system machine
    command -v curl >/dev/null || fail "curl is not installed"
    system=$(uname -s | tr '[:upper:]' '[:lower:]')
    machine=$(uname -m)
    case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
    tool kind "$KIND_VERSION" version "https://kind.sigs.k8s.io/dl/$KIND_VERSION/kind-$system-$machine" .sha256sum
    tool kubectl "$KUBECTL_VERSION" "version --client" \
        "https://dl.k8s.io/release/$KUBECTL_VERSION/bin/$system/$machine/kubectl" .sha256
}

cluster_exists() { kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; }

need_cluster() {
    tools
    cluster_exists || fail "there is no cluster $CLUSTER; make one first: make kind-up"
}

# Wait for what "kubectl wait" is asked, and on failure show what stands in the way.
await() {
    local what=$1
    shift
    say "waiting for $what"
    if ! kube wait "$@" >/dev/null; then
        kube get pods --all-namespaces --field-selector=status.phase!=Succeeded >&2 || true
        kube get events --all-namespaces --field-selector=type=Warning --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
        fail "$what: not there in time; the lines above say why, docs/troubleshooting.md what to do. Run this again to wait longer"
    fi
}

# Text $1 with ${NAME} replaced by the variable NAME, for each further argument.
fill() {
    local text name
    text=$(<"$1")
    for name in "${@:2}"; do text=${text//"\${$name}"/"${!name}"}; done
    printf '%s\n' "$text"
}

# Forward the local port $1 to $3 in namespace $2 until the script ends; asks $4 until it answers.
forward() {
    local port=$1 namespace=$2 target=$3 url=$4 log=$STATE/port-$1.log tries=0 id
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        fail "port $port is in use; stop what listens there, or give another: docs/kind.md lists the variables"
    fi
    # kubectl itself and not kube: a function in the background is a shell of its own, whose end kubectl outlives
    kubectl --context "kind-$CLUSTER" -n "$namespace" port-forward "${target%:*}" "$port:${target##*:}" >"$log" 2>&1 &
    id=$!
    FORWARDS+=("$id")
    until curl --silent --output /dev/null --max-time 5 "$url"; do
        if ! kill -0 "$id" 2>/dev/null || [ "$((tries += 1))" -gt 30 ]; then
            fail "port $port: $(tail -n 1 "$log"); see docs/troubleshooting.md"
        fi
        sleep 1
    done
}

FORWARDS=()
end_forwards() {
    local id
    for id in ${FORWARDS[@]+"${FORWARDS[@]}"}; do
        kill "$id" 2>/dev/null || true
        wait "$id" 2>/dev/null || true
    done
}
trap end_forwards EXIT
