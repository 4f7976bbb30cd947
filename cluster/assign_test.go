package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func partitionNames(frontiers, shards int) []string {
	names := []string{"attestor"}
	for i := range frontiers {
		names = append(names, fmt.Sprintf("frontier.%d", i))
	}
	for i := range shards {
		names = append(names, fmt.Sprintf("shard.%d", i))
	}
	return names
}

func randomNodes(rnd *rand.Rand, n int) []Candidate {
	nodes := make([]Candidate, n)
	for i := range nodes {
		nodes[i] = Candidate{fmt.Sprintf("node-%08x", rnd.Uint32()), 1}
	}
	return nodes
}

// loads counts partitions by node, and by kind and node.
func loads(owner map[string]string) (byNode, byKind map[string]int) {
	byNode, byKind = map[string]int{}, map[string]int{}
	for p, node := range owner {
		byNode[node]++
		byKind[kindOf(p)+"@"+node]++
	}
	return byNode, byKind
}

func TestAssignIsBalanced(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		parts := partitionNames(1+rnd.IntN(20), 1+rnd.IntN(20))
		nodes := randomNodes(rnd, 1+rnd.IntN(12))
		owner := Assign(parts, nodes)
		if len(owner) != len(parts) {
			t.Fatalf("%d of %d partitions assigned", len(owner), len(parts))
		}
		byNode, _ := loads(owner)
		for node, n := range byNode {
			if bound := ceilDiv(len(parts), len(nodes)); n > bound {
				t.Fatalf("%s has %d of %d partitions over %d nodes, at most %d are its share", node, n, len(parts), len(nodes), bound)
			}
		}
		rnd.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		rnd.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for p, node := range Assign(parts, nodes) {
			if owner[p] != node {
				t.Fatalf("%s goes to %s or to %s, depending on the order of the lists", p, owner[p], node)
			}
		}
	}
}

// A small cluster is where plain rendezvous hashing does worst: with nine partitions and three nodes one node of a dozen has none.
func TestAssignOfASmallCluster(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	parts := partitionNames(4, 4)
	uneven := 0
	for range 500 {
		byNode, byKind := loads(Assign(parts, randomNodes(rnd, 3)))
		for node, n := range byNode {
			if n != 3 {
				t.Fatalf("%s has %d of 9 partitions over 3 nodes", node, n)
			}
			if byKind["shard@"+node] > 2 || byKind["frontier@"+node] > 2 {
				uneven++
			}
		}
	}
	if uneven > 500/8 {
		t.Errorf("%d of 500 assignments have three partitions of one kind on one node", uneven)
	}
}

// moved counts partitions whose owner differs, and those of them that had to move: off a node that is gone, or to one
// that came.
func moved(before, after map[string]string, changed string) (all, needed int) {
	for p := range before {
		if before[p] != after[p] {
			all++
		}
		if before[p] == changed || after[p] == changed {
			needed++
		}
	}
	return all, needed
}

func TestAssignMovesLittle(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		frontiers, shards, nodes int
		mean, most               float64 // bounds of what moves besides what must, in partitions
	}{
		{4, 4, 2, 1, 4}, {4, 4, 3, 2, 5}, {4, 4, 4, 1.2, 5}, {16, 16, 3, 3, 8}, {16, 16, 5, 3.5, 9}, {16, 16, 10, 5.5, 11}, {64, 64, 10, 11, 22}, {64, 64, 30, 3, 10},
	} {
		parts := partitionNames(c.frontiers, c.shards)
		rounds := max(20, 4000/len(parts)/c.nodes)
		sum, most := 0, 0
		for range rounds {
			nodes := randomNodes(rnd, c.nodes+1)
			all, needed := moved(Assign(parts, nodes[:c.nodes]), Assign(parts, nodes), nodes[c.nodes].Name)
			sum += all - needed
			most = max(most, all-needed)
		}
		mean := float64(sum) / float64(rounds)
		t.Logf("%3d partitions, %2d nodes and one more: %.2f move besides what must, at most %d", len(parts), c.nodes, mean, most)
		if mean > c.mean || float64(most) > c.most {
			t.Errorf("%d partitions over %d nodes and one more: %.2f moves on average and %d at most besides what must, want %v and %v",
				len(parts), c.nodes, mean, most, c.mean, c.most)
		}
	}
}

func TestAssignFollowsCapacity(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	parts := partitionNames(32, 32)
	for range 50 {
		nodes := randomNodes(rnd, 4)
		nodes[0].Capacity, nodes[1].Capacity, nodes[2].Capacity = 3, 0, 1000
		byNode, _ := loads(Assign(parts, nodes))
		if byNode[nodes[1].Name] != 0 {
			t.Fatal("a node without capacity got partitions")
		}
		for _, n := range nodes {
			if bound := ceilDiv(len(parts)*capacityOf(n), 3+MaxCapacity+1); byNode[n.Name] > bound {
				t.Fatalf("a node of capacity %d has %d partitions, more than %d", n.Capacity, byNode[n.Name], bound)
			}
		}
	}
	if got := Assign(parts, nil); len(got) != 0 {
		t.Fatalf("assigned to nobody: %v", got)
	}
}

func TestReplicasAreApart(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 200 {
		parts := partitionNames(0, 1+rnd.IntN(16))
		nodes := randomNodes(rnd, 1+rnd.IntN(6))
		owner, load := Assign(parts, nodes), map[string]int{}
		for p, places := range Replicas(parts, nodes, 2) {
			if len(places) != min(2, len(nodes)) || places[0] != owner[p] {
				t.Fatalf("%s, owned by %s: copies on %v", p, owner[p], places)
			}
			if len(places) == 2 && places[0] == places[1] {
				t.Fatalf("%s has both copies on %s", p, places[0])
			}
			for _, n := range places {
				load[n]++
			}
		}
		for _, n := range nodes {
			if bound := 2*ceilDiv(len(parts), len(nodes)) + 2; load[n.Name] > bound {
				t.Fatalf("%d copies of %d partitions on one of %d nodes, want at most %d", load[n.Name], len(parts), len(nodes), bound)
			}
		}
	}
}

func TestRankingBeginsWithTheLikeliest(t *testing.T) {
	t.Parallel()
	nodes := []Candidate{{"a", 1}, {"b", 1}, {"c", 0}}
	for _, p := range partitionNames(4, 4) {
		if r := ranking(p, nodes); len(r) != 2 || r[0] != Assign([]string{p}, nodes)[p] {
			t.Fatalf("%s: ranking %v", p, r)
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	rnd := rand.New(rand.NewPCG(11, 12))
	for _, c := range []struct{ each, nodes int }{{4, 3}, {32, 10}, {500, 100}} {
		parts, nodes := partitionNames(c.each, c.each), randomNodes(rnd, c.nodes)
		b.Run(fmt.Sprintf("%dx%d", len(parts), len(nodes)), func(b *testing.B) {
			for b.Loop() {
				Assign(parts, nodes)
			}
		})
	}
}
