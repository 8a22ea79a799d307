package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker; see the Makefile.
var version string

// versionText is the version of this program, from the linker or the module.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// formatVersion is the version of the repository format that this program writes.
const formatVersion = 1

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of firn",
		Long:  `Print the version of firn, of the repository format it writes, and of what built it.`,
		Example: `  firn version
  firn version --json`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.flags.json {
				return a.result(struct {
					Version string `json:"version"`
					Format  int    `json:"format"`
					Go      string `json:"go"`
					System  string `json:"system"`
					CPU     string `json:"cpu"`
				}{versionText(), formatVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH})
			}
			a.print("firn %s, repository format %d, %s, %s/%s\n", versionText(), formatVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	return exitsOf(cmd)
}
