package s3

import (
	"errors"
	"testing"
)

func TestSOSAPI(t *testing.T) {
	free := errors.New("not known")
	s := newServer(t, Options{Space: func() (int64, int64, error) { return 1000, 400, free }})
	s.newBucket("bkt")
	r := s.must(200, mainUser, "GET", "/bkt/"+sosapiSystem, "")
	r.want(t, "Content-Type", "application/xml")
	contains(t, r, "<ProtocolVersion>&#34;1.0&#34;</ProtocolVersion>", "<ModelName>firn</ModelName>", "<CapacityInfo>true</CapacityInfo>", "<S3MultiObjectDeleteLimit>1000<")
	s.must(200, mainUser, "HEAD", "/bkt/"+sosapiSystem, "")
	s.refused(404, "NoSuchKey", mainUser, "GET", "/bkt/"+sosapiCapacity, "")
	free = nil
	contains(t, s.must(200, mainUser, "GET", "/bkt/"+sosapiCapacity, ""), "<Capacity>1000</Capacity><Available>400</Available><Used>600</Used>")
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt/"+sosapiSystem, "")
	s.refused(403, "AccessDenied", anonymous, "GET", "/bkt/"+sosapiSystem, "")
	s.refused(404, "NoSuchBucket", mainUser, "GET", "/none/"+sosapiSystem, "")
	s.must(200, mainUser, "PUT", "/bkt/"+sosapiSystem, "mine")
	if got := s.must(200, mainUser, "GET", "/bkt/"+sosapiSystem, "").body; got != "mine" {
		t.Errorf("the object is %q", got)
	}
}
