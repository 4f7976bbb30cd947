package attest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"time"

	"concord"
	"concord/note"
)

// saltLabel sets the secret under which salts are made apart from everything else that the key is for.
const saltLabel = "concord/entry-salt/v1"

// salter makes the salts of entries: the first 16 bytes of HMAC-SHA-256 of the capture's ID, under a secret derived from
// the operator's key. Nobody else can compute or guess one, and the operator can make each again when its store is lost.
// That takes the key they were made under, which the file of the operator's keys keeps when another takes its place: a Rebuilder that has
// only the new one refuses the batches of before (their roots do not come out).
type salter struct{ secret [sha256.Size]byte }

func newSalter(op *note.Signer) salter { return salter{op.Derive(saltLabel)} }

func (s salter) of(captureID string) (salt [concord.SaltSize]byte) {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte(captureID))
	copy(salt[:], h.Sum(nil))
	return salt
}

// keep puts a batch on record before its attestation is stored or leaves. A full disk is waited for.
func (a *Attestor) keep(ctx context.Context, b *Batch, items []item) error {
	if a.cfg.Keep == nil {
		return nil
	}
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.id
	}
	for warned := false; ; warned = true {
		err := a.cfg.Keep([]byte(b.Note), ids)
		if concord.KindOf(err) != concord.Unavailable || err == nil {
			return err
		}
		if !warned {
			a.cfg.Logger.Warn("a batch cannot be put on record now; trying again", "batch", b.Number, "reason", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryAfter):
		}
	}
}
