package s3

// uploadPartCopy stores a part from another object, or a range of it.
func (q *request) uploadPartCopy() error {
	number, err := parsePartNumber(q.query.Get("partNumber"))
	if err != nil {
		return err
	}
	u, err := q.upload()
	if err != nil {
		return err
	}
	key, err := q.partKey(u)
	if err != nil {
		return err
	}
	src, err := q.origin()
	if err != nil {
		return err
	}
	off, n, err := copyRange(q.r.Header.Get("x-amz-copy-source-range"), objectSize(src.v))
	if err != nil {
		return err
	}
	if n > maxPut {
		return errorf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxPut))
	}
	in, err := src.open(q.h.e)
	if err != nil {
		return err
	}
	r := in.reader(q.ctx(), off, n)
	defer r.Close()
	sum, err := newPartSum(u, wantedSum{algo: u.Version.System[metaSumAlgo]})
	if err != nil {
		return err
	}
	sum.want = wantedSum{}
	p, shown, err := q.putPart(u, number, key, sum, nil, r)
	if err != nil {
		return err
	}
	sseHeaders(q.w.Header(), &u.Version)
	q.copyHeaders(src)
	w := &xmlWriter{}
	w.begin("CopyPartResult")
	w.time("LastModified", p.Time)
	w.etag(p.System[metaETag])
	if sum.listed != "" {
		w.text("Checksum"+sum.listed, shown)
	}
	return q.writeList(w, "CopyPartResult")
}
