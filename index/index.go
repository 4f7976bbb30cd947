// Package index answers: given a term, where are its documents?
//
// A Builder takes documents in memory and writes them as a segment: one immutable file with a term dictionary, posting
// lists with quantised BM25F impacts, positions, columns and the documents themselves (FORMAT.md has the bytes). Open
// maps a segment for reading, Merge makes one segment of several without reading a word again. A Writer makes one segment of
// any number of documents with several builders within a stated memory. The package knows nothing of queries (package search)
// nor of which segments are current (the shard's manifest).
//
// Invariants:
//   - Documents of a segment are in order of site, then URL, unless a merge reordered them: then Rank gives that order. A URL
//     occurs once among the live ones.
//   - A segment file never changes. Deletes are a separate bitmap, laid over a segment by WithDeletes.
//   - What is read from a file was checked against its CRC-32C before it was used. Damage is an error of kind
//     Corrupt that names the section, never a panic and never a wrong answer.
//   - Merging segments gives, byte for byte, the file that one Builder would have written of their live documents, in
//     whatever order those were.
package index

import (
	"time"

	"concord"
)

// DocID numbers the documents of one segment from 0, in order of site and URL or as a merge put them.
type DocID uint32

// NoDoc is the DocID after every document: what an exhausted iterator stands on.
const NoDoc DocID = 1<<32 - 1

// Field chooses a posting list of a term.
type Field uint8

const (
	FieldAll   Field = iota // title, headings, anchors, URL and body, combined by weight
	FieldTitle              // title only: intitle:
	FieldURL                // words of the URL only: inurl:
	NumFields
)

var fieldNames = [NumFields]string{"all", "title", "url"}

// String returns the field's name: "all", "title", "url".
func (f Field) String() string {
	if f < NumFields {
		return fieldNames[f]
	}
	return "unknown"
}

// Part is one piece of a document's text. The parts follow each other in this order in the position space of FieldAll,
// partGap positions apart, so that phrases do not cross them.
type Part uint8

const (
	PartTitle Part = iota
	PartHeadings
	PartAnchors
	PartURL
	PartBody
	NumParts
)

var partNames = [NumParts]string{"title", "headings", "anchors", "url", "body"}

// String returns the part's name.
func (p Part) String() string {
	if p < NumParts {
		return partNames[p]
	}
	return "unknown"
}

// Document is what goes into the index and comes out of Segment.Document unchanged (but for Config.OmitText), times cut to whole
// seconds.
type Document struct {
	URL         string // normal form; the key
	Site        string // registrable domain or host, as weburl gives it
	Host        string // host name, with port where it is not the default; empty: the site's
	Language    string // ISO 639-1; empty: unknown. Chooses the stemmer
	FileType    string
	Fetched     time.Time
	Published   time.Time // zero: unknown
	Title       string
	Description string
	Headings    []string
	Body        string
	Anchors     []string // texts of links from other pages
	Capture     string   // ID of the capture this was extracted from
	NoArchive   bool
	NoSnippet   bool
	MaxSnippet  int // characters a snippet may have; 0: no limit
}

// Bounds of a document. Text beyond them is stored but not searchable, or refused where noted.
const (
	MaxURLBytes      = 8 << 10  // refused: weburl keeps URLs far below
	MaxDocumentBytes = 64 << 20 // refused: a fetch is bounded far below; bounds a record of the document store
	MaxBodyWords     = 1 << 20  // a book has a tenth of it
	MaxPartWords     = 1 << 14  // title, headings, anchors, URL: lengths are stored in 16 bits
	MaxDocs          = 1 << 30  // documents of one segment: numbers must stay clear of NoDoc
)

// Scoring holds the parameters of BM25F. A term's impact in a document is
//
//	(x/(x+K1) + TitleBoost * y/(y+K1)) / (1 + TitleBoost)
//
// with x = sum over parts of Weight * tf / (1 - B + B * length/average length), and y the same of the title alone with
// weight 1. In a list of the title or the URL alone it is x/(x+K1), x being that of the one part with weight 1.
type Scoring struct {
	K1     float64           `json:"k1"`
	Weight [NumParts]float64 `json:"weight"` // indexed by Part
	B      [NumParts]float64 `json:"b"`
	// TitleBoost is what a word is worth once more for standing in the title: it holds up better than a greater weight there, which
	// is soon lost in the saturation.
	TitleBoost float64 `json:"titleBoost"`
}

