package page

import "golang.org/x/net/html/atom"

// maxBoilerShare is the part of a page's prose above which an element is not boilerplate, whatever its class says:
// layouts are full of wrappers such as "page-with-sidebar".
const maxBoilerShare = 0.5

// proseBytes sums the text outside links by element.
func proseBytes(t *tree) []int32 {
	prose := make([]int32, len(t.nodes))
	for id := len(t.nodes) - 1; id > 0; id-- {
		d := &t.nodes[id]
		switch {
		case d.isText:
			prose[d.parent] += inkBytes(t.text[d.a:d.b])
		case d.tag == atom.A || isSkipped(d.tag):
			prose[id] = 0
		default:
			prose[d.parent] += prose[id]
		}
	}
	return prose
}

// inkBytes counts the bytes that are not white space.
func inkBytes(p []byte) (n int32) {
	for _, c := range p {
		if c > ' ' {
			n++
		}
	}
	return n
}

func (s *segmenter) proseShare(id nodeID) float32 {
	return float32(s.prose[id]) / float32(max(s.prose[0], 1))
}

// width is 2 for the characters of scripts written without spaces, which say about twice as much each.
func width(r rune) int32 {
	if r >= 0x2E80 && (r <= 0xD7FF || r >= 0xF900 && r <= 0xFAFF || r >= 0xFF00 && r <= 0xFFEF || r >= 0x20000) {
		return 2
	}
	return 1
}

// minSentence is the length under which a piece that ends with a full stop may be anything.
const minSentence = 25

// readsLikeSentence looks for the marks that prose has and labels have not: an end of a sentence at the end, or one
// inside followed by a space.
func readsLikeSentence(p []byte) bool {
	if len(p) < minSentence {
		return false
	}
	end := p[max(0, len(p)-6):]
	for i := len(end) - 1; i >= 0; i-- {
		switch end[i] {
		case '.', '!', '?', ':', ';':
			return true
		case '"', '\'', ')', ']', ' ', 0x9D, 0x99, 0xBB, 0xAB, 0x80, 0xE2, 0xC2, 0x9C:
			continue
		case 0x82, 0x81, 0x9F, 0x8D: // the last bytes of 。 ！ ？ 」 in UTF-8
			return true
		}
		break
	}
	stops := 0
	for i := 0; i+1 < len(p); i++ {
		if (p[i] == '.' || p[i] == '?' || p[i] == '!' || p[i] == ',') && p[i+1] == ' ' {
			stops++
		}
	}
	return stops > 0 && len(p) > 50 || stops > 1
}
