#!/usr/bin/env bash
# Make a base image without a container registry: Debian by debootstrap (as root), slimmed and imported.
# Variables: BASE_IMAGE (its name), SUITE, MIRROR and SECURITY_MIRROR (of Debian's packages), DOCKER.
set -euo pipefail

BASE_IMAGE=${BASE_IMAGE:-longtail-base:bookworm}
SUITE=${SUITE:-bookworm}
DOCKER=${DOCKER:-docker}

fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

[ "$(id -u)" -eq 0 ] || fail "debootstrap needs root; run this with sudo"
command -v debootstrap >/dev/null || fail "debootstrap is missing; install it (Debian, Ubuntu: apt-get install debootstrap)"
"$DOCKER" info >/dev/null 2>&1 || fail "no Docker engine answers ($DOCKER info); start it, or name it: DOCKER_HOST=…"

root=$(mktemp -d "${TMPDIR:-/tmp}/longtail-base.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT

# shellcheck disable=SC2086  # without a MIRROR there is no argument, and debootstrap takes its default
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$SUITE" "$root" ${MIRROR:-} >&2

read -r _ mirror _ <"$root/etc/apt/sources.list"
security=${SECURITY_MIRROR:-${mirror%/}-security}
echo "deb $security $SUITE-security main" >>"$root/etc/apt/sources.list"
export DEBIAN_FRONTEND=noninteractive
chroot "$root" apt-get update -q >&2
chroot "$root" apt-get upgrade -y -q >&2

# As Debian's slim images: no package lists, manuals and translations; copyright notices stay.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/tmp/* \
    "$root"/usr/share/{man,info,locale,lintian} "$root"/etc/resolv.conf "$root"/etc/hostname
find "$root/usr/share/doc" -mindepth 2 ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete

tar -C "$root" --sort=name --numeric-owner --one-file-system -c . |
    "$DOCKER" import --change 'CMD ["/bin/sh"]' --message "Debian $SUITE by debootstrap" - "$BASE_IMAGE" >&2
echo "$BASE_IMAGE"
