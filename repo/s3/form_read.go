package s3

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"
)

// Limits of a form. The first is that of S3: fields before the file. The second bounds
// what is read for that, with the boundaries, and what is looked at behind the file.
const (
	maxFormFields = 20 << 10
	maxFormRaw    = 3 * maxFormFields
)

// form is a form up to its file.
type form struct {
	fields []formField // in their order, the file left out; a name that came twice is there once
	named  bool        // the file came with a name
	raw    *formReader
	parts  *multipart.Reader
	file   *multipart.Part
}

type formField struct {
	name  string // in lower case
	sent  string // as it was spelt
	value string
}

func (f *form) find(name string) *formField {
	for i := range f.fields {
		if f.fields[i].name == name {
			return &f.fields[i]
		}
	}
	return nil
}

func (f *form) has(name string) bool { return f.find(name) != nil }

func (f *form) get(name string) string {
	if field := f.find(name); field != nil {
		return field.value
	}
	return ""
}

// signed returns the fields as package auth takes them.
func (f *form) signed() map[string]string {
	out := make(map[string]string, len(f.fields))
	for _, field := range f.fields {
		out[field.name] = field.value
	}
	return out
}

var errFormTooLarge = errors.New("form is too large")

func fieldsTooLarge() *apiError {
	// The spelling is that of S3.
	return errorf("MaxPostPreDataLengthExceeded", "Your POST request fields preceeding the upload file was too large.").
		with("MaxPostPreDataLengthBytes", itoa(maxFormFields))
}

// malformedForm translates an error of reading a form.
func malformedForm(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errFormTooLarge), errors.Is(err, multipart.ErrMessageTooLarge):
		return fieldsTooLarge()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &tooLarge):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errorf("RequestTimeout", "")
	}
	return errorf("MalformedPOSTRequest", "")
}

func wrongFiles(n int) *apiError {
	return errorf("InvalidArgument", "POST requires exactly one file upload per request.").
		with("ArgumentName", "file").with("ArgumentValue", itoa(n))
}

