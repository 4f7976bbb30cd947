package concord

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Capture is one fetched response as it lies in the archive. Every fetch makes one, redirects, errors with a response,
// and revisits included. It is announced only after its WARC records are durable.
type Capture struct {
	ID       string    `json:"id"`                 // the UUID of its WARC response or revisit record, 36 characters
	URL      string    `json:"url"`                // the URL asked, in weburl's normal form
	Time     time.Time `json:"time"`               // when the request was sent, UTC, whole seconds
	Status   int       `json:"status"`             // HTTP status code
	Mime     string    `json:"mime,omitempty"`     // media type without parameters, lower case, as declared or sniffed
	Size     int64     `json:"size"`               // payload bytes as received, content coding kept
	Raw      Digest    `json:"raw"`                // payload digest: transfer coding removed, content coding kept
	Text     Digest    `json:"text,omitzero"`      // digest of the normalised text; zero where nothing was extracted
	Profile  string    `json:"profile,omitempty"`  // the normaliser that made the text, for example "text-1"
	Record   Digest    `json:"record"`             // WARC-Block-Digest of the response or revisit record
	Location Location  `json:"location"`           // where that record lies
	Redirect string    `json:"redirect,omitempty"` // target of a 3xx answer, in normal form
	Revisit  string    `json:"revisit,omitempty"`  // ID of the earlier capture with the same payload, for a revisit
	Robots   Digest    `json:"robots,omitzero"`    // payload digest of the robots.txt it was fetched under; zero: there was none
	Crawl    string    `json:"crawl,omitempty"`    // ID of the crawl it was fetched for

	// Duplicate names the URL that stands for this page in results, when another page says the same.
	Duplicate string `json:"duplicate,omitempty"`
	// Skip says in a few words why the capture is kept on record but not in the index ("noindex", "redirect",
	// "status 404", "exact duplicate", "near duplicate", "canonical elsewhere", "no text"); empty: it is to be indexed.
	Skip string `json:"skip,omitempty"`
}

// Reasons of Skip that leave what is indexed under the URL as it is: the capture says nothing newer.
const (
	SkipRevisit = "revisit"                  // an imported revisit, whose body is elsewhere
	SkipOlder   = "older than what is known" // an imported capture from before the one that is indexed
	SkipWitness = "fetched as a witness"     // no crawl asked for it
)

// WitnessCrawl is Capture.Crawl of what was fetched because the ledger asked for it.
const WitnessCrawl = "witness"

// ImportCrawl is Capture.Crawl of what came from WARC files of others. It was not this operator who fetched it, so it is
// never attested.
const ImportCrawl = "import"

// Location says where one WARC record lies: a gzip member of one archive file.
type Location struct {
	File   string `json:"file"`   // file name inside the archive, no directory
	Offset int64  `json:"offset"` // first byte of the gzip member
	Length int64  `json:"length"` // bytes of the gzip member
}

// SaltSize is the number of random bytes that keep an entry's hash from being guessed.
const SaltSize = 16

// Entry is a capture as it is attested: one line of text with a salt, the leaf of a batch's Merkle tree. Who has the
// line can prove it; who has only the hash learns nothing, not even that a URL was fetched.
//
//	entry <salt> <unix seconds> <status> <raw> <text|-> <profile|-> <record> <url>
//
// Fields are separated by single spaces; salt and digests are canonical base64.
type Entry struct {
	Salt    [SaltSize]byte
	Time    int64 // unix seconds
	Status  int
	Raw     Digest
	Text    Digest // zero: no text was extracted, and Profile is empty
	Profile string
	Record  Digest
	URL     string
}

// EntryOf returns the entry of a capture under a salt.
func EntryOf(c *Capture, salt [SaltSize]byte) Entry {
	e := Entry{Salt: salt, Time: c.Time.Unix(), Status: c.Status, Raw: c.Raw, Record: c.Record, URL: c.URL}
	if !c.Text.IsZero() {
		e.Text, e.Profile = c.Text, c.Profile
	}
	return e
}

// String returns the line, without a line feed. These bytes are the leaf's data.
func (e Entry) String() string {
	text, profile := "-", "-"
	if !e.Text.IsZero() {
		text, profile = e.Text.String(), e.Profile
	}
	return strings.Join([]string{"entry", base64.StdEncoding.EncodeToString(e.Salt[:]), strconv.FormatInt(e.Time, 10),
		strconv.Itoa(e.Status), e.Raw.String(), text, profile, e.Record.String(), e.URL}, " ")
}

// ParseEntry reads a line written by String. A line that does not re-encode to itself is refused.
func ParseEntry(line string) (Entry, error) {
	bad := func(what string) (Entry, error) {
		return Entry{}, Errorf(Invalid, "capture entry: %s: %q", what, Clip(line, 80))
	}
	f := strings.Split(line, " ")
	if len(f) != 9 || f[0] != "entry" {
		return bad("want nine fields, the first of them \"entry\"")
	}
	var e Entry
	salt, err := base64.StdEncoding.Strict().DecodeString(f[1])
	if err != nil || len(salt) != SaltSize {
		return bad("salt is not the base64 of 16 bytes")
	}
	copy(e.Salt[:], salt)
	if e.Time, err = strconv.ParseInt(f[2], 10, 64); err != nil || e.Time < 0 {
		return bad("time is not a number of seconds")
	}
	if e.Status, err = strconv.Atoi(f[3]); err != nil || e.Status < 100 || e.Status > 999 {
		return bad("status is not an HTTP status code")
	}
	if e.Raw, err = ParseDigest(f[4]); err != nil {
		return bad("raw digest")
	}
	if f[5] != "-" {
		if e.Text, err = ParseDigest(f[5]); err != nil {
			return bad("text digest")
		}
		e.Profile = f[6]
	}
	if e.Record, err = ParseDigest(f[7]); err != nil {
		return bad("record digest")
	}
	e.URL = f[8]
	if e.URL == "" || strings.ContainsFunc(e.URL, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return bad("URL is empty or holds a space or control character")
	}
	if e.String() != line {
		return bad("not in canonical form")
	}
	return e, nil
}
