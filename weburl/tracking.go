package weburl

import "bytes"

// TrackingListVersion numbers the list below. Normal forms made under different versions may differ, so it belongs in
// whatever is keyed by them for long.
const TrackingListVersion = 1

// minSessionBytes is the length from which the value of a parameter named like a session id is taken for one.
const minSessionBytes = 16

// trackingParams are query parameters that say where a click came from and never change the page. Lower case; names are
// compared without case. A name that some site may use for content does not belong here.
var trackingParams = map[string]bool{
	// advertising clicks
	"gclid": true, "gclsrc": true, "dclid": true, "gbraid": true, "wbraid": true, "gad_source": true, "gad_campaignid": true,
	"fbclid": true, "msclkid": true, "twclid": true, "ttclid": true, "yclid": true, "ymclid": true, "li_fat_id": true,
	"igshid": true, "igsh": true, "srsltid": true, "epik": true, "irclickid": true, "rb_clickid": true, "sccid": true,
	"_openstat": true, "wickedid": true, "zanpid": true,
	// web analytics
	"_ga": true, "_gl": true, "ga_source": true, "ga_medium": true, "ga_term": true, "ga_content": true, "ga_campaign": true,
	"ga_place": true, "pk_campaign": true, "pk_kwd": true, "pk_keyword": true, "pk_source": true, "pk_medium": true,
	"pk_content": true, "pk_cid": true, "piwik_campaign": true, "piwik_kwd": true, "piwik_keyword": true,
	// mailings
	"mc_cid": true, "mc_eid": true, "mkt_tok": true, "_hsenc": true, "_hsmi": true, "__hssc": true, "__hstc": true,
	"__hsfp": true, "hsctatracking": true, "vero_id": true, "vero_conv": true, "oly_anon_id": true, "oly_enc_id": true,
	"ml_subscriber": true, "ml_subscriber_hash": true, "_bta_tid": true, "_bta_c": true,
}

// trackingPrefixes are families of such parameters.
var trackingPrefixes = [][]byte{[]byte("utm_"), []byte("mtm_"), []byte("hsa_")}

// sessionParams are names of session ids; a parameter is dropped only when its value looks like one too. The session
// reaches the server by cookie or starts anew: the page is the same without.
var sessionParams = map[string]bool{
	"jsessionid": true, "phpsessid": true, "sessionid": true, "session_id": true, "oscsid": true, "zenid": true,
	"cftoken": true,
}

// shortSessionParams are names so short that only 32 hex digits, as forum software makes them, count as a session.
var shortSessionParams = map[string]bool{"sid": true, "s": true}

const maxParamName = 24 // no name in the lists is longer

// droppedParam reports whether a query parameter, percent-normalised, is left out of the normal form.
func droppedParam(param []byte) bool {
	name, value, _ := bytes.Cut(param, []byte("="))
	if len(name) == 0 {
		return false
	}
	var low [maxParamName]byte
	n := 0
	for n < len(name) && n < len(low) {
		low[n] = lower(name[n])
		n++
	}
	for _, p := range trackingPrefixes {
		if bytes.HasPrefix(low[:n], p) {
			return true
		}
	}
	if bytes.HasPrefix(low[:n], []byte("aspsessionid")) {
		return isSessionValue(value)
	}
	if len(name) > len(low) {
		return false
	}
	switch key := low[:n]; {
	case trackingParams[string(key)]:
		return true
	case sessionParams[string(key)]:
		return isSessionValue(value)
	case shortSessionParams[string(key)]:
		return len(value) == 32 && allHex(value)
	}
	return false
}

// cutPathSession removes a ";jsessionid=…" path parameter (Java servlets) from the path segment b[begin:].
func cutPathSession(b []byte, begin int) []byte {
	const marker = ";jsessionid="
	for i := begin; i < len(b); i++ {
		if b[i] != ';' || len(b)-i < len(marker) || !bytes.EqualFold(b[i:i+len(marker)], []byte(marker)) {
			continue
		}
		end := len(b)
		if j := bytes.IndexByte(b[i+1:], ';'); j >= 0 {
			end = i + 1 + j
		}
		if isSessionValue(b[i+len(marker) : end]) {
			b = append(b[:i], b[end:]...)
			i--
		}
	}
	return b
}

// isSessionValue reports whether v is one long token of letters and digits, as session ids are.
func isSessionValue(v []byte) bool {
	if len(v) < minSessionBytes {
		return false
	}
	for _, c := range v {
		if byteClass[c]&unreserved == 0 && c != '!' {
			return false
		}
	}
	return true
}

func allHex(v []byte) bool {
	for _, c := range v {
		if byteClass[c]&hexDigit == 0 {
			return false
		}
	}
	return true
}
