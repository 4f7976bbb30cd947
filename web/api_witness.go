package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

// Witnesses asks other operators to look at pages, and shows what came of it. Implementations are safe for concurrent use.
type Witnesses interface {
	// Ask asks for a page to be witnessed. An open ask of this operator for the same page is returned instead of a second
	// one. Errors: Invalid, Unavailable.
	Ask(ctx context.Context, spec WitnessSpec) (WitnessAsk, error)
	// Asked returns one ask as it stands. NotFound.
	Asked(ctx context.Context, index uint64) (WitnessAsk, error)
	// Asks returns up to n asks with an index below before (0: from the newest), the newest first.
	Asks(ctx context.Context, before uint64, n int) ([]WitnessAsk, error)
	// OutcomeReceipt returns the receipt of what a closed ask came to. NotFound; Unavailable: not under a checkpoint yet.
	OutcomeReceipt(ctx context.Context, index uint64) ([]byte, error)
	// OwnText returns the text that this operator's report is about, once it is open. NotFound.
	OwnText(ctx context.Context, index uint64, round int) (string, error)
	// Texts returns the texts of the open reports of an ask's last round, in the order of its seats: others' from the
	// operators that have them, each held against the digest in its report.
	Texts(ctx context.Context, ask *WitnessAsk) []WitnessText
}

// Verdicts of an ask, and of a round.
const (
	WitnessAgree       = "agree"
	WitnessDisputed    = "disputed"
	WitnessSplit       = "split"
	WitnessUnconfirmed = "unconfirmed"
)

// WitnessAsk is a request to witness a page, with all that came of it.
type WitnessAsk struct {
	Index   uint64         `json:"index" doc:"Of the ask in the log."`
	From    string         `json:"from"`
	URL     string         `json:"url"`
	Profile string         `json:"profile" doc:"The normaliser of the texts that are compared."`
	Need    int            `json:"need" doc:"Reports that must agree,"`
	Of      int            `json:"of" doc:"of so many on the panel."`
	Until   int64          `json:"until" doc:"Seconds for sealing, and as long again for opening."`
	Pay     int64          `json:"pay" doc:"Credit for each report."`
	Open    bool           `json:"open"`
	Verdict string         `json:"verdict,omitempty" enum:"agree,split,unconfirmed" doc:"What it came to, when it is not open any more."`
	Record  uint64         `json:"record,omitempty" doc:"The record of the block that closed it, whose state hash covers all of this."`
	Rounds  []WitnessRound `json:"rounds" nullable:"false" doc:"One panel; or two, when the first disagreed."`
}

// WitnessRound is one panel's work.
type WitnessRound struct {
	SealBy    time.Time     `json:"sealBy,omitzero" doc:"Block time until which reports are sealed; not there before the panel is drawn."`
	ShowBy    time.Time     `json:"showBy,omitzero" doc:"Block time until which they are opened."`
	Result    string        `json:"result,omitempty" enum:"agree,disputed,split,unconfirmed"`
	Reference string        `json:"reference,omitempty" doc:"The operator whose report the others are compared with."`
	Seats     []WitnessSeat `json:"seats" nullable:"false" doc:"The panel in the order drawn, then the asker, who does not count."`
}

// WitnessSeat is one operator's part in a round.
type WitnessSeat struct {
	Operator string         `json:"operator"`
	ASN      string         `json:"asn" doc:"As the other operators observed it; \"-\": not known."`
	Region   string         `json:"region"`
	Asker    bool           `json:"asker,omitempty"`
	Sealed   bool           `json:"sealed"`
	Relation string         `json:"relation,omitempty" enum:"agree,similar,differ,silent" doc:"How its report compares, once there is a result."`
	Equal    int            `json:"equal,omitempty" doc:"Bytes of the 64 of both texts' sketches that are equal."`
	Forfeit  bool           `json:"forfeit,omitempty" doc:"It was caught misbehaving meanwhile, and does not count."`
	Report   *WitnessReport `json:"report,omitempty"`
}

