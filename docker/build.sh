#!/usr/bin/env bash
# Build images and print their names. A name's tag is derived from what goes into the image, so one that is there already
# is not built again.
#   docker/build.sh            build
#   docker/build.sh --names    only print the names
# Variables:
#   IMAGES           targets of the Dockerfile (train-cpu predict)
#   IMAGE_PREFIX     what stands before the names, for example a registry and a slash
#   BASE_IMAGE       Debian, with or without Python; base.sh makes one where no registry can be reached
#   CA_BUNDLE        extra CA bundle, a build secret (PIP_CERT)
#   PIP_INDEX_URL, PIP_EXTRA_INDEX_URL   as pip knows them; with a password in them, use PIP_CONFIG
#   PIP_CONFIG       pip's configuration file, a build secret
#   TORCH_INDEX_URL  index for torch alone: the build (CPU, a CUDA version) that you want
#   WHEELS           folder of wheels that no index has (PIP_FIND_LINKS, where it is a folder)
#   NETWORK          network of the build, for example host (default)
#   DOCKER           the client; it needs BuildKit
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
IMAGES=${IMAGES:-train-cpu predict}
IMAGE_PREFIX=${IMAGE_PREFIX:-}
BASE_IMAGE=${BASE_IMAGE:-python:3.11-slim-bookworm}
CA_BUNDLE=${CA_BUNDLE-${PIP_CERT:-}}
WHEELS=${WHEELS-${PIP_FIND_LINKS:-}}
CONTENT=(pyproject.toml constraints.txt README.md LICENSE .dockerignore scripts/embedded-model.txt
    docker/Dockerfile docker/pip.sh docker/requirements.py src components pipelines)

say() { printf 'images: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }
sha256() { if command -v sha256sum >/dev/null; then xargs -0 sha256sum; else xargs -0 shasum -a 256; fi; }

# The first client that can build with BuildKit.
find_docker() {
    local candidate
    for candidate in ${DOCKER:-docker /usr/bin/docker}; do
        if DOCKER_BUILDKIT=1 "$candidate" build --help 2>/dev/null | grep -q -e --secret; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail "no Docker client with BuildKit (${DOCKER:-docker}); install one (Debian: apt-get install docker.io) or name it: DOCKER=/path"
}

# A folder that holds what the images are made of and nothing else: it is hashed, and it is the build context.
stage() {
    local path
    for path in "${CONTENT[@]}"; do
        mkdir -p "$context/$(dirname "$path")"
        cp -RP "$path" "$context/$path"
    done
    find "$context" -depth \( -name __pycache__ -o -name '*.egg-info' \) -exec rm -rf {} +
}

# SHA-256 over what was given, and names, bytes and links of the staged files.
digest() {
    {
        printf '%s\n' "$1" "${TORCH_INDEX_URL:-}"
        cd "$context"
        find . -type f -print0 | LC_ALL=C sort -z | sha256
        find . -type l | LC_ALL=C sort | while read -r path; do echo "$path -> $(readlink "$path")"; done
    } >"$work/sums"
    printf '%s\0' "$work/sums" | sha256 | cut -c 1-16
}

# By hard links where the file system lets us: a wheel of torch is large.
add_wheels() {
    local wheel
    mkdir -p "$context/docker/wheels"
    for wheel in docker/wheels/*.whl ${WHEELS:+"$WHEELS"/*.whl}; do
        if [ -f "$wheel" ]; then ln -L "$wheel" "$context/docker/wheels/" 2>/dev/null || cp "$wheel" "$context/docker/wheels/"; fi
    done
}

build() {
    local image=$1 name=$2
    local options=(--target "$image" --tag "$name" --file "$context/docker/Dockerfile"
        --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "VERSION=$tag" --build-arg "REVISION=$revision")
    local argument
    for argument in PIP_INDEX_URL PIP_EXTRA_INDEX_URL TORCH_INDEX_URL; do
        if [ -n "${!argument:-}" ]; then options+=(--build-arg "$argument=${!argument}"); fi
    done
    if [ -n "$CA_BUNDLE" ]; then options+=(--secret "id=ca,src=$CA_BUNDLE"); fi
    if [ -n "${PIP_CONFIG:-}" ]; then options+=(--secret "id=pip,src=$PIP_CONFIG"); fi
    if [ -n "${NETWORK:-}" ]; then options+=(--network "$NETWORK"); fi
    DOCKER_BUILDKIT=1 "$DOCKER" build "${options[@]}" "$context" >&2
}

for file in "$CA_BUNDLE" "${PIP_CONFIG:-}"; do
    [ -z "$file" ] || [ -f "$file" ] || fail "$file: no such file; CA_BUNDLE and PIP_CONFIG name files"
done
[ -z "$WHEELS" ] || [ -d "$WHEELS" ] || { [ -n "${PIP_FIND_LINKS:-}" ] && WHEELS=; } || fail "WHEELS: $WHEELS is no folder"
for image in $IMAGES; do
    grep -q "^FROM .* AS $image\$" docker/Dockerfile || fail "IMAGES: $image is none of train-cpu, train-cuda, predict"
done

DOCKER=$(find_docker)
"$DOCKER" info >/dev/null 2>&1 || fail "no Docker engine answers ($DOCKER info); start it, or name it: DOCKER_HOST=…"
"$DOCKER" image inspect "$BASE_IMAGE" >/dev/null 2>&1 || "$DOCKER" pull "$BASE_IMAGE" >&2 ||
    fail "the base image $BASE_IMAGE is not here and cannot be pulled; make one with docker/base.sh and name it: BASE_IMAGE=…"

work=$(mktemp -d "${TMPDIR:-/tmp}/longtail-images.XXXXXX")
trap 'rm -rf "$work"' EXIT
context=$work/context
mkdir "$context"
stage
tag=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)-$(digest "$("$DOCKER" image inspect --format '{{.Id}}' "$BASE_IMAGE")")
revision=$(git describe --always --dirty --abbrev=40 --match= 2>/dev/null || echo unknown)

if [ "${1:-}" != --names ]; then
    add_wheels
    for image in $IMAGES; do
        name=${IMAGE_PREFIX}longtail-$image:$tag
        if "$DOCKER" image inspect "$name" >/dev/null 2>&1; then
            say "$name is there already"
        else
            say "building $name"
            build "$image" "$name"
        fi
    done
fi
for image in $IMAGES; do echo "${IMAGE_PREFIX}longtail-$image:$tag"; done
