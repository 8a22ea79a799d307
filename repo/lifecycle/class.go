package lifecycle

import "slices"

// Storage classes that rules and restores treat in a way of their own.
const (
	Standard     = "STANDARD"
	StandardIA   = "STANDARD_IA"
	OneZoneIA    = "ONEZONE_IA"
	Intelligent  = "INTELLIGENT_TIERING"
	GlacierIR    = "GLACIER_IR"
	Glacier      = "GLACIER"
	DeepArchive  = "DEEP_ARCHIVE"
	reducedClass = "REDUCED_REDUNDANCY"
)

// Classes that objects can be put in, in no order.
var Classes = []string{Standard, reducedClass, StandardIA, OneZoneIA, Intelligent, GlacierIR, Glacier, DeepArchive}

// Archived reports whether objects of a class have to be restored before they are read.
func Archived(class string) bool { return class == Glacier || class == DeepArchive }

// waterfall has the classes that objects move to, in the order in which they do, and where
// they can go on to from there. Never upwards, and never from one zone to GLACIER_IR.
var waterfall = []struct {
	class  string
	onward []string
}{
	{StandardIA, []string{Intelligent, OneZoneIA, GlacierIR, Glacier, DeepArchive}},
	{Intelligent, []string{OneZoneIA, GlacierIR, Glacier, DeepArchive}},
	{OneZoneIA, []string{Glacier, DeepArchive}},
	{GlacierIR, []string{Glacier, DeepArchive}},
	{Glacier, []string{DeepArchive}},
	{DeepArchive, nil},
}

// Depth of a class in the order of transitions, -1 for one that nothing moves to.
func Depth(class string) int {
	for i := range waterfall {
		if waterfall[i].class == class {
			return i
		}
	}
	return -1
}

// MayMove reports whether a transition leads from one class to another.
func MayMove(from, to string) bool {
	if d := Depth(from); d >= 0 {
		return slices.Contains(waterfall[d].onward, to)
	}
	return Depth(to) >= 0
}

// preferred are the classes in the order in which one of several transitions that are due is
// taken: the cheapest to store, but INTELLIGENT_TIERING before all that are no archives.
var preferred = []string{DeepArchive, Glacier, Intelligent, GlacierIR, OneZoneIA, StandardIA}
