package web

import (
	"context"
	"net/http"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

// Notary takes digests of documents to the ledger. Implementations are safe for concurrent use.
type Notary interface {
	// Notarise takes digests to the ledger, unless this operator's notes hold them already, and waits until ctx ends for
	// them to be there. What is not there then is durably on its way. Errors: Invalid, Unavailable.
	Notarise(ctx context.Context, digests []concord.Digest, label string) ([]NotarisedDocument, error)
	// Document says what the ledger knows of a digest. NotFound: nobody has notarised it.
	Document(ctx context.Context, digest concord.Digest) (NotarisedDocument, error)
	// DocumentReceipt returns the receipt of a digest that this operator has notarised; asked again later it may be of a
	// higher level. NotFound.
	DocumentReceipt(ctx context.Context, digest concord.Digest) ([]byte, error)
}

// States of a document's note.
const (
	NotarisedLogged    = "logged"    // in the ledger
	NotarisedQueued    = "queued"    // durably on its way there
	NotarisedElsewhere = "elsewhere" // another operator notarised it, this one has not
)

// NotarisedDocument is what the ledger has of a document.
type NotarisedDocument struct {
	Digest     concord.Digest `json:"digest"`
	State      string         `json:"state" enum:"logged,queued,elsewhere" doc:"In the ledger by this operator's note; on its way there; or only by another operator's."`
	Index      uint64         `json:"index,omitempty" doc:"Of this operator's note in the log, when it is there."`
	FirstFrom  string         `json:"firstFrom,omitempty" doc:"Who notarised it first; empty: nobody has yet."`
	FirstIndex uint64         `json:"firstIndex,omitempty" doc:"Of that first note in the log."`
}

// NoteSpec is what is to be notarised.
type NoteSpec struct {
	Digests []concord.Digest `json:"digests" minItems:"1" maxItems:"64" nullable:"false" doc:"SHA-256 of the documents, or salted ones."`
	Label   string           `json:"label,omitempty" maxLength:"64" example:"contract" doc:"A word that everybody can read in the ledger."`
}

type noteInput struct{ Body NoteSpec }

type notesOutput struct {
	Body struct {
		Documents []NotarisedDocument `json:"documents" nullable:"false"`
	}
}

type documentInput struct {
	SHA256 string `query:"sha256" required:"true" example:"DR2lE4wDX/t6hIz6EIqQGy1+RBlfEd3EdeH+fBz52LM=" doc:"The digest in base64."`
}

type documentOutput struct{ Body NotarisedDocument }

// noteWait bounds how long a call waits for the ledger: one block, and some more on a busy machine.
const noteWait = 8 * time.Second

func (s *Server) notaryAPI(api huma.API) {
	tags := []string{tagLedger}
	example := NotarisedDocument{Digest: concord.Sum([]byte("document")), State: NotarisedLogged, Index: 1190, FirstFrom: "alice.example", FirstIndex: 1190}

	register(s, api, call{write: true, example: map[string]any{"documents": []NotarisedDocument{example}}, Operation: huma.Operation{
		OperationID: "notarise", Method: http.MethodPost, Path: "/notes", Tags: tags, Summary: "Notarise documents",
		Description: "Puts the digests into the ledger, by which the documents provably existed before. Waits some seconds for that; what is not " +
			"there then is durably on its way. What this operator has notarised before is not repeated.",
	}}, func(ctx context.Context, in *noteInput) (*notesOutput, error) {
		n, err := s.notary()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, noteWait)
		defer cancel()
		list, err := n.Notarise(ctx, in.Body.Digests, in.Body.Label)
		out := &notesOutput{}
		out.Body.Documents = nonNil(list)
		return out, err
	})

	register(s, api, call{example: example, Operation: huma.Operation{
		OperationID: "get-document", Method: http.MethodGet, Path: "/documents", Tags: tags, Summary: "What the ledger knows of a document",
	}}, func(ctx context.Context, in *documentInput) (*documentOutput, error) {
		n, d, err := s.document(in.SHA256)
		if err != nil {
			return nil, err
		}
		doc, err := n.Document(ctx, d)
		return &documentOutput{Body: doc}, err
	})

	register(s, api, call{example: "c2sp.org/tlog-proof@v1\nextra …\nindex 1190\n…", Operation: huma.Operation{
		OperationID: "get-document-receipt", Method: http.MethodGet, Path: "/documents/receipt", Tags: tags, Summary: "The receipt of a notarised document",
		Description: "A tlog-proof file; while the note waits for the ledger, this operator's signed promise. Asked for later it may be of a higher level.",
		Responses:   fileResponse(plainType, "The receipt."),
	}}, func(ctx context.Context, in *documentInput) (*fileOutput, error) {
		n, d, err := s.document(in.SHA256)
		if err != nil {
			return nil, err
		}
		proof, err := n.DocumentReceipt(ctx, d)
		return &fileOutput{Type: plainType, Disposition: attachment("document.tlog-proof"), Body: proof}, err
	})
}

func (s *Server) notary() (Notary, error) {
	if s.cfg.Notary == nil {
		return nil, concord.Errorf(concord.Unavailable, "this server takes no documents to the ledger")
	}
	return s.cfg.Notary, nil
}

func (s *Server) document(sha256 string) (Notary, concord.Digest, error) {
	n, err := s.notary()
	if err != nil {
		return nil, concord.Digest{}, err
	}
	d, err := concord.ParseDigest(sha256)
	if err != nil {
		return nil, d, concord.Errorf(concord.Invalid, "sha256 is not the base64 of 32 bytes")
	}
	return n, d, nil
}
