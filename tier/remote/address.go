package remote

import (
	"fmt"
	"net/url"
	"strings"
)

// scheme is how the place of a repository in a bucket begins.
const scheme = "s3://"

// IsAddress reports whether text is meant to be an address that ParseAddress reads.
func IsAddress(text string) bool {
	return len(text) >= 3 && strings.EqualFold(text[:3], scheme[:3])
}

// ParseAddress takes s3://bucket/prefix apart. The prefix may be empty; slashes at its end
// do not count. Nothing else may be in an address: what is secret does not belong into it,
// since it is shown in messages and lists of processes.
func ParseAddress(text string) (bucket, prefix string, err error) {
	if !strings.HasPrefix(strings.ToLower(text), scheme) {
		return "", "", fmt.Errorf("address %q: want s3://BUCKET/PREFIX", hideSecrets(text))
	}
	bucket, prefix, _ = strings.Cut(text[len(scheme):], "/")
	prefix = strings.TrimRight(prefix, "/")
	switch {
	case strings.Contains(bucket, "@"):
		return "", "", fmt.Errorf("address %q: keys do not belong into an address; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of the AWS configuration",
			hideSecrets(text))
	case strings.Contains(bucket, ":"):
		return "", "", fmt.Errorf("address %q: a server does not belong into an address; name it as the endpoint, as in http://127.0.0.1:9000", text)
	case !validBucket(bucket):
		return "", "", fmt.Errorf("address %q: %q is no name of a bucket; want s3://BUCKET/PREFIX", text, bucket)
	}
	if err := validPrefix(prefix); err != nil {
		return "", "", fmt.Errorf("address %q: %w", text, err)
	}
	return bucket, prefix, nil
}

// hideSecrets leaves out what stands before an @ where a server would be.
func hideSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		if i := strings.LastIndex(text, "@"); i >= 0 {
			return scheme + "…" + text[i:]
		}
		return text
	}
	u.User = nil
	return u.String()
}

// maxPrefix leaves room for the names of files within the 1024 bytes of a key.
const maxPrefix = 700

func validPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("the prefix has %d bytes, more than %d", len(prefix), maxPrefix)
	}
	if prefix == "" {
		return nil
	}
	for _, part := range strings.Split(prefix, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("the prefix has a part that is empty, . or .., which not every storage takes")
		}
	}
	for _, r := range prefix {
		if r < ' ' || r == 0x7f || r == 0xfffd || r == '\\' {
			return fmt.Errorf("the prefix has the character %q, which not every storage takes", r)
		}
	}
	return nil
}

// validBucket is generous: buckets of before 2018 may have upper-case letters and
// underscores. The storage has the last word.
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 255 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}
