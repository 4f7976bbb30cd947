package witness

import (
	"context"
	"errors"

	"concord"
	"concord/ledger"
)

// Wanted is what is asked of the others. Zero values are the defaults.
type Wanted struct {
	URL      string // in weburl's normal form
	Need, Of int    // default: a panel of DefaultPanel, or of as many as there are, and more than half of it
	Until    int64  // seconds for looking and sealing, and as long again for opening; default DefaultUntil
	Pay      int64  // credit for each report, default none
}

const (
	// DefaultPanel is the panel that the CA/Browser Forum's rules begin to be worth something with.
	DefaultPanel = 4
	// DefaultUntil leaves slow hosts and their robots.txt time.
	DefaultUntil = 60
)

// Ask asks for a page to be witnessed and returns the index of the ask in the log. An open ask of this operator for the
// same URL is not repeated: that one's index is returned. Errors: Invalid, Unavailable while the ledger or the other
// operators are not there.
func (w *Witness) Ask(ctx context.Context, want Wanted) (uint64, error) {
	able := w.cfg.Ledger.Able()
	if want.Of == 0 {
		want.Of = min(DefaultPanel, able)
		if want.Need > want.Of {
			want.Of = want.Need
		}
	}
	if want.Need == 0 {
		want.Need = want.Of/2 + 1
	}
	if want.Until == 0 {
		want.Until = DefaultUntil
	}
	if able == 0 || want.Of > able {
		return 0, concord.Errorf(concord.Invalid, "a panel of %d, but the ledger has %d other operators who can be on it; ask for a smaller panel, or invite operators: concord federation --help", max(want.Of, 1), able)
	}
	w.asking.Lock()
	defer w.asking.Unlock()
	for _, a := range w.cfg.Ledger.Asks() {
		if a.From == w.cfg.Operator && a.URL == want.URL && a.Open() {
			return a.Index, nil
		}
	}
	index, err := w.send(ctx, func(h ledger.Head) ledger.Body {
		return &ledger.AskTx{Head: h, URL: want.URL, Profile: w.cfg.Profile, Need: want.Need, Of: want.Of, Until: want.Until, Pay: want.Pay}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = concord.Errorf(concord.Unavailable, "the ledger did not take the ask in time: it stands still (concord federation status says so), or is slow. "+
			"The ask may still come into it by itself, so look there before you ask again")
	}
	return index, err
}
