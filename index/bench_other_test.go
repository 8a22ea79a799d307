//go:build !unix

package index

import "time"

var began = time.Now()

// cpuTime is the time since the start where the system does not say what was used.
func cpuTime() time.Duration { return time.Since(began) }
