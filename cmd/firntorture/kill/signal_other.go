//go:build !unix

package kill

import "os"

func askForStacks(p *os.Process) { _ = p.Kill() }