// WitnessReport is what an operator saw.
type WitnessReport struct {
	Index  uint64         `json:"index" doc:"Of the report in the log."`
	Status int            `json:"status" doc:"HTTP status; 0: no answer."`
	Final  string         `json:"final" doc:"URL after redirects."`
	Time   time.Time      `json:"time" doc:"By the operator's clock."`
	Raw    concord.Digest `json:"raw,omitzero"`
	Text   concord.Digest `json:"text,omitzero"`
	Cert   concord.Digest `json:"cert,omitzero" doc:"SHA-256 of the TLS certificates that the server sent."`
	Record concord.Digest `json:"record,omitzero" doc:"Of the WARC record's block."`
}

// WitnessText is the text of one report.
type WitnessText struct {
	Operator string `json:"operator"`
	Text     string `json:"text,omitempty"`
	Missing  string `json:"missing,omitempty" doc:"Why the text is not here, or is not what was reported."`
}

// WitnessSpec is what is asked for. Zero is the default.
type WitnessSpec struct {
	URL   string `json:"url" maxLength:"2000" example:"https://example.org/page"`
	Need  int    `json:"need,omitempty" minimum:"0" maximum:"32" doc:"Reports that must agree; more than half of the panel."`
	Of    int    `json:"of,omitempty" minimum:"0" maximum:"32" doc:"Operators on the panel; 4, or all others, when not said."`
	Until int64  `json:"until,omitempty" minimum:"0" maximum:"604800" doc:"Seconds for sealing, at least 10; 60 when not said."`
	Pay   int64  `json:"pay,omitempty" minimum:"0" maximum:"1000000000" doc:"Credit for each report."`
}

type witnessInput struct{ Body WitnessSpec }

type witnessOutput struct{ Body WitnessAsk }

type witnessIndex struct {
	Index uint64 `path:"index" example:"1190"`
}

type witnessList struct {
	Before uint64 `query:"before" default:"0" example:"0" doc:"Only asks with a smaller index; 0: from the newest."`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" example:"20"`
}

type witnessesOutput struct {
	Body struct {
		Asks []WitnessAsk `json:"asks" nullable:"false" doc:"Newest first."`
	}
}

type witnessReportInput struct {
	Index uint64 `path:"index" example:"1190"`
	Round int    `path:"round" minimum:"1" maximum:"2" example:"1"`
}

type witnessTextOutput struct{ Body WitnessText }

type witnessTextsOutput struct {
	Body struct {
		Texts []WitnessText `json:"texts" nullable:"false"`
	}
}

// maxAsks bounds a list of asks: each may have two panels of many seats.
const maxAsks = 100

