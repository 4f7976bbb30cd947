package concord

import "time"

// Page is what a person reads on a captured page, and what the page asks of robots. Package page makes it.
type Page struct {
	URL         string    `json:"url"`                 // final URL, in normal form; relative links are resolved against it or <base>
	Canonical   string    `json:"canonical,omitempty"` // rel=canonical as the page claims it, in normal form; empty: none
	Title       string    `json:"title,omitempty"`
	Description string    `json:"description,omitempty"`
	Language    string    `json:"language,omitempty"` // ISO 639-1 code, lower case; empty: not known
	Headings    []string  `json:"headings,omitempty"`
	Body        string    `json:"body,omitempty"` // main text without navigation and boilerplate, paragraphs separated by LF
	Published   time.Time `json:"published,omitzero"`
	Modified    time.Time `json:"modified,omitzero"`
	FileType    string    `json:"filetype,omitempty"` // "html", "text", "pdf"
	Links       []Link    `json:"-"`                  // not stored with the page: they go to the frontier and to anchors

	TextDigest Digest `json:"textDigest,omitzero"` // SHA-256 of the normalised text
	Profile    string `json:"profile,omitempty"`   // which normaliser: "text-1"
	Simhash    uint64 `json:"simhash,omitempty"`   // 64-bit simhash of the normalised text; 0: too short to compare

	// What the page, by meta robots, and the server, by X-Robots-Tag, ask of us. The stricter of the two wins.
	NoIndex    bool      `json:"noIndex,omitempty"`
	NoFollow   bool      `json:"noFollow,omitempty"`
	NoArchive  bool      `json:"noArchive,omitempty"` // no archived copy is shown
	NoSnippet  bool      `json:"noSnippet,omitempty"`
	MaxSnippet int       `json:"maxSnippet,omitempty"` // characters a snippet may have; 0: no limit
	Expires    time.Time `json:"expires,omitzero"`     // unavailable_after
	Truncated  bool      `json:"truncated,omitempty"`  // text or links were cut at a bound
}

// Link is one link of a page.
type Link struct {
	URL      string `json:"url"`              // absolute, in normal form
	Anchor   string `json:"anchor,omitempty"` // text of the link, white space collapsed, bounded
	NoFollow bool   `json:"noFollow,omitempty"`
}

// Anchor is the text under which some page links to a URL.
type Anchor struct {
	URL  string `json:"url"`
	Text string `json:"text"`
}
