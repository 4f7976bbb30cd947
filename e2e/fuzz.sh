#!/bin/sh
# Runs every fuzz target of the module for ten seconds.
set -eu
go=${1:-go}
for pkg in $("$go" list ./...); do
	for target in $("$go" test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "$pkg $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime 10s -fuzzminimizetime 5x "$pkg"
	done
done
