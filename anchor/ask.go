package anchor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/note"
)

const (
	// maxAnswer bounds an answer: some lines of 150 bytes, or one of ML-DSA.
	maxAnswer = 16 << 10
	// maxProof is the most hashes a consistency proof may have in a question.
	maxProof = 63
	// maxRounds bounds how often a witness may say in one question that its size is another.
	maxRounds = 3
	// maxSkew is how far a cosignature's time may be from our clock.
	maxSkew = time.Hour
)

// Why a witness's line does not count, as they are counted.
const (
	Unreachable  = "unreachable"  // no answer, or too late
	Unwilling    = "unwilling"    // a status that says no: the log or its key is unknown there
	Ahead        = "ahead"        // it knows a longer log than this node
	Inconsistent = "inconsistent" // it says that our head does not follow from what it knows
	Malformed    = "malformed"    // an answer that is none
	Forged       = "forged"       // a line under its key's name that the key did not make over this head
	Untimely     = "untimely"     // a time far from ours
	Unread       = "unread"       // our own log could not be read
)

// failure is why a question had no line that counts, for people.
type failure struct{ reason, words string }

func (f *failure) Error() string { return f.words }

func fail(reason, format string, args ...any) error {
	return &failure{reason, fmt.Sprintf(format, args...)}
}

// asker asks one witness.
type asker struct {
	cfg  *Config
	http *http.Client
	Witness

	mu    sync.Mutex
	tally Tally
}

func (w *asker) count() Tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.tally
	c.Failed = maps.Clone(c.Failed)
	if head, err := w.cfg.Log.AnchoredBy(w.Key); err == nil && head.Size > 0 {
		c.Size, c.Time = head.Size, w.timeOf([]byte(head.Note))
	}
	return c
}

// timeOf returns the time of the witness's line in a note.
func (w *asker) timeOf(b []byte) time.Time {
	n, err := note.Parse(b)
	if err != nil {
		return time.Time{}
	}
	for _, s := range n.Sigs {
		if t, ok := s.Time(); ok && w.Key.Made(s) {
			return time.Unix(t, 0).UTC()
		}
	}
	return time.Time{}
}

// run asks about each new head, but not more often than allowed.
func (w *asker) run(ctx context.Context) {
	pause := w.cfg.Interval
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(lookEvery, w.cfg.Interval)
		head := w.cfg.Log.ToAnchor()
		known, err := w.cfg.Log.AnchoredBy(w.Key)
		if err == nil && (head.Size == 0 || head.Size <= known.Size) {
			continue
		}
		var line note.Sig
		if err == nil {
			line, err = w.ask(ctx, head, known.Size)
		}
		if err == nil {
			err = w.cfg.Log.Anchor(ctx, note.Join(head.Note[:strings.Index(head.Note, "\n\n")+1], line))
		}
		if ctx.Err() != nil {
			return
		}
		if w.tell(head, err); err != nil {
			wait, pause = pause, min(2*pause, max(restAtMost, w.cfg.Interval))
		} else {
			wait, pause = w.cfg.Interval, w.cfg.Interval
		}
	}
}

// tell counts what became of a question, and logs what is new about it.
func (w *asker) tell(head concord.Checkpoint, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.tally.Last
	w.tally.Asked++
	log := w.cfg.Logger.With("witness", w.Key.Name, "size", head.Size)
	if err == nil {
		w.tally.Cosigned++
		w.tally.Last = ""
		if before != "" || w.tally.Cosigned == 1 {
			log.Info("a witness from outside has cosigned the log's head")
		}
		return
	}
	f := &failure{Unread, err.Error()}
	errors.As(err, &f)
	w.tally.Failed[f.reason]++
	w.tally.Last = f.words
	switch {
	case before == f.words:
	case f.reason == Inconsistent || f.reason == Forged:
		log.Error("a witness from outside has not cosigned the log's head", "reason", f.words)
	default:
		log.Warn("a witness from outside has not cosigned the log's head; it is asked again", "reason", f.words)
	}
}

