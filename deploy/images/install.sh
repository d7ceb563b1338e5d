#!/bin/sh
# Run inside an image build: install-locked LOCK installs the packages of a hash-pinned lock into the environment that
# the image runs from, install-locked FOLDER the wheels of a folder. Nothing is fetched where /wheels holds the packages.
#
# Byte code is written here, because the file system is read-only later, and marked as never to be compared with its
# source, because layers do not keep times.
set -eu

environment=/opt/longstream
export PATH=/opt/tools/bin:$PATH
export UV_CACHE_DIR=$environment/cache UV_LINK_MODE=hardlink UV_PYTHON_DOWNLOADS=never
export UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH

install() {
    uv pip install --quiet --python "$environment/bin/python" --no-deps --only-binary :all: "$@"
}

[ -x "$environment/bin/python" ] || uv venv --quiet --no-project --allow-existing "$environment"
if [ -d "$1" ]; then
    install --no-index "$1"/*.whl
elif [ -n "$(ls -A /wheels 2>/dev/null)" ]; then
    install --require-hashes --requirement "$1" --no-index --find-links /wheels
else
    install --require-hashes --requirement "$1"
fi
rm -rf "$UV_CACHE_DIR"
