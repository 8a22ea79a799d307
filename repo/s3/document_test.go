package s3

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
)

// wantCode fails the test unless err is an S3 error with a code; "" is no error.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *apiError
	switch {
	case err == nil && code == "":
	case errors.As(err, &e) && e.code == code:
		if _, ok := codes[e.code]; !ok {
			t.Errorf("code %s is not in the table", e.code)
		}
	default:
		t.Errorf("got %v, want code %q", err, code)
	}
}

// wantMessage checks the text of an S3 error, too.
func wantMessage(t *testing.T, err error, code, message string) {
	t.Helper()
	wantCode(t, err, code)
	var e *apiError
	if errors.As(err, &e) && e.text() != message {
		t.Errorf("message\n got %q\nwant %q", e.text(), message)
	}
}

func TestParseDocument(t *testing.T) {
	type inner struct {
		Name string
	}
	type outer struct {
		Status string `xml:",omitempty"`
		Days   *int64 `xml:",omitempty"`
		Inner  *inner `xml:",omitempty"`
		Item   []inner
	}
	cases := []struct {
		name, in, code string
	}{
		{"empty root", `<Outer/>`, ""},
		{"namespace", `<Outer xmlns="` + xmlns + `"><Status>x</Status></Outer>`, ""},
		{"declaration and comment", `<?xml version="1.0" encoding="UTF-8"?><!-- a --><Outer> <Status>x</Status> </Outer>` + "\n", ""},
		{"repeated slice", `<Outer><Item><Name>a</Name></Item><Item><Name>b</Name></Item></Outer>`, ""},
		{"nothing", ``, "MalformedXML"},
		{"other root", `<Other/>`, "MalformedXML"},
		{"unknown element", `<Outer><Colour/></Outer>`, "MalformedXML"},
		{"unknown below", `<Outer><Inner><Colour/></Inner></Outer>`, "MalformedXML"},
		{"repeated", `<Outer><Status>a</Status><Status>b</Status></Outer>`, "MalformedXML"},
		{"element in text", `<Outer><Status><a/></Status></Outer>`, "MalformedXML"},
		{"text between", `<Outer>x<Status>a</Status></Outer>`, "MalformedXML"},
		{"no number", `<Outer><Days>x</Days></Outer>`, "MalformedXML"},
		{"unclosed", `<Outer><Status>a`, "MalformedXML"},
		{"two roots", `<Outer/><Outer/>`, "MalformedXML"},
		{"text behind", `<Outer/>x`, "MalformedXML"},
		{"directive", `<!DOCTYPE a [<!ENTITY b "c">]><Outer><Status>&b;</Status></Outer>`, "MalformedXML"},
		{"too many elements", "<Outer>" + strings.Repeat("<Item/>", maxElements) + "</Outer>", "MalformedXML"},
		{"other charset", `<?xml version="1.0" encoding="UTF-16"?><Outer/>`, "MalformedXML"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var v outer
			wantCode(t, parseDocument([]byte(c.in), "Outer", &v), c.code)
		})
	}
}

// mustParse fails the test unless what is stored can be read back.
func mustParse(t *testing.T, doc, root string, v any) {
	t.Helper()
	if err := parseDocument([]byte(xml.Header+doc), root, v); err != nil {
		t.Fatalf("what is stored does not parse: %v\n%s", err, doc)
	}
	if !strings.Contains(doc, xmlns) {
		t.Errorf("no namespace: %s", doc)
	}
}

// A body of many empty elements costs no more than its size.
func BenchmarkParseDocument(b *testing.B) {
	doc := []byte("<LifecycleConfiguration>" + strings.Repeat("<Rule/>", maxElements-1) + "</LifecycleConfiguration>")
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if err := parseDocument(doc, lifecycleRoot, &lifecycleConfig{}); err != nil {
			b.Fatal(err)
		}
	}
}
