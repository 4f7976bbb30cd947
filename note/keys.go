package note

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"concord"
)

// Keys are an operator's signing keys. Each is for one kind of statement and never shared.
type Keys struct {
	Op     *Signer // transactions; named for the operator
	Cosign *Signer // cosignatures of checkpoints; named for the operator
	Log    *Signer // checkpoints; named for the log's origin
}

// KeysFile is the name of the file LoadOrCreateKeys keeps.
const KeysFile = "operator.keys"

const (
	keysHead   = "concord/keys/v1"
	privatePre = "PRIVATE+KEY+"
	// maxKeysFile is far above what three keys with the longest names take.
	maxKeysFile = 4096
)

// LoadOrCreateKeys reads dir/operator.keys, or makes new keys and that file when it does not exist. The file has mode
// 0600 and holds all keys, so that there are either all of them or none; it is durable when LoadOrCreateKeys returns.
//
//	concord/keys/v1
//	op PRIVATE+KEY+<operator>+<key ID>+<base64 of type 0x01 and seed>
//	cosign PRIVATE+KEY+<operator>+<key ID>+<base64 of type 0x04 and seed>
//	log PRIVATE+KEY+<origin>+<key ID>+<base64 of type 0x01 and seed>
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
	if k.Op.key.Name != operator || k.Cosign.key.Name != operator || k.Log.key.Name != origin {
		return nil, concord.Errorf(concord.Conflict, "operator keys %s are those of operator %q and log %q, not of %q and %q", path, k.Op.key.Name, k.Log.key.Name, operator, origin)
	}
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
	return k.Log.key.Name, nil
}

func createKeys(dir, path, operator, origin string) (*Keys, error) {
	k := new(Keys)
	for _, f := range k.fields() {
		name := operator
		if f.label == "log" {
			name = origin
		}
		seed := make([]byte, ed25519.SeedSize)
		if _, err := rand.Read(seed); err != nil {
			return nil, fmt.Errorf("make operator keys: %w", err)
		}
		s, err := NewSigner(name, f.typ, seed)
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

type keyField struct {
	label  string
	typ    Type
	signer **Signer
}

func (k *Keys) fields() [3]keyField {
	return [3]keyField{{"op", Ed25519, &k.Op}, {"cosign", Cosignature, &k.Cosign}, {"log", Ed25519, &k.Log}}
}

func (k *Keys) format() string {
	var b strings.Builder
	b.WriteString(keysHead + "\n")
	for _, f := range k.fields() {
		s := *f.signer
		data := append([]byte{byte(f.typ)}, s.priv.Seed()...)
		fmt.Fprintf(&b, "%s %s%s+%08x+%s\n", f.label, privatePre, s.key.Name, s.key.ID(), base64.StdEncoding.EncodeToString(data))
	}
	return b.String()
}

func parseKeys(text string) (*Keys, error) {
	k := new(Keys)
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != keysHead || lines[4] != "" {
		return nil, concord.Errorf(concord.Corrupt, "want the line %q and three keys", keysHead)
	}
	for i, f := range k.fields() {
		v, ok := strings.CutPrefix(lines[i+1], f.label+" "+privatePre)
		if !ok {
			return nil, concord.Errorf(concord.Corrupt, "line %d is not the %s key", i+2, f.label)
		}
		key, seed, err := splitKey(v)
		if err != nil || key.Type != f.typ {
			return nil, concord.Errorf(concord.Corrupt, "line %d is not a signing key of type %d", i+2, f.typ)
		}
		if *f.signer, err = NewSigner(key.Name, f.typ, seed); err != nil {
			return nil, err
		}
	}
	if k.format() != text { // the key ID is a checksum over name, type and the public key of the seed
		return nil, concord.Errorf(concord.Corrupt, "a key does not match its key ID")
	}
	return k, nil
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
