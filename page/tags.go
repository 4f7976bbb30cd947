package page

import "golang.org/x/net/html/atom"

// isRawText reports the elements whose content the tokenizer returns as one text. noscript is none here.
func isRawText(t atom.Atom) bool {
	switch t {
	case atom.Script, atom.Style, atom.Title, atom.Textarea, atom.Iframe, atom.Noembed, atom.Noframes, atom.Xmp, atom.Plaintext:
		return true
	}
	return false
}

func isVoid(t atom.Atom) bool {
	switch t {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta,
		atom.Param, atom.Source, atom.Track, atom.Wbr, atom.Basefont, atom.Bgsound, atom.Frame, atom.Keygen:
		return true
	}
	return false
}

// isBlock reports elements that start a new line for a reader.
func isBlock(t atom.Atom) bool {
	switch t {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Caption, atom.Center, atom.Dd,
		atom.Details, atom.Dialog, atom.Dir, atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figcaption, atom.Figure,
		atom.Footer, atom.Form, atom.Frameset, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Head,
		atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.Legend, atom.Li, atom.Listing, atom.Main, atom.Menu,
		atom.Nav, atom.Noframes, atom.Noscript, atom.Ol, atom.Optgroup, atom.Option, atom.P, atom.Plaintext, atom.Pre, atom.Search,
		atom.Section, atom.Select, atom.Summary, atom.Table, atom.Tbody, atom.Td, atom.Tfoot, atom.Th, atom.Thead,
		atom.Tr, atom.Ul, atom.Xmp, atom.Template, atom.Iframe, atom.Object, atom.Video, atom.Audio, atom.Canvas:
		return true
	}
	return false
}

// endsParagraph reports start tags that close an open p.
func endsParagraph(t atom.Atom) bool {
	switch t {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Center, atom.Details, atom.Dialog, atom.Dir,
		atom.Div, atom.Dl, atom.Dt, atom.Dd, atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header, atom.Hgroup, atom.Hr, atom.Li,
		atom.Listing, atom.Main, atom.Menu, atom.Nav, atom.Ol, atom.P, atom.Plaintext, atom.Pre, atom.Search,
		atom.Section, atom.Summary, atom.Table, atom.Ul, atom.Xmp:
		return true
	}
	return false
}

// isSkipped reports elements whose content no reader sees as text of the page.
func isSkipped(t atom.Atom) bool {
	switch t {
	case atom.Script, atom.Style, atom.Template, atom.Svg, atom.Iframe, atom.Object, atom.Embed, atom.Applet, atom.Canvas,
		atom.Audio, atom.Video, atom.Select, atom.Textarea, atom.Button, atom.Input, atom.Datalist, atom.Map, atom.Head,
		atom.Title, atom.Noembed, atom.Noframes, atom.Meter, atom.Progress, atom.Option, atom.Optgroup:
		return true
	}
	return false
}

func isHeading(t atom.Atom) bool {
	switch t {
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return true
	}
	return false
}

func isLi(t atom.Atom) bool     { return t == atom.Li }
func isP(t atom.Atom) bool      { return t == atom.P }
func isA(t atom.Atom) bool      { return t == atom.A }
func isHead(t atom.Atom) bool   { return t == atom.Head }
func isNever(t atom.Atom) bool  { return false }
func isDtDd(t atom.Atom) bool   { return t == atom.Dt || t == atom.Dd }
func isRow(t atom.Atom) bool    { return t == atom.Tr }
func isCell(t atom.Atom) bool   { return t == atom.Td || t == atom.Th }
func isOption(t atom.Atom) bool { return t == atom.Option }

func isSection(t atom.Atom) bool { return t == atom.Thead || t == atom.Tbody || t == atom.Tfoot }

// isTablePart reports the elements whose end tags close cells.
func isTablePart(t atom.Atom) bool {
	return t == atom.Table || t == atom.Caption || isRow(t) || isCell(t) || isSection(t)
}

// The borders up to which a start tag looks for what it ends.
func isListScope(t atom.Atom) bool {
	switch t {
	case atom.Ul, atom.Ol, atom.Dl, atom.Menu, atom.Dir, atom.Table, atom.Td, atom.Th, atom.Select, atom.Body, atom.Blockquote:
		return true
	}
	return false
}

func isTableScope(t atom.Atom) bool { return t == atom.Table || t == atom.Body }

func isBlockScope(t atom.Atom) bool { return isBlock(t) && t != atom.P && !isHeading(t) }
