package query

import "slices"

// Walk calls visit with the node and, where visit returns true, with the nodes below it: a node before those it holds, those in
// the order of the query.
func Walk(n Node, visit func(Node) bool) {
	if !visit(n) {
		return
	}
	switch n := n.(type) {
	case And:
		for _, c := range n.Nodes {
			Walk(c, visit)
		}
	case Or:
		for _, c := range n.Nodes {
			Walk(c, visit)
		}
	case Not:
		Walk(n.Node, visit)
	case Maybe:
		Walk(n.Node, visit)
	}
}

// Equal reports whether two trees mean the same, spans aside: same nodes in the same order.
func Equal(a, b Node) bool {
	switch a := a.(type) {
	case And:
		b, ok := b.(And)
		return ok && slices.EqualFunc(a.Nodes, b.Nodes, Equal)
	case Or:
		b, ok := b.(Or)
		return ok && slices.EqualFunc(a.Nodes, b.Nodes, Equal)
	case Not:
		b, ok := b.(Not)
		return ok && Equal(a.Node, b.Node)
	case Maybe:
		b, ok := b.(Maybe)
		return ok && Equal(a.Node, b.Node)
	case Word:
		b, ok := b.(Word)
		return ok && a.Text == b.Text && a.Field == b.Field
	case Prefix:
		b, ok := b.(Prefix)
		return ok && a.Text == b.Text && a.Field == b.Field
	case Fuzzy:
		b, ok := b.(Fuzzy)
		return ok && a.Text == b.Text && a.Distance == b.Distance && a.Field == b.Field
	case Phrase:
		b, ok := b.(Phrase)
		return ok && a.Field == b.Field && a.Slop == b.Slop && slices.Equal(a.Words, b.Words)
	case Site:
		b, ok := b.(Site)
		return ok && a.Host == b.Host
	case Lang:
		b, ok := b.(Lang)
		return ok && a.Code == b.Code
	case FileType:
		b, ok := b.(FileType)
		return ok && a.Type == b.Type
	case Date:
		b, ok := b.(Date)
		return ok && a.Of == b.Of && a.After.Equal(b.After) && a.Before.Equal(b.Before)
	}
	return a == nil && b == nil
}
