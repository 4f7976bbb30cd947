package web

import (
	"concord"
	"concord/query"
)

// narrowing is a property of the results by whose values a person can ask further.
type narrowing struct {
	Name   string
	Values []narrowValue
}

type narrowValue struct {
	Value string
	Count uint64
	Link  string // to the same query with a filter
}

// narrowFacets are the properties shown above results.
var narrowFacets = []string{concord.FacetLang, concord.FacetType, concord.FacetSite}

// What is shown of them.
var narrowNames = map[string]string{concord.FacetLang: "Language", concord.FacetType: "Kind", concord.FacetSite: "Site"}

// narrowMost bounds the values shown of one property: what fits a line.
const narrowMost = 5

// narrowings returns what results can be narrowed by: properties of which they have several values.
func narrowings(q string, facets []concord.Facet) (out []narrowing) {
	for _, f := range facets {
		if len(f.Values) < 2 {
			continue
		}
		n := narrowing{Name: narrowNames[f.Field]}
		for _, v := range f.Values {
			if text, ok := narrowed(q, f.Field, v.Value); ok && len(n.Values) < narrowMost {
				n.Values = append(n.Values, narrowValue{v.Value, v.Count, searchLink(text, 0)})
			}
		}
		if len(n.Values) > 0 {
			out = append(out, n)
		}
	}
	return out
}

// narrowed returns a query for those results of q that have a value; ok is false where the language cannot say that.
func narrowed(q, field, value string) (text string, ok bool) {
	name := map[string]string{concord.FacetLang: "lang", concord.FacetType: "filetype", concord.FacetSite: "site"}[field]
	if name == "" || value == "" {
		return "", false
	}
	filter, err := query.Parse(name + ":" + value)
	if err != nil {
		return "", false
	}
	switch f := filter.(type) { // what is written in another form matches other pages
	case query.Lang:
		ok = f.Code == value
	case query.FileType:
		ok = f.Type == value
	case query.Site:
		ok = f.Host == value
	}
	if !ok {
		return "", false
	}
	text = q + " " + filter.String()
	got, err := query.Parse(text)
	return text, err == nil && len(text) <= concord.MaxQueryBytes && query.Equal(got, both(q, filter))
}

// both returns the tree of a query and a filter, nil when the query cannot be parsed.
func both(q string, filter query.Node) query.Node {
	root, err := query.Parse(q)
	if err != nil {
		return nil
	}
	nodes := []query.Node{root}
	if and, ok := root.(query.And); ok {
		nodes = and.Nodes
	}
	return query.And{Nodes: append(nodes[:len(nodes):len(nodes)], filter)}
}
