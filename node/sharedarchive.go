package node

import (
	"context"
	"log/slog"

	"concord"
	"concord/trace"
	"concord/vault"
	"concord/warc"
)

// archiver is the archive as the node uses it: a *warc.Archive on a node that is alone, a *vault.Vault on a member of a cluster.
type archiver interface {
	Append(groups [][]warc.Record) ([][]concord.Location, error)
	Read(loc concord.Location) (*warc.Record, error)
	Files() []warc.FileInfo
	Stats() warc.Stats
	Walk(ctx context.Context, fn func(warc.Entry) error, read func(bytes int64), damaged func(problem string)) error
	Export(ctx context.Context, dir string, keep func(url string) bool, progress func(warc.Progress)) error
	Close() error
}

var _, _ archiver = (*warc.Archive)(nil), (*vault.Vault)(nil)

// shareArchive returns the archive of a node: as it is when there are no blobs to keep a copy in, else with its copy behind it, whose Run the
// caller runs and whose answers it serves (archiveServices). The result closes a.
func shareArchive(a *warc.Archive, blobs concord.Blobs, to asker, others func() []string, tracer *trace.Tracer, log *slog.Logger) (archiver, *vault.Vault, error) {
	if blobs == nil {
		return a, nil, nil
	}
	cfg := vault.Config{Archive: a, Blobs: blobs, Others: others, Trace: tracer, Log: log}
	if to != nil {
		cfg.Asker = to
	}
	v, err := vault.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	return v, v, nil
}

// archiveServices are what a member answers other nodes about its archive.
func archiveServices(v *vault.Vault) map[string]handler {
	return map[string]handler{vault.Service: v.Serve}
}
