#!/bin/sh
# Builds the Tantivy peer: build.sh OUT makes OUT/run. Needs cargo, which fetches the crates once. It is compiled for this machine's
# processor, with link-time optimisation: the fastest Tantivy there is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
if ! command -v cargo >/dev/null; then
	echo "the Tantivy peer needs cargo: install Rust" >&2
	exit 1
fi
mkdir -p "$out/source"
cp -R "$here/Cargo.toml" "$here/src" "$out/source/" # cargo writes what it chose beside them
cd "$out/source"
CARGO_TARGET_DIR="$out/target" RUSTFLAGS="-C target-cpu=native" cargo build --quiet --release
ln -sf target/release/tantivy-peer "$out/run"
echo "Tantivy $(sed -n '/^name = "tantivy"$/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock), $(rustc --version)" >"$out/version"
