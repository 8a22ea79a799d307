package s3

import (
	"strings"
	"testing"

	"github.com/firnstore/firn/repo/object"
	"github.com/firnstore/firn/repo/s3/access"
)

func TestPublicAccessBlock(t *testing.T) {
	s := newServer(t, Options{})
	s.must(200, mainUser, "PUT", "/bkt", "")
	if r := s.must(200, mainUser, "GET", "/bkt?publicAccessBlock", ""); strings.Count(r.body, "true") != 4 {
		t.Errorf("a new bucket has %s", r.body)
	}
	s.must(204, mainUser, "DELETE", "/bkt?publicAccessBlock", "")
	s.must(204, mainUser, "DELETE", "/bkt?publicAccessBlock", "")
	s.refused(404, "NoSuchPublicAccessBlockConfiguration", mainUser, "GET", "/bkt?publicAccessBlock", "")
	s.must(200, mainUser, "PUT", "/bkt?publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicPolicy>TRUE</BlockPublicPolicy></PublicAccessBlockConfiguration>")
	r := s.must(200, mainUser, "GET", "/bkt?publicAccessBlock", "")
	if want := blockXML(false, false, true, false)[len("<PublicAccessBlockConfiguration>"):]; !strings.HasSuffix(r.body, want) {
		t.Errorf("got %s, want %s", r.body, want)
	}
	s.refused(400, "InvalidRequest", mainUser, "PUT", "/bkt?publicAccessBlock", "<PublicAccessBlockConfiguration/>")
	s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicPolicy>yes</BlockPublicPolicy></PublicAccessBlockConfiguration>")
	s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublic>true</BlockPublic></PublicAccessBlockConfiguration>")
	s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?publicAccessBlock", "")
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt?publicAccessBlock", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Deny","Principal":"*","Action":"s3:GetBucketPublicAccessBlock"`))
	s.refused(403, "AccessDenied", mainUser, "GET", "/bkt?publicAccessBlock", "")
}

func TestBlockPublicPolicy(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "")
	s.must(200, mainUser, "PUT", "/bkt/k", "x")
	s.must(200, mainUser, "PUT", "/bkt?publicAccessBlock", blockXML(false, false, true, false))
	public := policyDoc(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`)
	r := s.refused(403, "AccessDenied", mainUser, "PUT", "/bkt?policy", public)
	if !strings.Contains(r.body, "BlockPublicPolicy") {
		t.Errorf("the reason is not told: %s", r.body)
	}
	s.must(204, mainUser, "PUT", "/bkt?policy", policyDoc(`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::t:root"},"Action":"s3:GetObject"`))
	s.must(204, mainUser, "DELETE", "/bkt?publicAccessBlock", "")
	s.must(204, mainUser, "PUT", "/bkt?policy", public)
	s.must(200, nil, "GET", "/bkt/k", "")
	s.must(200, mainUser, "PUT", "/bkt?publicAccessBlock", blockXML(false, false, false, true))
	s.refused(403, "AccessDenied", nil, "GET", "/bkt/k", "")
	s.refused(403, "AccessDenied", altUser, "GET", "/bkt/k", "")
	s.must(200, mainUser, "GET", "/bkt/k", "")
}

func ownershipXML(o string) string {
	return "<OwnershipControls><Rule><ObjectOwnership>" + o + "</ObjectOwnership></Rule></OwnershipControls>"
}

