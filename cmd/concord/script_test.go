package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"concord"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain makes this test program the concord command of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"concord": main})
}

// TestScripts runs testdata/script/*.txtar: the real command, real nodes on data directories of their own, and a small
// site on a loopback address. Beside the standard commands of testscript there are
//
//	exits CODE COMMAND ARG…   the command ends with that exit code
//	node start [ARG…]         concord up, until it says "ready"; sets ADDR and PID
//	node stop | kill          SIGTERM, which must take less than 5 s; SIGKILL
//	flip FILE N               change one bit of byte N; a negative N counts from the end
//	perm FILE MODE            the file has these permissions, in octal
//
// and the variables SITE (the site's address), D (data directory of the script), ADDR (the node's address).
func TestScripts(t *testing.T) {
	site := httptest.NewServer(testSite())
	t.Cleanup(site.Close)
	nodes := &nodes{running: map[string]*exec.Cmd{}}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// Not below the work directory: its name would be too long for a socket.
			data, err := os.MkdirTemp("", "cc")
			if err != nil {
				return err
			}
			env.Setenv("D", data)
			env.Setenv("SITE", site.URL)
			env.Setenv("CONCORD_DATA", data)
			env.Defer(func() {
				nodes.end(data)
				os.RemoveAll(data)
			})
			return os.WriteFile(filepath.Join(env.WorkDir, "quick.yaml"), []byte(quickConfig), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "node": nodes.command, "flip": flip, "perm": perm,
		},
	})
}

// quickConfig makes the crawler as quick as a loopback site allows.
const quickConfig = `operator: cli.example
contact: http://127.0.0.1/bot
crawl:
  min_delay: 1ms
  address_delay: 1ms
  backoff_unit: 20ms
  retry_after: [50ms, 50ms, 50ms]
  patience: 2s
`

// testSite is a site with a page of every kind that the scripts ask for.
func testSite() http.Handler {
	mux := http.NewServeMux()
	page := func(path, lang, title, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, "<!doctype html><html lang=%s><head><title>%s</title></head><body><main><h1>%s</h1>%s</main></body></html>", lang, title, title, body)
		})
	}
	filler := strings.Repeat("<p>Ordinary sentences about lighthouses, ferries and the weather fill this page so that it is a page like others. </p>", 3)
	page("/{$}", "en", "Harbour office", filler+`<a href="/tides">tides</a> <a href="/lamps">lamps</a> <a href="/lamps-copy">again</a> <a href="/wetter">Wetter</a>
		<a href="/private/log">log</a> <a href="/old">old</a> <a href="/hidden">hidden</a> <a href="/gone">gone</a> <a href="/empty/escape">escape</a>`)
	page("/tides", "en", "Tide tables", "<p>The spring tide reaches the quay at noon; the neap tide does not. Harbour masters publish tide tables every year.</p>"+
		"<p>Anchors, buoys and moorings are inspected after every spring tide, when the current is at its strongest and the water is clear.</p>")
	lamps := "<p>A Fresnel lens gathers the light of the lamp into one beam. The keeper winds the clockwork every evening and polishes the brass.</p>" +
		"<p>On clear nights the beam is seen from twenty miles; in fog the horn sounds instead, twice a minute, until the coast can be seen again.</p>"
	page("/lamps", "en", "Lamps and lenses", lamps)
	page("/lamps-copy", "en", "Lamps and lenses", lamps)
	page("/wetter", "de", "Wetter an der Küste", "<p>Der Wind dreht am Nachmittag auf Nordwest, und die Fähren fahren nicht mehr. Am Abend beruhigt sich die See wieder, die Sicht wird gut.</p>")
	page("/private/log", "en", "Private log", "<p>Nobody may read this.</p>")
	page("/empty/escape", "en", "Escape \x1b[31mred", "<p>A page whose words \x1b[2Jtry to steer the terminal of whoever searches for zanzibar.</p>"+filler)
	mux.HandleFunc("GET /hidden", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Robots-Tag", "noindex")
		fmt.Fprint(w, "<title>Hidden</title><p>This page asks not to be found."+filler)
	})
	mux.HandleFunc("GET /old", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/tides", http.StatusMovedPermanently)
	})
	mux.HandleFunc("GET /gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "User-agent: *\nDisallow: /private/\n") })
	return mux
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE N")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(name, data, 0o600))
}

