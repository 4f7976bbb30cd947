package bus

import (
	"log/slog"
	"testing"
)

// onBuses runs a test on one node alone, on the three of a cluster, and on an operator's own server.
func onBuses(t *testing.T, test func(t *testing.T, open func(t *testing.T) []*Bus)) {
	t.Run("one", func(t *testing.T) {
		test(t, func(t *testing.T) []*Bus { return []*Bus{open(t, t.TempDir())} })
	})
	t.Run("external", func(t *testing.T) {
		test(t, func(t *testing.T) []*Bus { return []*Bus{openURL(t, operatorServer(t, nil))} })
	})
	t.Run("three", func(t *testing.T) {
		long(t)
		c := newCluster(t, 3)
		c.open(0, 1, 2)
		test(t, func(*testing.T) []*Bus { return c.buses })
	})
}

// reopen opens the bus of a directory whose former one was closed.
func reopen(t testing.TB, dir string) *Bus {
	t.Helper()
	b, err := Open(t.Context(), Config{Dir: dir, NodeName: "node-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
