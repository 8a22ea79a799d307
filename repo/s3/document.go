package s3

import (
	"bytes"
	"encoding"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
)

var errMalformed = errors.New("malformed document")

// parseDocument decodes a configuration into v, a pointer to a struct without a field
// XMLName. It refuses what the struct has no place for: an element that is not known, one
// that is repeated though its field is no slice, another root, a directive, anything behind
// the root. So whatever is stored was understood.
func parseDocument(data []byte, root string, v any) error {
	if err := checkDocument(data, root, reflect.TypeOf(v).Elem()); err != nil {
		return errorf("MalformedXML", "")
	}
	return parseXML(data, v)
}

// maxElements bounds what a small body can make of itself when it is decoded.
const maxElements = 1 << 16

// place is an element that is open while a document is checked.
type place struct {
	fields map[string]reflect.Type // by element; nil for an element with text only
	seen   []string                // those that may not come again
}

func checkDocument(data []byte, root string, t reflect.Type) error {
	dec := xml.NewDecoder(bytes.NewReader(data))
	known := map[reflect.Type]map[string]reflect.Type{} // elements, asked for once a type
	var open []place
	count, done := 0, false
	for {
		tok, err := dec.Token()
		if err == io.EOF && done {
			return nil
		}
		if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			next := t
			if count++; count > maxElements {
				return errMalformed
			}
			if len(open) == 0 {
				if done || tok.Name.Local != root {
					return errMalformed
				}
			} else if next = open[len(open)-1].child(tok.Name.Local); next == nil {
				return errMalformed
			}
			fields, ok := known[next]
			if !ok {
				fields = elements(next)
				known[next] = fields
			}
			open = append(open, place{fields: fields})
		case xml.EndElement:
			open = open[:len(open)-1]
			done = len(open) == 0
		case xml.CharData:
			text := len(open) > 0 && open[len(open)-1].fields == nil
			if !text && len(bytes.TrimSpace(tok)) > 0 {
				return errMalformed
			}
		case xml.Directive:
			return errMalformed
		}
	}
}

// child returns the type of a child, or nil when there is no place for it.
func (p *place) child(name string) reflect.Type {
	t, ok := p.fields[name]
	if !ok {
		return nil
	}
	if t.Kind() == reflect.Slice {
		return t.Elem()
	}
	if slices.Contains(p.seen, name) {
		return nil
	}
	p.seen = append(p.seen, name)
	return t
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

// elements returns the types of what may lie in an element of type t, nil when that is
// text.
func elements(t reflect.Type) map[string]reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(textType) {
		return nil
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("xml"), ",")
		if name == "-" || strings.Contains(opts, "attr") {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields[name] = f.Type
	}
	return fields
}

// document encodes v as a document in the namespace of S3.
func document(root string, v any) string {
	var b strings.Builder
	enc := xml.NewEncoder(&b)
	if err := enc.EncodeElement(v, xml.StartElement{Name: xml.Name{Space: xmlns, Local: root}}); err != nil {
		panic("s3: " + err.Error()) // our own types always encode
	}
	return b.String()
}

// answerDocument answers with a document.
func (q *request) answerDocument(doc string) {
	head := q.w.Header()
	head.Set("Content-Type", "application/xml")
	head.Set("Content-Length", itoa(len(xml.Header)+len(doc)))
	_, _ = io.WriteString(q.w, xml.Header+doc) // a client that went away
}
