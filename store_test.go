package concord_test

import (
	"strings"
	"testing"

	"concord"
)

func TestBlobNames(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "archive/alice-00000.warc.gz": true, "state/frontier.3/0a_B": true, "a/..b": true,
		"": false, "/a": false, "a/": false, "a//b": false, ".": false, "a/..": false, "../a": false, "a/./b": false, "a b": false, "a\x00": false,
		"é": false, "a\\b": false, "a:b": false, "[": false, "@": false, "`": false, "{": false, strings.Repeat("a", 200): true, strings.Repeat("a", 201): false,
	} {
		err := concord.CheckBlobName(name)
		if (err == nil) != good || err != nil && concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
