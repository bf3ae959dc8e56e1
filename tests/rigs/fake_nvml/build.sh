#!/bin/sh
# build.sh FOLDER: make FOLDER/libnvidia-ml.so.1, which LD_LIBRARY_PATH or LD_PRELOAD puts in place
# of the driver's.
set -eu
exec "${CC:-cc}" -std=c11 -O1 -Wall -Wextra -Werror -shared -fPIC \
  -Wl,-soname,libnvidia-ml.so.1 "$(dirname "$0")/nvml.c" -o "$1/libnvidia-ml.so.1"
