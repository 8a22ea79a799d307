//go:build !linux

package index

// BootID is empty where the system does not name its runs: an index that was not
// closed cleanly is then rebuilt.
func BootID() string { return "" }
