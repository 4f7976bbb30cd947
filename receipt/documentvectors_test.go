package receipt

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"

	"concord"
	"concord/note"
)

const documentVectorsFile = "testdata/documents.json"

// documentVectors builds receipts of documents, and promises, good and bad, that the script of the web pages must judge as Verify does.
func documentVectors(t testing.TB) *vectors {
	v := &vectors{Texts: map[string]string{}}
	salt := concord.Sum([]byte("salt"))
	for _, c := range []struct {
		name      string
		operators []string
		entries   int64
		salt      concord.Digest
	}{{"one operator", quartet[:1], 50, concord.Digest{}}, {"one operator, salted", quartet[:1], 50, salt}, {"four operators", quartet, 1000, concord.Digest{}}, {"four operators, salted", quartet, 4097, salt}} {
		d, policy := papers(t, c.operators, c.entries, c.salt)
		v.add(c.name, mustBuild(t, d), policy)
		d.Checkpoint = nil
		v.add(c.name+", a promise that could be executed", mustBuild(t, d), policy)
		d.Note = promise(t, d)
		v.add(c.name+", a promise", mustBuild(t, d), policy)
	}
	good, policy := papers(t, quartet[:1], 100, salt)
	for _, c := range []struct {
		name   string
		change func(*Document)
	}{
		{"another file", func(d *Document) { d.File = concord.Sum([]byte("other")) }}, {"no salt", func(d *Document) { d.Salt = concord.Digest{} }},
		{"another record", func(d *Document) { d.Record = bytes.Replace(d.Record, []byte("time 17"), []byte("time 16"), 1) }},
		{"a record before it", func(d *Document) { d.RecordIndex = d.Index - 1 }}, {"a record far behind", func(d *Document) { d.RecordIndex = d.Index + 3 }},
		{"another place", func(d *Document) { d.Index-- }}, {"another's keys", func(d *Document) { d.Admit = testAdmission(t, "bob.example") }},
		{"another's signature", func(d *Document) {
			text, _, _ := strings.Cut(string(d.Note), "\n\n")
			d.Note = mustSign(t, text+"\n", testSigner(t, "alice.example", "cosign", "alice.example", note.Ed25519))
		}},
	} {
		d := good
		c.change(&d)
		v.add(c.name, []byte(d.format()), policy)
	}
	proof := mustBuild(t, good)
	extra, rest, _ := bytes.Cut(proof, []byte("\nindex "))
	for i := range 24 {
		bad := slices.Clone(proof)
		bad[(2*i+1)*len(proof)/48] ^= 1 << (i % 8)
		v.add("bit flip "+string(rune('a'+i)), bad, policy)
	}
	v.add("a line feed more", append(slices.Clone(proof), '\n'), policy)
	v.add("index with a zero", bytes.Join([][]byte{extra, rest}, []byte("\nindex 0")), policy)
	v.add("the policy of another ledger", proof, four(t).policy)
	text := strings.Replace(good.extra(), "record ", "record 0", 1)
	v.add("a record's index with a zero", []byte(formatProof("extra "+base64.StdEncoding.EncodeToString([]byte(text))+"\n", good.Index, good.Path, good.Checkpoint)), policy)
	n := sharedEnd(good.RecordPath, good.Path)
	last := good.Path[len(good.Path)-n] // which the paths share, once more in full
	text = strings.Replace(good.extra(), " "+strconv.Itoa(n)+"\n", " "+strconv.Itoa(n-1)+"\n", 1)
	head, tail, _ := strings.Cut(text, "\n\n")
	v.add("a shared hash in full", []byte(formatProof("extra "+base64.StdEncoding.EncodeToString([]byte(head+"\n"+last.String()+"\n\n"+tail))+"\n", good.Index, good.Path, good.Checkpoint)), policy)
	return v
}

// The file is what is built now, and judges as it says.
func TestDocumentVectors(t *testing.T) {
	if got, good := documentVectors(t).read(t, documentVectorsFile); len(good) != 8 || len(got.Cases) < 40 {
		t.Errorf("%d vectors, %d of them good", len(got.Cases), len(good))
	}
}
