package web

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"

	"concord"
	"concord/weburl"
)

const (
	// copyPolicy is the Content-Security-Policy of an archived copy. It repeats what the frame around it says (sandbox), so
	// that the copy is as harmless when its address is opened by itself. Only a person's click may leave it.
	copyPolicy = "sandbox allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; img-src data:; " +
		"form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

	// maxTimeline bounds the other captures listed beside a copy.
	maxTimeline = 50
)

// archivePage is an archived copy with who, when and the proof around it.
type archivePage struct {
	frame
	Capture  concord.Capture
	Link     string // the live page
	Copy     string // address of the copy; empty: there is none to show
	NoCopy   string // why
	Redirect string // address of the archive's answer for the target of a redirect
	Download string
	Receipt  string
	File     string // of the receipt
	Pending  int    // seconds until the receipt is expected; 0: it is there
	Halted   bool   // it waits for the ledger, and nobody knows for how long
	Others   []otherCapture
	More     int // captures not listed
}

func (*archivePage) template() string { return "archive" }

type otherCapture struct {
	concord.Capture
	Link    string
	Current bool
	Changed bool // its text differs from that of the capture before it
}

// noCopyPage says that nothing is archived under a URL.
type noCopyPage struct {
	frame
	URL  string
	Link string
	Why  string
}

func (*noCopyPage) template() string { return "nocopy" }

// pageURL reads a URL that a person gave, perhaps without its scheme.
func pageURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	if raw != "" && !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := weburl.Parse(raw)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// lookup leads to the newest copy of a page.
func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	u, err := pageURL(r.URL.Query().Get("url"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	list, err := s.cfg.Pages.Captures(r.Context(), u, maxCaptures)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(list) == 0 {
		s.render(w, r, http.StatusNotFound, &noCopyPage{frame: frame{Title: "Not archived", BoxInTop: true, NoIndex: true}, URL: u, Link: webLink(u), Why: whyLink(u)})
		return
	}
	best := list[0]
	for _, c := range list {
		if c.Status >= 200 && c.Status < 300 {
			best = c
			break
		}
	}
	http.Redirect(w, r, archiveLink(best.ID, u), http.StatusFound)
}

// asked returns the capture that the request is about, and the other captures of its page.
func (s *Server) asked(r *http.Request) (concord.Capture, []concord.Capture, error) {
	u, err := pageURL(r.URL.Query().Get("url"))
	if err != nil {
		return concord.Capture{}, nil, err
	}
	return s.capture(r.Context(), r.PathValue("capture"), u)
}

func (s *Server) archived(w http.ResponseWriter, r *http.Request) {
	c, list, err := s.asked(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &archivePage{frame: frame{Title: "Archived copy of " + concord.Clip(c.URL, 80), BoxInTop: true, NoIndex: true}, Capture: c, Link: webLink(c.URL),
		Receipt: receiptLink(c.ID, c.URL), File: receiptFileLink(c.ID, c.URL)}
	if p.Pending, err = s.pendingSeconds(r.Context(), c.ID); err != nil {
		s.fail(w, r, err)
		return
	}
	if p.Pending > 0 {
		_, good := s.ledgerState(r.Context())
		p.Halted = !good
	}
	if err := p.decideCopy(r.Context(), s.cfg.Archive); err != nil {
		s.fail(w, r, err)
		return
	}
	p.others(list)
	s.render(w, r, http.StatusOK, p)
}

// pendingSeconds is how long until the receipt of a capture is expected; 0: it is there.
func (s *Server) pendingSeconds(ctx context.Context, id string) (int, error) {
	state, err := s.cfg.Receipts.Attested(ctx, id)
	if err != nil || state.Done {
		return 0, err
	}
	return waitSeconds(state.Wait), nil
}

// decideCopy says whether there is a copy to show, and if not, why.
func (p *archivePage) decideCopy(ctx context.Context, a Archive) error {
	c := p.Capture
	if c.Redirect != "" {
		p.NoCopy = "The server answered with a redirect."
		p.Redirect = lookupLink(c.Redirect)
		return nil
	}
	content, err := a.Content(ctx, c)
	switch {
	case concord.KindOf(err) == concord.Corrupt:
		p.NoCopy = "The stored bytes do not match their checksum, so they are not shown."
		return nil
	case err != nil:
		return err
	case content.NoArchive:
		p.NoCopy = "The page asks that no copy of it be shown (noarchive). It was searched and attested, but you have to read it where it is."
		return nil
	}
	p.Download = contentLink(c.ID, c.URL)
	switch {
	case !showable(content.Mime):
		p.NoCopy = "A file of this kind (" + concord.Clip(content.Mime, 60) + ") is not shown here. You can download it."
	case len(content.Body) == 0:
		p.NoCopy = "The server sent no content."
	case len(content.Body) > maxCopyBytes:
		p.NoCopy = "The page is too long to be shown. You can download it."
	default:
		p.Copy = rawLink(c.ID, c.URL)
	}
	return nil
}

// others lists the captures of the page, newest first, and which of them found its text changed.
func (p *archivePage) others(list []concord.Capture) {
	for i, c := range list {
		if i == maxTimeline {
			p.More = len(list) - i
			return
		}
		o := otherCapture{Capture: c, Link: archiveLink(c.ID, c.URL), Current: c.ID == p.Capture.ID}
		o.Changed = i+1 < len(list) && !c.Text.IsZero() && c.Text != list[i+1].Text
		p.Others = append(p.Others, o)
	}
}

func isHTML(mime string) bool { return mime == "text/html" || mime == "application/xhtml+xml" }

// isText reports whether a media type is shown as the text it is.
func isText(mime string) bool {
	return strings.HasPrefix(mime, "text/") || mime == "application/json" || mime == "application/xml" || strings.HasSuffix(mime, "+json") || strings.HasSuffix(mime, "+xml")
}

func showable(mime string) bool { return isHTML(mime) || isText(mime) }

// rawCopy serves the copy itself, for the frame on the page around it.
func (s *Server) rawCopy(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", copyPolicy)
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cache-Control", "private, max-age=300")
	c, _, err := s.asked(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	content, err := s.cfg.Archive.Content(r.Context(), c)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if content.NoArchive {
		s.fail(w, r, newProblem(http.StatusForbidden, "the page asks that no copy be shown (noarchive)"))
		return
	}
	var doc []byte
	switch {
	case isHTML(content.Mime):
		doc, err = staticCopy(content.Body, content.Charset, c.URL)
	case isText(content.Mime):
		doc, err = textCopy(content.Body, content.Charset, c.URL)
	default:
		http.Redirect(w, r, contentLink(c.ID, c.URL), http.StatusSeeOther)
		return
	}
	if err != nil {
		doc = notice(err)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = bytes.NewReader(doc).WriteTo(w) // the client went away: there is nobody to tell
}

// notice stands in place of a copy that could not be made.
func notice(err error) []byte {
	doc, textErr := textCopy([]byte(sentence(err.Error())), "utf-8", "Archived copy")
	if textErr != nil {
		return nil // cannot be: the message is short
	}
	return doc
}

// queryURL returns the address of a page with its url parameter.
func queryURL(path, pageURL string) string {
	return path + "?" + url.Values{"url": {pageURL}}.Encode()
}
