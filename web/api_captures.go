package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// maxCaptures bounds a list of captures, and how far back one is looked for.
	maxCaptures = 500
	// receiptTries bounds how many captures of a page are looked at for one that has its receipt.
	receiptTries = 20
)

// CaptureItem is one capture of a page, and where it is seen and proved.
type CaptureItem struct {
	concord.Capture
	Receipt  string `json:"receipt" format:"uri"`
	Archived string `json:"archived" format:"uri"`
}

type capturesInput struct {
	URL   string `query:"url" required:"true" maxLength:"4096" example:"https://example.org/manual/indexes.html"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" example:"100"`
}

type capturesOutput struct {
	Body struct {
		URL      string        `json:"url" doc:"The URL in the form under which it is kept."`
		Captures []CaptureItem `json:"captures" nullable:"false" doc:"Newest first."`
	}
}

type receiptsInput struct {
	URL      string `query:"url" maxLength:"4096" example:"https://example.org/manual/indexes.html" doc:"The page; its newest capture that has a receipt is taken."`
	Capture  string `query:"capture" maxLength:"64" example:"0f6f4c1e-7d0a-4c57-9a3e-2b1f7c5f5e11" doc:"One certain capture."`
	Operator string `query:"operator" maxLength:"253" example:"bob.example" doc:"Of another operator's capture: it is asked, what it sends is checked, and the receipt made anew with this node's copy of the ledger."`
	Level    int    `query:"level" minimum:"0" maximum:"1" default:"1" example:"1" doc:"The least level that will do. With 0, the operator's signed promise while the newest capture is not in the log yet; asked for later it is better."`
}

type fileOutput struct {
	Type        string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Cache       string `header:"Cache-Control"`
	Body        []byte
}

type contentInput struct {
	ID  string `path:"id" maxLength:"64" example:"0f6f4c1e-7d0a-4c57-9a3e-2b1f7c5f5e11"`
	URL string `query:"url" required:"true" maxLength:"4096" example:"https://example.org/manual/indexes.html"`
}

type deletePageInput struct {
	URL    string `query:"url" required:"true" maxLength:"4096" example:"https://example.org/manual/indexes.html"`
	Reason string `query:"reason" maxLength:"200" default:"deleted by operator" example:"asked by the site's owner" doc:"Kept on record."`
}

type emptyOutput struct{}

// fileResponse describes an answer that is a file.
func fileResponse(mime, description string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: description, Content: map[string]*huma.MediaType{
		mime: {Schema: &huma.Schema{Type: huma.TypeString}},
	}}}
}

