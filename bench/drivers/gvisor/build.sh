#!/bin/sh
# Builds the driver into the file $1, from Debian's packages alone.
set -eu
cd "$(dirname "$0")"
for package in golang-go golang-gvisor-gvisor-dev; do
    dpkg -s "$package" >/dev/null 2>&1 || { echo "gvisor: Debian's package $package is missing" >&2; exit 1; }
done
export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS=
exec go build -ldflags=-s -o "$1" .
