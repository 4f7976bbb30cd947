package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"concord/durable"
)

// Beside a partition's directory DIR there may be, while it is replaced or after a kill:
//
//	DIR.loading   the new state as far as it is there
//	DIR.replaced  the old one, while the new one takes its place and until it is removed
//
// A change is: DIR -> DIR.replaced, DIR.loading -> DIR. Before the first step the old directory is in its place, after the second the
// new one; in between there is none, DIR.loading is whole and synced, and Recover takes the second step.
func buildingPath(dir string) string { return filepath.Clean(dir) + ".loading" }
func replacedPath(dir string) string { return filepath.Clean(dir) + ".replaced" }

// Recover finishes what a kill during Load left of a partition's directory. Whoever opens such a directory calls it first; it does
// nothing when there is nothing to do. What was only begun to be loaded stays for the next Load to go on with.
func Recover(dir string) error {
	old := replacedPath(dir)
	if !exists(old) {
		return nil
	}
	if !exists(dir) {
		from := buildingPath(dir)
		if !exists(from) {
			from = old // somebody took the new one away
		}
		if err := rename(from, dir); err != nil {
			return fmt.Errorf("finish loading %s: %w", dir, err)
		}
	}
	return os.RemoveAll(old)
}

// replace puts the directory building, whole and synced, in the place of dir.
func replace(dir, building string) error {
	if err := Recover(dir); err != nil {
		return err
	}
	if exists(dir) {
		if err := rename(dir, replacedPath(dir)); err != nil {
			return err
		}
	}
	if err := rename(building, dir); err != nil {
		return errors.Join(err, Recover(dir))
	}
	return os.RemoveAll(replacedPath(dir))
}

func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
