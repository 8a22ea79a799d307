package s3

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
)

func tagXML(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", pairs[i], pairs[i+1])
	}
	return b.String() + "</TagSet></Tagging>"
}

func manyTags(n int) (pairs []string) {
	for i := range n {
		pairs = append(pairs, fmt.Sprintf("k%02d", i), "v")
	}
	return pairs
}

func TestParseTagSet(t *testing.T) {
	long := strings.Repeat("ä", maxTagKey)
	cases := []struct {
		name, in      string
		limit         int
		code, message string
		want          map[string]string
	}{
		{"none", "<Tagging><TagSet/></Tagging>", maxObjectTags, "", "", map[string]string{}},
		{"one", tagXML("a", "b"), maxObjectTags, "", "", map[string]string{"a": "b"}},
		{"empty value", tagXML("a", ""), maxObjectTags, "", "", map[string]string{"a": ""}},
		{"longest", tagXML(long, long+long), maxObjectTags, "", "", map[string]string{long: long + long}},
		{"all characters", tagXML("a b_.:/=+-@Ж٣", "ok"), maxObjectTags, "", "", map[string]string{"a b_.:/=+-@Ж٣": "ok"}},
		{"ten", tagXML(manyTags(10)...), maxObjectTags, "", "", nil},
		{"eleven", tagXML(manyTags(11)...), maxObjectTags, "InvalidTag", "Object tags cannot be greater than 10", nil},
		{"fifty of a bucket", tagXML(manyTags(50)...), maxBucketTags, "", "", nil},
		{"more of a bucket", tagXML(manyTags(51)...), maxBucketTags, "BadRequest", "Bucket tag count cannot be greater than 50", nil},
		{"key too long", tagXML(long+"a", ""), maxObjectTags, "InvalidTag", "The TagKey you have provided is invalid", nil},
		{"value too long", tagXML("a", long+long+"a"), maxObjectTags, "InvalidTag", "The TagValue you have provided is invalid", nil},
		{"empty key", tagXML("", "a"), maxObjectTags, "InvalidTag", "The TagKey you have provided is invalid", nil},
		{"bad key", tagXML("Key1,Key2", "a"), maxObjectTags, "InvalidTag", "The TagKey you have provided is invalid", nil},
		{"bad value", tagXML("a", "Val1,Val2"), maxBucketTags, "InvalidTag", "The TagValue you have provided is invalid", nil},
		{"repeated", tagXML("a", "1", "a", "2"), maxBucketTags, "InvalidTag", "Cannot provide multiple Tags with the same key", nil},
		{"of the system, bucket", tagXML("aws:a", "1"), maxBucketTags, "InvalidTag", "System tags cannot be added/updated by requester", nil},
		{"of the system, object", tagXML("AWS:a", "1"), maxObjectTags, "InvalidTag", "Your TagKey cannot be prefixed with aws:", nil},
		{"no value", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", maxObjectTags, "MalformedXML", "", nil},
		{"no set", "<Tagging/>", maxObjectTags, "MalformedXML", "", nil},
		{"no XML", "tags", maxObjectTags, "MalformedXML", "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseTagSet([]byte(c.in), c.limit)
			wantCode(t, err, c.code)
			var e *apiError
			if errors.As(err, &e) && c.message != "" && e.message != c.message {
				t.Errorf("message %q, want %q", e.message, c.message)
			}
			if c.want != nil && !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestParseTagging(t *testing.T) {
	cases := []struct {
		in, code string
		want     map[string]string
	}{
		{"", "", map[string]string{}},
		{"foo=bar&bar", "", map[string]string{"foo": "bar", "bar": ""}},
		{"key1&&&key2", "", map[string]string{"key1": "", "key2": ""}},
		{"a=b%20c+d&x%3Dy=%C3%BC", "", map[string]string{"a": "b c d", "x=y": "ü"}},
		{"a=b=c", "", map[string]string{"a": "b=c"}},
		{"key1=val1&key1=val2", "InvalidArgument", nil},
		{"key1=val1,key2=val2", "InvalidArgument", nil},
		{"a=%zz", "InvalidArgument", nil},
		{"a=%ff", "InvalidArgument", nil},
		{"=a", "InvalidArgument", nil},
		{"a;b=c", "InvalidArgument", nil},
		{strings.Repeat("k", 129) + "=v", "InvalidTag", nil},
		{"aws:a=b", "InvalidTag", nil},
		{"a&b&c&d&e&f&g&h&i&j", "", nil},
		{"a&b&c&d&e&f&g&h&i&j&k", "InvalidTag", nil},
	}
	for _, c := range cases {
		got, err := parseTagging(c.in)
		if wantCode(t, err, c.code); t.Failed() {
			t.Fatalf("%q", c.in)
		}
		if c.want != nil && !maps.Equal(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.in, got, c.want)
		}
	}
}

func TestTagDocumentIsSorted(t *testing.T) {
	want := `<Tagging xmlns="` + xmlns + `"><TagSet><Tag><Key>a&amp;</Key><Value></Value></Tag><Tag><Key>b</Key><Value>1</Value></Tag></TagSet></Tagging>`
	if got := tagDocument(map[string]string{"b": "1", "a&": ""}); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func FuzzTagging(f *testing.F) {
	for _, s := range []string{"a=b&c", "a=%20", "&&", "=", "aws:x=1", "%", "ä=ö"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tags, err := parseTagging(s)
		if err != nil {
			return
		}
		again, err := parseTagSet([]byte(tagDocument(tags)), maxObjectTags)
		if err != nil || !maps.Equal(tags, again) {
			t.Fatalf("%q: %v does not come back: %v, %v", s, tags, again, err)
		}
	})
}
