//go:build !linux

package kill

// atEvent is for systems that tell of changes of a whole directory.
func atEvent(string, int) (moment, bool) { return moment{}, false }
