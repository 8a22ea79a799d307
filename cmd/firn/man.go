package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man",
		Short: "Write the manual pages",
		Long: `Write a manual page for every command and topic into a directory, from the same text as
the help. make install does this.`,
		Example: `  firn man --dir /usr/local/share/man/man1
  firn man --dir . && man ./firn-backup.1`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError("name the directory for the pages with --dir")
			}
			pages, err := writeMan(cmd.Root(), dir)
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.result(pages)
			}
			if !a.flags.quiet {
				a.print("wrote %s to %s\n", counted(int64(len(pages)), "page", "pages"), visible(dir))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` to write them to; it is made if it is missing")
	_ = cmd.MarkFlagDirname("dir")
	return exitsOf(cmd)
}

// writeMan writes the page of cmd and of everything below it, and returns the names.
func writeMan(cmd *cobra.Command, dir string) (pages []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("write manual pages: %w", err)
	}
	name := filepath.Join(dir, manName(cmd)+".1")
	if err := os.WriteFile(name, []byte(manPage(cmd)), 0o644); err != nil {
		return nil, fmt.Errorf("write manual pages: %w", err)
	}
	pages = append(pages, name)
	for _, c := range cmd.Commands() {
		if c.Hidden || cmd.Name() == "completion" {
			continue
		}
		more, err := writeMan(c, dir)
		if err != nil {
			return nil, err
		}
		pages = append(pages, more...)
	}
	return pages, nil
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is a manual page in the man(7) language. It bears no date, so that the same
// program always writes the same page.
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	cmd.InitDefaultHelpFlag()
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"firn %s\" \"User Commands\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(manName(cmd))),
		roff(versionText()), roff(manName(cmd)), roff(cmd.Short))
	if cmd.Runnable() {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	}
	b.WriteString(".SH DESCRIPTION\n" + roffText(firstOf(cmd.Long, cmd.Short)))
	manFlags(&b, "OPTIONS", cmd.LocalNonPersistentFlags())
	manFlags(&b, "OPTIONS OF EVERY COMMAND", cmd.Root().PersistentFlags())
	if cmd.Example != "" {
		b.WriteString(".SH EXAMPLES\n.nf\n" + roff(cmd.Example) + "\n.fi\n")
	}
	b.WriteString(".SH SEE ALSO\n" + strings.Join(manRelated(cmd), ",\n") + "\n")
	return b.String()
}

func manRelated(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, roff(manName(c))+"(1)")
		}
	}
	if cmd.HasParent() {
		names = append(names, roff(manName(cmd.Parent()))+"(1)")
	}
	return names
}

func manFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	b.WriteString(".SH " + title + "\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff(names))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(b, "\n%s", roff(text))
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" && f.DefValue != "[]" {
			fmt.Fprintf(b, " (default: %s)", roff(f.DefValue))
		}
		b.WriteString("\n")
	})
}

// roffText writes paragraphs: indented ones keep their lines.
func roffText(s string) string {
	var b strings.Builder
	for i, par := range strings.Split(s, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(par, "  ") {
			b.WriteString(".nf\n" + roff(par) + "\n.fi\n")
		} else {
			b.WriteString(roff(par) + "\n")
		}
	}
	return b.String()
}

// roff escapes text for man(7).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
