package crawl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"concord"
	"concord/state"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// Keys of a partition's store. <host> is an origin ("https://www.example.org:8443"), <crawl> a crawlID in 8 bytes,
// numbers are big-endian.
//
//	p                                                     position in the log (8), fence of the owner (8)
//	c <crawl>                                             crawlMsg
//	n <crawl>                                             counters
//	u <url>                                               urlRecord
//	h <host>                                              hostRecord
//	g <host> 00 <crawl>                                   share
//	q <host> 00 <due ms 8> <rank 1> <log number 8> <n 4>  entry: a host's queue; due 0 means at once
//	t <wake ms 8> <host>                                  hosts with something to do, by when
//	a <host>                                              hosts that stand in memory instead of under t
//	r <host>                                              robotsRecord
//	e <site> 00 <first 16 bytes of a text digest>         URL of the page that stands for this text
//	b <site> 00 <band 1> <16 bits> <simhash 8> <numbers 8> <url>   pages by parts of their simhash
//	k <canonical url> 00 <url>                            pages that give way once the canonical one is there
//	i <record digest>                                     records that were imported
//	x <crawl> <url>                                       sitemaps that a crawl has taken up
//	o                                                     ownerRecord: who runs the partition, among machines that share it
const (
	keyPosition = 'p'
	keyCrawl    = 'c'
	keyCounters = 'n'
	keyURL      = 'u'
	keyHost     = 'h'
	keyShare    = 'g'
	keyQueue    = 'q'
	keyWake     = 't'
	keyActive   = 'a'
	keyRobots   = 'r'
	keyExact    = 'e'
	keyBand     = 'b'
	keyWaits    = 'k'
	keyImport   = 'i'
	keySitemap  = 'x'
	keyOwner    = 'o'
)

func key(prefix byte, parts ...string) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	k := append(make([]byte, 0, n), prefix)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func be(v uint64) string { return string(binary.BigEndian.AppendUint64(nil, v)) }

func crawlKey(prefix byte, id crawlID) []byte  { return key(prefix, be(uint64(id))) }
func shareKey(host string, id crawlID) []byte  { return key(keyShare, host, "\x00", be(uint64(id))) }
func wakeKey(ms int64, host string) []byte     { return key(keyWake, be(uint64(ms)), host) }
func sitemapKey(id crawlID, url string) []byte { return key(keySitemap, be(uint64(id)), url) }

const queueTail = 8 + 1 + 8 + 4 // bytes of a queue key behind the host and its 00

func queueKey(host string, dueMillis int64, rank byte, seq uint64, n uint32) []byte {
	k := key(keyQueue, host, "\x00")
	k = binary.BigEndian.AppendUint64(k, uint64(dueMillis))
	k = append(k, rank)
	k = binary.BigEndian.AppendUint64(k, seq)
	return binary.BigEndian.AppendUint32(k, n)
}

// queueHost and queueDue take a queue key apart; ok is false for what is none.
func queueHost(k []byte) (host string, ok bool) {
	if len(k) < 2+queueTail || k[0] != keyQueue || k[len(k)-queueTail-1] != 0 {
		return "", false
	}
	return string(k[1 : len(k)-queueTail-1]), true
}

func queueDue(k []byte) int64 { return int64(binary.BigEndian.Uint64(k[len(k)-queueTail:])) }

// prefixEnd is the first key behind all keys with this prefix.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

const (
	storeCacheBytes    = 64 << 20 // shared by all partitions of the process
	storeMemTableBytes = 8 << 20  // of one partition; up to three of them
	storeOpenFiles     = 200      // of one partition
)

// openStore opens the store of a partition. Its writes are not synced one by one: what a crash takes is replayed from
// the log, of which nothing is trimmed before it is synced here.
func openStore(dir, name string, cache *pebble.Cache) (*pebble.DB, error) {
	if err := state.Recover(filepath.Join(dir, name)); err != nil {
		return nil, fmt.Errorf("open state of %s: %w", name, err)
	}
	opts := &pebble.Options{Cache: cache, MemTableSize: storeMemTableBytes, MaxOpenFiles: storeOpenFiles,
		MaxManifestFileSize: state.PebbleManifestBytes, Logger: quiet{}}
	opts.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.FormatMajorVersion = pebble.FormatNewest
	db, err := pebble.Open(filepath.Join(dir, name), opts)
	if err != nil {
		return nil, fmt.Errorf("open state of %s: %w", name, err)
	}
	return db, nil
}

