package loopweb

import (
	"bytes"
	"net"
	"net/http"
	"testing"
)

// A population is what it promises: its pages are all reachable, host by host, and the same for the same seed.
func TestPopulation(t *testing.T) {
	const hosts, pages = 30, 1000
	web, again := Population(7, hosts, pages), Population(7, hosts, pages)
	total := 0
	for i, h := range web {
		found, err := Reachable(h, pages)
		if err != nil || len(found) != len(h.Index) || len(found) == 0 {
			t.Errorf("%s: %d of %d pages are reachable: %v", h.Name, len(found), len(h.Index), err)
		}
		total += len(h.Index)
		last := h.Index[len(h.Index)-1]
		_, _, a := h.Answer(last)
		if _, _, b := again[i].Answer(last); !bytes.Equal(a, b) {
			t.Errorf("%s%s differs for the same seed", h.Name, last)
		}
		if status, _, _ := h.Answer("/p/100000"); status != http.StatusNotFound {
			t.Errorf("%s answers %d for a page it has not", h.Name, status)
		}
	}
	if total != pages {
		t.Errorf("%d pages, want %d", total, pages)
	}
}

func TestServeTellsHostsApart(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := Serve(l, Population(1, 3, 9)...)
	defer web.Close()
	for _, host := range []string{"s0001.test", "s0009.test"} {
		req, _ := http.NewRequest(http.MethodGet, "http://"+l.Addr().String()+"/", nil)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := host == "s0001.test"; (resp.StatusCode == http.StatusOK) != want {
			t.Errorf("%s: status %d", host, resp.StatusCode)
		}
	}
	log := web.Hosts[1].Requests()
	if len(log) != 1 || log[0].Source != "127.0.0.1" || len(web.Hosts[0].Requests()) != 0 {
		t.Errorf("the log says %+v", log)
	}
}
