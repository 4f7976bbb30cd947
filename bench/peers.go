package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// peer is a crawler that Concord is compared with: a program, run with the seeds of a web.
type peer struct {
	name    string
	version string
	what    string // what it does with a page
	// command returns the program for the seeds; dir is an empty directory it may fill.
	command func(ctx context.Context, seeds []string, delay time.Duration, dir string) (*exec.Cmd, error)
}

// Modes of the peers that can keep what they fetch.
const (
	parses = "parses links, drops the body"
	saves  = "parses links, saves each body to a file"
)

// findPeers builds or installs the peers in the scratch directory. Those that cannot be had are left out, and said so.
func findPeers(ctx context.Context, c config) []peer {
	var list []peer
	for _, find := range []func(context.Context, config) ([]peer, error){colly, scrapy, wget} {
		found, err := find(ctx, c)
		if err != nil {
			logf("not compared: %v", err)
			continue
		}
		list = append(list, found...)
	}
	return list
}

func colly(ctx context.Context, c config) ([]peer, error) {
	bin := filepath.Join(c.work, "colly")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, ".")
	build.Dir = "bench/colly"
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build colly: %w: %s", err, out)
	}
	version := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/gocolly/colly/v2")
	version.Dir = build.Dir
	v, err := version.Output()
	if err != nil {
		return nil, fmt.Errorf("version of colly: %w", err)
	}
	command := func(save bool) func(context.Context, []string, time.Duration, string) (*exec.Cmd, error) {
		return func(ctx context.Context, seeds []string, delay time.Duration, dir string) (*exec.Cmd, error) {
			args := []string{"-delay", delay.String()}
			if save {
				args = append(args, "-save", dir)
			}
			cmd := exec.CommandContext(ctx, bin, args...)
			cmd.Stdin = strings.NewReader(strings.Join(seeds, "\n"))
			return cmd, nil
		}
	}
	return []peer{{"colly", strings.TrimSpace(string(v)), parses, command(false)}, {"colly", strings.TrimSpace(string(v)), saves, command(true)}}, nil
}

func scrapy(ctx context.Context, c config) ([]peer, error) {
	venv := filepath.Join(c.work, "venv")
	python := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if out, err := exec.CommandContext(ctx, "python3", "-m", "venv", venv).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make a Python environment for Scrapy: %w: %s", err, out)
		}
	}
	if out, err := exec.CommandContext(ctx, python, "-m", "pip", "install", "-q", "-r", "bench/scrapy/requirements.txt").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("install Scrapy: %w: %s", err, out)
	}
	version := output(python, "-c", "import scrapy, platform; print(scrapy.__version__, 'on Python', platform.python_version())")
	spider, err := filepath.Abs("bench/scrapy/spider.py")
	if err != nil {
		return nil, err
	}
	command := func(save bool) func(context.Context, []string, time.Duration, string) (*exec.Cmd, error) {
		return func(ctx context.Context, seeds []string, delay time.Duration, dir string) (*exec.Cmd, error) {
			file, err := seedFile(dir, seeds)
			if err != nil {
				return nil, err
			}
			args := []string{spider, file, strconv.FormatFloat(delay.Seconds(), 'f', -1, 64), strconv.Itoa(concurrency)}
			if save {
				args = append(args, dir)
			}
			return exec.CommandContext(ctx, python, args...), nil
		}
	}
	return []peer{{"scrapy", version, parses, command(false)}, {"scrapy", version, saves, command(true)}}, nil
}

// wget is one process for each host, all at once: it has no other way of crawling several hosts side by side.
func wget(context.Context, config) ([]peer, error) {
	path, err := exec.LookPath("wget")
	if err != nil {
		return nil, err
	}
	script := `while read -r seed; do n=$((n+1))
"$WGET" -q -r -l inf -nH --restrict-file-names=nocontrol -P "$DIR/$n" --delete-after --warc-file="$DIR/$n" --warc-cdx --no-warc-keep-log --warc-tempdir="$DIR" \
  -e robots=on --wait="$DELAY" -U 'bench-wget (+http://127.0.0.1/bot)' "$seed" &
done; wait`
	command := func(ctx context.Context, seeds []string, delay time.Duration, dir string) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "sh", "-c", script)
		cmd.Env = append(os.Environ(), "WGET="+path, "DIR="+dir, "DELAY="+strconv.FormatFloat(delay.Seconds(), 'f', -1, 64))
		cmd.Stdin = strings.NewReader(strings.Join(seeds, "\n") + "\n")
		return cmd, nil
	}
	version := strings.TrimPrefix(output(path, "--version"), "GNU Wget ")
	version, _, _ = strings.Cut(version, " ")
	return []peer{{"wget", version, "parses links, writes a WARC with CDX; a process for each host", command}}, nil
}

func seedFile(dir string, seeds []string) (string, error) {
	path := filepath.Join(dir, "seeds.txt")
	return path, os.WriteFile(path, []byte(strings.Join(seeds, "\n")), 0o600)
}

// crawl runs the peer over a web and returns what it used.
func (p *peer) crawl(ctx context.Context, c config, w *web, delay time.Duration) (usage, error) {
	dir, err := os.MkdirTemp(c.work, "peer-")
	if err != nil {
		return usage{}, err
	}
	defer os.RemoveAll(dir)
	cmd, err := p.command(ctx, w.seeds, delay, dir)
	if err != nil {
		return usage{}, err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	use, err := follow(cmd).wait()
	if err != nil {
		return use, fmt.Errorf("%s: %w: %s", p.name, err, tail(out.String()))
	}
	return use, nil
}

func tail(s string) string { return s[max(0, len(s)-2000):] }
