package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"io"
	"strconv"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// parseCompletion reads the list of parts of a CompleteMultipartUpload.
func parseCompletion(data []byte) ([]object.CompletePart, error) {
	p := &completionParser{}
	dec := xml.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := dec.Token()
		if err == io.EOF && p.done {
			break
		}
		if err == nil {
			err = p.take(tok)
		}
		if own, ok := err.(*apiError); ok {
			return nil, own
		}
		if err != nil {
			return nil, errorf("MalformedXML", "")
		}
	}
	if len(p.parts) == 0 {
		return nil, errorf("MalformedXML", "")
	}
	for i := range p.parts[1:] {
		if p.parts[i].Number >= p.parts[i+1].Number {
			return nil, errorf("InvalidPartOrder", "")
		}
	}
	return p.parts, nil
}

// completionParser takes the document token by token: it can have 10 000 parts.
type completionParser struct {
	parts []object.CompletePart
	open  []string // names of the elements that are open
	text  []byte   // of the innermost
	done  bool

	number string // of the part that is open
	sums   string // as errors show them
	system map[string]string
}

func (p *completionParser) take(tok xml.Token) error {
	switch tok := tok.(type) {
	case xml.StartElement:
		return p.start(tok.Name.Local)
	case xml.EndElement:
		return p.end()
	case xml.CharData:
		if len(p.open) == 3 {
			p.text = append(p.text, tok...)
		} else if len(bytes.TrimSpace(tok)) > 0 {
			return errMalformed
		}
	case xml.Directive:
		return errMalformed
	}
	return nil
}

func (p *completionParser) start(name string) error {
	p.text = p.text[:0]
	switch len(p.open) {
	case 0:
		if p.done || name != "CompleteMultipartUpload" {
			return errMalformed
		}
	case 1:
		if name != "Part" || len(p.parts) == maxParts {
			return errMalformed
		}
		p.number, p.sums, p.system = "", "", map[string]string{}
	case 2:
		if name != "PartNumber" && name != "ETag" && !strings.HasPrefix(name, "Checksum") {
			return errMalformed
		}
	default:
		return errMalformed
	}
	p.open = append(p.open, name)
	return nil
}

func (p *completionParser) end() error {
	name := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	switch len(p.open) {
	case 0:
		p.done = true
	case 1:
		return p.part()
	case 2:
		return p.field(name, strings.TrimSpace(string(p.text)))
	}
	return nil
}

// field takes an element of a part.
func (p *completionParser) field(name, value string) error {
	switch name {
	case "PartNumber":
		if p.number != "" {
			return errMalformed
		}
		p.number = value
		return nil
	case "ETag":
		if _, ok := p.system[metaETag]; ok {
			return errMalformed
		}
		p.system[metaETag] = unquoted(value)
		return nil
	}
	if value == "" {
		return nil
	}
	algo := strings.TrimPrefix(name, "Checksum")
	p.sums += algo + ":" + value + ";"
	if givenChecksum(p.system) != "" || !isChecksum(algo, value) {
		return badParameter("Checksum", p.sums, "Invalid Base64 or multiple checksums present in request")
	}
	p.system[metaSum+strings.ToLower(algo)] = value
	return nil
}

// part takes a part that is complete.
func (p *completionParser) part() error {
	n, err := strconv.Atoi(p.number)
	if err != nil || p.system[metaETag] == "" {
		return errMalformed
	}
	if n < 1 || n > maxParts {
		return badParameter("partNumber", p.number, "Part number must be an integer between 1 and 10000, inclusive")
	}
	p.parts = append(p.parts, object.CompletePart{Number: n, System: p.system})
	return nil
}

// unquoted returns an ETag without quotes.
func unquoted(etag string) string {
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		return etag[1 : len(etag)-1]
	}
	return etag
}

// isChecksum reports whether a value has the form of a checksum. Of algorithms that are not
// known here, any base64 has.
func isChecksum(algo, value string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	size, known := checksumSizes[algo]
	return err == nil && (len(b) == size || !known)
}
