package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord"
	"concord/node"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
)

func upCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a node",
		Long: `Run a node: crawler, index, ledger, pages and API, on one data directory, with
nothing else to install.

When it serves, it prints "ready http://ADDRESS". Ctrl-C or SIGTERM stops it
within 5 s; a kill or power cut at any moment loses nothing it has
acknowledged.

The configuration file is YAML; every setting may also come from the
environment, as in CONCORD_OPERATOR or CONCORD_CRAWL__MIN_DELAY. The manual,
served at /manual/, lists them. CONCORD_JOIN and CONCORD_TOKEN stand for --join
and --token.`,
		Example: `  concord up
  concord up --data /srv/concord --http 127.0.0.1:8080
  concord up --config /etc/concord.yaml
  concord up --join 10.0.0.1:7668 --token concord-… --cluster-addr 10.0.0.2:7668`,
		Args: noArgs,
	}
	addNodeFlags(cmd)
	cmd.Flags().String("http", "", "address of pages and API (default 127.0.0.1:7667)")
	cmd.Flags().String("join", "", "cluster address of a node whose cluster this new one joins")
	cmd.Flags().String("token", "", "what lets it join: concord cluster token prints one")
	cmd.Flags().String("cluster-addr", "", "where other nodes reach this one; the port after it is used as well (default 127.0.0.1:7668)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		return up(cmd.Context(), cfg, cmd)
	}
	return cmd
}

// addNodeFlags adds the flags that every command has which reads a node's configuration.
func addNodeFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "YAML configuration file")
	cmd.Flags().String("federation-addr", "", "where other operators' nodes reach this one (default 127.0.0.1:7670)")
	cmd.Flags().String("log", "info", "what to log on standard error: debug, info, warn or error")
}

// up runs the node until a signal. A node that grows into a cluster begins to serve once more.
func up(ctx context.Context, cfg node.Config, cmd *cobra.Command) error {
	start := time.Now()
	err := node.Serve(ctx, cfg, func(addr string) {
		cfg.Logger.Info("serving", "address", "http://"+addr, "data", cfg.Data, "started in", time.Since(start).Round(time.Millisecond))
		fmt.Fprintf(cmd.OutOrStdout(), "ready http://%s\n", addr)
	})
	cfg.Logger.Info("stopped")
	return err
}

// loadConfig merges, later over earlier: defaults, configuration file, environment, flags.
func loadConfig(cmd *cobra.Command) (node.Config, error) {
	var cfg node.Config
	k := koanf.New(".")
	if err := k.Load(structs.Provider(node.Defaults(), "koanf"), nil); err != nil {
		return cfg, err
	}
	known := k.KeyMap()
	if path, _ := cmd.Flags().GetString("config"); path != "" {
		f := koanf.New(".")
		if err := f.Load(file.Provider(path), yaml.Parser()); err != nil {
			return cfg, concord.Errorf(concord.Invalid, "configuration file %s: %w", path, err)
		}
		for _, key := range f.Keys() {
			if _, ok := known[key]; !ok {
				return cfg, concord.Errorf(concord.Invalid, "configuration file %s: unknown setting %q; the settings are: %s", path, key, strings.Join(k.Keys(), ", "))
			}
		}
		if err := k.Merge(f); err != nil {
			return cfg, err
		}
	}
	err := k.Load(env.Provider(".", env.Opt{Prefix: "CONCORD_", TransformFunc: func(name, value string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "CONCORD_")), "__", ".")
		if _, ok := known[key]; !ok || value == "" {
			return "", nil
		}
		switch k.Get(key).(type) {
		case []string, []time.Duration, []any:
			return key, strings.Split(strings.ReplaceAll(value, " ", ""), ",")
		}
		return key, value
	}}), nil)
	if err != nil {
		return cfg, err
	}
	if err := k.Unmarshal("", &cfg); err != nil {
		return cfg, wrongSetting(k, err)
	}
	return cfg, finishConfig(cmd, &cfg)
}

