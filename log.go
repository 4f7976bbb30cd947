package concord

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// Log is one durable ordered stream of messages, split into subjects such as "frontier.3". Package bus provides it.
// A consumer is a fold: it keeps, in one commit with its own state, the sequence number up to which it has applied the
// log, and asks for what comes after.
type Log interface {
	// Append makes the messages durable, all or none, and returns the sequence number of the last. A message whose ID was
	// appended a short while ago (minutes) is taken as the same message and not stored again.
	Append(ctx context.Context, msgs ...Message) (uint64, error)
	// Follow calls apply with successive batches of the messages whose subject matches and whose number is above after,
	// in order, until ctx ends (it then returns ctx.Err()) or apply fails. A batch holds at most 500 messages and is
	// delivered as soon as one is there.
	Follow(ctx context.Context, subject string, after uint64, apply func([]Message) error) error
	// Last returns the number of the newest message of the subject (which may end in ".*"), 0 when there is none.
	Last(ctx context.Context, subject string) (uint64, error)
	// Trim drops the messages of the subject up to and including number upTo: every consumer has committed them.
	Trim(ctx context.Context, subject string, upTo uint64) error
}

// NoLog is the log of a part that is opened without one, to be looked at or to be made again: every call is an error.
type NoLog struct{}

var errNoLog = Errorf(Internal, "there is no log here")

func (NoLog) Append(context.Context, ...Message) (uint64, error)                  { return 0, errNoLog }
func (NoLog) Follow(context.Context, string, uint64, func([]Message) error) error { return errNoLog }
func (NoLog) Last(context.Context, string) (uint64, error)                        { return 0, errNoLog }
func (NoLog) Trim(context.Context, string, uint64) error                          { return errNoLog }

// Message is one entry of a log. ID, when set, makes appending idempotent. Seq and Time are set by the log.
type Message struct {
	Subject string
	ID      string
	Data    []byte
	Seq     uint64
	Time    time.Time
}

// PartitionOf maps a key (a site for the frontier, a URL for the shards) to one of n partitions: the first eight bytes
// of its SHA-256, big-endian, modulo n.
func PartitionOf(key string, n int) int {
	h := sha256.Sum256([]byte(key))
	return int(binary.BigEndian.Uint64(h[:8]) % uint64(n))
}

// CaptureSubject is the subject of shard s in the captures log, FrontierSubject that of partition p in the frontier log.
func CaptureSubject(s int) string  { return fmt.Sprintf("capture.%d", s) }
func FrontierSubject(p int) string { return fmt.Sprintf("frontier.%d", p) }

// Event is one message of a shard's log: what changed for URLs of that shard. The attestor follows the same log.
// At least one part is set.
type Event struct {
	Capture *Capture `json:"capture,omitempty"` // a new capture of one of the shard's URLs
	Page    *Page    `json:"page,omitempty"`    // what was extracted from it; nil: nothing
	Anchors []Anchor `json:"anchors,omitempty"` // link texts other pages use for URLs of this shard
	Remove  *Removal `json:"remove,omitempty"`  // take a page out of the index
}

// Removal takes one URL out of the index; its captures stay on record.
type Removal struct {
	URL       string `json:"url"`
	Reason    string `json:"reason"`              // "gone", "deleted by operator", "canonical elsewhere", …
	Duplicate string `json:"duplicate,omitempty"` // the URL that stands for it now
}

// Encode returns the event as a message's data.
func (e *Event) Encode() ([]byte, error) { return json.Marshal(e) }

// DecodeEvent reads what Encode wrote.
func DecodeEvent(data []byte) (*Event, error) {
	e := new(Event)
	if err := json.Unmarshal(data, e); err != nil {
		return nil, Errorf(Corrupt, "decode capture event: %w", err)
	}
	return e, nil
}

// DecodeCapture reads the capture alone of what Encode wrote, nil when the event has none: for who has no use for pages.
func DecodeCapture(data []byte) (*Capture, error) {
	var e struct {
		Capture *Capture `json:"capture"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, Errorf(Corrupt, "decode capture event: %w", err)
	}
	return e.Capture, nil
}
