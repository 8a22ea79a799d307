package s3

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// listBucketsAction asks for nothing when nobody asks: the list is empty then.
func listBucketsAction(q *request) string {
	if q.user == nil {
		return ""
	}
	return "s3:ListAllMyBuckets"
}

// maxBuckets is how many buckets a page of ListBuckets has at most. Without max-buckets all
// are in one.
const maxBuckets = 10000

// bucketPage is what ListBuckets is asked for.
type bucketPage struct {
	prefix, after, region string
	max                   int
}

func parseBucketPage(query url.Values) (p bucketPage, err error) {
	p.prefix, p.region = query.Get("prefix"), query.Get("bucket-region")
	if s := query.Get("max-buckets"); s != "" {
		if p.max, err = strconv.Atoi(s); err != nil {
			return p, badArgument("Provided max-buckets not an integer or within integer range", "max-buckets", s)
		}
		if p.max < 1 || p.max > maxBuckets {
			return p, badArgument("Argument max-buckets must be an integer between 1 and 10000", "max-buckets", s)
		}
	}
	if p.region != "" {
		if _, err := parseLocation(p.region); err != nil {
			return p, badArgument("Argument value "+p.region+" is not a valid AWS Region", "bucket-region", p.region)
		}
	}
	p.after, err = parsePageToken(query.Get("continuation-token"))
	return p, err
}

// badArgument refuses a parameter.
func badArgument(message, name, value string) *apiError {
	return errorf("InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
}

// A continuation token of a list of buckets or configurations is the last name of the page,
// in base64 so that nobody takes it for one.
func makePageToken(last string) string { return base64.URLEncoding.EncodeToString([]byte(last)) }

func parsePageToken(token string) (last string, err error) {
	b, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return "", badArgument("The continuation token provided is incorrect", "continuation-token", token)
	}
	return string(b), nil
}

// pick returns the buckets of a page, of those in the order of their names, and whether
// there are more. mine tells which the asker may see; region where they are.
func (p bucketPage) pick(all []*object.Bucket, mine func(*object.Bucket) bool, region func(*object.Bucket) string) (page []*object.Bucket, more bool) {
	from, _ := slices.BinarySearchFunc(all, max(p.prefix, p.after), func(b *object.Bucket, name string) int {
		return cmp.Compare(b.Name, name)
	})
	for _, b := range all[from:] {
		if !strings.HasPrefix(b.Name, p.prefix) {
			break
		}
		if b.Name == p.after || !mine(b) || p.region != "" && p.region != region(b) {
			continue
		}
		if p.max > 0 && len(page) == p.max {
			return page, true
		}
		page = append(page, b)
	}
	return page, false
}

type bucketsResult struct {
	Owner   bucketsOwner
	Buckets struct {
		Bucket []bucketEntry
	}
	ContinuationToken string `xml:",omitempty"`
	Prefix            string `xml:",omitempty"`
}

type bucketsOwner struct {
	ID          string
	DisplayName string `xml:",omitempty"`
}

type bucketEntry struct {
	Name         string
	CreationDate string
	BucketRegion string `xml:",omitempty"`
}

// listBuckets answers with the buckets that belong to whoever asks, or with all to root.
func (q *request) listBuckets() error {
	p, err := parseBucketPage(q.query)
	if err != nil {
		return err
	}
	var out bucketsResult
	if q.user != nil {
		out.Owner = bucketsOwner{q.who.ID, q.h.display(q.who.ID)}
		all, err := q.h.e.Buckets()
		if err != nil {
			return err
		}
		mine := func(b *object.Bucket) bool { return q.who.Root || b.Owner == q.who.ID }
		page, more := p.pick(all, mine, q.h.region)
		for _, b := range page {
			e := bucketEntry{Name: b.Name, CreationDate: isoTime(b.Created)}
			if len(q.query) > 0 {
				e.BucketRegion = q.h.region(b)
			}
			out.Buckets.Bucket = append(out.Buckets.Bucket, e)
		}
		if more {
			out.ContinuationToken = makePageToken(page[len(page)-1].Name)
		}
	}
	out.Prefix = p.prefix
	q.answerDocument(document("ListAllMyBucketsResult", &out))
	return nil
}