// ask returns the witness's cosignature of a head. old is the size that it is thought to know.
func (w *asker) ask(ctx context.Context, head concord.Checkpoint, old uint64) (note.Sig, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	for range maxRounds {
		body, err := w.question(head, old)
		if err != nil {
			return note.Sig{}, err
		}
		status, answer, err := w.post(ctx, body)
		switch {
		case err != nil:
			return note.Sig{}, err
		case status == http.StatusOK:
			return w.line(head, answer)
		case status != http.StatusConflict:
			return note.Sig{}, w.refusal(status, answer, head, old)
		}
		size, err := strconv.ParseUint(strings.TrimSuffix(string(answer), "\n"), 10, 62)
		switch {
		case err != nil:
			return note.Sig{}, fail(Malformed, "it says that it knows another size of the log, and not which")
		case size > head.Size:
			return note.Sig{}, fail(Ahead, "it knows a log of %d entries, longer than what this node can show: another operator asked it, or this node's ledger is older than it was", size)
		}
		old = size
	}
	return note.Sig{}, fail(Malformed, "it named another size of the log %d times in a row", maxRounds)
}

// question returns the body of add-checkpoint.
func (w *asker) question(head concord.Checkpoint, old uint64) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", old)
	if old > 0 && old < head.Size {
		proof, err := w.cfg.Log.Consistency(old, head.Size)
		if err != nil || len(proof) > maxProof {
			return nil, fail(Unread, "the proof that the log of %d entries follows from that of %d cannot be made: %v", head.Size, old, err)
		}
		for _, h := range proof {
			b.WriteString(h.String() + "\n")
		}
	}
	b.WriteString("\n" + head.Note)
	return b.Bytes(), nil
}

func (w *asker) post(ctx context.Context, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, nil, fail(Unreachable, "%v", err)
	}
	req.Header.Set("User-Agent", w.cfg.UserAgent)
	res, err := w.http.Do(req)
	if err != nil {
		return 0, nil, unreachable(err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, unreachable(err)
	case len(answer) > maxAnswer:
		return 0, nil, fail(Malformed, "its answer is longer than %d bytes", maxAnswer)
	}
	return res.StatusCode, answer, nil
}

func unreachable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err) {
		return fail(Unreachable, "it took too long")
	}
	if u := errors.Unwrap(err); u != nil {
		err = u // without method and address, which are said elsewhere
	}
	return fail(Unreachable, "it cannot be reached: %v", err)
}

// refusal explains a status.
func (w *asker) refusal(status int, answer []byte, head concord.Checkpoint, old uint64) error {
	said := ""
	if words, _, _ := strings.Cut(string(answer), "\n"); words != "" {
		said = fmt.Sprintf(" (it says %q)", concord.Clip(strings.ToValidUTF8(words, "?"), 120))
	}
	switch status {
	case http.StatusNotFound:
		return fail(Unwilling, "it does not know the log %q: ask who runs it to add the log and its key, which concord policy prints%s", head.Origin, said)
	case http.StatusForbidden:
		return fail(Unwilling, "it knows the log %q by another key: ask who runs it to add this operator's, which concord policy prints%s", head.Origin, said)
	case http.StatusUnprocessableEntity:
		return fail(Inconsistent, "it says that the log of %d entries does not follow from that of %d which it knows: it was shown another history, or it is wrong%s", head.Size, old, said)
	}
	return fail(Unwilling, "it answered with status %d%s", status, said)
}

// line finds the witness's line in an answer, and checks it.
func (w *asker) line(head concord.Checkpoint, answer []byte) (note.Sig, error) {
	text, _, _ := strings.Cut(head.Note, "\n\n")
	text += "\n"
	n, err := note.Parse([]byte(text + "\n" + string(answer)))
	if err != nil || n.Text != text {
		return note.Sig{}, fail(Malformed, "its answer has no lines of signatures")
	}
	i := slices.IndexFunc(n.Sigs, w.Key.Made)
	if i < 0 {
		return note.Sig{}, fail(Malformed, "its answer has no line by its key %08x", w.Key.ID())
	}
	s := n.Sigs[i]
	if !w.Key.Verify(text, s) {
		return note.Sig{}, fail(Forged, "its line is no signature of this head by its key %08x: its key is another than the one configured, or it signed another head", w.Key.ID())
	}
	unix, _ := s.Time()
	if d := time.Unix(unix, 0).Sub(w.cfg.Now()); d > maxSkew || d < -maxSkew {
		return note.Sig{}, fail(Untimely, "it signed with the time %s, more than %v from this machine's", time.Unix(unix, 0).UTC().Format(time.RFC3339), maxSkew)
	}
	return s, nil
}
