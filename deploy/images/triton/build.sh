#!/bin/sh
# build.sh PYTHON FOLDER: compile the one C file that Triton wants compiled when it first meets a GPU, as Triton would,
# and put it into FOLDER beside `cc`, which hands it out. The driver's library need not be there: names are bound later.
set -eu

python=$1
folder=$2
nvidia=$("$python" -c 'import pathlib, triton.backends.nvidia as nvidia; print(pathlib.Path(nvidia.__file__).parent)')
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_paths(scheme="posix_prefix")["include"])')
work=$(mktemp -d)

gcc -x c -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$work/libcuda.so.1" /dev/null
gcc "$nvidia/driver.c" -O3 -shared -fPIC -Wno-psabi -o "$folder/module.so" \
    -Wl,--no-as-needed -L"$work" -l:libcuda.so.1 -I"$nvidia/include" -I"$headers"
sha256sum <"$nvidia/driver.c" >"$folder/source.sha256"
rm -r "$work"
