// Command outsidewitness runs litewitness (filippo.io/torchwood), a witness of the witness network, for tests: with a database that knows one log, and
// with an SSH agent that holds its key, which is what litewitness takes a key from. It ends with its standard input.
//
//	outsidewitness -dir DIR -listen 127.0.0.1:7380 -name witness.example/w1 -seed <32 bytes in hex> -origin NAME -key VKEY [-key VKEY]…
//
// litewitness is looked for beside this program. What it logs goes to standard error.
package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "outsidewitness:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("dir", "", "directory of database and socket; kept from run to run")
	listen := flag.String("listen", "127.0.0.1:7380", "address to serve at")
	name := flag.String("name", "witness.example/w1", "name of the witness")
	seed := flag.String("seed", "", "its Ed25519 seed, in hex")
	origin := flag.String("origin", "", "origin of the log that it witnesses")
	var keys []string
	flag.Func("key", "a verifier key of that log; may repeat", func(s string) error { keys = append(keys, s); return nil })
	flag.Parse()

	raw, err := hex.DecodeString(*seed)
	if err != nil || len(raw) != ed25519.SeedSize || *dir == "" || *origin == "" {
		return fmt.Errorf("want -dir, -origin and a -seed of %d bytes", ed25519.SeedSize)
	}
	db := filepath.Join(*dir, "litewitness.db")
	if err := addLog(db, *origin, keys); err != nil {
		return fmt.Errorf("add the log: %w", err)
	}
	socket := filepath.Join(*dir, "agent")
	fingerprint, err := serveKey(socket, ed25519.NewKeyFromSeed(raw))
	if err != nil {
		return fmt.Errorf("serve the key: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(self), "litewitness"), "-db", db, "-ssh-agent", socket, "-key", fingerprint, "-name", *name, "-listen", *listen)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = cmd.Process.Signal(os.Interrupt)
	}()
	return cmd.Wait()
}

// addLog writes what litewitness and its witnessctl would: the tables, and a log that is empty so far.
func addLog(path, origin string, keys []string) error {
	db, err := sqlite.OpenConn(path, 0)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := sqlitex.ExecuteScript(db, `
		CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));
		DELETE FROM key;`, nil); err != nil {
		return err
	}
	const empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" // SHA-256 of nothing
	if err := sqlitex.Execute(db, "INSERT OR IGNORE INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", &sqlitex.ExecOptions{Args: []any{origin, empty}}); err != nil {
		return err
	}
	for _, k := range keys {
		if err := sqlitex.Execute(db, "INSERT INTO key (origin, key) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{origin, strings.TrimSpace(k)}}); err != nil {
			return err
		}
	}
	return nil
}

// serveKey serves an SSH agent with one key, and returns the key's fingerprint.
func serveKey(socket string, key ed25519.PrivateKey) (fingerprint string, err error) {
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: &key}); err != nil {
		return "", err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return "", err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c) }()
		}
	}()
	return ssh.FingerprintSHA256(public), nil
}
