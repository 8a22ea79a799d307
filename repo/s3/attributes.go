package s3

import (
	"strconv"
	"strings"

	"github.com/firnstore/firn/index"
)

// attributeNames are what GetObjectAttributes tells.
var attributeNames = map[string]bool{"ETag": true, "Checksum": true, "ObjectParts": true, "StorageClass": true, "ObjectSize": true}

// parseAttributes reads which attributes are asked for.
func parseAttributes(values []string) (map[string]bool, error) {
	asked := map[string]bool{}
	for _, name := range strings.Split(strings.Join(values, ","), ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !attributeNames[name] {
			return nil, badArgument("Invalid attribute name specified.", "x-amz-object-attributes", name)
		}
		asked[name] = true
	}
	if len(asked) == 0 {
		return nil, badArgument("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
			"x-amz-object-attributes", "")
	}
	return asked, nil
}

// partPage is which parts of an object are asked for.
type partPage struct{ after, max int }

func parsePartPage(marker, max string) (p partPage, err error) {
	p.max = maxPartPage
	for _, f := range []struct {
		to          *int
		name, value string
	}{{&p.after, "x-amz-part-number-marker", marker}, {&p.max, "x-amz-max-parts", max}} {
		if f.value == "" {
			continue
		}
		n, err := strconv.ParseInt(f.value, 10, 32)
		if err != nil || n < 0 {
			return p, badArgument("Provided "+f.name+" not an integer or within integer range", f.name, f.value)
		}
		*f.to = int(n)
	}
	p.max = min(p.max, maxPartPage)
	return p, nil
}

const maxPartPage = 1000

func (q *request) getAttributes() error {
	v, err := q.target()
	if err != nil {
		return err
	}
	if _, err := q.readKey(v); err != nil {
		return err
	}
	asked, err := parseAttributes(q.r.Header.Values("x-amz-object-attributes"))
	if err != nil {
		return err
	}
	page, err := parsePartPage(q.r.Header.Get("x-amz-part-number-marker"), q.r.Header.Get("x-amz-max-parts"))
	if err != nil {
		return err
	}
	q.idHeader(v)
	q.w.Header().Set("Last-Modified", httpTime(modified(v)))
	w := &xmlWriter{}
	w.begin("GetObjectAttributesResponse")
	if asked["ETag"] {
		w.text("ETag", etagOf(v))
	}
	if algo := listedChecksum(v.System); asked["Checksum"] && algo != "" {
		w.open("Checksum")
		w.text("Checksum"+algo, v.System[metaSum+strings.ToLower(algo)])
		w.text("ChecksumType", sumType(v.System))
		w.close("Checksum")
	}
	if asked["ObjectParts"] && isMultipart(v) {
		w.attributeParts(v, page)
	}
	if asked["StorageClass"] {
		w.text("StorageClass", v.Class)
	}
	if asked["ObjectSize"] {
		w.number("ObjectSize", objectSize(v))
	}
	return q.writeList(w, "GetObjectAttributesResponse")
}

// attributeParts writes the parts of an object; like S3 one by one only when each has a
// checksum.
func (w *xmlWriter) attributeParts(v *index.Version, page partPage) {
	w.open("ObjectParts")
	defer w.close("ObjectParts")
	w.number("PartsCount", int64(len(v.Parts)))
	algo := listedChecksum(v.System)
	if v.System[metaPartSums] == "" || algo == "" {
		return
	}
	sums := strings.Split(v.System[metaPartSums], ",")
	first := min(page.after, len(v.Parts))
	last := min(first+page.max, len(v.Parts))
	w.number("PartNumberMarker", int64(page.after))
	w.number("NextPartNumberMarker", int64(last))
	w.number("MaxParts", int64(page.max))
	w.bool("IsTruncated", last < len(v.Parts))
	for i := first; i < last; i++ {
		w.open("Part")
		w.number("PartNumber", int64(i+1))
		w.number("Size", int64(v.Parts[i]))
		if i < len(sums) {
			w.text("Checksum"+algo, sums[i])
		}
		w.close("Part")
	}
}
