package damage

import (
	"slices"
	"strings"
)

// hidden says why no reader can detect a fault, "" when one can. warm: there is an index that
// has seen the repository whole.
func hidden(f *fault, whole files, warm bool) string {
	log := newest(whole, "log/")
	switch {
	case f.kind == remove && strings.HasPrefix(f.file, "checkpoints/"):
		return "a checkpoint is a cache: without it the log is read"
	case f.kind == rollback && f.file == everything && !warm:
		return "a whole older or other state, and nobody who has seen a later one"
	case f.kind == remove && f.file == log && !warm && !covered(whole, log):
		return "the newest commit, and nobody who has seen it"
	}
	return ""
}

func newest(f files, prefix string) (last string) {
	for _, name := range f.names() {
		if strings.HasPrefix(name, prefix) {
			last = name
		}
	}
	return last
}

// covered reports whether a checkpoint was made from this commit or a later one.
func covered(f files, commit string) bool {
	return slices.ContainsFunc(f.names(), func(name string) bool {
		seq, ok := strings.CutPrefix(name, "checkpoints/")
		return ok && seq[:16] >= commit[len(commit)-16:]
	})
}
