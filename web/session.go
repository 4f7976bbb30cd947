package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

const (
	sessionCookie = "concord-session"
	sessionLife   = 12 * time.Hour
	// maxSessions bounds the table; the one that ends first makes room. A node has a handful of people who may write.
	maxSessions = 256
)

// sessions are the browsers that signed in with the API key. They live in memory: a restart signs everybody out.
type sessions struct {
	key [32]byte // of the form tokens

	mu  sync.Mutex
	all map[[32]byte]time.Time // SHA-256 of the cookie's value -> end
}

func newSessions() *sessions {
	s := &sessions{all: map[[32]byte]time.Time{}}
	rand.Read(s.key[:]) // never fails (Go 1.24)
	return s
}

// start makes a session and returns the cookie's value.
func (s *sessions) start(now time.Time) string {
	var b [32]byte
	rand.Read(b[:])
	value := base64.RawURLEncoding.EncodeToString(b[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, end := range s.all {
		if !end.After(now) {
			delete(s.all, id)
		}
	}
	if len(s.all) >= maxSessions {
		var first [32]byte
		var at time.Time
		for id, end := range s.all {
			if at.IsZero() || end.Before(at) {
				first, at = id, end
			}
		}
		delete(s.all, first)
	}
	s.all[sha256.Sum256([]byte(value))] = now.Add(sessionLife)
	return value
}

// valid reports whether the cookie's value names a session that has not ended.
func (s *sessions) valid(value string, now time.Time) bool {
	if value == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.all[sha256.Sum256([]byte(value))]
	return ok && end.After(now)
}

func (s *sessions) end(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(value)))
}

// token is what a form of the session must carry, so that another site cannot make the browser send one.
func (s *sessions) token(value string) string {
	m := hmac.New(sha256.New, s.key[:])
	m.Write([]byte("form token\x00" + value))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (s *sessions) checkToken(value, token string) bool {
	return subtle.ConstantTimeCompare([]byte(s.token(value)), []byte(token)) == 1
}

// cookie returns the Set-Cookie that starts (or, with an empty value, ends) a session.
func (s *Server) cookie(r *http.Request, value string) *http.Cookie {
	c := &http.Cookie{Name: sessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: callerOf(r.Context()).https, MaxAge: int(sessionLife / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// keyMatches compares in constant time, whatever the lengths.
func keyMatches(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
