package web

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The addresses of this server's own pages and calls, in one place. All are relative to the root.

func archiveLink(capture, pageURL string) string {
	return "/archive/" + url.PathEscape(capture) + "?" + url.Values{"url": {pageURL}}.Encode()
}

func rawLink(capture, pageURL string) string {
	return "/archive/" + url.PathEscape(capture) + "/raw?" + url.Values{"url": {pageURL}}.Encode()
}

func contentLink(capture, pageURL string) string {
	return apiPrefix + "/captures/" + url.PathEscape(capture) + "/content?" + url.Values{"url": {pageURL}}.Encode()
}

// lookupLink leads to the newest archived copy of a page, or says that there is none.
func lookupLink(pageURL string) string { return "/archive?" + url.Values{"url": {pageURL}}.Encode() }

func receiptLink(capture, pageURL string) string {
	return "/receipt?" + url.Values{"capture": {capture}, "url": {pageURL}}.Encode()
}

func receiptFileLink(capture, pageURL string) string {
	return apiPrefix + "/receipts?" + url.Values{"capture": {capture}, "url": {pageURL}}.Encode()
}

// operatorReceiptLink and operatorReceiptFileLink lead to the receipt of another operator's capture, which this server gets and checks.
func operatorReceiptLink(operator, capture, pageURL string) string {
	return "/receipt?" + url.Values{"capture": {capture}, "operator": {operator}, "url": {pageURL}}.Encode()
}

func operatorReceiptFileLink(operator, capture, pageURL string) string {
	return apiPrefix + "/receipts?" + url.Values{"capture": {capture}, "operator": {operator}, "url": {pageURL}}.Encode()
}

func whyLink(pageURL string) string { return "/why?" + url.Values{"url": {pageURL}}.Encode() }

func searchLink(query string, offset int) string {
	v := url.Values{"q": {query}}
	if offset > 0 {
		v.Set("offset", strconv.Itoa(offset))
	}
	return "/search?" + v.Encode()
}

// explainLink leads to why a page is a result of a query.
func explainLink(query, pageURL string) string {
	return "/explain?" + url.Values{"q": {query}, "url": {pageURL}}.Encode()
}

func witnessLink(ask uint64) string { return "/witness/" + strconv.FormatUint(ask, 10) }

// outcomeFileLink leads to the receipt of what an ask came to.
func outcomeFileLink(ask uint64) string {
	return "/api/v1" + witnessLink(ask) + "/receipt"
}

func entryLink(index uint64) string { return "/ledger/" + strconv.FormatUint(index, 10) }

// webLink returns u if it is an http or https URL, and nothing otherwise: what a stranger wrote must not become a link
// that runs code.
func webLink(u string) string {
	p, err := url.Parse(u)
	if err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
		return ""
	}
	return u
}

// fileName makes a file name from a URL, a time and an extension: "example.com-page-20261122T101500Z.warc".
func fileName(pageURL string, at time.Time, ext string) string {
	const maxName = 80 // leaves room for the rest within what file systems allow
	rest := pageURL
	if _, after, ok := strings.Cut(pageURL, "://"); ok {
		rest = after
	}
	var b strings.Builder
	gap := false
	for _, c := range []byte(rest) {
		if b.Len() >= maxName {
			break
		}
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.' && !gap && b.Len() > 0:
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteByte(c)
		default:
			gap = true
		}
	}
	name := b.String()
	if name == "" {
		name = "page"
	}
	if !at.IsZero() {
		name += "-" + at.UTC().Format("20060102T150405Z")
	}
	return name + ext
}
