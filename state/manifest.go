package state

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"concord"
)

// manifestVersion is the form of manifests that this program writes.
//
//	{"version":1,"partition":"shard.3","fence":17,"node":"carol",
//	 "states":[{"position":991,"fence":17,"node":"carol","time":"2026-11-22T14:00:00Z","files":[0,1]},
//	           {"position":640,"fence":12,"node":"alice","time":"2026-11-22T13:59:30Z","files":[0]}],
//	 "files":[{"name":"segments/00000001.seg","size":123,"sum":"<base64 of its SHA-256>","by":12},
//	          {"name":"segments/00000002.seg","size":77,"sum":"…","by":17}]}
//
// The newest state comes first. States share files, so each names its own by their places in one list.
const manifestVersion = 1

const (
	// keptStates is the newest state and the one before, for when a blob of the newest is damaged.
	keptStates = 2
	// maxFileName is what engines' names need, with directories.
	maxFileName = 120
)

// Manifest says which states of a partition are saved. It is read only: slices are shared.
type Manifest struct {
	Partition string
	Fence     uint64  // of the present owner: nobody with a smaller one may save
	Node      string  // the present owner's node
	States    []State // newest first, at most two; none: never saved
}

// State is one saved state.
type State struct {
	Position uint64 // number of the last message of the log that is in it
	Fence    uint64 // under which it was saved
	Node     string // that saved it
	Time     time.Time
	Files    []File
}

// File is one file of a state.
type File struct {
	Name string         `json:"name"` // path in the partition's directory, with '/'
	Size int64          `json:"size"`
	Sum  concord.Digest `json:"sum"` // SHA-256
	By   uint64         `json:"by"`  // fence under which its blob was uploaded
}

// TrimTo returns the message up to which the partition does not need its log any more: the position of the older of two states.
// It never goes back. With fewer than two states it is 0: while there is nothing to go back to, the log stays.
func (m *Manifest) TrimTo() uint64 {
	if len(m.States) < keptStates {
		return 0
	}
	return m.oldest()
}

// oldest is the position from which the log is there for certain: nothing beyond it was ever trimmed.
func (m *Manifest) oldest() uint64 {
	if len(m.States) == 0 {
		return 0
	}
	return m.States[len(m.States)-1].Position
}

// Bytes returns the size of all files of the state.
func (s *State) Bytes() (n int64) {
	for _, f := range s.Files {
		n += f.Size
	}
	return n
}

// blob returns the name of the blob that holds the file's bytes. An empty file has none.
func (f *File) blob(partition string) string {
	return fmt.Sprintf("%s%016x-%s", blobPrefix(partition), f.By, hex.EncodeToString(f.Sum[:]))
}

func blobPrefix(partition string) string { return ManifestPrefix + partition + "/" }

// The wire form.
type manifestJSON struct {
	Version   int         `json:"version"`
	Partition string      `json:"partition"`
	Fence     uint64      `json:"fence"`
	Node      string      `json:"node"`
	States    []stateJSON `json:"states"`
	Files     []File      `json:"files,omitempty"`
}

type stateJSON struct {
	Position uint64    `json:"position"`
	Fence    uint64    `json:"fence"`
	Node     string    `json:"node"`
	Time     time.Time `json:"time"`
	Files    []int     `json:"files"`
}

// Encode returns the manifest as the value that is put. Errors: Invalid when it is longer than values may be.
func (m *Manifest) Encode() ([]byte, error) {
	w := manifestJSON{Version: manifestVersion, Partition: m.Partition, Fence: m.Fence, Node: m.Node, States: []stateJSON{}}
	at := map[File]int{}
	for _, s := range m.States {
		out := stateJSON{s.Position, s.Fence, s.Node, s.Time, make([]int, 0, len(s.Files))}
		for _, f := range s.Files {
			i, known := at[f]
			if !known {
				i = len(w.Files)
				at[f] = i
				w.Files = append(w.Files, f)
			}
			out.Files = append(out.Files, i)
		}
		w.States = append(w.States, out)
	}
	data, err := json.Marshal(w)
	if err == nil && len(data) > concord.MaxManifestBytes {
		err = concord.Errorf(concord.Invalid, "state of %s: its %d files need a manifest of %d bytes, %d fit: use more partitions", m.Partition, len(w.Files), len(data), concord.MaxManifestBytes)
	}
	return data, err
}

// DecodeManifest reads what Encode wrote and checks all of it. Errors: Corrupt; Unavailable for a form that a newer version of this
// program writes.
func DecodeManifest(data []byte) (*Manifest, error) {
	var w manifestJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "decode manifest: %w", err)
	}
	if w.Version != manifestVersion {
		return nil, concord.Errorf(concord.Unavailable, "manifest of form %d, this program reads %d: update it", w.Version, manifestVersion)
	}
	m := &Manifest{Partition: w.Partition, Fence: w.Fence, Node: w.Node}
	if checkPartition(w.Partition) != nil || len(w.States) > keptStates {
		return nil, concord.Errorf(concord.Corrupt, "decode manifest of %q with %d states", concord.Clip(w.Partition, 60), len(w.States))
	}
	for i, f := range w.Files {
		if concord.CheckBlobName(f.Name) != nil || !filepath.IsLocal(filepath.FromSlash(f.Name)) || len(f.Name) > maxFileName || f.Size < 0 || f.Sum.IsZero() || f.By > w.Fence {
			return nil, concord.Errorf(concord.Corrupt, "decode manifest: file %d, %q, cannot be", i, concord.Clip(f.Name, 60))
		}
	}
	for i, s := range w.States {
		files, err := s.pick(w.Files)
		if err == nil {
			_, err = s.Time.MarshalText() // JSON reads zones a day or more off, and does not write them
		}
		if err != nil || s.Fence > w.Fence || i > 0 && (s.Position > w.States[0].Position || s.Fence > w.States[0].Fence) {
			return nil, concord.Errorf(concord.Corrupt, "decode manifest: state %d at %d under fence %d cannot be: %w", i, s.Position, s.Fence, err)
		}
		m.States = append(m.States, State{s.Position, s.Fence, s.Node, s.Time, files})
	}
	return m, nil
}

// pick returns the files of a state out of the list of all.
func (s *stateJSON) pick(all []File) ([]File, error) {
	names := map[string]bool{}
	files := make([]File, 0, min(len(s.Files), len(all)))
	for _, i := range s.Files {
		if i < 0 || i >= len(all) || names[all[i].Name] {
			return nil, concord.Errorf(concord.Corrupt, "file %d is not there or there twice", i)
		}
		names[all[i].Name] = true
		files = append(files, all[i])
	}
	return files, nil
}
