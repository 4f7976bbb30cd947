package note

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"concord"
)

// Keys are an operator's signing keys. Each is for one kind of statement and never shared. The zero value of what is not exported is
// that of keys without a file, which cannot be changed.
type Keys struct {
	Op     *Signer // transactions; named for the operator
	Cosign *Signer // cosignatures of checkpoints; named for the operator
	Log    *Signer // checkpoints; named for the log's origin

	path string
	mu   sync.Mutex // held while the file is written
	next map[string]*Signer
	old  []oldKey // oldest first
}

// oldKey is a key that another has taken the place of. It signs nothing more.
type oldKey struct {
	label string
	*Signer
}

// KeysFile is the name of the file LoadOrCreateKeys keeps.
const KeysFile = "operator.keys"

const (
	keysHead   = "concord/keys/v1"
	privatePre = "PRIVATE+KEY+"
	// maxOldKeys is how often an operator may change keys: the ledger's limit for one member.
	maxOldKeys = 64
	// maxKeysFile is far above what all keys take with names of usual length.
	maxKeysFile = 64 << 10
)

// LoadOrCreateKeys reads dir/operator.keys, or makes new keys and that file when it does not exist. The file has mode
// 0600 and holds all keys, so that there are either all of them or none; it is durable when LoadOrCreateKeys returns.
//
//	concord/keys/v1
//	op PRIVATE+KEY+<operator>+<key ID>+<base64 of type 0x01 and seed>
//	cosign PRIVATE+KEY+<operator>+<key ID>+<base64 of type 0x04 and seed>
//	log PRIVATE+KEY+<origin>+<key ID>+<base64 of type 0x01 and seed>
//	next <op, cosign or log> PRIVATE+KEY+…     optional, in this order: keys that are to take the place of those above (Next)
//	old <op, cosign or log> PRIVATE+KEY+…      up to 64, oldest first: keys whose place another has taken (Adopt)
//
// It refuses a file that others than its owner may read (Unauthorized), that is damaged (Corrupt: key IDs do not match),
// or that is another operator's or log's (Conflict).
func LoadOrCreateKeys(dir, operator, origin string) (*Keys, error) {
	path := filepath.Join(dir, KeysFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createKeys(dir, path, operator, origin)
	}
	if err != nil {
		return nil, fmt.Errorf("read operator keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, concord.Errorf(concord.Unauthorized, "operator keys %s: mode %04o lets others read them; run chmod 600 on it, and make new keys if others had access", path, info.Mode().Perm())
	}
	if info.Size() > maxKeysFile {
		return nil, concord.Errorf(concord.Corrupt, "operator keys %s: %d bytes is too long for this file", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read operator keys: %w", err)
	}
	k, err := parseKeys(string(b))
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "operator keys %s: %w; restore the file from your backup", path, err)
	}
	if k.Op.Key().Name != operator || k.Cosign.Key().Name != operator || k.Log.Key().Name != origin {
		return nil, concord.Errorf(concord.Conflict, "operator keys %s are those of operator %q and log %q, not of %q and %q", path, k.Op.Key().Name, k.Log.Key().Name, operator, origin)
	}
	k.path = path
	return k, nil
}

// LogOf returns the name of the log that the keys in dir are for. NotFound: there are none; Corrupt.
func LogOf(dir string) (string, error) {
	path := filepath.Join(dir, KeysFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", concord.Errorf(concord.NotFound, "there are no operator keys in %s", dir)
	case err != nil:
		return "", fmt.Errorf("read operator keys: %w", err)
	case info.Size() > maxKeysFile:
		return "", concord.Errorf(concord.Corrupt, "operator keys %s: %d bytes is too long for this file", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read operator keys: %w", err)
	}
	k, err := parseKeys(string(b))
	if err != nil {
		return "", concord.Errorf(concord.Corrupt, "operator keys %s: %w; restore the file from your backup", path, err)
	}
	return k.Log.Key().Name, nil
}

func createKeys(dir, path, operator, origin string) (*Keys, error) {
	k := &Keys{path: path}
	for _, f := range k.fields() {
		name := operator
		if f.label == "log" {
			name = origin
		}
		s, err := makeSigner(name, f.typ)
		if err != nil {
			return nil, fmt.Errorf("make operator keys: %w", err)
		}
		*f.signer = s
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make operator keys: %w", err)
	}
	if err := WritePrivate(path, []byte(k.format())); err != nil {
		return nil, fmt.Errorf("make operator keys: %w", err)
	}
	return k, nil
}

func makeSigner(name string, typ Type) (*Signer, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, err
	}
	return NewSigner(name, typ, seed)
}