func (s *Server) captureAPI(api huma.API) {
	example := map[string]any{"url": exampleURL, "captures": []CaptureItem{{Capture: concord.Capture{ID: exampleCapture, URL: exampleURL, Time: exampleTime,
		Status: http.StatusOK, Mime: "text/html", Size: 48_211, Raw: concord.Sum([]byte("raw")), Text: concord.Sum([]byte("text")), Profile: "text-1",
		Record: concord.Sum([]byte("record")), Location: concord.Location{File: "concord-00001.warc.gz", Offset: 1_193_046, Length: 12_018}},
		Receipt: exampleNode + receiptFileLink(exampleCapture, exampleURL), Archived: exampleNode + archiveLink(exampleCapture, exampleURL)}}}
	register(s, api, call{Operation: huma.Operation{
		OperationID: "list-captures", Method: http.MethodGet, Path: "/captures", Tags: []string{tagArchive},
		Summary: "List the captures of a page", Description: "A page that was never fetched has an empty list.",
	}, example: example}, s.capturesCall)

	register(s, api, call{Operation: huma.Operation{
		OperationID: "get-capture-content", Method: http.MethodGet, Path: "/captures/{id}/content", Tags: []string{tagArchive},
		Summary: "Download what the server sent", Description: "The payload as the capture's raw digest covers it: transfer coding removed, content coding kept.",
		Responses: fileResponse(binaryType, "The payload."),
	}, example: "<!doctype html>…"}, s.contentCall)

	register(s, api, call{Operation: huma.Operation{
		OperationID: "get-receipt", Method: http.MethodGet, Path: "/receipts", Tags: []string{tagArchive}, Summary: "Download a receipt",
		Description: "A tlog-proof file that anyone can check offline with the policy of /policy. Of a page, the newest capture that has one; of a " +
			"capture, its own. 503 with Retry-After: captured, but not yet under a checkpoint; the detail says so while the ledger stands still.",
		Responses: fileResponse(plainType, "The receipt."),
	}, example: "c2sp.org/tlog-proof@v1\nextra …\nindex 1187\n…"}, s.receiptCall)

	register(s, api, call{Operation: huma.Operation{
		OperationID: "get-policy", Method: http.MethodGet, Path: "/policy", Tags: []string{tagArchive}, Summary: "The policy receipts are checked with",
		Responses: fileResponse(plainType, "The policy file."),
	}, example: "log example.org/log+… \nwitness …\nquorum …\n"}, func(ctx context.Context, _ *struct{}) (*fileOutput, error) {
		return &fileOutput{Type: plainType, Disposition: `attachment; filename="concord.policy"`, Body: []byte(s.cfg.Receipts.Policy())}, nil
	})

	register(s, api, call{write: true, Operation: huma.Operation{
		OperationID: "delete-page", Method: http.MethodDelete, Path: "/pages", Tags: []string{tagSearch}, Summary: "Take a page out of the index",
		Description: "Its captures and their receipts stay on record.", DefaultStatus: http.StatusNoContent,
	}}, func(ctx context.Context, in *deletePageInput) (*emptyOutput, error) {
		u, err := normal(in.URL, "query.url")
		if err != nil {
			return nil, err
		}
		return &emptyOutput{}, s.cfg.Pages.Delete(ctx, u, in.Reason)
	})
}

const (
	plainType  = "text/plain; charset=utf-8"
	jsonType   = "application/json"
	binaryType = "application/octet-stream"
)

