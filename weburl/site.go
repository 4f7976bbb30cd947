package weburl

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Site returns the registrable domain of the host: the unit of politeness, partitioning and site scope. The public
// suffix list counts with its private section, so that each user of a hosting domain is a site of its own. An IP
// address, a host of one label and a host that is itself a public suffix are their own site. There is no port in it.
func (u URL) Site() string {
	host := u.Host()
	if strings.IndexByte(host, '.') < 0 {
		return host
	}
	if _, ip := u.Addr(); ip {
		return host
	}
	site, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return site
}

// FileType returns what the extension of the last path segment promises: "html", "text", "pdf", the names package page
// uses, "" where there is no extension or it is not one of the known, and "other" for files that hold no text a person
// reads (images, archives, programs, media). It is a hint for scheduling; the declared or sniffed media type decides.
func FileType(u URL) string {
	path := u.Path()
	name := path[strings.LastIndexByte(path, '/')+1:]
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || len(name)-dot > len(".woff2")+2 {
		return ""
	}
	return fileTypes[strings.ToLower(name[dot+1:])]
}

var fileTypes = map[string]string{
	"html": "html", "htm": "html", "xhtml": "html", "shtml": "html", "php": "html", "asp": "html", "aspx": "html",
	"jsp": "html", "cgi": "html", "txt": "text", "md": "text", "text": "text", "rst": "text", "pdf": "pdf",
	"jpg": "other", "jpeg": "other", "png": "other", "gif": "other", "webp": "other", "avif": "other", "svg": "other",
	"ico": "other", "bmp": "other", "tif": "other", "tiff": "other", "mp3": "other", "ogg": "other", "oga": "other",
	"wav": "other", "flac": "other", "m4a": "other", "mp4": "other", "webm": "other", "avi": "other", "mov": "other",
	"mkv": "other", "ogv": "other", "css": "other", "js": "other", "mjs": "other", "map": "other", "wasm": "other",
	"woff": "other", "woff2": "other", "ttf": "other", "otf": "other", "eot": "other", "zip": "other", "gz": "other",
	"tgz": "other", "bz2": "other", "xz": "other", "zst": "other", "7z": "other", "rar": "other", "tar": "other",
	"jar": "other", "iso": "other", "img": "other", "exe": "other", "msi": "other", "dmg": "other", "pkg": "other",
	"deb": "other", "rpm": "other", "apk": "other", "bin": "other", "doc": "other", "docx": "other", "xls": "other",
	"xlsx": "other", "ppt": "other", "pptx": "other", "odt": "other", "ods": "other", "odp": "other", "epub": "other",
}
