package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firnstore/firn/index"
	"github.com/firnstore/firn/repo/lifecycle"
	"github.com/firnstore/firn/repo/object"
)

const (
	queueARN = "arn:firn:sqs:firn-1:q1:webhook"
	topicARN = "arn:firn:sns:firn-1:t1:nats"
)

// queueFor is a QueueConfiguration with the elements given.
func queueFor(inner ...string) string {
	return "<QueueConfiguration><Queue>" + queueARN + "</Queue>" + strings.Join(inner, "") + "</QueueConfiguration>"
}

func event(name string) string { return "<Event>" + name + "</Event>" }

// keyFilter is a filter of names and values in turn.
func keyFilter(pairs ...string) string {
	rules := ""
	for i := 0; i < len(pairs); i += 2 {
		rules += "<FilterRule><Name>" + pairs[i] + "</Name><Value>" + pairs[i+1] + "</Value></FilterRule>"
	}
	return "<Filter><S3Key>" + rules + "</S3Key></Filter>"
}

func TestNotificationCheck(t *testing.T) {
	created, removed := event("s3:ObjectCreated:*"), event("s3:ObjectRemoved:*")
	const (
		ambiguous = "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type."
		overlaps  = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
	)
	for _, c := range []struct{ name, in, code, message string }{
		{"nobody", "", "", ""},
		{"queue", queueFor(created), "", ""},
		{"topic", "<TopicConfiguration><Id>a</Id><Topic>" + topicARN + "</Topic>" + removed + "</TopicConfiguration>", "", ""},
		{"function", "<CloudFunctionConfiguration><CloudFunction>arn:firn:lambda:firn-1:f:kafka</CloudFunction>" + event("s3:LifecycleTransition") + "</CloudFunctionConfiguration>", "", ""},
		{"events to come", queueFor(event("s3:ObjectRestore:*"), event("s3:LifecycleExpiration:Delete"), event("s3:ObjectAcl:Put"), event("s3:IntelligentTiering")), "", ""},
		{"filters", queueFor(created, keyFilter("prefix", "a", "Suffix", ".jpg")), "", ""},
		{"filter of what", queueFor(created, keyFilter("middle", "a")), "InvalidArgument", "filter rule name must be either prefix or suffix"},
		{"two prefixes", queueFor(created, keyFilter("prefix", "a", "Prefix", "b")), "InvalidArgument", "Cannot specify more than one prefix rule in a filter."},
		{"long filter", queueFor(created, keyFilter("suffix", strings.Repeat("x", 1025))), "InvalidArgument", "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation"},
		{"no event", queueFor(""), "MalformedXML", ""},
		{"no destination", "<QueueConfiguration>" + created + "</QueueConfiguration>", "MalformedXML", ""},
		{"another destination", "<TopicConfiguration><Queue>" + queueARN + "</Queue>" + created + "</TopicConfiguration>", "MalformedXML", ""},
		{"unknown element", queueFor(created, "<Color>red</Color>"), "MalformedXML", ""},
		{"unknown event", queueFor(event("s3:ObjectEaten")), "InvalidArgument", "The event is not supported for notifications"},
		{"half an event", queueFor(event("s3:ObjectCreated")), "InvalidArgument", "The event is not supported for notifications"},
		{"no ARN", "<QueueConfiguration><Queue>q</Queue>" + created + "</QueueConfiguration>", "InvalidArgument", "The ARN could not be parsed"},
		{"long ID", queueFor("<Id>"+strings.Repeat("i", 256)+"</Id>", created), "InvalidArgument", "ID length should not exceed allowed limit of 255"},
		{"same ID", queueFor("<Id>a</Id>", created) + queueFor("<Id>a</Id>", removed), "InvalidArgument", "Same ID used for multiple configurations. IDs must be unique."},
		{"same event twice", queueFor(created) + queueFor(event("s3:ObjectCreated:Put")), "InvalidArgument", overlaps},
		{"other events", queueFor(event("s3:ObjectCreated:Copy")) + queueFor(event("s3:ObjectCreated:Put")), "", ""},
		{"prefix below prefix", queueFor(created, keyFilter("prefix", "a/")) + queueFor(created, keyFilter("prefix", "a/b")), "InvalidArgument", ambiguous},
		{"all and prefix", queueFor(created) + queueFor(created, keyFilter("prefix", "a")), "InvalidArgument", ambiguous},
		{"prefixes apart", queueFor(created, keyFilter("prefix", "a")) + queueFor(created, keyFilter("prefix", "b")), "", ""},
		{"suffixes apart", queueFor(created, keyFilter("suffix", ".jpg")) + queueFor(created, keyFilter("suffix", ".png")), "", ""},
		{"suffix within suffix", queueFor(created, keyFilter("suffix", "jpg")) + queueFor(created, keyFilter("suffix", "pg")), "InvalidArgument", ambiguous},
		{"prefix and suffix", queueFor(created, keyFilter("prefix", "a")) + queueFor(created, keyFilter("suffix", "z")), "InvalidArgument", ambiguous},
		{"kinds of destinations", queueFor(created) + "<TopicConfiguration><Topic>" + topicARN + "</Topic>" + created + "</TopicConfiguration>", "InvalidArgument", overlaps},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg notificationConfig
			err := parseDocument([]byte("<NotificationConfiguration>"+c.in+"</NotificationConfiguration>"), notificationRoot, &cfg)
			if err == nil {
				err = cfg.check()
			}
			if c.message != "" {
				wantMessage(t, err, c.code, c.message)
				return
			}
			wantCode(t, err, c.code)
			if err == nil {
				mustParse(t, document(notificationRoot, &cfg), notificationRoot, &notificationConfig{})
			}
		})
	}
}

