package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"concord"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// maxImport bounds one imported file. WARC files are customarily 1 GB; this leaves room for whole collections in one.
	maxImport = 1 << 38
	// importStall is how long an import may wait for the next bytes.
	importStall = time.Minute
)

type importInput struct {
	Name string `query:"name" required:"true" minLength:"1" maxLength:"255" example:"collection-00001.warc.gz" doc:"Name of the file, kept with what comes out of it."`
}

type importOutput struct{ Body ImportSummary }

type exportInput struct {
	Body struct {
		Dir  string `json:"dir" maxLength:"4096" example:"/srv/export" doc:"Absolute path of a directory on the node's machine."`
		Site string `json:"site,omitempty" maxLength:"253" example:"example.org" doc:"Only this site; absent: everything."`
	}
}

type exportOutput struct{ Body ExportSummary }

func (s *Server) transferAPI(api huma.API) {
	warc := map[string]*huma.MediaType{"application/warc": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"},
		Example: "WARC/1.1\r\nWARC-Type: warcinfo\r\n…"}}
	register(s, api, call{write: true, example: ImportSummary{Name: "collection-00001.warc.gz", Records: 3_012, Captures: 1_004, Indexed: 870, Skipped: 2_008, Bytes: 88_000_000},
		Operation: huma.Operation{
			OperationID: "import-warc", Method: http.MethodPost, Path: "/archive/import", Tags: []string{tagArchive}, Summary: "Import a WARC file",
			Description: "The body is the file, plain or gzip, read as a stream. It is durable when this returns.",
			RequestBody: &huma.RequestBody{Required: true, Description: "The WARC file.", Content: warc},
		}}, s.importCall)

	register(s, api, call{write: true, example: ExportSummary{Dir: "/srv/export", Files: 3, Records: 17_712, Bytes: 210_000_000}, Operation: huma.Operation{
		OperationID: "export-warc", Method: http.MethodPost, Path: "/archive/export", Tags: []string{tagArchive}, Summary: "Export WARC files",
		Description: "Over the node's Unix socket only: it writes into a directory of the node's machine.",
	}}, s.exportCall)
}

func (s *Server) importCall(ctx context.Context, in *importInput) (*importOutput, error) {
	c := callerOf(ctx)
	endless(c.w)
	body := &stallReader{r: http.MaxBytesReader(c.w, c.r.Body, maxImport), rc: http.NewResponseController(c.w)}
	sum, err := s.cfg.Transfer.Import(ctx, filepath.Base(in.Name), body)
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return nil, newProblem(http.StatusRequestEntityTooLarge, "the file is too large for one import; split it")
		}
		return nil, err
	}
	return &importOutput{Body: sum}, nil
}

func (s *Server) exportCall(ctx context.Context, in *exportInput) (*exportOutput, error) {
	c := callerOf(ctx)
	if !c.socket {
		return nil, newProblem(http.StatusForbidden, "an export writes files on the node's machine: call it over the node's Unix socket")
	}
	if !filepath.IsAbs(in.Body.Dir) {
		return nil, concord.Errorf(concord.Invalid, "dir %q is not an absolute path", concord.Clip(in.Body.Dir, maxEcho))
	}
	endless(c.w)
	sum, err := s.cfg.Transfer.Export(ctx, filepath.Clean(in.Body.Dir), in.Body.Site)
	return &exportOutput{Body: sum}, err
}

// endless takes away the write deadline of a call that takes as long as its work.
func endless(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // not every transport has deadlines
}

// stallReader gives each read of a long body its own deadline.
type stallReader struct {
	r  io.Reader
	rc *http.ResponseController
}

func (s *stallReader) Read(p []byte) (int, error) {
	_ = s.rc.SetReadDeadline(time.Now().Add(importStall)) // not every transport has deadlines
	return s.r.Read(p)
}
