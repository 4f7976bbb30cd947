package join

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"time"

	"concord"
)

const (
	// DefaultTokenLife is long enough to walk over to the other machine.
	DefaultTokenLife = time.Hour
	maxTokenLife     = 30 * 24 * time.Hour
	maxTokenUses     = 1000
	// forgetToken is how long a token that ended is kept, to say so.
	forgetToken = 24 * time.Hour
)

// tokenRecord is what the cluster keeps of a token.
type tokenRecord struct {
	Hash    []byte    `json:"hash"`
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"` // that are left
}

// NewToken makes a token for uses machines. life 0 is DefaultTokenLife.
func (r *Registry) NewToken(ctx context.Context, id *Identity, life time.Duration, uses int) (Token, error) {
	if life == 0 {
		life = DefaultTokenLife
	}
	if life < time.Second || life > maxTokenLife || uses < 1 || uses > maxTokenUses {
		return Token{}, concord.Errorf(concord.Invalid, "a token is valid for 1 s to %v and for 1 to %d machines", maxTokenLife, maxTokenUses)
	}
	t := newToken(fingerprint(id.authority.cert.Raw), r.now().Add(life))
	hash := t.hash()
	return t, r.put(ctx, tokenPath+t.id(), tokenRecord{Hash: hash[:], Expires: t.Expires, Uses: uses}, 0)
}

// errToken tells nothing of which tokens there are.
var errToken = concord.Errorf(concord.Unauthorized, "the token is not valid in this cluster: it is of another one, or ended long ago; make a new one with concord cluster token")

// check verifies a proof, and then that the token still holds.
func (r *Registry) check(ctx context.Context, q *request, binding []byte) error {
	var t tokenRecord
	if _, err := r.get(ctx, tokenPath+q.Token, &t); err != nil {
		return err
	}
	var hash [sha256.Size]byte // of zeros when there is none: nobody's secret, and it takes as long
	copy(hash[:], t.Hash)
	if !hmac.Equal(proof(hash, binding, q), q.Proof) || len(t.Hash) != len(hash) {
		return errToken
	}
	if r.now().After(t.Expires) {
		return concord.Errorf(concord.Unauthorized, "the token ended at %s; make a new one with concord cluster token", t.Expires.Format(time.RFC3339))
	}
	return nil
}

// use takes one use off a token.
func (r *Registry) use(ctx context.Context, token string) error {
	var t tokenRecord
	return r.change(ctx, tokenPath+token, &t, func() error {
		if t.Uses < 1 {
			return concord.Errorf(concord.Unauthorized, "the token is used up; make a new one with concord cluster token")
		}
		t.Uses--
		return nil
	})
}

// forget deletes tokens that ended long ago.
func (r *Registry) forget(ctx context.Context, name string, m concord.Manifest) {
	var t tokenRecord
	if json.Unmarshal(m.Data, &t) == nil && r.now().After(t.Expires.Add(forgetToken)) {
		_ = r.store.Delete(ctx, name, m.Revision) // whoever is first
	}
}
