package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"concord"
)

// statusOf is the one table that maps kinds of errors to HTTP status codes.
var statusOf = map[concord.Kind]int{
	concord.Internal:     http.StatusInternalServerError,
	concord.Invalid:      http.StatusUnprocessableEntity,
	concord.NotFound:     http.StatusNotFound,
	concord.Conflict:     http.StatusConflict,
	concord.Unavailable:  http.StatusServiceUnavailable,
	concord.Unauthorized: http.StatusUnauthorized,
	concord.Corrupt:      http.StatusInternalServerError,
}

// Problem is an error as the API tells it: RFC 9457 problem details.
type Problem struct {
	Type     string         `json:"type,omitempty" format:"uri-reference" doc:"Kind of problem; about:blank when absent."`
	Title    string         `json:"title" example:"Unprocessable Entity" doc:"Short summary that does not change from occurrence to occurrence."`
	Status   int            `json:"status" example:"422" doc:"HTTP status code."`
	Detail   string         `json:"detail,omitempty" example:"the quotation mark is never closed" doc:"What was wrong this time, and what to do."`
	Instance string         `json:"instance,omitempty" format:"uri-reference" doc:"The request, by its path."`
	Errors   []ProblemPlace `json:"errors,omitempty" nullable:"false" doc:"The places in the request that are wrong."`

	header http.Header // further headers of the response
	halted string      // of a receipt that is to come: that the ledger stands still, in words; empty: it goes on
}

// ProblemPlace is one place in a request that is wrong.
type ProblemPlace struct {
	Message  string `json:"message" example:"the quotation mark is never closed"`
	Location string `json:"location,omitempty" example:"query.q" doc:"Where: query.q, body.seeds[0], path.id, …"`
	Value    any    `json:"value,omitempty" doc:"What was given there."`
	Offset   *int   `json:"offset,omitempty" example:"5" doc:"First byte of the place inside the value."`
	Length   int    `json:"length,omitempty" example:"1" doc:"Bytes concerned."`
	Caret    string `json:"caret,omitempty" doc:"Two lines: the value, and a caret under the place."`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus makes a Problem an error that the API framework sends as it is.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers to send beside it.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of RFC 9457, section 3.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func newProblem(status int, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

// problemOf turns an error into what a stranger may be told. Errors that are nobody's input keep their cause to the log.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	kind := concord.KindOf(err)
	status, ok := statusOf[kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	switch kind {
	case concord.Corrupt:
		return newProblem(status, "stored bytes do not match their checksum; they were not used. The node's log says more.")
	case concord.Internal:
		return newProblem(status, "something went wrong in the node; its log says more.")
	}
	p = newProblem(status, err.Error())
	if kind == concord.Unavailable {
		p.header = http.Header{"Retry-After": {"1"}}
	}
	var q *concord.QueryError
	if errors.As(err, &q) {
		before, marked, _ := splitQuery(q)
		offset := len(before)
		p.Detail = q.Reason
		p.Errors = []ProblemPlace{{Message: q.Reason, Location: "query.q", Value: q.Query, Offset: &offset,
			Length: max(1, len(marked)), Caret: caret(q)}}
	}
	return p
}

// writeProblem sends p to a client that is not served by the API framework.
func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	if r.Method == http.MethodHead {
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // the client went away: there is nobody to tell
}

// splitQuery cuts the query before and after the malformed place, on rune borders and within bounds whatever q says.
func splitQuery(q *concord.QueryError) (before, marked, after string) {
	s := q.Query
	from := min(max(q.Offset, 0), len(s))
	to := min(max(from+q.Length, from), len(s))
	for from > 0 && from < len(s) && !utf8.RuneStart(s[from]) {
		from--
	}
	for to < len(s) && !utf8.RuneStart(s[to]) {
		to++
	}
	return s[:from], s[from:to], s[to:]
}

// caret explains the place in two lines of plain text.
func caret(q *concord.QueryError) string {
	before, marked, _ := splitQuery(q)
	return q.Query + "\n" + strings.Repeat(" ", utf8.RuneCountInString(before)) +
		strings.Repeat("^", max(1, utf8.RuneCountInString(marked))) + " " + q.Reason
}