// readForm reads the fields of a form, and stops where its file begins.
func readForm(r *http.Request) (*form, error) {
	if r.Header.Get("Authorization") != "" {
		return nil, errorf("CredentialsNotSupported", "") // a form is signed in its fields
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return nil, errorf("PreconditionFailed", "").with("Condition", "Bucket POST must be of the enclosure-type multipart/form-data")
	}
	if b := params["boundary"]; err != nil || b == "" || len(b) > 70 {
		return nil, errorf("MalformedPOSTRequest", "")
	}
	f := &form{raw: &formReader{r: r.Body, left: maxFormRaw}}
	f.parts = multipart.NewReader(f.raw, params["boundary"])
	size := 0
	for {
		part, err := f.parts.NextRawPart()
		if err == io.EOF {
			return nil, wrongFiles(0)
		}
		if err != nil {
			return nil, malformedForm(err)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil || kind != "form-data" || params["name"] == "" {
			return nil, errorf("MalformedPOSTRequest", "")
		}
		if strings.EqualFold(params["name"], "file") {
			f.file, f.raw.left = part, -1
			_, f.named = params["filename"]
			return f, f.expand(params["filename"])
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, malformedForm(err)
		}
		if size += len(params["name"]) + len(value); size > maxFormFields {
			return nil, fieldsTooLarge()
		}
		f.add(params["name"], string(value))
	}
}

// add keeps a field. The values of those with the same name are joined, as in a header.
func (f *form) add(name, value string) {
	lower := strings.ToLower(name)
	if field := f.find(lower); field != nil {
		field.value += "," + value
		return
	}
	f.fields = append(f.fields, formField{name: lower, sent: name, value: value})
}

// expand replaces ${filename} by the last element of the path that a browser gives.
// Without any name S3 leaves it as it is.
func (f *form) expand(filename string) error {
	if !f.named {
		return nil
	}
	filename = filename[strings.LastIndexAny(filename, `/\`)+1:]
	if len(filename) > maxKey {
		return fieldsTooLarge() // and many variables would make a bomb of it
	}
	for i := range f.fields {
		if name := f.fields[i].name; name != "policy" && name != "signature" && name != "x-amz-signature" {
			f.fields[i].value = strings.ReplaceAll(f.fields[i].value, "${filename}", filename)
		}
	}
	return nil
}

// formHeaders are the fields beside x-amz-* that are headers of PutObject.
var formHeaders = map[string]bool{
	"cache-control": true, "content-disposition": true, "content-encoding": true, "content-language": true,
	"content-md5": true, "content-type": true, "expires": true,
}

// signatureFields are no headers.
var signatureFields = map[string]bool{
	"x-amz-algorithm": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-signature": true, "x-amz-security-token": true,
}

// header returns what the form says of the object as the headers of PutObject.
func (f *form) header() (http.Header, error) {
	head := http.Header{}
	for _, field := range f.fields {
		name, value := field.name, field.value
		switch {
		case name == "acl":
			name = "x-amz-acl"
		case name == "tagging":
			tags, err := parseTagSet([]byte(value), maxObjectTags)
			if err != nil {
				return nil, err
			}
			list := url.Values{}
			for k, v := range tags {
				list.Set(k, v)
			}
			name, value = "x-amz-tagging", list.Encode()
		case strings.HasPrefix(name, "x-amz-") && !signatureFields[name], formHeaders[name]:
		default:
			continue
		}
		if strings.HasPrefix(name, "x-amz-meta-") && strings.ContainsFunc(value, func(r rune) bool { return isControl(r) || r >= utf8.RuneSelf }) {
			value = mime.BEncoding.Encode("UTF-8", value) // fields are UTF-8, headers are not
		}
		if !isHeader(name, value) {
			return nil, errorf("InvalidArgument", "").with("ArgumentName", field.sent).with("ArgumentValue", field.value)
		}
		head.Set(name, strings.TrimSpace(value))
	}
	return head, nil
}

// isHeader reports whether a field could have come as a header.
func isHeader(name, value string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return !strings.ContainsFunc(value, isControl)
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// formReader is the body of a form. It bounds what is read beside the file.
type formReader struct {
	r    io.Reader
	left int64 // -1 is no bound
}

func (b *formReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errFormTooLarge
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.r.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	return n, err
}

// sizeLimits are those of a content-length-range. max -1 is none.
type sizeLimits struct{ min, max int64 }

// formFile is the file of a form.
type formFile struct {
	form   *form
	limits sizeLimits
	n      int64
	err    error
}

// Read implements io.Reader. io.EOF means that the file is whole, the only one, and of a
// size that the policy allows.
func (f *formFile) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.form.file.Read(p)
	f.n += int64(n)
	if f.limits.max >= 0 && f.n > f.limits.max {
		f.err = errorf("EntityTooLarge", "").with("ProposedSize", itoa(f.n+f.rest())).with("MaxSizeAllowed", itoa(f.limits.max))
		return 0, f.err
	}
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		f.err = malformedForm(err)
	case f.n < f.limits.min:
		f.err = errorf("EntityTooSmall", "").with("ProposedSize", itoa(f.n)).with("MinSizeAllowed", itoa(f.limits.min))
	default:
		f.err = f.form.finish()
	}
	return n, f.err
}

// rest is how much more of a file there is, as far as it is worth reading to tell.
func (f *formFile) rest() int64 {
	n, _ := io.CopyN(io.Discard, f.form.file, drainLimit)
	return n
}

// finish looks behind the file: other fields do not count there, another file must not be,
// and the form has to end.
func (f *form) finish() error {
	f.raw.left = maxFormRaw
	for {
		part, err := f.parts.NextRawPart()
		if err == io.EOF || errors.Is(err, errFormTooLarge) {
			return io.EOF
		}
		if err != nil {
			return malformedForm(err)
		}
		if _, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition")); err == nil && strings.EqualFold(params["name"], "file") {
			return wrongFiles(2)
		}
	}
}
