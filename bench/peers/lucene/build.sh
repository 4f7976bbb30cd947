#!/bin/sh
# Builds the Lucene peer: build.sh OUT makes OUT/run, which takes the arguments of Peer. Needs a JDK of version 21 or newer, in
# $JAVA_HOME or one of the usual places, and mvn, which fetches the jars from Maven Central once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

jdk=
for home in "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/jdk* /opt/java/* "$HOME"/.sdkman/candidates/java/*; do
	[ -n "$home" ] && [ -x "$home/bin/javac" ] || continue
	major=$("$home/bin/javac" -version 2>&1 | sed 's/^javac \([0-9]*\).*/\1/')
	if [ "$major" -ge 21 ] 2>/dev/null; then jdk=$home; break; fi
done
if [ -z "$jdk" ]; then
	echo "the Lucene peer needs a JDK of version 21 or newer: install one or set JAVA_HOME" >&2
	exit 1
fi
if ! command -v mvn >/dev/null; then
	echo "the Lucene peer needs mvn to fetch Lucene's jars: install Maven" >&2
	exit 1
fi

mvn -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$out/jars"
mkdir -p "$out/classes"
"$jdk/bin/javac" -Xlint:all -cp "$out/jars/*" -d "$out/classes" "$here/Peer.java"

# The vector module is what Lucene asks for at start to be at its fastest; a fixed heap and the serial collector keep a run of one
# thread from being disturbed by the machine's other processor.
cat >"$out/run" <<EOF
#!/bin/sh
exec "$jdk/bin/java" --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -Xms2g -Xmx2g -XX:+UseSerialGC \\
	-cp "$out/jars/*:$out/classes" Peer "\$@"
EOF
chmod +x "$out/run"
"$jdk/bin/java" -version 2>&1 | head -1 >"$out/version"
echo "Lucene $(sed -n 's/.*<lucene>\(.*\)<\/lucene>.*/\1/p' "$here/pom.xml"), $(cat "$out/version")" >"$out/version"
