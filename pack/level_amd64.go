//go:build amd64 && !purego

package pack

import "golang.org/x/sys/cpu"

// level says which kernels run.
type level int

const (
	levelScalar level = iota
	levelAVX2         // AVX2, BMI1, BMI2, POPCNT: Haswell, Excavator and later
	levelAVX512       // what Ice Lake and Zen 4 brought beyond AVX-512 F
)

// active is the level in use: chosen once, before main, and changed by tests alone.
var active = best()

// best returns the highest level of this processor.
func best() level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasBMI1 || !x.HasBMI2 || !x.HasPOPCNT:
		return levelScalar
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL ||
		!x.HasAVX512VBMI || !x.HasAVX512VBMI2 || !x.HasAVX512VNNI || !x.HasAVX512VPOPCNTDQ:
		return levelAVX2
	}
	return levelAVX512
}

func quickRice() bool { return active == levelAVX512 }
