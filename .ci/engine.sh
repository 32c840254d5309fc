# shellcheck shell=bash
# Sourced by run: a Docker engine with a base image for the tests of the images, where none answers and one may be started
# (Debian, as root). Where it cannot be had, LONGTAIL_NO_IMAGES says why, and those tests skip with these words.

export LONGTAIL_NO_IMAGES=

start_engine() {
    if docker info >/dev/null 2>&1; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        LONGTAIL_NO_IMAGES="no Docker engine answers, and only root on Debian may start one here"
        return
    fi
    if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends docker.io debootstrap
    fi
    ENGINE=$(mktemp -d "${TMPDIR:-/tmp}/longtail-engine.XXXXXX")
    HAD_BRIDGE=$(if [ -e /sys/class/net/docker0 ]; then echo yes; fi)
    # It changes nothing of the machine's firewall and routing: containers reach each other and this machine, no more.
    dockerd --data-root "$ENGINE/data" --exec-root "$ENGINE/exec" --pidfile "$ENGINE/pid" --host "unix://$ENGINE/socket" \
        --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >"$ENGINE/log" 2>&1 &
    DOCKERD=$!
    export DOCKER_HOST=unix://$ENGINE/socket
    local try
    for try in $(seq 120); do
        if docker info >/dev/null 2>&1; then break; fi
        if ! kill -0 "$DOCKERD" 2>/dev/null || [ "$try" -eq 120 ]; then
            LONGTAIL_NO_IMAGES="a Docker engine does not start here: $(grep -v level=info "$ENGINE/log" | tail -n 1)"
            return
        fi
        sleep 0.5
    done
    export BASE_IMAGE=longtail-base:bookworm NETWORK=host  # without the firewall's help, a build reaches the network so
    docker/base.sh >"$ENGINE/base.log" 2>&1 ||
        LONGTAIL_NO_IMAGES="no base image can be made here: $(tail -n 1 "$ENGINE/base.log")"
}

stop_engine() {
    if [ -n "${DOCKERD:-}" ]; then
        kill "$DOCKERD" 2>/dev/null || true  # it ends its containers first
        wait "$DOCKERD" 2>/dev/null || true
        DOCKERD=
        if [ -z "$HAD_BRIDGE" ] && command -v ip >/dev/null; then ip link delete docker0 2>/dev/null || true; fi
    fi
    if [ -n "${ENGINE:-}" ]; then rm -rf "$ENGINE"; fi
}
