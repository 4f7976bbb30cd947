// Package query answers "what did the user mean?": it reads the text of a query into a tree of nodes. It knows the
// language, not the index: which documents match is for package search to say.
//
//	words            all of them must occur; endings do not matter
//	"some words"     the words side by side, in this order; “ ” „ « » are quotation marks too
//	os.path, e-mail  text that is several words without a space between them is a phrase
//	-word            must not occur; likewise -"a phrase", -(a group), -site:example.org
//	?word            need not occur, but makes a page better; likewise ?"a phrase", ?(a group)
//	word*            any word that begins so, see Prefix; at least two letters or digits
//	word~, word~2    any word spelled like it, see Fuzzy; the number says how many letters may differ, else one up to five letters,
//	                 two beyond; at least three letters or digits
//	"some words"~3   the words near each other, moved by up to three places in all, see Phrase
//	a OR b, a | b    one of them. OR binds tighter than the words beside it: red apple OR pear is red (apple OR pear)
//	a AND b          the same as a b
//	( )              groups
//	site:example.org     pages of that host and of hosts under it
//	lang:de              pages in a language, by its ISO 639-1 code
//	filetype:pdf         html, text, pdf
//	intitle:word         the word, also word* or word~, or a "phrase", in the title; inurl: in the URL
//	published:2024-01..2024-03, fetched:2024-05..   dates from the first day, month or year to the end of the last, either of them
//	                     may be missing, and without dots within it: by the date published, of pages that say one, or fetched
//	after:2024-05        on or after the first moment of the day, month or year given (UTC), by the date a page says it was
//	                     published, else the date it was fetched; before:2024-05-01 strictly before it
//
// Everything else is text: foo:bar, http://x, 12:30, std::string, --amend, f(x). Names of filters may be in any case, AND and OR are
// upper case. Signs without a letter or digit are left out. What follows a word is a sign only right after its last letter or digit
// and at the end of the text: a*b, c++*, foo~bar, "a b"~ and ~/bin are text, and so is all between quotation marks; a question
// mark is one only at the start. After numbers (3~5) a tilde, and in scripts written without spaces both, are text.
//
// Invariants:
//   - A tree returned by Parse has at most MaxTerms words and filters, and MaxDepth levels.
//   - It has at most MaxPatterns prefixes and fuzzy words.
//   - Not and Maybe stand only inside And, beside at least one node that is neither. Below a Maybe there is a word to score.
//   - And and Or have at least two nodes, none of their own kind.
//   - Words are terms of package text, and text makes the same term of them again.
//   - Parse(n.String()) is Equal to n.
package query
