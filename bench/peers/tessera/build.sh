#!/bin/sh
# Builds the Tessera peer: build.sh OUT makes OUT/run. Needs Go, which fetches the modules once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
if ! command -v go >/dev/null; then
	echo "the Tessera peer needs go: install it" >&2
	exit 1
fi
cd "$here"
go build -trimpath -o "$out/run" .
echo "Tessera $(go list -m -f '{{.Version}}' github.com/transparency-dev/tessera), $(go env GOVERSION)" >"$out/version"
