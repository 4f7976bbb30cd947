// Package query answers "what did the user mean?": it reads the text of a query into a tree of nodes. It knows the
// language, not the index: which documents match is for package search to say.
//
//	words            all of them must occur; endings do not matter
//	"some words"     the words side by side, in this order; “ ” „ « » are quotation marks too
//	os.path, e-mail  text that is several words without a space between them is a phrase
//	-word            must not occur; likewise -"a phrase", -(a group), -site:example.org
//	a OR b, a | b    one of them. OR binds tighter than the words beside it: red apple OR pear is red (apple OR pear)
//	a AND b          the same as a b
//	( )              groups
//	site:example.org     pages of that host and of hosts under it
//	lang:de              pages in a language, by its ISO 639-1 code
//	filetype:pdf         html, text, pdf
//	intitle:word         the word, or a "phrase", in the title; inurl: in the URL
//	after:2024-05        on or after the first moment of the day, month or year given (UTC), by the date a page says it was
//	                     published, else the date it was fetched; before:2024-05-01 strictly before it
//
// Everything else is text: foo:bar, http://x, 12:30, std::string, --amend, f(x). Names of filters may be in any case, AND and OR are
// upper case. Signs without a letter or digit are left out.
//
// Invariants:
//   - A tree returned by Parse has at most MaxTerms words and filters, and MaxDepth levels.
//   - Not stands only inside And, beside at least one node that is not a Not.
//   - And and Or have at least two nodes, none of their own kind.
//   - Words are terms of package text, and text makes the same term of them again.
//   - Parse(n.String()) is Equal to n.
package query