// quiet keeps the store from logging each flush and compaction; its errors come back from its calls.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("crawl: state store: "+f, a...)) }

// txn is one write of a partition: a batch that sees its own changes.
type txn struct {
	db    *pebble.DB
	batch *pebble.Batch
	over  map[string][]byte // values set in this batch; nil: deleted
	hosts map[string]*hostRecord
	share map[string]*share
}

func newTxn(db *pebble.DB) *txn {
	return &txn{db: db, batch: db.NewBatch(), over: map[string][]byte{}, hosts: map[string]*hostRecord{}, share: map[string]*share{}}
}

// get returns a copy of a value, nil when there is none.
func (t *txn) get(k []byte) ([]byte, error) {
	if v, ok := t.over[string(k)]; ok {
		return v, nil
	}
	return load(t.db, k)
}

// errElsewhere is the answer for a partition that is not open here.
var errElsewhere = concord.Errorf(concord.Unavailable, "this partition of the frontier is not run on this machine now")

func load(db *pebble.DB, k []byte) ([]byte, error) {
	if db == nil {
		return nil, errElsewhere
	}
	v, closer, err := db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read frontier state: %w", err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}

// set changes a value that this transaction may read again; put one that it does not.
func (t *txn) set(k, v []byte) {
	t.over[string(k)] = v
	t.put(k, v)
}

func (t *txn) put(k, v []byte) { _ = t.batch.Set(k, v, nil) } // fails only on a closed batch

func (t *txn) del(k []byte) {
	t.over[string(k)] = nil
	_ = t.batch.Delete(k, nil)
}

func (t *txn) url(u string) (*urlRecord, error) {
	v, err := t.get(key(keyURL, u))
	if v == nil || err != nil {
		return nil, err
	}
	return decodeURL(v)
}

func (t *txn) setURL(u string, r *urlRecord) { t.set(key(keyURL, u), r.encode()) }

// host returns the record of a host, to be changed in place: commit writes it.
func (t *txn) host(host string, born uint64) (*hostRecord, error) {
	if r := t.hosts[host]; r != nil {
		return r, nil
	}
	v, err := t.get(key(keyHost, host))
	if err != nil {
		return nil, err
	}
	r := &hostRecord{Born: born}
	if v != nil {
		if r, err = decodeHost(v); err != nil {
			return nil, err
		}
	}
	t.hosts[host] = r
	return r, nil
}

// shareOf returns what a crawl has on a host, to be changed in place.
func (t *txn) shareOf(host string, id crawlID) (*share, error) {
	k := shareKey(host, id)
	if s := t.share[string(k)]; s != nil {
		return s, nil
	}
	v, err := t.get(k)
	if err != nil {
		return nil, err
	}
	s := new(share)
	if v != nil {
		if s, err = decodeShare(v); err != nil {
			return nil, err
		}
	}
	t.share[string(k)] = s
	return s, nil
}

func (t *txn) entry(k []byte) (*entry, error) {
	v, err := t.get(k)
	if v == nil || err != nil {
		return nil, err
	}
	return decodeEntry(v)
}

// commit writes everything at once, with what the caller adds.
func (t *txn) commit(sync bool) error {
	for host, r := range t.hosts {
		t.put(key(keyHost, host), r.encode())
	}
	for k, s := range t.share {
		t.put([]byte(k), s.encode())
	}
	opt := pebble.NoSync
	if sync {
		opt = pebble.Sync
	}
	if err := t.batch.Commit(opt); err != nil {
		return fmt.Errorf("commit frontier state: %w", err)
	}
	return nil
}

func decodePosition(v []byte) (position, fence uint64, err error) {
	if v == nil {
		return 0, 0, nil
	}
	if len(v) != 16 {
		return 0, 0, concord.Errorf(concord.Corrupt, "frontier position has %d bytes, want 16", len(v))
	}
	return binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), nil
}

// scan calls fn for each key with the prefix, from the key from on (nil: the first), until fn returns false. Key and
// value belong to the iterator.
func scan(db *pebble.DB, prefix, from []byte, fn func(k, v []byte) (bool, error)) error {
	if db == nil {
		return errElsewhere
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return fmt.Errorf("read frontier state: %w", err)
	}
	ok := false
	if from != nil {
		ok = it.SeekGE(from)
	} else {
		ok = it.First()
	}
	for more := true; ok && more && err == nil; ok = it.Next() {
		more, err = fn(it.Key(), it.Value())
	}
	return errors.Join(err, it.Error(), it.Close())
}