// DefaultScoring has K1 and B of the body as in Lucene's published baselines; the other weights were chosen on
// known-item and judged queries (see the tests of package search).
func DefaultScoring() Scoring {
	return Scoring{
		K1:     0.9,
		Weight: [NumParts]float64{PartTitle: 2, PartHeadings: 0.5, PartAnchors: 1, PartURL: 0.5, PartBody: 1},
		B:      [NumParts]float64{PartTitle: 0.5, PartHeadings: 0.4, PartAnchors: 0.6, PartURL: 0.5, PartBody: 0.4},

		TitleBoost: 0.4,
	}
}

// Validate refuses parameters that give negative or infinite impacts.
func (s Scoring) Validate() error {
	if !(s.K1 > 0 && s.K1 < 1000) {
		return concord.Errorf(concord.Invalid, "scoring: k1 %v is not between 0 and 1000", s.K1)
	}
	if !(s.TitleBoost >= 0 && s.TitleBoost < 1000) {
		return concord.Errorf(concord.Invalid, "scoring: title boost %v is not between 0 and 1000", s.TitleBoost)
	}
	for p := range NumParts {
		if !(s.Weight[p] >= 0 && s.Weight[p] < 1000) || !(s.B[p] >= 0 && s.B[p] <= 1) {
			return concord.Errorf(concord.Invalid, "scoring of %s: weight %v or b %v out of range", p, s.Weight[p], s.B[p])
		}
	}
	return nil
}

// Lengths are the collection statistics that impacts depend on. Those of several segments add up.
type Lengths struct {
	Docs  uint64           `json:"docs"`
	Words [NumParts]uint64 `json:"words"` // sum of the lengths of each part
}

// Add adds o to l.
func (l *Lengths) Add(o Lengths) {
	l.Docs += o.Docs
	for p := range l.Words {
		l.Words[p] += o.Words[p]
	}
}

// average returns the mean length of a part, 0 when there is none.
func (l *Lengths) average(p Part) float64 {
	if l.Docs == 0 {
		return 0
	}
	return float64(l.Words[p]) / float64(l.Docs)
}

// Config says how a segment is written. The zero value is ready to use.
type Config struct {
	// Scoring; nil: DefaultScoring. All segments that are searched together should agree.
	Scoring *Scoring
	// Lengths of the whole collection, so that a small segment scores like the large ones beside it. Nil, or without
	// documents: the segment's own.
	Lengths *Lengths
	// OmitText makes a Builder store documents without body, headings, anchors and description: for an index that ranks but shows no
	// text. They are searchable as ever. Merge keeps what its segments have.
	OmitText bool
	// Reorder makes Merge number documents so that those with the same words are near each other, by recursive graph
	// bisection. The segment gets about a twenty-fifth smaller and queries on it are up to a twentieth faster; the merge takes two to
	// three times as long and up to 300 MB and 40 bytes a document more. Right for the largest merges, whose segments stay for long; a Builder does not heed it.
	Reorder bool
}

func (c *Config) scoring() (Scoring, error) {
	if c.Scoring == nil {
		return DefaultScoring(), nil
	}
	return *c.Scoring, c.Scoring.Validate()
}

// SegmentInfo describes a segment that was written.
type SegmentInfo struct {
	Path     string  `json:"path"`
	Docs     int     `json:"docs"`
	Bytes    int64   `json:"bytes"`
	Terms    int     `json:"terms"`    // entries of all dictionaries
	Postings int64   `json:"postings"` // entries of all posting lists
	Lengths  Lengths `json:"lengths"`  // of this segment's documents
	CRC      uint32  `json:"crc"`      // CRC-32C of the whole file
}
