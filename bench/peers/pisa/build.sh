#!/bin/sh
# Builds the PISA peer: build.sh OUT makes OUT/run. Needs Python 3.9 to 3.13 with venv; pip fetches the package, which has PISA in it
# as compiled code, and the version of TBB that it was linked with, from PyPI once. What the package itself depends on (PyTerrier, and Java below it) is not needed here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
if ! command -v python3 >/dev/null; then
	echo "the PISA peer needs python3: install it" >&2
	exit 1
fi
[ -x "$out/venv/bin/python" ] || python3 -m venv "$out/venv"
"$out/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps pyterrier-pisa==0.4.9 numpy==2.2.6 tbb==2020.3.254
cp "$here/peer.py" "$out/peer.py"
cat >"$out/run" <<EOF
#!/bin/sh
LD_LIBRARY_PATH="$out/venv/lib" exec "$out/venv/bin/python" "$out/peer.py" "\$@"
EOF
chmod +x "$out/run"
echo "PISA as in pyterrier-pisa 0.4.9, $("$out/venv/bin/python" --version)" >"$out/version"