func TestNotificationCount(t *testing.T) {
	var cfg notificationConfig
	for i := range maxNotifications + 1 {
		d := destination{Queue: queueARN, Event: []string{"s3:ObjectCreated:*"}, Filter: &destinationFilter{}}
		d.Filter.S3Key = &struct{ FilterRule []filterRule }{[]filterRule{{"prefix", fmt.Sprintf("%03d", i)}}}
		cfg.Queue = append(cfg.Queue, d)
	}
	wantCode(t, cfg.check(), "InvalidArgument")
	cfg.Queue = cfg.Queue[:maxNotifications]
	wantCode(t, cfg.check(), "")
}

func TestRuleMatches(t *testing.T) {
	for _, c := range []struct {
		events, prefix, suffix, event, key string
		want                               bool
	}{
		{"s3:ObjectCreated:*", "", "", "ObjectCreated:Put", "k", true},
		{"s3:ObjectCreated:Put", "", "", "ObjectCreated:Put", "k", true},
		{"s3:ObjectCreated:Put", "", "", "ObjectCreated:Copy", "k", false},
		{"s3:ObjectRemoved:* s3:ObjectCreated:Copy", "", "", "ObjectCreated:Copy", "k", true},
		{"s3:ObjectRemoved:*", "", "", "ObjectCreated:Put", "k", false},
		{"s3:LifecycleTransition", "", "", "LifecycleTransition", "k", true},
		{"s3:LifecycleExpiration:*", "", "", "LifecycleTransition", "k", false},
		{"s3:ObjectCreated:*", "a/", ".jpg", "ObjectCreated:Put", "a/b.jpg", true},
		{"s3:ObjectCreated:*", "a/", ".jpg", "ObjectCreated:Put", "b/b.jpg", false},
		{"s3:ObjectCreated:*", "a/", ".jpg", "ObjectCreated:Put", "a/b.JPG", false},
		{"s3:ObjectCreated:*", "ab", "ba", "ObjectCreated:Put", "aba", true}, // they may share bytes
	} {
		r := notifyRule{events: strings.Fields(c.events), prefix: c.prefix, suffix: c.suffix}
		if got := r.matches(c.event, c.key); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

// toldTargets are targets that note their test events.
type toldTargets struct {
	mu    sync.Mutex
	tests []string // name and message
	err   error
}

func (l *toldTargets) options() Options {
	return Options{Targets: map[string]string{"q1": "webhook", "t1": "nats", "f1": "kafka"},
		TestTarget: func(_ context.Context, name string, message []byte) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.tests = append(l.tests, name+" "+string(message))
			return l.err
		}}
}

func notify(inner string) string {
	return "<NotificationConfiguration>" + inner + "</NotificationConfiguration>"
}

func TestDestinations(t *testing.T) {
	l := &toldTargets{}
	s := newServer(t, l.options())
	s.must(200, mainUser, "PUT", "/bkt", "")
	created := event("s3:ObjectCreated:*")
	const nobody = "Unable to validate the following destination configurations"
	for _, arn := range []string{"arn:aws:sqs:us-east-1:1:q", "arn:firn:sqs:firn-1:q2:webhook", "arn:firn:sqs:firn-1:q1:nats", topicARN, "arn:firn:sqs:firn-1:q/1:webhook"} {
		r := s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?notification", notify("<QueueConfiguration><Queue>"+arn+"</Queue>"+created+"</QueueConfiguration>"))
		contains(t, r, nobody)
		contains(t, r, "<ArgumentName1>"+arn+"</ArgumentName1><ArgumentValue1>The destination queue does not exist</ArgumentValue1>")
	}
	r := s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?notification", notify("<EventBridgeConfiguration/>"))
	contains(t, r, nobody)
	r = s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?notification", notify("<QueueConfiguration><Queue>arn:firn:sqs:mars:q1:webhook</Queue>"+created+"</QueueConfiguration>"))
	contains(t, r, "The notification destination service region is not valid for the bucket location constraint")
	contains(t, s.must(200, mainUser, "GET", "/bkt?notification", ""), `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></NotificationConfiguration>`)

	s.must(200, mainUser, "PUT", "/bkt?notification", notify(queueFor("<Id>mine</Id>", created, keyFilter("suffix", ".jpg"))+
		"<CloudFunctionConfiguration><CloudFunction>arn:firn:lambda:firn-1:f1:kafka</CloudFunction>"+event("s3:ObjectRemoved:*")+"</CloudFunctionConfiguration>"))
	if len(l.tests) != 1 {
		t.Fatalf("test events: %q", l.tests)
	}
	name, message, _ := strings.Cut(l.tests[0], " ")
	var test testEvent
	if err := json.Unmarshal([]byte(message), &test); err != nil || name != "q1" || test.Event != "s3:TestEvent" || test.Bucket != "bkt" ||
		test.Service != "Amazon S3" || test.Time != "2026-11-20T10:00:00.000Z" || test.RequestId == "" || test.HostId == "" {
		t.Errorf("%s: %+v, %v", name, test, err)
	}
	got := s.must(200, mainUser, "GET", "/bkt?notification", "")
	contains(t, got, "<Id>mine</Id><Queue>"+queueARN+"</Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Suffix</Name><Value>.jpg</Value>")
	if strings.Count(got.body, "<Id>") != 2 {
		t.Errorf("no ID was made: %s", got.body)
	}

	l.tests, l.err = nil, errors.New("out to lunch")
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(queueFor(event("s3:ObjectRemoved:*")))) // not a new destination
	topic := "<TopicConfiguration><Topic>" + topicARN + "</Topic>" + created + "</TopicConfiguration>"
	r = s.refused(400, "InvalidArgument", mainUser, "PUT", "/bkt?notification", notify(topic))
	contains(t, r, "out to lunch")
	contains(t, s.must(200, mainUser, "GET", "/bkt?notification", ""), "ObjectRemoved")
	l.tests = nil
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(topic), "x-amz-skip-destination-validation", "true")
	if len(l.tests) != 0 {
		t.Errorf("test events: %q", l.tests)
	}
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(""))
	contains(t, s.must(200, mainUser, "GET", "/bkt?notification", ""), "<NotificationConfiguration")
}