func (s *Server) witnessAPI(api huma.API) {
	tags := []string{tagLedger}
	report := &WitnessReport{Index: 1195, Status: 200, Final: "https://example.org/page", Time: exampleTime, Raw: concord.Sum([]byte("raw")), Text: concord.Sum([]byte("text"))}
	example := WitnessAsk{Index: 1190, From: "alice.example", URL: "https://example.org/page", Profile: "text-1", Need: 2, Of: 3, Until: 60, Verdict: WitnessAgree, Record: 1201,
		Rounds: []WitnessRound{{SealBy: exampleTime, ShowBy: exampleTime.Add(time.Minute), Result: WitnessAgree, Reference: "bob.example",
			Seats: []WitnessSeat{{Operator: "bob.example", ASN: "-", Region: "-", Sealed: true, Relation: "agree", Equal: 64, Report: report}}}}}
	text := WitnessText{Operator: "bob.example", Text: "an example page"}

	register(s, api, call{write: true, example: example, Operation: huma.Operation{
		OperationID: "ask-witnesses", Method: http.MethodPost, Path: "/witness", Tags: tags, Summary: "Have other operators look at a page",
		Description:   "The ledger draws a panel; each looks, seals what it saw, and opens it when nobody can copy it any more. An open ask for the same page is returned instead of a second one.",
		DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *witnessInput) (*witnessOutput, error) {
		w, err := s.witnesses()
		if err != nil {
			return nil, err
		}
		if in.Body.URL, err = normal(in.Body.URL, "body.url"); err != nil {
			return nil, err
		}
		a, err := w.Ask(ctx, in.Body)
		return &witnessOutput{Body: a.whole()}, err
	})

	register(s, api, call{example: map[string]any{"asks": []WitnessAsk{example}}, Operation: huma.Operation{
		OperationID: "list-asks", Method: http.MethodGet, Path: "/witness", Tags: tags, Summary: "Pages that operators asked to be witnessed",
	}}, func(ctx context.Context, in *witnessList) (*witnessesOutput, error) {
		w, err := s.witnesses()
		if err != nil {
			return nil, err
		}
		list, err := w.Asks(ctx, in.Before, min(in.Limit, maxAsks))
		out := &witnessesOutput{}
		out.Body.Asks = nonNil(list)
		for i := range list {
			list[i] = list[i].whole()
		}
		return out, err
	})

	register(s, api, call{example: example, Operation: huma.Operation{
		OperationID: "get-ask", Method: http.MethodGet, Path: "/witness/{index}", Tags: tags, Summary: "One ask, its panel, and what came of it",
	}}, func(ctx context.Context, in *witnessIndex) (*witnessOutput, error) {
		w, err := s.witnesses()
		if err != nil {
			return nil, err
		}
		a, err := w.Asked(ctx, in.Index)
		return &witnessOutput{Body: a.whole()}, err
	})

	register(s, api, call{example: "c2sp.org/tlog-proof@v1\nextra …\nindex 1201\n…", Operation: huma.Operation{
		OperationID: "get-ask-receipt", Method: http.MethodGet, Path: "/witness/{index}/receipt", Tags: tags, Summary: "The receipt of what an ask came to",
		Description: "A tlog-proof file: the record of the block that closed the ask, and the ledger's state that it has the hash of.",
		Responses:   fileResponse(plainType, "The receipt."),
	}}, func(ctx context.Context, in *witnessIndex) (*fileOutput, error) {
		w, err := s.witnesses()
		if err != nil {
			return nil, err
		}
		proof, err := w.OutcomeReceipt(ctx, in.Index)
		return &fileOutput{Type: plainType, Disposition: attachment(fileName("ask"+strconv.FormatUint(in.Index, 10), time.Time{}, ".tlog-proof")), Body: proof}, err
	})

	register(s, api, call{example: text, Operation: huma.Operation{
		OperationID: "get-report-text", Method: http.MethodGet, Path: "/witness/{index}/reports/{round}", Tags: tags, Summary: "The text that this operator saw for an ask",
		Description: "Not before its report is open in the ledger.",
		Middlewares: huma.Middlewares{s.searchLimit},
	}}, func(ctx context.Context, in *witnessReportInput) (*witnessTextOutput, error) {
		w, err := s.witnesses()
		if err != nil {
			return nil, err
		}
		t, err := w.OwnText(ctx, in.Index, in.Round)
		return &witnessTextOutput{Body: WitnessText{Operator: s.cfg.Operator, Text: t}}, err
	})

	register(s, api, call{example: map[string]any{"texts": []WitnessText{text}}, Operation: huma.Operation{
		OperationID: "get-report-texts", Method: http.MethodGet, Path: "/witness/{index}/texts", Tags: tags, Summary: "The texts that the operators saw",
		Description: "Asked for at the other operators, and held against the digests in their reports.",
		Middlewares: huma.Middlewares{s.searchLimit},
	}}, func(ctx context.Context, in *witnessIndex) (*witnessTextsOutput, error) {
		w, err := s.witnesses()
		if err != nil {
			return nil, err
		}
		a, err := w.Asked(ctx, in.Index)
		if err != nil {
			return nil, err
		}
		out := &witnessTextsOutput{}
		out.Body.Texts = nonNil(w.Texts(ctx, &a))
		return out, nil
	})
}

func (s *Server) witnesses() (Witnesses, error) {
	if s.cfg.Witnesses == nil {
		return nil, concord.Errorf(concord.Unavailable, "this server asks no witnesses")
	}
	return s.cfg.Witnesses, nil
}

// whole has lists where there is nothing.
func (a WitnessAsk) whole() WitnessAsk {
	a.Rounds = nonNil(a.Rounds)
	for i := range a.Rounds {
		a.Rounds[i].Seats = nonNil(a.Rounds[i].Seats)
	}
	return a
}

// Last returns the last round.
func (a *WitnessAsk) Last() *WitnessRound {
	if len(a.Rounds) == 0 {
		return &WitnessRound{}
	}
	return &a.Rounds[len(a.Rounds)-1]
}
