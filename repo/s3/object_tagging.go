package s3

import (
	"net/http"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/object"
)

func (q *request) getObjectTagging() error {
	v, err := q.target()
	if err != nil {
		return err
	}
	q.idHeader(v)
	q.answerDocument(tagDocument(v.Tags))
	return nil
}

func (q *request) putObjectTagging() error {
	if _, err := q.target(); err != nil {
		return err
	}
	data, err := q.readDigested(maxTagging)
	if err != nil {
		return err
	}
	tags, err := parseTagSet(data, maxObjectTags)
	if err != nil {
		return err
	}
	return q.setTags(tags, tagEvents, http.StatusOK)
}

func (q *request) deleteObjectTagging() error {
	if _, err := q.target(); err != nil {
		return err
	}
	return q.setTags(nil, untagEvents, http.StatusNoContent)
}

func (q *request) setTags(tags map[string]string, events EventNames, status int) error {
	return q.editVersion(events, false, status, func(_ *object.Bucket, v *index.Version) error {
		v.Tags = tags
		return nil
	})
}
