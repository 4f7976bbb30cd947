package cluster

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/join"
)

// Names of the values in concord.Manifests.
const (
	valuePrefix   = "cluster/"
	memberPrefix  = valuePrefix + "member/"  // + name: a Record, written by that node alone
	leavingPrefix = valuePrefix + "leaving/" // + name: a leaving, written by whoever takes the node out
)

// Bounds of a record. It is written every few seconds, so it should stay at a few kilobytes.
const (
	maxRecordBytes = 256 << 10
	maxRecordItems = 4096 // of each list
	maxRecordText  = 1024 // of each text
)

// Record is what a node tells the others of itself: its heartbeat. Times in it are by its own clock and for people only.
// Fields a newer version adds are ignored by older ones.
type Record struct {
	Name       string            `json:"name"`
	Generation uint64            `json:"generation,omitempty"` // counts how often a node of this name joined
	Life       string            `json:"life"`                 // of this process, random
	Beat       uint64            `json:"beat"`                 // grows with every heartbeat
	Stopped    bool              `json:"stopped,omitempty"`    // the process said goodbye
	Version    string            `json:"version,omitempty"`
	Addrs      map[string]string `json:"addrs,omitempty"` // host:port by purpose, such as "cluster" and "http"
	Capacity   int               `json:"capacity"`        // see Candidate
	Started    time.Time         `json:"started"`
	DiskFree   uint64            `json:"disk_free"` // bytes
	DiskTotal  uint64            `json:"disk_total"`

	Owns   []Holding `json:"owns,omitempty"`   // partitions it runs
	Wants  []string  `json:"wants,omitempty"`  // partitions that it asks their owners for
	Serves []Replica `json:"serves,omitempty"` // partitions it has a copy of, to answer queries
	// Keeps names what else it has to hand over before it may be removed, such as replicas of logs.
	Keeps []string `json:"keeps,omitempty"`
}

// Holding is a partition and the lease it runs under.
type Holding struct {
	Partition string    `json:"partition"`
	Fence     uint64    `json:"fence"`
	Since     time.Time `json:"since"`
	To        string    `json:"to,omitempty"`  // the node it is being handed over to
	Why       string    `json:"why,omitempty"` // why it is handed over
}

// Replica is a copy of a partition.
type Replica struct {
	Partition string `json:"partition"`
	Position  uint64 `json:"position"`         // of its log, applied
	Behind    bool   `json:"behind,omitempty"` // it is being made, and needs its log from Position on, but does not answer yet
}

// leaving is the order to a node to go, and later that it is gone.
type leaving struct {
	Since      time.Time `json:"since"`
	Removed    bool      `json:"removed,omitempty"`
	Generation uint64    `json:"generation,omitempty"` // the last one that is removed
}

// decodeRecord reads what encode wrote. Errors: Corrupt.
func decodeRecord(name string, data []byte) (Record, error) {
	var r Record
	if len(data) > maxRecordBytes {
		return r, concord.Errorf(concord.Corrupt, "record of node %s has %d bytes, more than any node writes", name, len(data))
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, concord.Errorf(concord.Corrupt, "record of node %s: %w", name, err)
	}
	if r.Name != name || join.CheckName(r.Name) != nil || !r.bounded() || !r.timesWritable() {
		return Record{}, concord.Errorf(concord.Corrupt, "record of node %s: not one that a node writes", name)
	}
	return r, nil
}

func (r *Record) bounded() bool {
	if max(len(r.Addrs), len(r.Owns), len(r.Wants), len(r.Serves), len(r.Keeps)) > maxRecordItems {
		return false
	}
	for _, h := range r.Owns {
		if h.Partition == "" || len(h.Partition)+len(h.To)+len(h.Why) > maxRecordText {
			return false
		}
	}
	return len(r.Life)+len(r.Version) <= maxRecordText
}

// timesWritable reports whether all times can be passed on as JSON, which has no form for some that it reads: those of zones a
// day or more off.
func (r *Record) timesWritable() bool {
	_, err := r.Started.MarshalText()
	return err == nil && !slices.ContainsFunc(r.Owns, func(h Holding) bool { _, err := h.Since.MarshalText(); return err != nil })
}

// encode returns the record as a value. Errors: Invalid when it is larger than others would read.
func (r *Record) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err == nil && (len(data) > maxRecordBytes || !r.bounded()) {
		err = concord.Errorf(concord.Invalid, "record of node %s is too large: %d bytes", r.Name, len(data))
	}
	return data, err
}

// sameNews reports whether others need not be told at once that a record changed: only what always changes did, which they
// hear with the next heartbeat.
func sameNews(a, b Record) bool {
	for _, r := range []*Record{&a, &b} {
		r.Beat, r.DiskFree = 0, 0
		r.Serves = slices.Clone(r.Serves)
		for i := range r.Serves {
			r.Serves[i].Position = 0
		}
	}
	return reflect.DeepEqual(a, b)
}

// runs says whether the node says that it runs a partition.
func (r *Record) runs(partition string) bool {
	return slices.ContainsFunc(r.Owns, func(h Holding) bool { return h.Partition == partition })
}

// Member is a node as this node sees it.
type Member struct {
	Record
	Live    bool      // its heartbeat changed within the time to live, and it did not say goodbye
	Seen    time.Time // when its heartbeat last changed, by this node's clock
	Leaving bool      // it is being drained, or was removed
	Removed bool
}

// View is what this node knows of its cluster. It is not changed once it is handed out.
type View struct {
	Self    string
	Members []Member // by name, this node included
	Loaded  bool     // this node hears what is written: its own heartbeat was told back. If not, the rest may be old
}

// Member returns the member of that name.
func (v *View) Member(name string) (Member, bool) {
	for _, m := range v.Members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Candidates returns the members that may own partitions: live and not leaving; all live ones when everyone leaves, since
// somebody has to do the work.
func (v *View) Candidates() []Candidate {
	var staying, live []Candidate
	for _, m := range v.Members {
		if !m.Live || m.Removed || m.Capacity <= 0 {
			continue
		}
		c := Candidate{m.Name, m.Capacity}
		live = append(live, c)
		if !m.Leaving {
			staying = append(staying, c)
		}
	}
	if len(staying) == 0 {
		return live
	}
	return staying
}

// claim is a partition and the live member that says it runs it.
type claim struct {
	Holding
	owner Member
}

// owners returns who runs what. Of two that say so, which only a stale record can, it is the one with the higher fence.
func (v *View) owners() map[string]claim {
	owners := map[string]claim{}
	for _, m := range v.Members {
		if !m.Live {
			continue
		}
		for _, h := range m.Owns {
			if c, ok := owners[h.Partition]; !ok || h.Fence > c.Fence {
				owners[h.Partition] = claim{h, m}
			}
		}
	}
	return owners
}

// Owner returns the live node that runs a partition, as far as this node has heard.
func (v *View) Owner(partition string) (Member, bool) {
	c, ok := v.owners()[partition]
	return c.owner, ok
}

// nameOf returns the name of a node in the name of a value, "" when it is not one of that prefix.
func nameOf(value, prefix string) string {
	name, ok := strings.CutPrefix(value, prefix)
	if !ok || join.CheckName(name) != nil {
		return ""
	}
	return name
}
