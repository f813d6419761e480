#!/usr/bin/env bash
# Builds docker/Dockerfile.cpu and runs the quick demo in it, with or without a container engine.
#
#   tools/check_docker.sh [WORK]         WORK: an empty folder with 15 GB free, ./docker-check by default
#
# With docker and a registry it is "docker build". Where neither can be had, as on a bare Debian machine: buildah with chroot
# isolation, over a base that debootstrap makes (apt-get install buildah debootstrap; root). What pip is configured with
# on this machine (indexes, certificates, wheels on disk) is lent to the build and does not enter the image.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(realpath -m "${1:-docker-check}")
mkdir -p "$work"

if docker info >/dev/null 2>&1 && docker pull -q debian:bookworm-slim; then
    docker build -f docker/Dockerfile.cpu -t avjepa:cpu .
    docker run --rm avjepa:cpu --version
    docker run --rm -v "$work:/out" --user "$(id -u):$(id -g)" avjepa:cpu demo --quick --out /out/demo
    exit
fi

for program in buildah debootstrap; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install buildah debootstrap" >&2; exit 2; }
done
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker
storage=(--root "$work/storage" --runroot "$work/run")
buildah_() { buildah "${storage[@]}" "$@"; }

if ! buildah_ inspect --type image localhost/base >/dev/null 2>&1; then
    rm -rf "$work/base"
    debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log"
    container=$(buildah_ from scratch)
    buildah_ add -q "$container" "$work/base" /
    buildah_ commit -q --rm "$container" localhost/base >/dev/null
    rm -rf "$work/base"
fi

# pip's settings on this machine as one file, and the folders and certificates that they name
{
    echo "[global]"
    python3 -m pip config list | sed -n "s/^\(global\|user\|site\|:env:\)\.\([a-z-]*\)='\(.*\)'\$/\2 = \3/p" | sort -u -t= -k1,1
} >"$work/pip.conf"
lent=(--volume "$work/pip.conf:/etc/pip.conf:ro")
if certificates=$(sed -n 's/^cert = //p' "$work/pip.conf") && [ -n "$certificates" ]; then  # the image's own are a package's
    sed -i 's#^cert = .*#cert = /etc/pip-certificates.crt#' "$work/pip.conf"
    lent+=(--volume "$certificates:/etc/pip-certificates.crt:ro")
fi
while IFS= read -r path; do
    path=${path%/simple}
    [ -e "$path" ] && lent+=(--volume "$path:$path:ro")
done < <(grep -o '/[^ ]*' "$work/pip.conf" | sed 's#^//*#/#' | sort -u)
buildah_ bud --no-cache "${lent[@]}" --build-arg BASE=localhost/base --build-arg TORCH_INDEX= \
    -f docker/Dockerfile.cpu -t avjepa:cpu .

container=$(buildah_ from localhost/avjepa:cpu)
trap 'buildah_ rm "$container" >/dev/null' EXIT
buildah_ run "$container" -- avjepa --version
[ "$(buildah_ run "$container" -- id -u)" = 1000 ]
buildah_ run "$container" -- avjepa demo --quick --out /work/demo
mounted=$(buildah_ mount "$container")
cp -r "$mounted/work/demo" "$work/"
echo "$work/demo/report.html"