func perm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: perm FILE MODE")
	}
	fi, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", fi.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has permissions %s, want %s", args[0], got, args[1])
	}
}

// nodes are the running nodes, by data directory.
type nodes struct {
	mu      sync.Mutex
	running map[string]*exec.Cmd
}

func (n *nodes) command(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: node start|stop|kill")
	}
	data := ts.Getenv("D")
	switch args[0] {
	case "start":
		n.start(ts, data, args[1:])
	case "stop":
		start := time.Now()
		if err := n.signal(data, syscall.SIGTERM); err != nil {
			ts.Fatalf("SIGTERM: %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			ts.Fatalf("SIGTERM took %v, want less than 5 s", d)
		}
	case "kill":
		_ = n.signal(data, syscall.SIGKILL) // it ends with a signal: that is what was asked for
	default:
		ts.Fatalf("node %s: want start, stop or kill", args[0])
	}
}

// start runs concord up and waits for its ready line. What it logs goes to $WORK/node.log.
func (n *nodes) start(ts *testscript.TestScript, data string, args []string) {
	bin, err := exec.LookPath("concord")
	ts.Check(err)
	cmd := exec.Command(bin, append([]string{"up", "--data", data, "--http", "127.0.0.1:0", "--config", ts.MkAbs("quick.yaml")}, args...)...)
	logFile, err := os.OpenFile(filepath.Join(ts.Getenv("WORK"), "node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer logFile.Close()
	cmd.Stderr = logFile
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	n.mu.Lock()
	n.running[data] = cmd
	n.mu.Unlock()
	line, _ := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		tail, _ := os.ReadFile(logFile.Name())
		ts.Fatalf("the node printed %q, want \"ready http://…\"; its log:\n%s", line, tail)
	}
	ts.Setenv("ADDR", addr)
	ts.Setenv("HOSTPORT", strings.TrimPrefix(addr, "http://"))
	ts.Setenv("PID", strconv.Itoa(cmd.Process.Pid))
}

func (n *nodes) signal(data string, sig os.Signal) error {
	n.mu.Lock()
	cmd := n.running[data]
	delete(n.running, data)
	n.mu.Unlock()
	if cmd == nil {
		return errors.New("no node is running")
	}
	if err := cmd.Process.Signal(sig); err != nil {
		return err
	}
	return cmd.Wait()
}

func (n *nodes) end(data string) { _ = n.signal(data, syscall.SIGKILL) }

// Help fits into the narrowest terminal in use, and every command has some.
func TestHelpWidth(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			return // cobra's own
		}
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > helpWidth {
				t.Errorf("%s: a line of its help has %d characters: %s", c.CommandPath(), utf8.RuneCountInString(line), line)
			}
		}
		if c.Short == "" || !c.HasSubCommands() && !c.Hidden && c.Name() != "version" && c.Example == "" {
			t.Errorf("%s has no short description or no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(rootCommand())
}

// A snippet keeps its words whole, wherever matches begin and end in them, and wraps by what is seen.
func TestSnippet(t *testing.T) {
	parts := []concord.Fragment{{Text: "call set_"}, {Text: "event", Match: true}, {Text: "_"}, {Text: "loop", Match: true}, {Text: "(x)\tand\x1b[2J then "}, {Text: "loop", Match: true}}
	got := wrap(snippetWords(parts, boldOn, boldOff), 20)
	want := []string{"call", "set_" + boldOn + "event" + boldOff + "_" + boldOn + "loop" + boldOff + "(x)", "and [2J then " + boldOn + "loop" + boldOff}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A port that something else than a node has taken.
func TestListenMessage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir, err := os.MkdirTemp("", "cc")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("concord", "up", "--data", dir, "--http", l.Addr().String())
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitUnavailable || !strings.Contains(string(out), "cannot listen on "+l.Addr().String()) {
		t.Errorf("port taken: exit code %d, %v: %s", cmd.ProcessState.ExitCode(), err, out)
	}
}
