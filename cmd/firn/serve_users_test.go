package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsersFile(t *testing.T) {
	const good = `{"name":"alice","access_key":"AKALICE","secret_key":"secret-of-alice"}`
	for _, c := range []struct {
		name, text string
		want       string // part of the error; "" is none
	}{
		{"none", `[]`, ""},
		{"one", `[` + good + `]`, ""},
		{"all fields", `[{"name":"Bob B.","access_key":"0555b35654ad1656d804","secret_key":"h7GhxuBLTrlhVUyxSPUKUV8r/2EI4ngqJxD7iBdBYLhwluN30JaT3Q==",` +
			`"id":"testx$9876543210abcdef","display_name":"Bób","email":"b@example.org"}]`, ""},
		{"no array", good, "not an array of users in JSON: found object instead"},
		{"no JSON", `[{"name":"alice`, "not an array of users in JSON: the JSON ends too early"},
		{"syntax", `[{"name" "x"}]`, "wrong JSON behind byte 10"},
		{"more behind", `[` + good + `] []`, "there is something behind the array"},
		{"unknown field", `[` + good + `,{"name":"bob","acces_key":"x"}]`, `entry 2: unknown field "acces_key"`},
		{"wrong type", `[{"name":"bob","access_key":17}]`, "entry 1: access_key is not a string"},
		{"no object", `["bob"]`, "entry 1: found string instead"},
		{"no name", `[{"access_key":"AKBOB","secret_key":"secret-of-bob"}]`, "entry 1: name: is missing"},
		{"name with slash", `[{"name":"a/b","access_key":"AKBOB","secret_key":"secret-of-bob"}]`, "entry 1: name: may not hold"},
		{"root", `[{"name":"root","access_key":"AKBOB","secret_key":"secret-of-bob"}]`, "entry 1: name:"},
		{"no key", `[{"name":"bob","secret_key":"secret-of-bob"}]`, "entry 1: access_key: want"},
		{"key with slash", `[{"name":"bob","access_key":"A/B/C","secret_key":"secret-of-bob"}]`, "entry 1: access_key: want"},
		{"short secret", `[{"name":"bob","access_key":"AKBOB","secret_key":"short"}]`, "entry 1: secret_key: want"},
		{"control in display", `[{"name":"bob","access_key":"AKBOB","secret_key":"secret-of-bob","display_name":"a\nb"}]`, "entry 1: display_name: want"},
		{"id with space", `[{"name":"bob","access_key":"AKBOB","secret_key":"secret-of-bob","id":"a b"}]`, "entry 1: id: want"},
		{"name twice", `[` + good + `,` + good + `]`, `entry 2: name "alice" is that of entry 1, too`},
		{"key twice", `[` + good + `,{"name":"bob","access_key":"AKALICE","secret_key":"secret-of-bob"}]`, `entry 2: access_key "AKALICE" is that of entry 1`},
		{"address twice", `[{"name":"a","access_key":"AKA","secret_key":"secret-of-a","email":"x@y"},` +
			`{"name":"b","access_key":"AKB","secret_key":"secret-of-b","email":"X@Y"}]`, `entry 2: email "x@y" is that of entry 1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseUsers([]byte(c.text), "r")
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %s", err, c.want)
			case err != nil && strings.Contains(err.Error(), "secret-of"):
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestUsersGetStableIDs(t *testing.T) {
	const text = `[{"name":"alice","access_key":"AKALICE","secret_key":"secret-of-alice"}]`
	one, err := parseUsers([]byte(text), "r1")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := parseUsers([]byte(text), "r1")
	other, _ := parseUsers([]byte(text), "r2")
	if len(one[0].ID) != 64 || one[0].ID != again[0].ID || one[0].ID == other[0].ID {
		t.Errorf("IDs %s, %s, %s", one[0].ID, again[0].ID, other[0].ID)
	}
}

func TestCredentialsFile(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain", "[default]\naws_access_key_id = AKROOT\naws_secret_access_key = secret/of+root=\n", ""},
		{"as aws writes it", "# a remark\r\n\r\n[ default ]\r\naws_access_key_id=AKROOT\r\naws_secret_access_key=secret/of+root=\r\nregion=eu-1\r\ns3 =\r\n  addressing_style = path\r\n", ""},
		{"other profiles", "[other]\naws_access_key_id = X\n[default]\nAWS_ACCESS_KEY_ID = AKROOT\naws_secret_access_key = secret/of+root=\n; end\n[third]\naws_access_key_id = Y\n", ""},
		{"empty", "", "no profile [default]"},
		{"no profile", "aws_access_key_id = AKROOT\n", "no profile [default]"},
		{"another profile", "[prod]\naws_access_key_id = AKROOT\naws_secret_access_key = secret/of+root=\n", "no profile [default]"},
		{"no secret", "[default]\naws_access_key_id = AKROOT\n", "[default] aws_secret_access_key: want"},
		{"no key", "[default]\naws_secret_access_key = secret/of+root=\n", "[default] aws_access_key_id: want"},
		{"open header", "[default\n", "line 1: the name of a profile does not end"},
		{"no setting", "[default]\nsecret/of+root\n", "line 2: want NAME = VALUE"},
		{"too long", "[default]\n#" + strings.Repeat("x", maxSecret), "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair, err := parseCredentials([]byte(c.text))
			switch {
			case c.want == "" && (err != nil || pair != keyPair{"AKROOT", "secret/of+root="}):
				t.Errorf("%v, %v", pair, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %s", err, c.want)
			case err != nil && strings.Contains(err.Error(), "secret/of"):
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestCredentialsFileIsMadeOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "root.ini")
	first, made, err := rootOfFile(name)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 && !readableByOthers(name) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	second, made, err := rootOfFile(name)
	if err != nil || made || second != first {
		t.Errorf("%v %v, want what was written", made, err)
	}
	if _, _, err := rootOfFile(filepath.Join(name, "below")); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file below a file: %v", err)
	}
}

func TestNewKeyPairs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := newKeyPair()
		if len(p.access) != 20 || len(p.secret) != 40 || checkAccessKey(p.access) != nil || checkSecretKey(p.secret) != nil {
			t.Fatalf("key pair %s with a secret of %d", p.access, len(p.secret))
		}
		if seen[p.access] || seen[p.secret] {
			t.Fatal("the same twice")
		}
		seen[p.access], seen[p.secret] = true, true
	}
}

func TestUserNames(t *testing.T) {
	for name, want := range map[string]bool{
		"alice": true, "a.b+c=d,e@f-g_h": true, strings.Repeat("x", 64): true,
		"": false, "a b": false, "a/b": false, "é": false, strings.Repeat("x", 65): false,
	} {
		if err := checkUserName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzUsersFile(f *testing.F) {
	f.Add([]byte(`[{"name":"a","access_key":"AKA","secret_key":"secret-of-a","id":"1","display_name":"A","email":"a@b"}]`))
	f.Add([]byte(`[{"name":1}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := parseUsers(data, "r")
		if err != nil {
			return
		}
		for _, u := range users {
			if u.Name == "" || u.ID == "" || u.Root || len(u.Keys) != 1 || u.Keys[0].Secret == "" {
				t.Errorf("user %q without what it needs", u.Name)
			}
		}
	})
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte("[default]\naws_access_key_id = AKROOT\naws_secret_access_key = secret/of+root=\n"))
	f.Add([]byte("[a]\n b\n#c\n[default]\nx=="))
	f.Fuzz(func(t *testing.T, data []byte) {
		pair, err := parseCredentials(data)
		if err == nil && (checkAccessKey(pair.access) != nil || checkSecretKey(pair.secret) != nil) {
			t.Error("a pair that cannot be used")
		}
	})
}
