// Package web answers: how do people and programs reach a node? It serves the pages, the HTTP API under /api/v1 with its
// OpenAPI description, the archived copies, the manual, the metrics and the health checks.
//
// It is not where anything is decided or stored: each part of a node that it shows is a small interface declared here
// (ports.go) and handed over in Config. It knows neither the message bus nor the consensus engine.
//
// Invariants
//   - Reading is free; writing needs the API key (Authorization: Bearer), a session signed in with it, or the Unix socket.
//   - Nothing a stranger wrote is executed: titles, snippets and URLs are escaped by html/template, archived copies are
//     rebuilt from an allow list and served in a sandbox without scripts or network.
//   - Every page works without scripts; the one script file only refreshes what the server rendered.
//   - Every error of the API is an RFC 9457 problem; one table maps concord.Kind to HTTP status codes.
//   - Every queue, body, stream and table has a bound, a named constant.
package web
