package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord/bench/game"
	"concord/e2e/ports"
	api "concord/web"
)

const (
	// settleTime bounds the wait for nodes to become one: joining, growing, the copies of logs and shards.
	settleTime = 5 * time.Minute
	settlePoll = 500 * time.Millisecond
	// logCopies is how many copies a log gets as soon as there are nodes for them.
	logCopies = 3
)

// nodes are the processes of one operator on loopback; the first founded the cluster.
type nodes []*process

// startNodes starts n nodes and waits until they work as one: all partitions owned, all logs and shards with their copies.
func startNodes(ctx context.Context, c config, n, copies int, env []string) (list nodes, err error) {
	defer func() {
		if err != nil {
			list.tellWhy()
			list.end()
		}
	}()
	addr, err := freePorts()
	if err != nil {
		return nil, err
	}
	first, err := launchNode(c, 0, append(slices.Clone(env), "CONCORD_NODE=n1"), "--cluster-addr", addr)
	if err != nil {
		return nil, err
	}
	list = append(list, first)
	if err := <-first.ready; err != nil || n == 1 {
		return list, err
	}
	token, err := first.token(n - 1)
	if err != nil {
		return list, err
	}
	for i := 1; i < n; i++ {
		own, err := freePorts()
		if err != nil {
			return list, err
		}
		p, err := launchNode(c, 0, append(slices.Clone(env), fmt.Sprintf("CONCORD_NODE=n%d", i+1)), "--cluster-addr", own, "--join", addr, "--token", token)
		if err != nil {
			return list, err
		}
		list = append(list, p)
	}
	return list, list.settle(ctx, copies)
}

// freePorts returns an address whose port and the one after it are free: a node with a cluster address uses both.
func freePorts() (string, error) { return ports.Free("127.0.0.1", 2) }

func (n *process) token(uses int) (string, error) {
	body, err := json.Marshal(api.TokenSpec{Life: time.Hour, Uses: uses})
	if err != nil {
		return "", err
	}
	resp, err := n.sock.Post("http://node/api/v1/cluster/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var t api.ClusterToken
	if err := json.NewDecoder(resp.Body).Decode(&t); err != nil || t.Token == "" {
		return "", fmt.Errorf("cluster token: status %s: %w", resp.Status, err)
	}
	return t.Token, nil
}

// settle waits until every node sees the whole cluster at work.
func (l nodes) settle(ctx context.Context, copies int) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	why := ""
	for {
		why = ""
		for _, n := range l {
			if why = n.unsettled(len(l), copies); why != "" {
				break
			}
		}
		if why == "" {
			return nil
		}
		if err := pause(ctx, settlePoll); err != nil {
			return fmt.Errorf("%d nodes are no cluster yet (%w; there are %v): %s", len(l), err, settleTime, why)
		}
	}
}

// unsettled says what is missing, as one node sees it.
func (n *process) unsettled(count, copies int) string {
	st, err := n.status()
	switch {
	case err != nil:
		return err.Error()
	case st.State != api.ClusterMember || len(st.Nodes) != count:
		return fmt.Sprintf("%s is %s and sees %d nodes", st.Self, st.State, len(st.Nodes))
	case st.Moving > 0 || st.Unowned > 0:
		return fmt.Sprintf("%d partitions move, %d run nowhere", st.Moving, st.Unowned)
	}
	for _, m := range st.Nodes {
		if m.State != api.NodeLive || m.Owns != m.Assigned {
			return fmt.Sprintf("%s is %s and owns %d partitions of %d", m.Name, m.State, m.Owns, m.Assigned)
		}
	}
	for _, l := range st.Logs {
		if len(l.Copies) < min(count, logCopies) {
			return fmt.Sprintf("log %s has %d copies", l.Name, len(l.Copies))
		}
		for _, c := range l.Copies {
			if !c.Current {
				return fmt.Sprintf("the copy of log %s on %s is behind", l.Name, c.Node)
			}
		}
	}
	for _, p := range st.Partitions {
		// More copies than there should be are those of nodes that began before they saw the others; they let go after a minute.
		if strings.HasPrefix(p.Name, "shard.") && len(p.Replicas) != min(count, copies) {
			return fmt.Sprintf("%s answers on %d nodes", p.Name, len(p.Replicas))
		}
	}
	return ""
}

func (n *process) status() (st api.ClusterStatus, err error) {
	code, err := n.get("/api/v1/cluster", nil, &st)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("cluster status: %d", code)
	}
	return st, err
}

// tellWhy logs the last words of every node, before their files are deleted.
func (l nodes) tellWhy() {
	const lastWords = 2000 // bytes
	for i, n := range l {
		if data, err := os.ReadFile(n.log.Name()); err == nil && len(data) > 0 {
			logf("node %d said last:\n%s", i+1, data[max(len(data)-lastWords, 0):])
		}
	}
}

// end stops all nodes and deletes their files.
func (l nodes) end() {
	for i := len(l) - 1; i >= 0; i-- {
		l[i].stop()
		l[i].remove()
	}
}

// nodeUse is what a node has used since it started.
type nodeUse struct {
	CPU     time.Duration
	Written int64 // bytes it had the kernel write to disks
	RSS     int64
	Sockets int // open TCP connections to and from other nodes, and whatever else it has open
}

func (n *process) use() (u nodeUse, err error) {
	pid := n.cmd.Process.Pid
	if u.CPU, err = cpuOf(pid); err != nil {
		return u, err
	}
	r, err := residentOf(pid)
	if err != nil {
		return u, err
	}
	u.RSS = r.RSS
	u.Written, err = strconv.ParseInt(game.Field(fmt.Sprintf("/proc/%d/io", pid), "write_bytes"), 10, 64)
	if err != nil {
		return u, fmt.Errorf("bytes that process %d wrote: %w", pid, err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(fmt.Sprintf("/proc/%d/fd", pid), fd.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			u.Sockets++
		}
	}
	return u, err
}

// use returns what each node has used.
func (l nodes) use() ([]nodeUse, error) {
	all := make([]nodeUse, len(l))
	for i, n := range l {
		var err error
		if all[i], err = n.use(); err != nil {
			return nil, err
		}
	}
	return all, nil
}
