package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"concord"
	"concord/receipt"
)

// receiptPage explains one receipt in plain words.
type receiptPage struct {
	frame
	URL      string
	Link     string // the live page
	Capture  string
	Report   *receipt.Report
	Failed   string // why this node's own check of the receipt failed
	Pending  int    // seconds until it is expected; 0: it is there
	Halted   string // why it is not expected: the ledger stands still
	File     string // where it is downloaded
	Name     string // of the downloaded file
	Archived string
	Entry    string     // of the ledger
	Copy     copyResult // what the archived bytes say
	Witness  string     // where others are asked to look at the page; empty: nobody can be asked here
	Theirs   string     // the other operator whose capture it is; empty: it is this one's
}

func (*receiptPage) template() string { return "receipt" }

// copyResult says how the archived bytes compare with the receipt.
type copyResult struct {
	Checked bool
	Matches bool
	Reason  string
}

func (s *Server) receiptPage(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	ctx := r.Context()
	id := strings.TrimSpace(v.Get("capture"))
	p := &receiptPage{frame: frame{Title: "Receipt", BoxInTop: true, NoIndex: true}, Capture: id}
	if raw := v.Get("url"); raw != "" {
		u, err := pageURL(raw)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		p.URL = u
		if o := v.Get("operator"); o != "" && o != s.cfg.Operator {
			p.Theirs = o
		} else if id == "" {
			c, err := s.newestAttested(ctx, u)
			if p.wait(err) {
				p.Capture = c.ID
				s.promise(ctx, p)
				s.render(w, r, http.StatusServiceUnavailable, p)
				return
			}
			if err != nil {
				s.fail(w, r, err)
				return
			}
			p.Capture = c.ID
		}
	}
	if p.Capture == "" && p.Theirs == "" {
		s.fail(w, r, newProblem(http.StatusUnprocessableEntity, "say which receipt: give url or capture"))
		return
	}
	proof, err := s.anyReceipt(ctx, p.Theirs, p.Capture, p.URL)
	if p.wait(err) {
		s.promise(ctx, p)
		s.render(w, r, http.StatusServiceUnavailable, p)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.explain(proof, s.cfg.Receipts.Policy())
	if s.cfg.Witnesses != nil {
		p.Witness = queryURL("/witness", p.URL)
	}
	if p.Theirs != "" {
		p.Archived, p.File = "", operatorReceiptFileLink(p.Theirs, p.Capture, p.URL)
	} else {
		s.checkCopy(ctx, p)
	}
	s.render(w, r, http.StatusOK, p)
}

// wait reports whether err means that the receipt is still to come, and prepares the page to say so.
func (p *receiptPage) wait(err error) bool {
	var problem *Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable {
		return false
	}
	p.Pending, p.Refresh = 1, 2
	p.Failed, p.Halted = sentence(problem.Detail), problem.halted
	p.Link = webLink(p.URL)
	return true
}

// promise adds what there is of a receipt to come: the operator's signed word.
func (s *Server) promise(ctx context.Context, p *receiptPage) {
	if p.Theirs != "" || p.Capture == "" {
		return
	}
	proof, err := s.cfg.Receipts.Promise(ctx, p.Capture)
	if err != nil {
		return // the page says that the receipt is to come
	}
	why := p.Failed
	p.explain(proof, s.cfg.Receipts.Policy())
	p.Failed, p.File = why, p.File+"&level=0"
}

// explain checks the receipt just as its holder will, and takes what it shows from there.
func (p *receiptPage) explain(proof []byte, policy string) {
	report, err := receipt.Verify(proof, []byte(policy), receipt.Options{URL: p.URL})
	if err != nil {
		p.Failed = sentence(err.Error())
	} else {
		p.Report, p.URL, p.Entry = report, report.URL, entryLink(report.Index) // which a promise does not have
		p.Title = "Receipt of " + concord.Clip(report.URL, 80)
	}
	p.Link = webLink(p.URL)
	p.Archived = archiveLink(p.Capture, p.URL)
	p.File = receiptFileLink(p.Capture, p.URL)
	p.Name = fileName(p.URL, captureTime(report), ".tlog-proof")
}

// checkCopy compares the archived bytes with the receipt.
func (s *Server) checkCopy(ctx context.Context, p *receiptPage) {
	if p.Report == nil {
		return
	}
	c, _, err := s.capture(ctx, p.Capture, p.URL)
	if err == nil {
		var content Content
		if content, err = s.cfg.Archive.Content(ctx, c); err == nil {
			err = p.Report.CheckContent(content.Raw)
		}
	}
	if concord.KindOf(err) == concord.NotFound {
		return
	}
	p.Copy.Checked, p.Copy.Matches = true, err == nil
	if err != nil {
		p.Copy.Reason = sentence(problemOf(err).Detail)
	}
}

func captureTime(r *receipt.Report) (t time.Time) {
	if r != nil {
		t = r.Captured
	}
	return t
}

// verifyPage is where receipts and policies from anywhere are checked by the browser itself.
type verifyPage struct{ frame }

func (*verifyPage) template() string { return "verify" }

func (s *Server) verifyPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, &verifyPage{frame{Title: "Check a receipt", BoxInTop: true}})
}
