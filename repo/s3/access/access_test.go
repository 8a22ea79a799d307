package access

import "testing"

const (
	allowAll   = `{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`
	allowAlice = `{"Effect":"Allow","Principal":{"AWS":"alice"},"Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`
	denyAll    = `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}`
	userAll    = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
	userRead   = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`
	userDeny   = `{"Effect":"Deny","Action":"s3:*","Resource":"*"}`
)

func canned(t *testing.T, name, owner string) *ACL {
	t.Helper()
	a, ok := cannedACL(name, owner, "owner")
	if !ok {
		t.Fatalf("no canned ACL %s", name)
	}
	return a
}

func TestAllowed(t *testing.T) {
	get := func(q Query) Query { // of an object
		q.Action, q.Key, q.Permission, q.OnObject = "s3:GetObject", "k", Read, true
		return q
	}
	list := func(q Query) Query { q.Action, q.Permission = "s3:ListBucket", Read; return q }
	put := func(q Query) Query { q.Action, q.Key, q.Permission = "s3:PutObject", "k", Write; return q }
	tag := func(q Query) Query { q.Action, q.Key, q.OnObject = "s3:PutObjectTagging", "k", true; return q }
	policy := func(action string, q Query) Query { q.Action = action; return q }
	user := func(id string, policies ...*Policy) *Principal {
		return &Principal{ID: id, Name: id, Policies: policies}
	}
	root := &Principal{ID: "root", Name: "root", Root: true}
	uAll, uRead, uDeny := mustParseUser(t, userAll), mustParseUser(t, userRead), mustParseUser(t, userDeny)
	pub, alice, none := mustParse(t, allowAll), mustParse(t, allowAlice), mustParse(t, denyAll)
	publicRead, authRead := canned(t, "public-read", "owner"), canned(t, "authenticated-read", "owner")
	full := canned(t, "bucket-owner-full-control", "alice")

	tests := map[string]struct {
		q    Query
		want bool
	}{
		"owner reads":                          {get(Query{Who: user("owner")}), true},
		"owner lists":                          {list(Query{Who: user("owner")}), true},
		"stranger":                             {get(Query{Who: user("alice")}), false},
		"anonymous":                            {get(Query{Who: Anonymous()}), false},
		"root reads what is foreign":           {get(Query{Who: root, Policy: none}), true},
		"root is denied in its bucket":         {get(Query{Who: root, BucketOwner: "root", Policy: none}), false},
		"root is denied in a bucket of nobody": {get(Query{Who: root, BucketOwner: "-", Policy: none}), false},
		"root undoes the policy":               {policy("s3:DeleteBucketPolicy", Query{Who: root, BucketOwner: "root", Policy: none}), true},
		"root may else do all in its bucket":   {get(Query{Who: root, BucketOwner: "root"}), true},
		"anonymous owns no bucket of nobody":   {get(Query{Who: Anonymous(), BucketOwner: "-"}), false},
		"deny binds the owner":                 {get(Query{Who: user("owner"), Policy: none}), false},
		"owner undoes the policy":              {policy("s3:PutBucketPolicy", Query{Who: user("owner"), Policy: none}), true},
		"owner reads the policy":               {policy("s3:GetBucketPolicy", Query{Who: user("owner"), Policy: none}), true},
		"not the status of it":                 {policy("s3:GetBucketPolicyStatus", Query{Who: user("owner"), Policy: none}), false},
		"stranger does not":                    {policy("s3:DeleteBucketPolicy", Query{Who: user("alice"), Policy: none}), false},
		"its own policy forbids to undo":       {policy("s3:DeleteBucketPolicy", Query{Who: user("owner", uDeny), Policy: none}), false},
		"public policy":                        {get(Query{Who: Anonymous(), Policy: pub}), true},
		"policy for alice":                     {get(Query{Who: user("alice"), Policy: alice}), true},
		"policy for alice, bob":                {get(Query{Who: user("bob"), Policy: alice}), false},
		"deny wins over allow":                 {get(Query{Who: user("alice"), Policy: mustParse(t, allowAlice, denyAll)}), false},
		"deny wins in any order":               {get(Query{Who: user("alice"), Policy: mustParse(t, denyAll, allowAlice)}), false},
		"deny wins over ACL":                   {get(Query{Who: user("alice"), Policy: none, ObjectACL: publicRead, Ownership: ObjectWriter}), false},
		"restricted public policy":             {get(Query{Who: user("alice"), Policy: pub, Block: Block{RestrictPublicBuckets: true}}), false},
		"restricted, anonymous":                {get(Query{Who: Anonymous(), Policy: pub, Block: Block{RestrictPublicBuckets: true}}), false},
		"restricted, owner":                    {get(Query{Who: user("owner"), Policy: pub, Block: Block{RestrictPublicBuckets: true}}), true},
		"restricted, service":                  {get(Query{Who: &Principal{Service: "logging.s3.amazonaws.com"}, Policy: pub, Block: Block{RestrictPublicBuckets: true}}), true},
		"restricted, not a public one":         {get(Query{Who: user("alice"), Policy: alice, Block: Block{RestrictPublicBuckets: true}}), true},
		"restricted, alice in a public one":    {get(Query{Who: user("alice"), Policy: mustParse(t, allowAlice, allowAll), Block: Block{RestrictPublicBuckets: true}}), false},
		"own policy allows":                    {get(Query{Who: user("owner", uRead)}), true},
		"own policy is silent":                 {put(Query{Who: user("owner", uRead)}), false},
		"own policy is silent, bucket allows":  {put(Query{Who: user("owner", uRead), Policy: pub}), true},
		"own policy is silent, ACL allows":     {list(Query{Who: user("owner", uRead), BucketACL: publicRead, Ownership: ObjectWriter}), false},
		"own policy denies":                    {get(Query{Who: user("owner", uAll, uDeny), Policy: pub}), false},
		"one of two policies":                  {put(Query{Who: user("owner", uRead, uAll)}), true},
		"foreign needs both: only own":         {get(Query{Who: user("alice", uAll)}), false},
		"foreign needs both: only bucket":      {put(Query{Who: user("alice", uRead), Policy: alice}), false},
		"foreign has both":                     {get(Query{Who: user("alice", uRead), Policy: alice}), true},
		"foreign has own and ACL":              {get(Query{Who: user("alice", uRead), ObjectACL: publicRead, Ownership: ObjectWriter}), true},
		"public-read":                          {get(Query{Who: Anonymous(), ObjectACL: publicRead, Ownership: ObjectWriter}), true},
		"public-read, ACLs off":                {get(Query{Who: Anonymous(), ObjectACL: publicRead}), false},
		"public-read, ignored":                 {get(Query{Who: Anonymous(), ObjectACL: publicRead, Ownership: ObjectWriter, Block: Block{IgnorePublicACLs: true}}), false},
		"public-read of the bucket, object":    {get(Query{Who: Anonymous(), BucketACL: publicRead, Ownership: ObjectWriter}), false},
		"public-read of the bucket, list":      {list(Query{Who: Anonymous(), BucketACL: publicRead, Ownership: ObjectWriter}), true},
		"public-read of the object, list":      {list(Query{Who: Anonymous(), ObjectACL: publicRead, Ownership: ObjectWriter}), false},
		"public-read does not write":           {put(Query{Who: user("alice"), BucketACL: publicRead, Ownership: ObjectWriter}), false},
		"authenticated-read":                   {get(Query{Who: user("alice"), ObjectACL: authRead, Ownership: OwnerPreferred}), true},
		"authenticated-read, anonymous":        {get(Query{Who: Anonymous(), ObjectACL: authRead, Ownership: OwnerPreferred}), false},
		"ACLs grant no tagging":                {tag(Query{Who: user("alice"), ObjectACL: publicRead, Ownership: ObjectWriter}), false},
		"object of alice, alice":               {get(Query{Who: user("alice"), ObjectOwner: "alice", Ownership: ObjectWriter}), true},
		"object of alice, owner":               {get(Query{Who: user("owner"), ObjectOwner: "alice", Ownership: ObjectWriter}), false},
		"object of alice, owner, ACLs off":     {get(Query{Who: user("owner"), ObjectOwner: "alice"}), true},
		"object of alice, alice, ACLs off":     {get(Query{Who: user("alice"), ObjectOwner: "alice"}), false},
		"object of alice, full control":        {get(Query{Who: user("owner"), ObjectOwner: "alice", ObjectACL: full, Ownership: ObjectWriter}), true},
		"object of alice, tags by owner":       {tag(Query{Who: user("owner"), ObjectOwner: "alice", Ownership: ObjectWriter}), true},
		"object of alice, tags by alice":       {tag(Query{Who: user("alice"), ObjectOwner: "alice", Ownership: ObjectWriter}), false},
		"object of alice, policy for bob":      {get(Query{Who: user("bob"), ObjectOwner: "alice", Ownership: ObjectWriter, Policy: pub}), false},
		"object of alice, policy denies her":   {get(Query{Who: user("alice"), ObjectOwner: "alice", Ownership: ObjectWriter, Policy: none}), false},
		"object of alice is overwritten":       {put(Query{Who: user("owner"), ObjectOwner: "alice", Ownership: ObjectWriter}), true},
		"create a bucket":                      {policy("s3:CreateBucket", Query{Who: user("alice"), BucketOwner: "alice"}), true},
		"create a bucket, forbidden":           {policy("s3:CreateBucket", Query{Who: user("alice", uRead), BucketOwner: "alice"}), false},
		"anonymous creates none":               {policy("s3:CreateBucket", Query{Who: Anonymous(), BucketOwner: "-"}), false},
		"service has what the ACL says":        {put(Query{Who: &Principal{Service: "logging.s3.amazonaws.com"}, BucketACL: canned(t, "log-delivery-write", "owner"), Ownership: ObjectWriter}), true},
		"another service has not":              {put(Query{Who: &Principal{Service: "x"}, BucketACL: canned(t, "log-delivery-write", "owner"), Ownership: ObjectWriter}), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := tt.q
			q.Bucket = "b"
			switch q.BucketOwner {
			case "":
				q.BucketOwner = "owner"
			case "-":
				q.BucketOwner = ""
			}
			if q.Ownership == "" {
				q.Ownership = OwnerEnforced
			}
			if got := Allowed(&q); got != tt.want {
				t.Errorf("allowed %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDenied(t *testing.T) {
	owner, other := &Principal{ID: "owner"}, &Principal{ID: "x"}
	limited := &Principal{ID: "owner", Policies: []*Policy{mustParseUser(t, userRead)}}
	root := &Principal{ID: "root", Root: true}
	for name, tt := range map[string]struct {
		who    *Principal
		policy *Policy
		want   bool
	}{
		"owner":              {owner, nil, false},
		"nobody forbids it":  {other, nil, false},
		"own is silent":      {limited, mustParse(t, allowAll), true},
		"bucket forbids":     {other, mustParse(t, denyAll), true},
		"bucket binds owner": {owner, mustParse(t, denyAll), true},
		"not root elsewhere": {root, mustParse(t, denyAll), false},
	} {
		q := &Query{Who: tt.who, Action: "s3:PutObjectAcl", Bucket: "b", Key: "k", BucketOwner: "owner", Policy: tt.policy}
		if got := Denied(q); got != tt.want {
			t.Errorf("%s: denied %v, want %v", name, got, tt.want)
		}
	}
}

func BenchmarkAllowedOwner(b *testing.B) {
	q := Query{Who: &Principal{ID: "owner"}, Action: "s3:GetObject", Bucket: "b", Key: "k", BucketOwner: "owner", Permission: Read, OnObject: true}
	b.ReportAllocs()
	for b.Loop() {
		if !Allowed(&q) {
			b.Fatal("denied")
		}
	}
}

func BenchmarkAllowedPolicy(b *testing.B) {
	q := Query{Who: &Principal{ID: "x", Name: "alice"}, Action: "s3:GetObject", Bucket: "b", Key: "k/l/m", BucketOwner: "owner", Permission: Read, OnObject: true,
		Policy: mustParse(b, denyAll[:len(denyAll)-1]+`,"Condition":{"Bool":{"aws:SecureTransport":"false"}}}`, allowAlice)}
	q.Context = func(string) []string { return []string{"true"} }
	b.ReportAllocs()
	for b.Loop() {
		if !Allowed(&q) {
			b.Fatal("denied")
		}
	}
}
