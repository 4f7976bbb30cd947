package web

import (
	"net/http"
)

// routes registers everything that is served.
func (s *Server) routes(mux *http.ServeMux) {
	s.api(mux)
	s.health(mux)
	pages := map[string]http.HandlerFunc{
		"GET /{$}":                   s.home,
		"GET /search":                s.search,
		"GET /archive":               s.lookup,
		"GET /archive/{capture}":     s.archived,
		"GET /archive/{capture}/raw": s.rawCopy,
		"GET /receipt":               s.receiptPage,
		"GET /verify":                s.verifyPage,
		"GET /crawl":                 s.crawlPage,
		"POST /crawl":                s.startCrawl,
		"POST /crawl/{id}/stop":      s.stopCrawl,
		"GET /signin":                s.signInForm,
		"POST /signin":               s.signIn,
		"POST /signout":              s.signOut,
		"GET /why":                   s.whyPage,
		"GET /explain":               s.explainPage,
		"GET /ledger":                s.ledgerPage,
		"GET /ledger/{index}":        s.entryPage,
		"GET /ledger/checkpoint":     s.checkpoint,
		"GET /ledger/tile/{path...}": s.tile,
		"GET /witness":               s.witnessListPage,
		"POST /witness":              s.askWitnesses,
		"GET /witness/{index}":       s.witnessPage,
		"GET /status":                s.statusPage,
		"GET /cluster":               s.clusterPage,
		"GET /federation":            s.federationPage,
		"GET /bot":                   s.botPage,
		"GET /api":                   s.apiPage,
		"GET /manual/{page...}":      s.manualPage,

		"GET /ledger/blocks/{height}": s.blockPage,
		"GET /ledger/members":         s.membersPage,
		"GET /ledger/members/{name}":  s.memberPage,
		"GET /ledger/checkpoints":     s.checkpointsPage,
		"GET /ledger/credits":         s.creditsPage,
		"GET /ledger/search":          s.foundPage,

		"GET /opensearch.xml":           s.openSearch,
		"GET /suggest":                  s.suggest,
		"GET /robots.txt":               s.robotsText,
		"GET /sitemap.xml":              s.sitemap,
		"GET /.well-known/security.txt": s.securityText,
		"GET /static/{name}":            s.static.serve(s),
		"GET /favicon.svg":              s.icon,
		"GET /favicon.ico":              s.icon,
	}
	for pattern, h := range pages {
		mux.HandleFunc(pattern, h)
	}
}

func (s *Server) icon(w http.ResponseWriter, r *http.Request) { s.static.file(s, w, r, "favicon.svg") }
