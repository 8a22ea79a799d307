package s3

import (
	"testing"
	"time"

	"github.com/firnstore/firn/index"
)

func TestReadConditions(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	changed := now.Add(-time.Hour).Add(300 * time.Millisecond)
	at, before, after := httpTime(changed), httpTime(changed.Add(-time.Minute)), httpTime(changed.Add(time.Minute))
	future := httpTime(now.Add(time.Hour))
	for _, c := range []struct {
		name string
		c    readConditions
		want string
	}{
		{"none", readConditions{}, ""},
		{"match", readConditions{match: `"abc"`}, ""},
		{"match without quotes", readConditions{match: `abc`}, ""},
		{"match of several", readConditions{match: `"x", "abc"`}, ""},
		{"match of any", readConditions{match: `*`}, ""},
		{"no match", readConditions{match: `"x"`}, "If-Match"},
		{"none-match", readConditions{noneMatch: `"x"`}, ""},
		{"none-match that does", readConditions{noneMatch: `"abc"`}, "If-None-Match"},
		{"weak none-match that does", readConditions{noneMatch: `W/"abc"`}, "If-None-Match"},
		{"modified since", readConditions{modifiedSince: before}, ""},
		{"not modified since", readConditions{modifiedSince: at}, "If-Modified-Since"},
		{"not modified since then", readConditions{modifiedSince: after}, "If-Modified-Since"},
		{"modified since the future", readConditions{modifiedSince: future}, ""},
		{"modified since no time", readConditions{modifiedSince: "yesterday"}, ""},
		{"unmodified since", readConditions{unmodifiedSince: at}, ""},
		{"unmodified since before", readConditions{unmodifiedSince: before}, "If-Unmodified-Since"},
		{"unmodified since the future", readConditions{unmodifiedSince: future}, ""},
		{"match wins over unmodified", readConditions{match: "abc", unmodifiedSince: before}, ""},
		{"none-match wins over modified", readConditions{noneMatch: "x", modifiedSince: after}, ""},
		{"none-match fails though modified", readConditions{noneMatch: "abc", modifiedSince: before}, "If-None-Match"},
		{"match first", readConditions{match: "x", noneMatch: "abc"}, "If-Match"},
	} {
		if got := c.c.failed("abc", changed, now); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWriteConditions(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 5000, time.UTC)
	is := &index.Version{Time: at.UnixNano(), System: map[string]string{metaETag: "abc"}}
	for _, c := range []struct {
		name      string
		headers   []string
		parse     string // code of an error of the headers
		on, onNil string // codes when the key is there, and when not
	}{
		{name: "none"},
		{name: "only new", headers: []string{"If-None-Match", "*"}, on: "PreconditionFailed"},
		{name: "only this", headers: []string{"If-Match", `"abc"`}, onNil: "NoSuchKey"},
		{name: "only this, no quotes", headers: []string{"If-Match", `abc`}, onNil: "NoSuchKey"},
		{name: "only another", headers: []string{"If-Match", `"x"`}, on: "PreconditionFailed", onNil: "NoSuchKey"},
		{name: "not this", headers: []string{"If-None-Match", `"abc"`}, on: "PreconditionFailed"},
		{name: "not this, no quotes", headers: []string{"If-None-Match", `abc`}, on: "PreconditionFailed"},
		{name: "none of several", headers: []string{"If-None-Match", `"x", "abc"`}, on: "PreconditionFailed"},
		{name: "not another", headers: []string{"If-None-Match", `"x"`}},
		{name: "any", headers: []string{"If-Match", "*"}, onNil: "NoSuchKey"},
		{name: "unmodified since", headers: []string{"If-Unmodified-Since", httpTime(at)}},
		{name: "unmodified since before", headers: []string{"If-Unmodified-Since", httpTime(at.Add(-time.Second))}, on: "PreconditionFailed"},
		{name: "match wins over unmodified", headers: []string{"If-Match", "abc", "If-Unmodified-Since", httpTime(at.Add(-time.Second))}, onNil: "NoSuchKey"},
		{name: "both", headers: []string{"If-Match", "abc", "If-None-Match", "*"}, parse: "NotImplemented"},
		{name: "both with ETags", headers: []string{"If-Match", "*", "If-None-Match", "abc"}, parse: "NotImplemented"},
	} {
		t.Run(c.name, func(t *testing.T) {
			check, err := parseWriteCondition(headers(c.headers...), "k")
			wantCode(t, err, c.parse)
			if check == nil {
				if len(c.headers) > 0 && c.parse == "" {
					t.Error("no condition")
				}
				return
			}
			wantCode(t, check(nil, is), c.on)
			wantCode(t, check(nil, nil), c.onNil)
		})
	}
}

func TestDeleteConditions(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 5000, time.UTC)
	is := &index.Version{Time: at.UnixNano(), System: map[string]string{metaETag: "abc"}}
	marker := &index.Version{Time: at.UnixNano(), Kind: index.DeleteMarker}
	for _, c := range []struct {
		name                string
		c                   deleteConditions
		on, onNil, onMarker string
	}{
		{"this", deleteConditions{match: "abc"}, "", "NoSuchKey", "PreconditionFailed"},
		{"any", deleteConditions{match: "*"}, "", "NoSuchKey", "PreconditionFailed"},
		{"another", deleteConditions{match: "x"}, "PreconditionFailed", "NoSuchKey", "PreconditionFailed"},
		{"time", deleteConditions{lastModified: httpTime(at)}, "", "", ""},
		{"ISO time", deleteConditions{lastModified: isoTime(at)}, "", "", ""},
		{"other time", deleteConditions{lastModified: httpTime(at.Add(time.Second))}, "PreconditionFailed", "", "PreconditionFailed"},
		{"not this", deleteConditions{noneMatch: "abc"}, "PreconditionFailed", "", ""},
		{"not another", deleteConditions{noneMatch: "x"}, "", "", ""},
		{"unmodified since", deleteConditions{unmodified: httpTime(at)}, "", "", ""},
		{"unmodified since before", deleteConditions{unmodified: httpTime(at.Add(-time.Second))}, "PreconditionFailed", "", "PreconditionFailed"},
		{"unmodified since no time", deleteConditions{unmodified: "yesterday"}, "", "", ""},
		{"size", deleteConditions{size: "0"}, "", "", ""},
		{"other size", deleteConditions{size: "1"}, "PreconditionFailed", "", "PreconditionFailed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			check, err := c.c.check("k", false)
			if err != nil {
				t.Fatal(err)
			}
			wantCode(t, check(nil, is), c.on)
			wantCode(t, check(nil, nil), c.onNil)
			wantCode(t, check(nil, marker), c.onMarker)
			named, err := c.c.check("k", true)
			if err != nil {
				t.Fatal(err)
			}
			wantCode(t, named(nil, is), c.on)
			wantCode(t, named(nil, nil), "")
		})
	}
	for _, c := range []deleteConditions{{lastModified: "x"}, {size: "x"}} {
		_, err := c.check("k", false)
		wantCode(t, err, "InvalidArgument")
	}
	if check, err := (deleteConditions{}).check("k", false); check != nil || err != nil {
		t.Error("a condition out of nothing")
	}
}
