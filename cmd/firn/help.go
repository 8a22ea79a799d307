package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpTopics are pages of help that belong to no command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitTopic()},
		{Use: "repositories", Short: "Where a repository may lie, and how a bucket is reached", Long: repositoriesTopic},
		{Use: "config", Short: "The configuration file and its profiles", Long: configTopic},
		{Use: "keys", Short: "Passphrases, identities and where they come from", Long: keysTopic},
		{Use: "patterns", Short: "Patterns that exclude and include files", Long: patternsTopic},
	}
}

func exitTopic() string {
	var b strings.Builder
	b.WriteString("Every command ends with one of these codes; each command's help says which of them it\nknows. Their meaning does not change.\n\n")
	for code := range 256 {
		for _, row := range exits {
			if row.code == code {
				fmt.Fprintf(&b, "  %3d  %s\n", row.code, row.meaning)
			}
		}
	}
	b.WriteString(`
With --wait, a command that would end with 11 tries again for that long.

What went wrong is told on standard error. With --json, a command that ends without its
result also writes it to standard output, as the last line: an object with error, the text,
and exit_code. There is none when the result itself tells what is wrong: after a backup or
restore that ends with 3, and after a check that found something.`)
	return b.String()
}

const configTopic = `The configuration file is firn/config.toml in $XDG_CONFIG_HOME or the place where the
system keeps configuration (~/.config on Linux); --config names another one. It holds
profiles:

  [profile.default]
  repository = "/backup/firn"
  passphrase-command = "secret-tool lookup backup firn"

  [profile.offsite]
  repository = "/mnt/usb/firn"
  identity-file = "~/.config/firn/key.txt"
  host = "laptop"
  tags = ["offsite"]
  exclude = ["*.tmp", "/home/*/.cache"]

--profile NAME or FIRN_PROFILE chooses one. Without them, and when neither -r nor
FIRN_REPOSITORY names a repository, it is the profile called default. What the command
line says goes before the environment, and that before the profile; tags and exclude are
added to those of the command line.

  repository          directory of the repository, or s3://BUCKET/PREFIX
  passphrase-file     file whose first line is the passphrase
  passphrase-command  shell command that prints it
  identity-file       file of age identities, or an ssh private key
  host, tags          for the snapshots that firn backup makes
  exclude             patterns for firn backup (firn help patterns)
  s3-endpoint, ...    how a bucket is reached (firn help repositories)

Paths may begin with ~/ for the home directory; other relative paths begin in the
directory of the configuration file.`

const repositoriesTopic = `A repository lies in a directory, or in a bucket of any S3-compatible storage:

  firn init -r /backup/firn
  firn init -r s3://my-backups/laptop
  firn init -r s3://my-backups/laptop --s3-endpoint https://minio.example.com

The bucket has to exist. Credentials come from where other programs for S3 have them, and
are never part of the address: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of
~/.aws/config and ~/.aws/credentials (AWS_PROFILE), with single sign-on, roles and what a
container or an instance is given. They need to read, write, list and delete.

Each of these flags of every command is also a key of a profile of the configuration file:

  --s3-endpoint URL         server, when it is not AWS (or AWS_ENDPOINT_URL_S3)
  --s3-region REGION        of the bucket (or AWS_REGION); us-east-1 when nothing says
  --s3-profile NAME         profile of the AWS configuration (or AWS_PROFILE)
  --s3-addressing HOW       path: the bucket stands in the path, as is usual on an own
                            server; host: before the name of the server, as at AWS
  --s3-ca-file FILE         PEM file of certificates to trust instead of the system's
  --s3-owner ACCOUNT        refuse a bucket that belongs to another account
  --s3-storage-class CLASS  of new packs, such as STANDARD_IA; what has to be thawed before
                            it can be read is refused
  --limit-upload SIZE       bytes per second to send at most, such as 4M, in all
  --limit-download SIZE     bytes per second to receive at most

Several machines may use one repository at a time. Of two that write the same file one has
to win, which a storage does that honours If-None-Match; "firn init" tries that out, and
ends with 17 where it does not. When a bucket keeps versions, give it a lifecycle rule that
removes noncurrent ones. "firn prune" also removes parts of uploads that were begun a day
before and never ended.

A request that fails on the way, or that the storage asks to repeat, is made again with
growing pauses for up to three minutes; then the command ends with 18 and can be run again.
An interrupted backup goes on where it was. --requests says in the end of any command
what it asked of the storage.`

const keysTopic = `A repository has key slots, each sealed to one passphrase or one public key. Any of them
opens it. firn looks for a key in this order and takes the first place that says
something:

  1. --passphrase-file, --passphrase-command or --identity-file
  2. FIRN_PASSPHRASE_FILE, FIRN_PASSPHRASE_COMMAND or FIRN_IDENTITY_FILE, which name a file
     or a command, never the secret itself
  3. the profile (firn help config)
  4. a question at the terminal

A passphrase file may be - for standard input, or /dev/fd/N; its first line counts. A
passphrase command is run by the shell and must exit with 0. An identity file holds age
identities, one a line, or an ssh private key of type ed25519 or rsa; either may be locked with a
passphrase, which is asked for at the terminal. Identities of age plugins work when the plugin is installed.

There are three roles. A key of role full may do everything; meta may back up, list, check,
forget and prune, but cannot read files; write may only back up. "firn key add" makes key slots,
"firn key list" shows them.`

const patternsTopic = `A pattern is compared with the path from the root of the file system, component by
component. * and ? and [a-z] fit within a component, ** fits any number of components.

  *.o             every file or directory with such a name, and what is below it
  build/*.o       in every directory called build
  /home/*/.cache  anchored at the root by the slash at the beginning
  node_modules/   directories only, by the slash at the end
  !keep.o         takes back what earlier patterns chose: the last one that fits decides

In a file of patterns there is one on each line; empty lines and lines that begin with #
are passed over.`

// helpCommand is cobra's, but a topic that does not exist is wrong usage.
func helpCommand(root *cobra.Command) *cobra.Command {
	return exitsOf(&cobra.Command{
		Use:   "help [COMMAND or TOPIC]",
		Short: "Help about a command or a topic",
		Long: `Print the help of a command or a topic. Topics are exit-codes, repositories, config, keys and
patterns.`,
		Example: `  firn help backup
  firn help exit-codes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageOf(root, fmt.Errorf("there is no command or topic %q", strings.Join(args, " ")))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	})
}
