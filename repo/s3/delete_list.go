package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
)

const (
	maxDeletes    = 1000
	maxDeleteBody = 8 << 20 // a thousand keys of 1024 bytes, each escaped
)

// deleteList is the body of DeleteObjects.
type deleteList struct {
	entries []deleteEntry
	quiet   bool
}

// deleteEntry is an object or version that is to be deleted.
type deleteEntry struct {
	key, version string
	conditions   deleteConditions
}

// parseDeleteList reads the body of DeleteObjects token by token, so that memory is bounded
// by the number of entries allowed and not by what a body of that size could hold.
func parseDeleteList(data []byte) (*deleteList, error) {
	p := deleteParser{dec: xml.NewDecoder(bytes.NewReader(data))}
	if err := p.document(); err != nil || len(p.list.entries) == 0 {
		return nil, errorf("MalformedXML", "")
	}
	return &p.list, nil
}

type deleteParser struct {
	dec  *xml.Decoder
	list deleteList
}

// document reads the root element and what follows it.
func (p *deleteParser) document() error {
	for done := false; ; {
		tok, err := p.dec.Token()
		if err == io.EOF && done {
			return nil
		}
		if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if done || tok.Name.Local != "Delete" {
				return errMalformed
			}
			if err := p.children(p.entry); err != nil {
				return err
			}
			done = true
		case xml.Directive:
			return errMalformed
		}
	}
}

// children calls f for each child of the element that was begun, to its end.
func (p *deleteParser) children(f func(name string) error) error {
	for {
		tok, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if err := f(tok.Name.Local); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(tok)) > 0 {
				return errMalformed
			}
		case xml.Directive:
			return errMalformed
		}
	}
}

// text reads the character data of the element that was begun, to its end.
func (p *deleteParser) text() (string, error) {
	var b strings.Builder
	for {
		tok, err := p.dec.Token()
		if err != nil {
			return "", err
		}
		switch tok := tok.(type) {
		case xml.CharData:
			b.Write(tok)
		case xml.EndElement:
			return b.String(), nil
		case xml.StartElement, xml.Directive:
			return "", errMalformed
		}
	}
}

func (p *deleteParser) entry(name string) error {
	switch name {
	case "Quiet":
		text, err := p.text()
		if err != nil {
			return err
		}
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true":
			p.list.quiet = true
		case "false", "":
		default:
			return errMalformed
		}
		return nil
	case "Object":
		if len(p.list.entries) == maxDeletes {
			return errMalformed
		}
		var e deleteEntry
		if err := p.children(func(name string) error { return p.field(&e, name) }); err != nil {
			return err
		}
		if e.key == "" {
			return errMalformed
		}
		p.list.entries = append(p.list.entries, e)
		return nil
	}
	return errMalformed
}

func (p *deleteParser) field(e *deleteEntry, name string) error {
	text, err := p.text()
	if err != nil {
		return err
	}
	switch name {
	case "Key":
		e.key = text // spaces belong to it
	case "VersionId":
		e.version = strings.TrimSpace(text)
	case "ETag":
		e.conditions.match = strings.TrimSpace(text)
	case "LastModifiedTime":
		e.conditions.lastModified = strings.TrimSpace(text)
	case "Size":
		e.conditions.size = strings.TrimSpace(text)
	default:
		return errMalformed
	}
	return nil
}