type keyField struct {
	label  string
	typ    Type
	signer **Signer
}

func (k *Keys) fields() [3]keyField {
	return [3]keyField{{"op", Ed25519, &k.Op}, {"cosign", Cosignature, &k.Cosign}, {"log", Ed25519, &k.Log}}
}

// field returns the key of a label.
func (k *Keys) field(label string) (keyField, error) {
	for _, f := range k.fields() {
		if f.label == label && *f.signer != nil {
			return f, nil
		}
	}
	return keyField{}, concord.Errorf(concord.Invalid, "operator keys: there is no key %q; there are op, cosign and log", concord.Clip(label, 40))
}

// Next returns the key that is to take the place of "op", "cosign" or "log". The first time it makes one, which is durable when it
// returns; afterwards it is the same until Adopt.
func (k *Keys) Next(label string) (*Signer, error) {
	f, err := k.field(label)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.next[label]; s != nil {
		return s, nil
	}
	if len(k.old) >= maxOldKeys {
		return nil, concord.Errorf(concord.Invalid, "operator keys: %d were changed, the limit", maxOldKeys)
	}
	s, err := makeSigner((*f.signer).Key().Name, f.typ)
	if err != nil {
		return nil, fmt.Errorf("make the next %s key: %w", label, err)
	}
	then := k.copy()
	then.next[label] = s
	if err := k.save(then); err != nil {
		return nil, fmt.Errorf("make the next %s key: %w", label, err)
	}
	return s, nil
}

// Waiting returns the key that Next made and Adopt has not taken; nil: none.
func (k *Keys) Waiting(label string) *Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.next[label]
}

// Adopt makes the key that Next made the current one, if it is want: the Signer in the field of Keys signs with it from now on, for all
// who hold it, and with the old one no more. It is durable before it is used. It reports whether that is so, or was already.
func (k *Keys) Adopt(label string, want Key) (bool, error) {
	f, err := k.field(label)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if (*f.signer).Key() == want {
		return true, nil
	}
	s := k.next[label]
	if s == nil || s.Key() != want {
		return false, nil
	}
	was := new(Signer)
	was.pair.Store((*f.signer).pair.Load())
	then := k.copy()
	delete(then.next, label)
	then.old = append(then.old, oldKey{label, was})
	for _, g := range then.fields() {
		if g.label == label {
			*g.signer = s
		}
	}
	if err := k.save(then); err != nil {
		return false, fmt.Errorf("adopt the next %s key: %w", label, err)
	}
	(*f.signer).pair.Store(s.pair.Load())
	return true, nil
}

// Follow takes up the keys of a file with this operator's keys as another of its machines has them (see LoadOrCreateKeys): for all who hold
// the Signers of Keys, as Adopt does, and durably before. Errors: Corrupt; Conflict when a key that is here is not in the file, current, waiting or old: it
// is then another operator's, or of another history, or older than what is here.
func (k *Keys) Follow(file string) error {
	if len(file) > maxKeysFile {
		return concord.Errorf(concord.Corrupt, "operator keys: %d bytes is too long for this file", len(file))
	}
	then, err := parseKeys(file)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.fields() {
		if !then.has(f.label, *f.signer) || k.next[f.label] != nil && !then.has(f.label, k.next[f.label]) {
			return concord.Errorf(concord.Conflict, "operator keys: they do not follow those that are here: the %s key of %s is not among them", f.label, (*f.signer).Key().Name)
		}
	}
	for _, o := range k.old {
		if !then.has(o.label, o.Signer) || then.current(o.label).Key() == o.Key() {
			return concord.Errorf(concord.Conflict, "operator keys: they are older than those that are here: the %s key %08x was changed", o.label, o.Key().ID())
		}
	}
	if err := k.save(then); err != nil {
		return fmt.Errorf("take up the operator's new keys: %w", err)
	}
	for _, f := range k.fields() {
		(*f.signer).pair.Store(then.current(f.label).pair.Load())
	}
	return nil
}

func (k *Keys) current(label string) *Signer {
	for _, f := range k.fields() {
		if f.label == label {
			return *f.signer
		}
	}
	return nil
}