// waiting returns the events of a target as messages, and removes them.
func (s *server) waiting(target string) (list []eventRecord) {
	s.t.Helper()
	var done []object.Place
	err := s.e.Events(target, object.Place{}, func(ev *object.Event) bool {
		var m eventMessage
		if err := json.Unmarshal(s.h.EventMessage(ev), &m); err != nil || len(m.Records) != 1 {
			s.t.Fatalf("%s: %v", s.h.EventMessage(ev), err)
		}
		list, done = append(list, m.Records[0]), append(done, ev.Place)
		return true
	})
	if err == nil {
		err = s.e.Settle(s.t.Context(), target, done)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func TestEventsOfOperations(t *testing.T) {
	l := &toldTargets{}
	s := newServer(t, l.options())
	s.must(200, mainUser, "PUT", "/bkt", "", "x-amz-object-ownership", "ObjectWriter")
	all := event("s3:ObjectCreated:*") + event("s3:ObjectRemoved:*") + event("s3:ObjectTagging:*") + event("s3:ObjectAcl:Put")
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(queueFor("<Id>rule</Id>", all, keyFilter("prefix", "a"))))
	names := func(want ...string) []eventRecord {
		t.Helper()
		list := s.waiting("q1")
		var got []string
		for _, r := range list {
			got = append(got, r.EventName)
		}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		return list
	}
	s.must(200, mainUser, "PUT", "/bkt/a", "hello")
	s.must(200, mainUser, "PUT", "/bkt/b", "hello") // no rule wants it
	s.must(200, mainUser, "PUT", "/bkt/a2", "", "x-amz-copy-source", "/bkt/a")
	tags := "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
	s.must(200, mainUser, "PUT", "/bkt/a?tagging", tags, "Content-MD5", md5Header(tags))
	s.must(204, mainUser, "DELETE", "/bkt/a?tagging", "")
	s.must(200, mainUser, "PUT", "/bkt/a?acl", "", "x-amz-acl", "private")
	s.must(204, mainUser, "DELETE", "/bkt/a", "")
	s.must(204, mainUser, "DELETE", "/bkt/a", "") // it is gone already
	id := s.begin(mainUser, "/bkt/a3")
	r := s.must(200, mainUser, "PUT", "/bkt/a3?partNumber=1&uploadId="+id, "part")
	s.must(200, mainUser, "POST", "/bkt/a3?uploadId="+id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+r.Header.Get("ETag")+"</ETag></Part></CompleteMultipartUpload>")
	names("ObjectCreated:Put", "ObjectCreated:Copy", "ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put", "ObjectRemoved:Delete", "ObjectCreated:CompleteMultipartUpload")

	s.must(200, mainUser, "PUT", "/bkt?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	put := s.must(200, mainUser, "PUT", "/bkt/a%20b%2Bc/%C3%A9", "hello")
	key := "/bkt/a%20b%2Bc/%C3%A9"
	marker := s.must(204, mainUser, "DELETE", key, "")
	s.must(204, mainUser, "DELETE", key+"?versionId="+put.Header.Get("x-amz-version-id"), "")
	list := names("ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete")
	made, marked, removed := list[0].S3.Object, list[1].S3.Object, list[2].S3.Object
	if made.Key != "a+b%2Bc/%C3%A9" || *made.Size != 5 || made.ETag != "5d41402abc4b2a76b9719d911017c592" || made.VersionID != put.Header.Get("x-amz-version-id") {
		t.Errorf("made: %+v", made)
	}
	if marked.VersionID != marker.Header.Get("x-amz-version-id") || marked.Size != nil || marked.ETag != emptyETag {
		t.Errorf("marked: %+v", marked)
	}
	if removed.VersionID != made.VersionID || removed.Size != nil || removed.ETag != "" {
		t.Errorf("removed: %+v", removed)
	}
	if made.Sequencer >= marked.Sequencer || marked.Sequencer >= removed.Sequencer || len(made.Sequencer) != len(removed.Sequencer) {
		t.Errorf("sequencers %s, %s, %s", made.Sequencer, marked.Sequencer, removed.Sequencer)
	}
	rec := list[0]
	if rec.EventVersion != "2.6" || rec.UserIdentity.PrincipalID != "AWS:main-id" || rec.RequestParameters.SourceIPAddress != "127.0.0.1" ||
		rec.ResponseElements.RequestID != put.Header.Get("x-amz-request-id") || rec.ResponseElements.HostID != put.Header.Get("x-amz-id-2") ||
		rec.S3.ConfigurationID != "rule" || rec.S3.Bucket.Name != "bkt" || rec.S3.Bucket.OwnerIdentity.PrincipalID != "main-id" ||
		!strings.HasPrefix(rec.EventTime, "2026-11-20T10:00:00.") {
		t.Errorf("%+v", rec)
	}
	bulk := "<Delete><Object><Key>a2</Key></Object><Object><Key>b</Key></Object><Object><Key>a2</Key><VersionId>null</VersionId></Object></Delete>"
	s.must(200, mainUser, "POST", "/bkt?delete", bulk, "Content-MD5", md5Header(bulk))
	names("ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete")
}

// What the server does by itself is told by the same teller.
func TestEventsOfTheServer(t *testing.T) {
	l := &toldTargets{}
	s := newServer(t, l.options())
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt?notification", notify(queueFor(event("s3:LifecycleExpiration:*"), event("s3:LifecycleTransition"))))
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	_, err := s.e.Edit(t.Context(), &object.EditRequest{Bucket: "bkt", Key: "k", Tell: s.h.Tell(LifecycleEvents),
		Change: func(_ *object.Bucket, v *index.Version) error { v.Class = "GLACIER"; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.e.Delete(t.Context(), "bkt", []object.DeleteRequest{{Key: "k", Tell: s.h.Tell(LifecycleEvents)}}); err != nil {
		t.Fatal(err)
	}
	list := s.waiting("q1")
	if len(list) != 2 || list[0].EventName != "LifecycleTransition" || list[0].Lifecycle == nil || list[0].Lifecycle.TransitionEventData.Class != "GLACIER" ||
		list[1].EventName != "LifecycleExpiration:Delete" || list[1].UserIdentity.PrincipalID != serverPrincipal {
		t.Errorf("%+v", list)
	}
}

// A copy from an archive tells until when it is there.
func TestEventOfRestore(t *testing.T) {
	set := &settings{b: &object.Bucket{Name: "b", Versioning: object.Enabled}}
	v := &index.Version{Key: []byte("k"), Class: "GLACIER", Kind: index.ContentPayload, System: map[string]string{}}
	until := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	v.System["restore"] = (&lifecycle.Restore{Tier: lifecycle.Fast, Days: 2, Ready: until.AddDate(0, 0, -2), Until: until}).String()
	h := &Handler{}
	for names, want := range map[string]string{
		"ObjectRestore:Completed": `"glacierEventData":{"restoreEventData":{"lifecycleRestorationExpiryTime":"2026-11-23T00:00:00.000Z","lifecycleRestoreStorageClass":"GLACIER"}}}]}`,
		"ObjectRestore:Post":      `"sequencer":"000000000000000000000000"}}}]}`,
	} {
		ev := newEvent(set, &notifyRule{id: "r", target: "t"}, names, object.Edited, v, origin{})
		if got := string(h.EventMessage(&ev)); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", names, got)
		}
	}
}

// The message is AWS's to the byte.
func TestEventMessage(t *testing.T) {
	h := &Handler{opt: Options{Region: "firn-1"}, hostID: "HOST"}
	size := uint64(1024)
	got := string(h.EventMessage(&object.Event{Time: 1_795_168_800_123_456_789, Name: "ObjectCreated:Put", Rule: "r", Bucket: "b", Owner: "owner", Key: []byte("a b/ü&<"),
		Version: "v", Size: &size, ETag: "etag", Principal: "AWS:u", Remote: "10.0.0.1", Request: "REQ", Place: object.Place{Commit: 0x12ab, Number: 7}}))
	want := `{"Records":[{"eventVersion":"2.6","eventSource":"aws:s3","awsRegion":"firn-1","eventTime":"2026-11-20T10:00:00.123Z","eventName":"ObjectCreated:Put",` +
		`"userIdentity":{"principalId":"AWS:u"},"requestParameters":{"sourceIPAddress":"10.0.0.1"},"responseElements":{"x-amz-request-id":"REQ","x-amz-id-2":"HOST"},` +
		`"s3":{"s3SchemaVersion":"1.0","configurationId":"r","bucket":{"name":"b","ownerIdentity":{"principalId":"owner"},"arn":"arn:aws:s3:::b"},` +
		`"object":{"key":"a+b/%C3%BC%26%3C","size":1024,"eTag":"etag","versionId":"v","sequencer":"00000000000012AB00000007"}}}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzNotification looks for configurations that are taken and then stored as something
// else: one that cannot be read again would stop every request for its bucket.
func FuzzNotification(f *testing.F) {
	f.Add([]byte(notify(queueFor(event("s3:ObjectCreated:*"), keyFilter("prefix", "a", "suffix", "b")))))
	f.Add([]byte(notify(queueFor("<Id>&#9;x</Id>", event("s3:ObjectRemoved:Delete")) + "<EventBridgeConfiguration/>")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c notificationConfig
		if parseDocument(data, notificationRoot, &c) != nil || c.check() != nil {
			return
		}
		ours := true
		n := 0
		_ = c.each(func(_ *destinationKind, _ *destination, arn string) error {
			_, ok := parseTargetARN(arn)
			ours = ours && ok
			n++
			return nil
		})
		doc := document(notificationRoot, &c)
		mustParse(t, doc, notificationRoot, &notificationConfig{})
		rules, err := parseNotification(doc)
		if ours != (err == nil) || ours && len(rules) != n {
			t.Fatalf("%s: %d rules, %v", doc, len(rules), err)
		}
		for i := range rules {
			_ = rules[i].matches("ObjectCreated:Put", "key")
		}
	})
}
