package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3"
	"github.com/firnstore/firn/snapshot"
)

func (a *app) bucketCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bucket",
		Short: "List, show, create, change and remove buckets",
		Long: `Buckets hold the objects of the S3 endpoint, and the snapshots of hosts that are backed up.
Clients do most of this over S3, too; these commands need no server, and a server that runs
knows a change at once. Without -r the repository is the one that firn serve s3 uses then.`,
		Example: `  firn bucket list --size
  firn bucket create photos --owner alice --versioning on`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.bucketListCommand(), a.bucketShowCommand(), a.bucketCreateCommand(), a.bucketSetCommand(), a.bucketRemoveCommand())
	return cmd
}

// bucketObject is a bucket in JSON.
type bucketObject struct {
	Name       string     `json:"name"`
	Owner      string     `json:"owner"` // name of the user, or its canonical ID when there is no such user
	OwnerID    string     `json:"owner_id,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
	Region     string     `json:"region,omitempty"`
	Versioning string     `json:"versioning"` // off, on, suspended
	Lock       bool       `json:"lock"`
	Retention  string     `json:"retention,omitempty"` // as --retention takes it
	Policy     string     `json:"policy,omitempty"`
	Configured []string   `json:"configurations,omitempty"`

	*snapshot.BucketStats
	Deduplicated *int64 `json:"deduplicated,omitempty"`
	Stored       *int64 `json:"stored,omitempty"`
}

func bucketObjectOf(e *object.Engine, b *object.Bucket) *bucketObject {
	o := &bucketObject{Name: b.Name, Owner: "root", OwnerID: b.Owner, Region: b.Region, Lock: b.Lock, Created: createdAt(b.CreatedNs),
		Versioning: map[object.Versioning]string{object.Enabled: "on", object.Suspended: "suspended"}[b.Versioning],
		Retention:  retentionText(b.Retention), Policy: s3.BucketPolicy(b), Configured: s3.Configurations(b)}
	o.Versioning = cmp.Or(o.Versioning, "off")
	if b.Owner != "" {
		o.Owner = b.Owner
		if u, err := e.UserByID(b.Owner); err == nil {
			o.Owner = u.Name
		}
	}
	return o
}

func noBucket(name string, err error) error {
	if errors.Is(err, object.ErrNoBucket) {
		return fmt.Errorf("bucket %s: %w; \"firn bucket list\" shows those there are", name, object.ErrNoBucket)
	}
	return err
}

func (a *app) bucketListCommand() *cobra.Command {
	size := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the buckets",
		Long: `List the buckets with owner, versioning and object lock. With --size every version is
counted: keys, versions, and the size of all versions as clients wrote them.`,
		Example: `  firn bucket list -r /backup/firn
  firn bucket list --size --json | jq -r '.[] | "\(.logical) \(.name)"'`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error { return a.listBuckets(e, size) })
		},
	}
	cmd.Flags().BoolVar(&size, "size", false, "count keys, versions and bytes")
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) listBuckets(e *object.Engine, size bool) error {
	buckets, err := e.Buckets()
	if err != nil {
		return err
	}
	list := make([]*bucketObject, len(buckets))
	for i, b := range buckets {
		list[i] = bucketObjectOf(e, b)
		if size {
			if list[i].BucketStats, err = snapshot.CountBucket(e.Repository(), b.Name); err != nil {
				return err
			}
		}
	}
	if a.flags.json {
		return a.result(list)
	}
	if len(list) == 0 {
		a.console.message("there are no buckets")
		return nil
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprint(t, "NAME\tOWNER\tVERSIONING\tLOCK")
	if size {
		fmt.Fprint(t, "\tKEYS\tVERSIONS\tSNAPSHOTS\tLOGICAL")
	}
	fmt.Fprintln(t)
	for _, o := range list {
		lock := "off"
		if o.Lock {
			lock = cmp.Or(o.Retention, "on")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s", visible(o.Name), visible(o.Owner), o.Versioning, lock)
		if s := o.BucketStats; s != nil {
			fmt.Fprintf(t, "\t%s\t%s\t%s\t%s", humanCount(s.Keys), humanCount(s.Versions), humanCount(s.Snapshots), humanSize(s.Logical))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func (a *app) bucketShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show the settings of a bucket, and what it takes",
		Long: `Show the settings of one bucket and its sizes: logical is all versions as clients wrote
them, deduplicated their chunks, each once, and stored these as they lie in packs. Chunks that
other buckets need as well count in each of them.`,
		Example: `  firn bucket show photos
  firn bucket show photos --json | jq .stored`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				b, err := e.Bucket(args[0])
				if err != nil {
					return noBucket(args[0], err)
				}
				u, err := snapshot.UsageOf(cmd.Context(), e.Repository(), b.Name)
				if err != nil {
					return err
				}
				o := bucketObjectOf(e, b)
				o.BucketStats, o.Deduplicated, o.Stored = &u.BucketStats, &u.Deduplicated, &u.Stored
				return a.printBucket(o)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	return exitsOf(cmd, exitsOpen...)
}

func (a *app) printBucket(o *bucketObject) error {
	if a.flags.json {
		return a.result(o)
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, visible(cmp.Or(value, "-"))) }
	row("name", o.Name)
	row("owner", o.Owner)
	if o.Created != nil {
		row("created", o.Created.Local().Format("2006-01-02 15:04:05"))
	}
	row("versioning", o.Versioning)
	row("lock", map[bool]string{false: "off", true: "on"}[o.Lock])
	row("retention", o.Retention)
	row("policy", map[bool]string{true: strconv.Itoa(len(o.Policy)) + " bytes; --json shows it"}[o.Policy != ""])
	row("configurations", strings.Join(o.Configured, ", "))
	row("keys", humanCount(o.Keys))
	row("versions", humanCount(o.Versions))
	row("snapshots", humanCount(o.Snapshots))
	row("logical", humanSize(o.Logical))
	row("deduplicated", humanSize(*o.Deduplicated))
	row("stored", humanSize(*o.Stored))
	return t.Flush()
}

// bucketFlags are what firn bucket create and set can say.
type bucketFlags struct {
	owner, versioning, retention, policy string
	lock                                 bool
}

func (f *bucketFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.owner, "owner", "", "`USER` to whom the bucket belongs")
	fl.StringVar(&f.versioning, "versioning", "", "on or suspended: keep what is overwritten and deleted")
	fl.BoolVar(&f.lock, "lock", false, "turn object lock on, for good; it turns versioning on, too")
	fl.StringVar(&f.retention, "retention", "", "`MODE:TIME` that new versions are retained for: governance:30d, compliance:1y, or none")
	fl.StringVar(&f.policy, "policy", "", "`FILE` of the policy, - for standard input, or none")
	choices(cmd, "versioning", "on", "suspended")
}

func (a *app) bucketCreateCommand() *cobra.Command {
	var f bucketFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a bucket",
		Long: `Create a bucket, which belongs to the user root unless --owner names another one. It blocks
public access and has no ACLs, like one that a client creates.`,
		Example: `  firn bucket create photos --owner alice --versioning on
  firn bucket create archive --lock --retention compliance:10y --json`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := s3.NewBucket(args[0])
			if err != nil {
				return usageOf(cmd, err)
			}
			change, err := a.bucketChange(&f)
			if err != nil {
				return err
			}
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				if err := change(e, b); err != nil {
					return err
				}
				var there *object.BucketExists
				err := e.CreateBucket(cmd.Context(), b)
				if errors.As(err, &there) {
					return fmt.Errorf("bucket %s: %w", b.Name, errBucketExists)
				}
				if err != nil {
					return err
				}
				return a.printDone("created", "bucket", b.Name)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd)
	return exitsOf(cmd, append([]int{exitExists}, exitsOpen...)...)
}

func (a *app) bucketSetCommand() *cobra.Command {
	var f bucketFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change the settings of a bucket",
		Long: `Change what the flags name, in one step; everything else stays. Object lock stays on once it
is, and --retention changes what new versions get, not those that are there. Other settings
are made over S3.`,
		Example: `  firn bucket set photos --versioning on
  firn bucket set archive --retention governance:30d --policy policy.json --json`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().NFlag() == 0 || f == (bucketFlags{}) {
				return usageOf(cmd, errors.New("name what is to be set"))
			}
			change, err := a.bucketChange(&f)
			if err != nil {
				return err
			}
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				err := e.EditBucket(cmd.Context(), args[0], func(b *object.Bucket) error { return change(e, b) })
				if err != nil {
					return noBucket(args[0], err)
				}
				return a.printDone("set", "bucket", args[0])
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f.add(cmd)
	return exitsOf(cmd, exitsOpen...)
}

// bucketChange returns what makes a bucket as the flags say.
func (a *app) bucketChange(f *bucketFlags) (func(*object.Engine, *object.Bucket) error, error) {
	retention, err := parseRetention(f.retention)
	if err != nil {
		return nil, err
	}
	switch f.versioning {
	case "", "on", "suspended":
	default:
		return nil, usageError("--versioning %q: want on or suspended", f.versioning)
	}
	policy := ""
	if f.policy != "" && f.policy != "none" {
		if policy, err = a.readPolicyText(f.policy); err != nil {
			return nil, err
		}
	}
	return func(e *object.Engine, b *object.Bucket) error {
		if f.owner != "" {
			u, err := findUser(e, f.owner)
			if err != nil {
				return err
			}
			if b.Owner = u.ID; u.Root {
				b.Owner = ""
			}
		}
		if f.lock {
			b.Lock, b.Versioning = true, object.Enabled
		}
		switch f.versioning {
		case "on":
			b.Versioning = object.Enabled
		case "suspended":
			b.Versioning = object.Suspended
		}
		if f.retention != "" {
			if b.Retention = retention; retention != nil && !b.Lock {
				return usageError("bucket %s: --retention needs object lock; add --lock, which stays on", b.Name)
			}
		}
		if f.policy != "" {
			if err := s3.SetBucketPolicy(b, policy); err != nil {
				return fmt.Errorf("policy of bucket %s: %w", b.Name, err)
			}
		}
		return nil
	}, nil
}

// parseRetention reads MODE:TIME; nil is none.
func parseRetention(s string) (*object.Retention, error) {
	if s == "" || s == "none" {
		return nil, nil
	}
	mode, length, _ := strings.Cut(s, ":")
	r := &object.Retention{Mode: map[string]uint8{"governance": object.Governance, "compliance": object.Compliance}[mode]}
	n, err := strconv.ParseUint(strings.TrimRight(length, "dy"), 10, 16)
	switch {
	case r.Mode == 0 || err != nil || n == 0 || n > 36500:
		return nil, usageError("--retention %q: want governance or compliance, a colon and a time such as 30d or 1y, or none", s)
	case length == fmt.Sprintf("%dd", n):
		r.Days = uint32(n)
	case length == fmt.Sprintf("%dy", n) && n <= 100:
		r.Years = uint32(n)
	default:
		return nil, usageError("--retention %q: want a number of days or years, 30d or 1y", s)
	}
	return r, nil
}

func retentionText(r *object.Retention) string {
	if r == nil {
		return ""
	}
	mode := map[uint8]string{object.Governance: "governance", object.Compliance: "compliance"}[r.Mode]
	if r.Years > 0 {
		return fmt.Sprintf("%s:%dy", mode, r.Years)
	}
	return fmt.Sprintf("%s:%dd", mode, r.Days)
}

func (a *app) bucketRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove an empty bucket",
		Long: `Remove a bucket that has no versions, with its settings, keys of encryption and unfinished
uploads. Objects are removed over S3 first, snapshots with firn forget.`,
		Example: `  firn bucket remove photos
  firn bucket remove photos -r /backup/firn --json`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withEngine(cmd.Context(), func(e *object.Engine) error {
				err := e.RemoveBucket(cmd.Context(), args[0], nil)
				if errors.Is(err, object.ErrNotEmpty) {
					return fmt.Errorf("%w; remove its objects over S3 and its snapshots with firn forget first", err)
				}
				if err != nil {
					return noBucket(args[0], err)
				}
				return a.printDone("removed", "bucket", args[0])
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	return exitsOf(cmd, exitsOpen...)
}