func TestOwnershipControls(t *testing.T) {
	for _, acls := range []bool{false, true} {
		s := newServer(t, Options{ACLs: acls})
		s.must(200, mainUser, "PUT", "/bkt", "")
		if acls {
			s.refused(404, "OwnershipControlsNotFoundError", mainUser, "GET", "/bkt?ownershipControls", "")
		} else if r := s.must(200, mainUser, "GET", "/bkt?ownershipControls", ""); !strings.Contains(r.body, "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>") {
			t.Errorf("a new bucket has %s", r.body)
		}
		for _, o := range []access.Ownership{access.ObjectWriter, access.OwnerPreferred, access.OwnerEnforced} {
			s.must(200, mainUser, "PUT", "/bkt?ownershipControls", ownershipXML(string(o)))
			if r := s.must(200, mainUser, "GET", "/bkt?ownershipControls", ""); !strings.Contains(r.body, "<ObjectOwnership>"+string(o)+"<") {
				t.Errorf("set %s, got %s", o, r.body)
			}
		}
		s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?ownershipControls", ownershipXML("Nobody"))
		s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?ownershipControls", "<OwnershipControls/>")
		s.refused(400, "MalformedXML", mainUser, "PUT", "/bkt?ownershipControls", strings.Replace(ownershipXML("ObjectWriter"), "<Rule>", "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule><Rule>", 1))
		s.refused(403, "AccessDenied", altUser, "PUT", "/bkt?ownershipControls", ownershipXML("ObjectWriter"))
		s.must(204, mainUser, "DELETE", "/bkt?ownershipControls", "")
		s.refused(404, "OwnershipControlsNotFoundError", mainUser, "GET", "/bkt?ownershipControls", "")
		s.must(204, mainUser, "DELETE", "/bkt?ownershipControls", "")
		s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "private")
		s.refused(400, "InvalidArgument", mainUser, "PUT", "/new-one", "", "x-amz-object-ownership", "Nobody")
	}
}

// ACLs that say something cannot be disabled.
func TestOwnershipWithACL(t *testing.T) {
	s := newServer(t, Options{ACLs: true})
	s.must(200, mainUser, "PUT", "/bkt", "", "x-amz-acl", "public-read")
	s.refused(400, "InvalidBucketAclWithObjectOwnership", mainUser, "PUT", "/bkt?ownershipControls", ownershipXML("BucketOwnerEnforced"))
	s.must(200, mainUser, "PUT", "/bkt?acl", "", "x-amz-acl", "private")
	s.must(200, mainUser, "PUT", "/bkt?ownershipControls", ownershipXML("BucketOwnerEnforced"))
}

func TestParseOwnership(t *testing.T) {
	for stored, want := range map[string]access.Ownership{
		"": access.OwnerEnforced, "nonsense": access.OwnerEnforced, "unset": access.ObjectWriter,
		"ObjectWriter": access.ObjectWriter, "BucketOwnerPreferred": access.OwnerPreferred, "BucketOwnerEnforced": access.OwnerEnforced,
	} {
		if got := parseOwnership(stored); got != want {
			t.Errorf("%q is %s, want %s", stored, got, want)
		}
	}
}

// A bucket without an owner belongs to root.
func TestBucketOfNobody(t *testing.T) {
	s := newServer(t, Options{})
	if err := s.e.CreateBucket(t.Context(), &object.Bucket{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	s.refused(403, "AccessDenied", mainUser, "GET", "/old", "")
	s.refused(403, "AccessDenied", nil, "GET", "/old", "")
	r := s.must(200, rootUser, "GET", "/old?acl", "")
	if got := grants(r); got != "FULL_CONTROL root-id" {
		t.Errorf("its ACL is %s", r.body)
	}
	s.refused(400, "AccessControlListNotSupported", rootUser, "PUT", "/old?acl", "", "x-amz-acl", "public-read")
}

func FuzzBlockDocument(f *testing.F) {
	f.Add(blockXML(true, false, true, false))
	f.Add("<PublicAccessBlockConfiguration><BlockPublicAcls>TRUE</BlockPublicAcls></PublicAccessBlockConfiguration>")
	f.Fuzz(func(t *testing.T, doc string) {
		b, err := parseBlock(doc)
		if err != nil {
			return
		}
		if again, err := parseBlock(blockText(b)); err != nil || again != b {
			t.Fatalf("%+v becomes %+v, %v", b, again, err)
		}
	})
}
