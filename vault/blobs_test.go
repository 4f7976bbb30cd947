package vault

import (
	"math/rand/v2"
	"testing"

	"concord"
)

// Pieces are compared with a table of bytes.
func TestPiecesCover(t *testing.T) {
	const size, unit = 64, pieceBytes / 8
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var ps pieces
		var has [size]bool
		for range rnd.IntN(12) {
			off, n := rnd.Int64N(size), 1+rnd.Int64N(8)
			n = min(n, size-off)
			ps = append(ps, piece{off: off * unit, size: n * unit})
			for i := off; i < off+n; i++ {
				has[i] = true
			}
		}
		ps.sort()
		from := rnd.Int64N(size)
		to := from + rnd.Int64N(size-from+1)
		var in [size]bool
		for _, g := range ps.gaps(from*unit, to*unit) {
			for i := g.from / unit; i < g.to/unit; i++ {
				in[i] = true
			}
		}
		for i := range int64(size) {
			inside := i >= from && i < to
			if in[i] != (inside && !has[i]) {
				t.Fatalf("%v: gaps of %d to %d are wrong at %d", ps, from, to, i)
			}
			if p, _, ok := ps.at(i * unit); ok != has[i] || ok && (p.off > i*unit || p.end() <= i*unit) {
				t.Fatalf("%v: at %d is %v %v", ps, i, p, ok)
			}
		}
		for _, p := range ps.within(from*unit, to*unit) {
			if p.off < from*unit || p.end() > to*unit {
				t.Fatalf("%v is not within %d to %d", p, from, to)
			}
		}
	}
}

func TestCutKeepsBorders(t *testing.T) {
	got := span{5, 2*pieceBytes + 7}.cut()
	want := []piece{{off: 5, size: pieceBytes - 5}, {off: pieceBytes, size: pieceBytes}, {off: 2 * pieceBytes, size: 7}}
	if len(got) != len(want) {
		t.Fatal(got)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}
}

func FuzzParseName(f *testing.F) {
	const file = "concord-20260101000000-00001-aaaaaa.warc.gz"
	f.Add(piece{off: 17}.name(file), int64(5))
	f.Add(piece{off: pieceBytes, whole: true}.name(file), int64(pieceBytes))
	f.Add("archive/"+file+"/whole/0000000000000001", int64(1))
	f.Add("archive/"+file+"/-000000000000001", int64(1))
	f.Fuzz(func(t *testing.T, name string, size int64) {
		file, p, ok := parseName(concord.BlobInfo{Name: name, Size: size})
		if !ok {
			return
		}
		if p.name(file) != name || p.size != size || p.off < 0 || size <= 0 || size > pieceBytes || concord.CheckBlobName(name) != nil {
			t.Errorf("%q is %q %+v", name, file, p)
		}
	})
}
