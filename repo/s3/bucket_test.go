package s3

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/firnstore/firn/repo/object"
)

func TestValidBucketName(t *testing.T) {
	good := []string{"abc", "a-b", "my.bucket", "0abc", "123.456.789", "1.2.3.4.5", "300", strings.Repeat("a", 63), "a--b", "xn-a", "s3alias"}
	bad := []string{"", "a", "ab", strings.Repeat("a", 64), "Abc", "foo_bar", "foo..bar", ".foo", "foo.", "-foo", "foo-", "foo.-bar", "foo-.bar",
		"192.168.5.123", "999.999.999.999", "xn--abc", "sthree-abc", "amzn-s3-demo-bucket", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3",
		"abc--table-s3", "alpha!soup", "füße", "a b c", "a/b/c", "abc\x00"}
	for _, name := range good {
		if !validBucketName(name) {
			t.Errorf("%q was refused", name)
		}
	}
	for _, name := range bad {
		if validBucketName(name) {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestParseLocation(t *testing.T) {
	for in, want := range map[string]string{"": "", "EU": "eu-west-1", "eu-central-1": "eu-central-1", "firn-1": "firn-1", "us-east-1": "us-east-1", "default": "default"} {
		if got, err := parseLocation(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"Eu", "eu_west", "-a", "a-", "a b", "<>", strings.Repeat("a", 64)} {
		_, err := parseLocation(in)
		wantCode(t, err, "InvalidLocationConstraint")
	}
}

func TestBucketPages(t *testing.T) {
	var all []*object.Bucket
	for i := range 10 {
		b := &object.Bucket{Name: fmt.Sprintf("%c%d", 'a'+i%2, i), Owner: "me"}
		if i == 4 {
			b.Owner = "other"
		}
		if i == 5 {
			b.Region = "eu-west-1"
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *object.Bucket) int { return strings.Compare(a.Name, b.Name) })
	mine := func(b *object.Bucket) bool { return b.Owner == "me" }
	region := func(b *object.Bucket) string { return cmp.Or(b.Region, "firn-1") }
	cases := []struct {
		name, query, want string
		more              bool
	}{
		{"all", "", "a0 a2 a6 a8 b1 b3 b5 b7 b9", false},
		{"page", "max-buckets=3", "a0 a2 a6", true},
		{"next page", "max-buckets=3&continuation-token=" + makePageToken("a6"), "a8 b1 b3", true},
		{"last page", "max-buckets=3&continuation-token=" + makePageToken("b3"), "b5 b7 b9", false},
		{"token of a bucket that is gone", "max-buckets=3&continuation-token=" + makePageToken("b8"), "b9", false},
		{"prefix", "prefix=b", "b1 b3 b5 b7 b9", false},
		{"prefix and page", "prefix=b&max-buckets=5", "b1 b3 b5 b7 b9", false},
		{"prefix of none", "prefix=c", "", false},
		{"region", "bucket-region=firn-1&prefix=b", "b1 b3 b7 b9", false},
		{"token before the prefix", "prefix=b&continuation-token=" + makePageToken("a0"), "b1 b3 b5 b7 b9", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			query, _ := url.ParseQuery(c.query)
			p, err := parseBucketPage(query)
			if err != nil {
				t.Fatal(err)
			}
			page, more := p.pick(all, mine, region)
			var names []string
			for _, b := range page {
				names = append(names, b.Name)
			}
			if got := strings.Join(names, " "); got != c.want || more != c.more {
				t.Errorf("got %q, more %v, want %q, %v", got, more, c.want, c.more)
			}
		})
	}
	for _, bad := range []string{"max-buckets=x", "max-buckets=0", "max-buckets=10001", "max-buckets=-1", "continuation-token=%21", "bucket-region=no_region"} {
		query, _ := url.ParseQuery(bad)
		_, err := parseBucketPage(query)
		wantCode(t, err, "InvalidArgument")
	}
}