// has reports whether a key is one of these for a label: current, waiting or old.
func (k *Keys) has(label string, s *Signer) bool {
	return k.current(label).Key() == s.Key() || k.next[label] != nil && k.next[label].Key() == s.Key() ||
		slices.ContainsFunc(k.old, func(o oldKey) bool { return o.label == label && o.Key() == s.Key() })
}

// Was reports whether a key was one of these, and another has taken its place.
func (k *Keys) Was(key Key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.old, func(o oldKey) bool { return o.Key() == key })
}

// Secrets returns what the op key derives for a label (Signer.Derive), and after it what each that came before it derived, the
// newest first.
func (k *Keys) Secrets(label string) [][sha256.Size]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := [][sha256.Size]byte{k.Op.Derive(label)}
	for _, o := range slices.Backward(k.old) {
		if o.label == "op" {
			list = append(list, o.Derive(label))
		}
	}
	return list
}

// copy returns keys to be changed and saved.
func (k *Keys) copy() *Keys {
	c := &Keys{Op: k.Op, Cosign: k.Cosign, Log: k.Log, next: map[string]*Signer{}, old: slices.Clone(k.old)}
	maps.Copy(c.next, k.next)
	return c
}

// save writes other keys to the file, then keeps what they have as next and old.
func (k *Keys) save(then *Keys) error {
	if k.path == "" {
		return concord.Errorf(concord.Invalid, "these keys are in no file")
	}
	if err := WritePrivate(k.path, []byte(then.format())); err != nil {
		return err
	}
	k.next, k.old = then.next, then.old
	return nil
}

func (k *Keys) format() string {
	var b strings.Builder
	b.WriteString(keysHead + "\n")
	write := func(label string, s *Signer) {
		p := s.pair.Load()
		data := append([]byte{byte(p.key.Type)}, p.priv.Seed()...)
		fmt.Fprintf(&b, "%s %s%s+%08x+%s\n", label, privatePre, p.key.Name, p.key.ID(), base64.StdEncoding.EncodeToString(data))
	}
	for _, f := range k.fields() {
		write(f.label, *f.signer)
	}
	for _, f := range k.fields() {
		if s := k.next[f.label]; s != nil {
			write("next "+f.label, s)
		}
	}
	for _, o := range k.old {
		write("old "+o.label, o.Signer)
	}
	return b.String()
}

func parseKeys(text string) (*Keys, error) {
	k := &Keys{next: map[string]*Signer{}}
	lines := strings.Split(text, "\n")
	if len(lines) < 5 || len(lines) > 5+3+maxOldKeys || lines[0] != keysHead || lines[len(lines)-1] != "" {
		return nil, concord.Errorf(concord.Corrupt, "want the line %q and three keys", keysHead)
	}
	for i, f := range k.fields() {
		var err error
		if *f.signer, err = parseSigner(lines[i+1], f.label, f.typ, i+2); err != nil {
			return nil, err
		}
	}
	for i, line := range lines[4 : len(lines)-1] {
		for _, f := range k.fields() {
			switch {
			case strings.HasPrefix(line, "next "+f.label+" "):
				s, err := parseSigner(line, "next "+f.label, f.typ, i+5)
				if err != nil {
					return nil, err
				}
				k.next[f.label] = s
			case strings.HasPrefix(line, "old "+f.label+" "):
				s, err := parseSigner(line, "old "+f.label, f.typ, i+5)
				if err != nil {
					return nil, err
				}
				k.old = append(k.old, oldKey{f.label, s})
			}
		}
	}
	if k.format() != text { // the key ID is a checksum over name, type and the public key of the seed
		return nil, concord.Errorf(concord.Corrupt, "a key does not match its key ID, or a line is none of this file")
	}
	return k, nil
}

func parseSigner(line, label string, typ Type, number int) (*Signer, error) {
	v, ok := strings.CutPrefix(line, label+" "+privatePre)
	if !ok {
		return nil, concord.Errorf(concord.Corrupt, "line %d is not the %s key", number, label)
	}
	key, seed, err := splitKey(v)
	if err != nil || key.Type != typ {
		return nil, concord.Errorf(concord.Corrupt, "line %d is not a signing key of type %d", number, typ)
	}
	return NewSigner(key.Name, typ, seed)
}

// WritePrivate writes a file of mode 0600 all at once: a new file, synced, renamed over path, the directory synced.
func WritePrivate(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // created with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
