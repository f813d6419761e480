#!/usr/bin/env bash
# From the wheel to a finished demo, without a clone: tools/check_wheel.sh [PYTHON ...]      (after make dist)
#
# For each interpreter an environment and an empty folder of its own, which are removed afterwards.
set -euo pipefail
wheels=("$(dirname "$(realpath "$0")")"/../dist/*.whl)
if [ "${#wheels[@]}" != 1 ] || [ ! -f "${wheels[0]}" ]; then
    echo "dist holds no wheel, or several: make dist" >&2
    exit 2
fi
[ "$#" -gt 0 ] || set -- python3

seconds() { # of a command
    local begun
    begun=$(date +%s%N)
    "$@" >/dev/null
    echo "$(($(date +%s%N) - begun))" | awk '{printf "%.2f s", $1 / 1e9}'
}

for python in "$@"; do
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$python" -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check "${wheels[0]}"
    (
        cd "$folder"
        venv/bin/python --version
        venv/bin/avjepa --version
        venv/bin/avjepa --help >/dev/null # byte code is written
        echo "import avjepa: $(seconds venv/bin/python -c 'import avjepa'); avjepa --help: $(seconds venv/bin/avjepa --help)"
        venv/bin/avjepa configs list >/dev/null
        venv/bin/avjepa demo --quick --out demo >demo.log
        test -s demo/report.html
        tail -n 1 demo.log
    )
    rm -rf "$folder"
done
