package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// node is a JSON value. Objects keep the order of their members and have none twice,
// which encoding/json would let through with the last one winning.
type node struct {
	kind    byte // '{', '[', 's'tring, 'n'umber or boolean, '0' for null
	text    string
	items   []node   // of an array, or the values of an object
	members []string // names of an object, in the order of items
}

var errJSON = errors.New("not one JSON value")

// maxDepth of a document; policies need six.
const maxDepth = 10

// parseJSON parses a document that is one value.
func parseJSON(data []byte) (node, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	n, err := readNode(dec, 0)
	if err != nil {
		return node{}, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return node{}, errJSON
	}
	return n, nil
}

func readNode(dec *json.Decoder, depth int) (node, error) {
	if depth > maxDepth {
		return node{}, errJSON
	}
	t, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	switch t := t.(type) {
	case json.Delim:
		return readItems(dec, t, depth)
	case string:
		return node{kind: 's', text: t}, nil
	case json.Number:
		return node{kind: 'n', text: t.String()}, nil
	case bool:
		if t {
			return node{kind: 'n', text: "true"}, nil
		}
		return node{kind: 'n', text: "false"}, nil
	}
	return node{kind: '0'}, nil
}

func readItems(dec *json.Decoder, open json.Delim, depth int) (node, error) {
	n := node{kind: byte(open)}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			t, err := dec.Token()
			if err != nil {
				return node{}, err
			}
			name, ok := t.(string)
			if !ok || seen[name] {
				return node{}, errJSON
			}
			seen[name] = true
			n.members = append(n.members, name)
		}
		item, err := readNode(dec, depth+1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token() // the closing one
	return n, err
}

// scalars returns the texts of a string, number or boolean, or of an array of them; ok is
// false for anything else. Numbers and booleans count only if loose.
func (n node) scalars(loose bool) (texts []string, ok bool) {
	items := []node{n}
	if n.kind == '[' {
		items = n.items
	}
	for _, it := range items {
		if it.kind != 's' && !(loose && it.kind == 'n') {
			return nil, false
		}
		texts = append(texts, it.text)
	}
	return texts, true
}
