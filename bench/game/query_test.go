package game

import "testing"

func TestParseQuery(t *testing.T) {
	for in, want := range map[string]string{
		`the`:                            `the`,
		`"the who"`:                      `"the who"`,
		`griffith observatory`:           `griffith OR observatory`,
		`+griffith +Obs`:                 `griffith obs`,
		`+python -snake -"monty python"`: `python -snake -"monty python"`,
		`+"the who" +uk`:                 `"the who" uk`,
		`+(a b) -(c +d)`:                 `(a OR b) -(d ?c)`,
		`a b -c`:                         `(a OR b) -c`,
		`remote +work`:                   `work ?remote`,
	} {
		n, err := ParseQuery(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if n.String() != want {
			t.Errorf("%s is %s, want %s", in, n, want)
		}
	}
	for _, in := range []string{``, `  `, `-a`, `+`, `(a`, `a)`, `"a`, `+ a`, `42`, `()`} {
		if n, err := ParseQuery(in); err == nil {
			t.Errorf("%q is accepted as %s", in, n)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{`+a -b "c d" e`, `+(a b) -(c)`, `"`, `((((`, `+`, `-a`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseQuery(s)
		if (n == nil) == (err == nil) {
			t.Fatalf("%q gives %v and %v", s, n, err)
		}
	})
}