// wrongSetting says which setting has a value of the wrong kind, and what it is.
func wrongSetting(k *koanf.Koanf, err error) error {
	for _, key := range k.Keys() {
		if strings.Contains(err.Error(), "'"+key+"'") {
			return concord.Errorf(concord.Invalid, "configuration: %s cannot be %q; a value of the same kind is %v", key, fmt.Sprint(k.Get(key)), defaultOf(key))
		}
	}
	return concord.Errorf(concord.Invalid, "configuration: %w", err)
}

func defaultOf(key string) any {
	d := koanf.New(".")
	if err := d.Load(structs.Provider(node.Defaults(), "koanf"), nil); err != nil {
		return nil
	}
	return d.Get(key)
}

func finishConfig(cmd *cobra.Command, cfg *node.Config) error {
	if http, _ := cmd.Flags().GetString("http"); http != "" {
		cfg.HTTP = http
	}
	for flag, to := range map[string]*string{"cluster-addr": &cfg.Cluster.Addr, "federation-addr": &cfg.Federation.Addr} {
		if v, _ := cmd.Flags().GetString(flag); v != "" {
			*to = v
		}
	}
	joinConfig(cmd, cfg)
	if cmd.Flags().Changed("data") || cfg.Data == "" {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		cfg.Data = dir
	}
	var err error
	if cfg.Traces, err = collector(cfg.Traces); err != nil {
		return err
	}
	if cfg.Data, err = filepath.Abs(cfg.Data); err != nil {
		return err
	}
	if cfg.Executable, err = os.Executable(); err != nil {
		cfg.Executable = ""
	}
	level := new(slog.LevelVar)
	name, _ := cmd.Flags().GetString("log")
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return concord.Errorf(concord.Invalid, "--log %s: want debug, info, warn or error", name)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	if fi, err := os.Stat(cfg.Data); err == nil && !fi.IsDir() {
		return concord.Errorf(concord.Invalid, "%s is not a directory", cfg.Data)
	} else if err != nil && !os.IsNotExist(err) {
		return concord.Errorf(concord.Invalid, "data directory: %w", err.(*fs.PathError))
	}
	return nil
}

// collector returns where traces go: as configured, or as OpenTelemetry's own variables say.
func collector(configured string) (string, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return "", nil
	}
	if configured != "" {
		return configured, nil
	}
	endpoint, all := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" && all != "" {
		endpoint = strings.TrimSuffix(all, "/") + "/v1/traces"
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
	if endpoint != "" && protocol != "" && protocol != "http/protobuf" {
		return "", concord.Errorf(concord.Invalid, "traces are sent as http/protobuf, not %q: give OTEL_EXPORTER_OTLP_ENDPOINT the collector's port for HTTP (usually 4318), and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", protocol)
	}
	return endpoint, nil
}

// joinConfig takes what lets a node join from flags, else from the environment. All nodes of a deployment may have the same environment:
// the one that it tells the others to join is the first, and has nobody to join.
func joinConfig(cmd *cobra.Command, cfg *node.Config) {
	cfg.Join, _ = cmd.Flags().GetString("join")
	cfg.Token, _ = cmd.Flags().GetString("token")
	if cfg.Join == "" && cfg.Token == "" {
		cfg.Join, cfg.Token = os.Getenv("CONCORD_JOIN"), os.Getenv("CONCORD_TOKEN")
		if cfg.Join == cmp.Or(cfg.Cluster.Advertise, cfg.Cluster.Addr) {
			cfg.Join, cfg.Token = "", ""
		}
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return concord.Errorf(concord.Invalid, "%s takes no arguments, got %q; see: %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// atLeastOne names what is missing.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return concord.Errorf(concord.Invalid, "%s: no %s given; see: %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

func exactlyOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return concord.Errorf(concord.Invalid, "%s takes one %s, got %d; see: %s --help", cmd.CommandPath(), what, len(args), cmd.CommandPath())
		}
		return nil
	}
}