func (s *Server) capturesCall(ctx context.Context, in *capturesInput) (*capturesOutput, error) {
	u, err := normal(in.URL, "query.url")
	if err != nil {
		return nil, err
	}
	list, err := s.cfg.Pages.Captures(ctx, u, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &capturesOutput{}
	out.Body.URL, out.Body.Captures = u, make([]CaptureItem, 0, len(list))
	base := callerOf(ctx).base
	for _, c := range list {
		out.Body.Captures = append(out.Body.Captures, CaptureItem{Capture: c,
			Receipt: base + receiptFileLink(c.ID, c.URL), Archived: base + archiveLink(c.ID, c.URL)})
	}
	return out, nil
}

// capture finds one capture of a page.
func (s *Server) capture(ctx context.Context, id, pageURL string) (concord.Capture, []concord.Capture, error) {
	list, err := s.cfg.Pages.Captures(ctx, pageURL, maxCaptures)
	if err != nil {
		return concord.Capture{}, nil, err
	}
	for _, c := range list {
		if c.ID == id {
			return c, list, nil
		}
	}
	return concord.Capture{}, list, concord.Errorf(concord.NotFound, "no capture %s of %s is on record", concord.Clip(id, maxEcho), concord.Clip(pageURL, maxEcho))
}

func (s *Server) contentCall(ctx context.Context, in *contentInput) (*fileOutput, error) {
	u, err := normal(in.URL, "query.url")
	if err != nil {
		return nil, err
	}
	c, _, err := s.capture(ctx, in.ID, u)
	if err != nil {
		return nil, err
	}
	content, err := s.cfg.Archive.Content(ctx, c)
	if err != nil {
		return nil, err
	}
	if content.NoArchive && !callerOf(ctx).insider() {
		return nil, newProblem(http.StatusForbidden, "the page asks that no copy be shown (noarchive)")
	}
	return &fileOutput{Type: binaryType, Disposition: attachment(fileName(c.URL, c.Time, ".bin")), Body: content.Raw}, nil
}

func attachment(name string) string { return `attachment; filename="` + name + `"` }

func (s *Server) receiptCall(ctx context.Context, in *receiptsInput) (*fileOutput, error) {
	name := "receipt"
	var at time.Time
	id, own := in.Capture, in.Operator == "" || in.Operator == s.cfg.Operator
	if in.URL != "" {
		u, err := normal(in.URL, "query.url")
		if err != nil {
			return nil, err
		}
		name = u
		if !own {
			in.URL = u
		} else if id == "" {
			c, err := s.newestWith(ctx, u, in.Level)
			if err != nil {
				return nil, err
			}
			id, at = c.ID, c.Time
		}
	}
	if id == "" && in.URL == "" {
		return nil, newProblem(http.StatusUnprocessableEntity, "say which receipt: give url or capture")
	}
	var proof []byte
	var err error
	if own && in.Level == 0 {
		proof, err = s.cfg.Receipts.Promise(ctx, id)
	} else {
		proof, err = s.anyReceipt(ctx, in.Operator, id, in.URL)
	}
	if err != nil {
		return nil, err
	}
	return &fileOutput{Type: plainType, Disposition: attachment(fileName(name, at, ".tlog-proof")), Cache: "no-cache", Body: proof}, nil
}

// receipt returns the receipt of one capture. While it is pending the problem says for how long.
func (s *Server) receipt(ctx context.Context, id string) ([]byte, error) {
	proof, err := s.cfg.Receipts.Receipt(ctx, id)
	if concord.KindOf(err) != concord.Unavailable {
		return proof, err
	}
	state, stateErr := s.cfg.Receipts.Attested(ctx, id)
	if stateErr != nil || state.Done {
		return nil, err
	}
	return nil, s.pending(ctx, state.Wait)
}

// haltedWait is when to ask again for a receipt while the ledger stands still: nobody knows when it goes on, and once it does receipts come within
// seconds.
const haltedWait = 10 * time.Second

// pending says that a receipt is to come, and when; while the ledger stands still, why nobody knows when, and what there is instead.
func (s *Server) pending(ctx context.Context, wait time.Duration) *Problem {
	detail, halted := fmt.Sprintf("the receipt should be available in %d s", waitSeconds(wait)), ""
	if words, good := s.ledgerState(ctx); !good {
		wait, halted = haltedWait, words
		detail = "nobody knows when it will be. " + words + " Ask with level=0 for the operator's signed word meanwhile."
	}
	p := newProblem(http.StatusServiceUnavailable, "captured, but not yet under a checkpoint; "+detail)
	p.header, p.halted = http.Header{"Retry-After": {strconv.Itoa(waitSeconds(wait))}}, halted
	return p
}

func waitSeconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

// newestWith returns the newest capture of a page that has a receipt of at least a level; of level 0 all have one.
func (s *Server) newestWith(ctx context.Context, pageURL string, level int) (concord.Capture, error) {
	if level > 0 {
		return s.newestAttested(ctx, pageURL)
	}
	list, err := s.cfg.Pages.Captures(ctx, pageURL, 1)
	if err == nil && len(list) == 0 {
		err = concord.Errorf(concord.NotFound, "%s was never captured here", concord.Clip(pageURL, maxEcho))
	}
	if err != nil {
		return concord.Capture{}, err
	}
	return list[0], nil
}

// newestAttested returns the newest capture of a page that has its receipt. While none has, it returns the newest, and the problem that its receipt is to come.
func (s *Server) newestAttested(ctx context.Context, pageURL string) (concord.Capture, error) {
	list, err := s.cfg.Pages.Captures(ctx, pageURL, receiptTries)
	if err != nil {
		return concord.Capture{}, err
	}
	if len(list) == 0 {
		return concord.Capture{}, concord.Errorf(concord.NotFound, "%s was never captured here", concord.Clip(pageURL, maxEcho))
	}
	var wait time.Duration
	for _, c := range list {
		state, err := s.cfg.Receipts.Attested(ctx, c.ID)
		if err != nil {
			return concord.Capture{}, err
		}
		if state.Done {
			return c, nil
		}
		wait = max(wait, state.Wait)
	}
	return list[0], s.pending(ctx, wait)
}
