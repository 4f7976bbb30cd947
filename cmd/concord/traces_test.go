package main

import (
	"strings"
	"testing"
)

func TestCollector(t *testing.T) {
	for _, c := range []struct {
		configured string
		env        string // NAME=VALUE, separated by spaces
		want, err  string
	}{
		{"", "", "", ""},
		{"http://a:4318", "", "http://a:4318", ""},
		{"http://a:4318", "OTEL_EXPORTER_OTLP_ENDPOINT=http://b:4318", "http://a:4318", ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://b:4318", "http://b:4318/v1/traces", ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=https://b/otlp/", "https://b/otlp/v1/traces", ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://b:4318 OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c/x", "http://c/x", ""},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://b:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "", "4318"},
		{"", "OTEL_EXPORTER_OTLP_ENDPOINT=http://b OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", "http://b/v1/traces", ""},
		{"http://a:4318", "OTEL_SDK_DISABLED=true", "", ""},
		{"http://a:4318", "OTEL_TRACES_EXPORTER=none", "", ""},
		{"", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "", ""},
	} {
		t.Run(c.configured+" "+c.env, func(t *testing.T) {
			for _, name := range []string{"SDK_DISABLED", "TRACES_EXPORTER", "EXPORTER_OTLP_ENDPOINT", "EXPORTER_OTLP_TRACES_ENDPOINT", "EXPORTER_OTLP_PROTOCOL", "EXPORTER_OTLP_TRACES_PROTOCOL"} {
				t.Setenv("OTEL_"+name, "")
			}
			for _, kv := range strings.Fields(c.env) {
				name, value, _ := strings.Cut(kv, "=")
				t.Setenv(name, value)
			}
			got, err := collector(c.configured)
			if got != c.want || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
