package s3

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestParseDeleteList(t *testing.T) {
	list, err := parseDeleteList([]byte(`<?xml version="1.0"?><Delete xmlns="` + xmlns + `"><Quiet>true</Quiet>
		<Object><Key> a&amp;b/&#13;</Key></Object>
		<Object><VersionId>v</VersionId><Key>c</Key><ETag>"e"</ETag><Size>5</Size><LastModifiedTime>t</LastModifiedTime></Object></Delete>`))
	if err != nil {
		t.Fatal(err)
	}
	want := []deleteEntry{{key: " a&b/\r"}, {key: "c", version: "v", conditions: deleteConditions{match: `"e"`, lastModified: "t", size: "5"}}}
	if !list.quiet || len(list.entries) != 2 || list.entries[0] != want[0] || list.entries[1] != want[1] {
		t.Errorf("got %+v", list)
	}
	one := "<Object><Key>k</Key></Object>"
	for name, c := range map[string]struct {
		doc string
		ok  bool
	}{
		"a thousand":      {"<Delete>" + strings.Repeat(one, 1000) + "</Delete>", true},
		"one more":        {"<Delete>" + strings.Repeat(one, 1001) + "</Delete>", false},
		"no namespace":    {"<Delete>" + one + "</Delete>", true},
		"nothing":         {"", false},
		"no entry":        {"<Delete></Delete>", false},
		"other root":      {"<Remove>" + one + "</Remove>", false},
		"no key":          {"<Delete><Object><VersionId>v</VersionId></Object></Delete>", false},
		"empty key":       {"<Delete><Object><Key></Key></Object></Delete>", false},
		"unknown field":   {"<Delete><Object><Key>k</Key><Colour/></Object></Delete>", false},
		"unknown element": {"<Delete>" + one + "<Colour/></Delete>", false},
		"no truth value":  {"<Delete><Quiet>perhaps</Quiet>" + one + "</Delete>", false},
		"text":            {"<Delete>x" + one + "</Delete>", false},
		"element in key":  {"<Delete><Object><Key>k<b/></Key></Object></Delete>", false},
		"unclosed":        {"<Delete>" + one, false},
		"two roots":       {"<Delete>" + one + "</Delete><Delete>" + one + "</Delete>", false},
		"entities":        {`<!DOCTYPE d [<!ENTITY a "aaaa">]><Delete><Object><Key>&a;</Key></Object></Delete>`, false},
		"not UTF-8":       {"<Delete><Object><Key>\xff</Key></Object></Delete>", false},
	} {
		_, err := parseDeleteList([]byte(c.doc))
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if !c.ok {
			wantCode(t, err, "MalformedXML")
		}
	}
}

func FuzzDeleteList(f *testing.F) {
	f.Add([]byte(`<Delete><Quiet>true</Quiet><Object><Key>a</Key><VersionId>v</VersionId></Object></Delete>`))
	f.Add([]byte(`<Delete><Object><Key>&#x41;<![CDATA[b]]></Key></Object></Delete>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseDeleteList(data)
		if err != nil {
			return
		}
		if len(list.entries) == 0 || len(list.entries) > maxDeletes {
			t.Errorf("%d entries", len(list.entries))
		}
		w := &xmlWriter{}
		w.begin("DeleteResult")
		for _, e := range list.entries {
			w.deleted(e, &deleteAnswer{}, true)
			w.deleteError(e, errorf("AccessDenied", ""))
		}
		w.close("DeleteResult")
		if err := xml.Unmarshal(w.b, new(struct{})); err != nil {
			t.Errorf("the answer is not well-formed: %v", err)
		}
	})
}
