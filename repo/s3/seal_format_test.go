package s3

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// What follows is a second program for the section "Sealed contents" of docs/format.md,
// which shares nothing with the code it tests but that page.

// expand is HKDF-SHA256 (RFC 5869) for 32 bytes, which take one step.
func expand(key, salt []byte, info string) []byte {
	extract := hmac.New(sha256.New, salt)
	extract.Write(key)
	step := hmac.New(sha256.New, extract.Sum(nil))
	step.Write(append([]byte(info), 1))
	return step.Sum(nil)
}

// unseal decrypts a sealed content with parts of these plain sizes.
func unseal(t *testing.T, key, content []byte, parts []uint64) (plain []byte) {
	t.Helper()
	for _, size := range parts {
		nonce, sealed := content[:16], content[16:16+size]
		content = content[16+size:]
		block, err := aes.NewCipher(expand(key, nonce, "firn s3 sealed part"))
		if err != nil {
			t.Fatal(err)
		}
		var counter, stream [16]byte
		for i := range sealed {
			if i%16 == 0 {
				binary.BigEndian.PutUint64(counter[8:], uint64(i/16))
				block.Encrypt(stream[:], counter[:])
			}
			plain = append(plain, sealed[i]^stream[i%16])
		}
	}
	if len(content) > 0 {
		t.Fatalf("%d bytes are left", len(content))
	}
	return plain
}

func TestSealedFormIsAsDocumented(t *testing.T) {
	s := newServer(t, Options{})
	s.newBucket("bucket")
	parts := []string{strings.Repeat("first ", minPart/6+1), "and last"}
	key := testKey(3)
	for _, c := range []struct {
		name  string
		heads []string
	}{
		{"customer", customer(customerHeader, key)},
		{"managed", []string{headSSE, "aws:kms", headKMSKey, "arn:aws:kms:here:1:key/k"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			var perPart []string
			if c.name == "customer" {
				perPart = c.heads
			}
			path := "/bucket/" + c.name
			s.must(200, mainUser, "PUT", path+"-whole", parts[1], c.heads...)
			id := s.begin(mainUser, path+"-parts", c.heads...)
			list := "<CompleteMultipartUpload>"
			for i, p := range parts {
				list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, s.part(mainUser, path+"-parts", id, i+1, p, perPart...))
			}
			s.complete(mainUser, path+"-parts", id, list+"</CompleteMultipartUpload>")

			for key, want := range map[string]string{c.name + "-whole": parts[1], c.name + "-parts": strings.Join(parts, "")} {
				ref, _ := parseRef("")
				v, _, err := s.e.Version("bucket", key, ref)
				if err != nil {
					t.Fatal(err)
				}
				content := []byte(s.stored("bucket", key))
				if got := unseal(t, s.documentedKey(v.System), content, v.Parts); string(got) != want {
					t.Errorf("%s: %d bytes came out", key, len(got))
				}
				if sum := md5.Sum(content); len(v.Parts) == 1 && !strings.Contains(key, "-parts") && v.System["etag"] != hex.EncodeToString(sum[:]) {
					t.Errorf("%s: ETag %s is not the MD5 of what is stored", key, v.System["etag"])
				}
			}
		})
	}
}

// documentedKey finds the key of a version as the page says: the customer's, which has to
// fit the check value, or one of the bucket.
func (s *server) documentedKey(system map[string]string) []byte {
	s.t.Helper()
	if system["ssec-key-md5"] != "" {
		key := testKey(3)
		check, err := base64.StdEncoding.DecodeString(system["sse-key-check"])
		if err != nil || len(check) != 48 || !bytes.Equal(check[16:], expand(key, check[:16], "firn s3 key check")) {
			s.t.Errorf("the check value does not fit the key: %q, %v", system["sse-key-check"], err)
		}
		sum := md5.Sum(key)
		if system["ssec-key-md5"] != base64.StdEncoding.EncodeToString(sum[:]) {
			s.t.Errorf("MD5 of the key is %s", system["ssec-key-md5"])
		}
		return key
	}
	if system["sse"] != "aws:kms" {
		s.t.Fatalf("not sealed: %v", system)
	}
	b, err := s.e.Bucket("bucket")
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(b.Config["kms:"+system["sse-kms-key-id"]])
	if err != nil || len(key) != 32 {
		s.t.Fatalf("key %q of the bucket: %d bytes, %v", system["sse-kms-key-id"], len(key), err)
	}
	return key
}

// TestSealedExample holds the worked example of the page to the code.
func TestSealedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) []byte {
		_, rest, ok := strings.Cut(string(page), "\n    "+name+" ")
		line, _, _ := strings.Cut(rest, "\n")
		b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if !ok || err != nil {
			t.Fatalf("docs/format.md has no line %q: %v", name, err)
		}
		return b
	}
	key, nonce := value("key"), value("nonce")
	if got := expand(key, nonce, "firn s3 sealed part"); !bytes.Equal(got, value("derived")) {
		t.Errorf("the derived key is %x", got)
	}
	stream, err := sealStream(key, nonce, 0)
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, len(value("sealed")))
	stream.XORKeyStream(plain, value("sealed"))
	if string(plain) != "what was sealed long ago" {
		t.Errorf("the example opens to %q", plain)
	}
}
