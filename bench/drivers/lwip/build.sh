#!/bin/sh
# Builds the driver into the file $1, against Debian's lwIP.
set -eu
cd "$(dirname "$0")"
dpkg -s liblwip-dev >/dev/null 2>&1 || { echo "lwip: Debian's package liblwip-dev is missing" >&2; exit 1; }
exec cc -std=gnu11 -D_GNU_SOURCE -O2 -g -flto -Wall -Wextra -I/usr/include/lwip -o "$1" ./*.c -llwip
