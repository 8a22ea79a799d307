package access

import (
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	has := map[string][]string{
		"aws:referer": {"https://example.org/a"}, "aws:sourceip": {"192.168.1.7"}, "aws:securetransport": {"true"},
		"aws:currenttime": {"2026-11-20T10:00:00Z"}, "aws:epochtime": {"1795168800"}, "s3:max-keys": {"10"}, "s3:prefix": {"home/alice/x"},
		"aws:sourcearn": {"arn:aws:s3:::src"}, "s3:requestobjecttagkeys": {"a", "b"}, "s3:existingobjecttag/Team": {"Red"},
		"aws:tagkeys": {"AQID"}, "aws:sourcevpc": {"\x01\x02\x03"}, "aws:useragent": {"10.0.0.1"},
	}
	tests := []struct {
		condition string
		want      bool
	}{
		{`"StringEquals":{"aws:Referer":"https://example.org/a"}`, true},
		{`"StringEquals":{"AWS:referer":["x","https://example.org/a"]}`, true},
		{`"StringEquals":{"aws:Referer":"https://example.org/*"}`, false},
		{`"StringEquals":{"aws:Referer":"HTTPS://example.org/a"}`, false},
		{`"StringNotEquals":{"aws:Referer":["x","y"]}`, true},
		{`"StringNotEquals":{"aws:Referer":["x","https://example.org/a"]}`, false},
		{`"StringEqualsIgnoreCase":{"aws:Referer":"HTTPS://EXAMPLE.ORG/A"}`, true},
		{`"StringNotEqualsIgnoreCase":{"aws:Referer":"HTTPS://EXAMPLE.ORG/A"}`, false},
		{`"StringLike":{"aws:Referer":"https://*.org/?"}`, true},
		{`"StringNotLike":{"aws:Referer":"https://*.org/?"}`, false},
		{`"StringLike":{"s3:prefix":"home/${aws:username}/*"}`, true},
		{`"StringEquals":{"s3:prefix":"home/${aws:username}/x"}`, true},
		{`"StringLike":{"s3:prefix":"home/${aws:PrincipalTag/none}/*"}`, false},
		{`"StringNotLike":{"s3:prefix":"home/${aws:PrincipalTag/none}/*"}`, true},

		{`"NumericEquals":{"s3:max-keys":"10.0"}`, true},
		{`"NumericNotEquals":{"s3:max-keys":10}`, false},
		{`"NumericLessThan":{"s3:max-keys":"10"}`, false},
		{`"NumericLessThanEquals":{"s3:max-keys":"10"}`, true},
		{`"NumericGreaterThan":{"s3:max-keys":"9"}`, true},
		{`"NumericGreaterThanEquals":{"s3:max-keys":"11"}`, false},
		{`"NumericLessThan":{"aws:Referer":"10"}`, false},
		{`"NumericGreaterThan":{"aws:EpochTime":"1700000000"}`, true},

		{`"DateLessThan":{"aws:CurrentTime":"2026-11-20T10:00:01Z"}`, true},
		{`"DateLessThan":{"aws:CurrentTime":"2026-11-20T11:00:00+01:00"}`, false},
		{`"DateLessThanEquals":{"aws:CurrentTime":"2026-11-20T11:00:00+01:00"}`, true},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-11"}`, true},
		{`"DateGreaterThan":{"aws:CurrentTime":"1795168799"}`, true},
		{`"DateEquals":{"aws:CurrentTime":"2026-11-20T10:00:00.000Z"}`, true},
		{`"DateNotEquals":{"aws:CurrentTime":"2026-11-20"}`, true},
		{`"DateGreaterThanEquals":{"aws:EpochTime":"2026-11-20T10:00:00Z"}`, true},

		{`"Bool":{"aws:SecureTransport":"true"}`, true},
		{`"Bool":{"aws:SecureTransport":false}`, false},
		{`"Null":{"aws:Referer":"false"}`, true},
		{`"Null":{"aws:Referer":"true"}`, false},
		{`"Null":{"s3:x-amz-acl":true}`, true},
		{`"BinaryEquals":{"aws:SourceVpc":"AQID"}`, true},
		{`"BinaryEquals":{"aws:SourceVpc":"AQIE"}`, false},

		{`"IpAddress":{"aws:SourceIp":"192.168.1.0/24"}`, true},
		{`"IpAddress":{"aws:SourceIp":"192.168.1.99/24"}`, true},
		{`"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.1.7"]}`, true},
		{`"IpAddress":{"aws:SourceIp":"::/0"}`, false},
		{`"NotIpAddress":{"aws:SourceIp":"192.168.0.0/16"}`, false},
		{`"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}`, true},

		{`"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::src"}`, true},
		{`"ArnLike":{"aws:SourceArn":"arn:aws:s3:*:*:sr?"}`, true},
		{`"ArnLike":{"aws:SourceArn":"arn:*:src"}`, false},
		{`"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::other"}`, true},
		{`"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::*"}`, false},

		{`"StringEquals":{"s3:ExistingObjectTag/Team":"Red"}`, true},
		{`"StringEquals":{"s3:existingobjecttag/Team":"Red"}`, true},
		{`"StringEquals":{"s3:ExistingObjectTag/team":"Red"}`, false},

		// Several values of the request.
		{`"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b","c"]}`, true},
		{`"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","c"]}`, false},
		{`"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["b","z"]}`, true},
		{`"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["z"]}`, false},
		{`"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["a"]}`, true},
		{`"ForAllValues:StringNotEquals":{"s3:RequestObjectTagKeys":["a"]}`, false},
		{`"StringEquals":{"s3:RequestObjectTagKeys":"b"}`, true},
		{`"StringNotEquals":{"s3:RequestObjectTagKeys":"b"}`, false},

		// Keys that the request does not have.
		{`"StringEquals":{"s3:x-amz-acl":"private"}`, false},
		{`"StringNotEquals":{"s3:x-amz-acl":"private"}`, true},
		{`"StringEqualsIfExists":{"s3:x-amz-acl":"private"}`, true},
		{`"StringLikeIfExists":{"aws:Referer":"ftp:*"}`, false},
		{`"ForAllValues:StringEquals":{"s3:x-amz-acl":"private"}`, true},
		{`"ForAnyValue:StringEquals":{"s3:x-amz-acl":"private"}`, false},
		{`"ForAnyValue:StringNotEquals":{"s3:x-amz-acl":"private"}`, false},
		{`"ForAnyValue:StringEqualsIfExists":{"s3:x-amz-acl":"private"}`, true},
		{`"IpAddress":{"aws:VpcSourceIp":"0.0.0.0/0"}`, false},

		// Values of the policy that there are none of.
		{`"StringEquals":{"aws:Referer":[]}`, false},
		{`"StringNotEquals":{"aws:Referer":[]}`, true},

		// All of several have to hold.
		{`"Bool":{"aws:SecureTransport":"true"},"StringLike":{"aws:Referer":"https:*"}`, true},
		{`"Bool":{"aws:SecureTransport":"true","aws:ViaAWSService":"true"}`, false},

		{`"StringEquals":{"aws:username":"alice","aws:PrincipalType":"User","aws:PrincipalAccount":"1f"}`, true},
		{`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::1f:user/alice"}`, true},
	}
	who := &Principal{ID: "1f", Name: "alice"}
	for _, tt := range tests {
		p := mustParse(t, `{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{`+tt.condition+`}}`)
		q := &Query{Who: who, Action: "s3:ListBucket", Bucket: "b", Context: func(k string) []string { return has[k] }}
		if got := p.decide(q) == allow; got != tt.want {
			t.Errorf("%s: %v, want %v", tt.condition, got, tt.want)
		}
	}
}

