//go:build amd64 && !purego

package pack

// levels returns the levels this processor has.
func levels() map[string]func() {
	m := map[string]func(){}
	for l, name := range []string{"scalar", "avx2", "avx512"} {
		if level(l) <= best() {
			m[name] = func() { active = level(l) }
		}
	}
	return m
}

func resetLevel() { active = best() }
