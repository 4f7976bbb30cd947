package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"concord/attest"
	"concord/durable"
)

// A rebuild makes new directories below DATA/rebuild and then puts them in the place of the old ones:
//
//	rebuild/new/<part>   made anew; whole only when rebuild/swap.json is there
//	rebuild/old/<part>   what was in its place, until all is done
//	rebuild/scratch      what the rebuild itself needs to look up
//	rebuild/swap.json    the new parts are whole and verified: they are to be swapped in
//
// Without swap.json everything below rebuild/ is the rest of one that was cut short, and of no use.
const (
	rebuildDir = "rebuild"
	swapFile   = "swap.json"
)

// swap says what is to be done to put a rebuild in place. Each step may be done twice.
type swap struct {
	Parts []string `json:"parts"` // directories below DATA
	// NewLog: the bus is new, so the numbers of its messages begin anew as well.
	NewLog bool `json:"newLog"`
	// RestartAttestor: the attestor's store stays and stands at a position of the old log.
	RestartAttestor bool `json:"restartAttestor"`
	// Founder: the node was a member of a cluster, and is to be the first of it anew.
	Founder *swapFounder `json:"founder,omitempty"`
}

func (s *swap) save(dir string) error {
	return durable.WriteJSON(filepath.Join(dir, rebuildDir, swapFile), 0o600, s)
}

// finishRebuild puts a rebuild in place that was cut short while its parts were swapped, and removes the rest of one that
// was cut short before. The data directory must be locked and nothing of it open. It reports whether parts were swapped.
func finishRebuild(dir string) (swapped bool, err error) {
	base := filepath.Join(dir, rebuildDir)
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var s swap
	err = durable.ReadJSON(filepath.Join(base, swapFile), &s)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil {
		if err := s.finish(dir); err != nil {
			return false, fmt.Errorf("put a rebuild in place: %w", err)
		}
		swapped = true
	}
	if err := os.RemoveAll(base); err != nil {
		return swapped, err
	}
	return swapped, durable.SyncDir(dir)
}

func (s *swap) finish(dir string) error {
	base := filepath.Join(dir, rebuildDir)
	if err := os.MkdirAll(filepath.Join(base, "old"), 0o700); err != nil {
		return err
	}
	for _, part := range s.Parts {
		if err := swapPart(filepath.Join(base, "new", part), filepath.Join(dir, part), filepath.Join(base, "old", part)); err != nil {
			return err
		}
	}
	if s.NewLog {
		if err := os.Remove(filepath.Join(dir, "trimmed.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if s.RestartAttestor {
		if err := attest.Restart(filepath.Join(dir, "attest"), 0); err != nil {
			return err
		}
	}
	if s.Founder != nil {
		if err := s.Founder.finish(dir); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(base, swapFile)); err != nil {
		return err
	}
	return durable.SyncDir(base)
}

// swapPart moves what is at current to old, and what is at fresh to current. Where fresh is gone it is done already.
func swapPart(fresh, current, old string) error {
	if _, err := os.Stat(fresh); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Rename(current, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(current)); err != nil {
		return err
	}
	if err := os.Rename(fresh, current); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(current))
}