func TestPublic(t *testing.T) {
	tests := []struct {
		statement string
		want      bool
	}{
		{`"Effect":"Allow","Principal":"*"`, true},
		{`"Effect":"Allow","Principal":{"AWS":["alice","*"]}`, true},
		{`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::t:root"}`, false},
		{`"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"}`, false},
		{`"Effect":"Deny","Principal":"*"`, false},
		{`"Effect":"Deny","NotPrincipal":{"AWS":"alice"}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/1"]}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2000::/3"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":[]}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/8"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:SourceVpc":"vpc-1"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:userid":"${aws:userid}"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"ForAllValues:StringEquals":{"aws:SourceVpc":"vpc-1"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:Referer":"http://x"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::src"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:eu:123456789012:accesspoint/*"}}`, false},
		{`"Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:eu:*:accesspoint/a"}}`, true},
		{`"Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"s3:DataAccessPointArn":"arn:*:123456789012:accesspoint/*"}}`, true},
	}
	for _, tt := range tests {
		p := mustParse(t, `{`+tt.statement+`,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`)
		if p.Public() != tt.want {
			t.Errorf("%s: public %v, want %v", tt.statement, p.Public(), tt.want)
		}
	}
	var none *Policy
	if none.Public() {
		t.Error("no policy is public")
	}
}

// A pattern that makes naive matchers take forever is decided at once.
func TestPatternCost(t *testing.T) {
	p := compile(strings.Repeat("*a", 500)+"b", true, false)
	if p.matches(nil, strings.Repeat("a", 5000)) {
		t.Error("matches without a b")
	}
}
