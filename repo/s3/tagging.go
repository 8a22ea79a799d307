package s3

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/firnstore/firn/repo/object"
)

var bucketTaggingOps = []operation{
	{name: "GetBucketTagging", level: bucketLevel, method: http.MethodGet, sub: "tagging", action: "s3:GetBucketTagging", run: answerConfig(confTagging, "NoSuchTagSet")},
	{name: "PutBucketTagging", level: bucketLevel, method: http.MethodPut, sub: "tagging", action: "s3:PutBucketTagging", run: (*request).putBucketTagging},
	{name: "DeleteBucketTagging", level: bucketLevel, method: http.MethodDelete, sub: "tagging", action: "s3:PutBucketTagging", run: dropConfig(confTagging)},
}

// Limits of tags. Lengths are in characters.
const (
	maxObjectTags = 10
	maxBucketTags = 50
	maxTagKey     = 128
	maxTagValue   = 256
)

// maxTagging bounds a body with tags: the longest set in four bytes a character, escaped.
const maxTagging = 512 << 10

type tagging struct {
	TagSet *tagSet
}

type tagSet struct {
	Tag []tag
}

type tag struct {
	Key   *string
	Value *string
}

// parseTagSet reads a document with tags, of an object or a bucket by the limit given.
func parseTagSet(data []byte, limit int) (map[string]string, error) {
	var t tagging
	if err := parseDocument(data, "Tagging", &t); err != nil {
		return nil, err
	}
	if t.TagSet == nil {
		return nil, errorf("MalformedXML", "")
	}
	return checkTags(t.TagSet.Tag, limit)
}

// checkTags applies the rules for tags.
func checkTags(list []tag, limit int) (map[string]string, error) {
	if len(list) > limit {
		if limit == maxBucketTags {
			return nil, errorf("BadRequest", "Bucket tag count cannot be greater than 50")
		}
		return nil, errorf("InvalidTag", "Object tags cannot be greater than 10")
	}
	tags := map[string]string{}
	for _, t := range list {
		if t.Key == nil || t.Value == nil {
			return nil, errorf("MalformedXML", "")
		}
		key, value := *t.Key, *t.Value
		if _, ok := tags[key]; ok {
			return nil, errorf("InvalidTag", "Cannot provide multiple Tags with the same key").with("TagKey", key)
		}
		if key == "" || !tagText(key, maxTagKey) {
			return nil, errorf("InvalidTag", "The TagKey you have provided is invalid").with("TagKey", key)
		}
		if !tagText(value, maxTagValue) {
			return nil, errorf("InvalidTag", "The TagValue you have provided is invalid").with("TagKey", key).with("TagValue", value)
		}
		if len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
			if limit == maxBucketTags {
				return nil, errorf("InvalidTag", "System tags cannot be added/updated by requester").with("TagKey", key)
			}
			return nil, errorf("InvalidTag", "Your TagKey cannot be prefixed with aws:").with("TagKey", key)
		}
		tags[key] = value
	}
	return tags, nil
}

// tagText reports whether s is of letters, digits, spaces and _ . : / = + - @ only, and not
// too long.
func tagText(s string, most int) bool {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
		return false
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune("_.:/=+-@", r) {
			return false
		}
	}
	return true
}

// parseTagging reads the header x-amz-tagging, which has the form of a query.
func parseTagging(header string) (map[string]string, error) {
	bad := func() error {
		return badArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
			"x-amz-tagging", header)
	}
	var list []tag
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(header, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return nil, bad()
		}
		value, err := url.QueryUnescape(v)
		if err != nil || seen[key] || key == "" || !tagText(key, len(key)) || !tagText(value, len(value)) {
			return nil, bad()
		}
		seen[key] = true
		list = append(list, tag{&key, &value})
		if len(list) > maxObjectTags {
			break // checkTags says so
		}
	}
	return checkTags(list, maxObjectTags)
}

// tagDocument encodes tags in the order of their keys.
func tagDocument(tags map[string]string) string {
	t := tagging{&tagSet{}}
	for key, value := range tags {
		t.TagSet.Tag = append(t.TagSet.Tag, tag{&key, &value})
	}
	slices.SortFunc(t.TagSet.Tag, func(a, b tag) int { return cmp.Compare(*a.Key, *b.Key) })
	return document("Tagging", &t)
}

// putBucketTagging replaces the tags of the bucket; an empty set removes them.
func (q *request) putBucketTagging() error {
	if err := q.demandDigest(); err != nil {
		return err
	}
	data, err := q.readAll(maxTagging)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errorf("MissingRequestBodyError", "")
	}
	tags, err := parseTagSet(data, maxBucketTags)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		return dropConfig(confTagging)(q)
	}
	doc := tagDocument(tags)
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error { return setConfig(b, confTagging, doc) })
}
