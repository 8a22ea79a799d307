package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/firnstore/firn/repo/object"
)

func TestVersioningCheck(t *testing.T) {
	for _, c := range []struct{ in, code, want string }{
		{"<Status>Enabled</Status>", "", "Enabled"},
		{"<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>", "", "Suspended"},
		{"<Status>enabled</Status>", "MalformedXML", ""},
		{"<Status>Disabled</Status>", "MalformedXML", ""},
		{"<Status></Status>", "MalformedXML", ""},
		{"", "IllegalVersioningConfigurationException", ""},
		{"<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", "AccessDenied", ""},
		{"<Status>Enabled</Status><MfaDelete>x</MfaDelete>", "MalformedXML", ""},
	} {
		var cfg versioningConfig
		if err := parseDocument([]byte("<VersioningConfiguration>"+c.in+"</VersioningConfiguration>"), "VersioningConfiguration", &cfg); err != nil {
			t.Fatal(err)
		}
		got, err := cfg.check()
		wantCode(t, err, c.code)
		if string(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestLockConfigCheck(t *testing.T) {
	const on = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
	retain := func(inner string) string {
		return on + "<Rule><DefaultRetention>" + inner + "</DefaultRetention></Rule>"
	}
	for _, c := range []struct {
		in, code string
		want     *object.Retention
	}{
		{on, "", nil},
		{retain("<Mode>GOVERNANCE</Mode><Days>1</Days>"), "", &object.Retention{Mode: 1, Days: 1}},
		{retain("<Mode>COMPLIANCE</Mode><Years>100</Years>"), "", &object.Retention{Mode: 2, Years: 100}},
		{"", "MalformedXML", nil},
		{"<ObjectLockEnabled>Disabled</ObjectLockEnabled>", "MalformedXML", nil},
		{on + "<Rule/>", "MalformedXML", nil},
		{retain(""), "MalformedXML", nil},
		{retain("<Mode>GOVERNANCE</Mode>"), "MalformedXML", nil},
		{retain("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML", nil},
		{retain("<Mode>governance</Mode><Years>1</Years>"), "MalformedXML", nil},
		{retain("<Days>1</Days>"), "MalformedXML", nil},
		{retain("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidRetentionPeriod", nil},
		{retain("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidRetentionPeriod", nil},
		{retain("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), "InvalidRetentionPeriod", nil},
		{retain("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidRetentionPeriod", nil},
	} {
		var cfg lockConfig
		if err := parseDocument([]byte("<ObjectLockConfiguration>"+c.in+"</ObjectLockConfiguration>"), "ObjectLockConfiguration", &cfg); err != nil {
			t.Fatal(err)
		}
		got, err := cfg.check()
		if wantCode(t, err, c.code); fmt.Sprint(got) != fmt.Sprint(c.want) || t.Failed() {
			t.Errorf("%s: got %v, want %v", c.in, got, c.want)
		}
	}
}

func TestWebsiteCheck(t *testing.T) {
	const index = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
	routed := func(inner string) string {
		return index + "<RoutingRules><RoutingRule>" + inner + "</RoutingRule></RoutingRules>"
	}
	const home = "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith></Redirect>"
	for _, c := range []struct{ name, in, code string }{
		{"index", index, ""},
		{"error document", index + "<ErrorDocument><Key>error.html</Key></ErrorDocument>", ""},
		{"elsewhere", "<RedirectAllRequestsTo><HostName>example.org</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>", ""},
		{"rule", routed("<Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition>" + home), ""},
		{"rule for errors", routed("<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HttpRedirectCode>302</HttpRedirectCode></Redirect>"), ""},
		{"nothing", "", "InvalidArgument"},
		{"no suffix", "<IndexDocument/>", "InvalidArgument"},
		{"suffix with slash", "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", "InvalidArgument"},
		{"empty error document", index + "<ErrorDocument/>", "InvalidArgument"},
		{"elsewhere and here", "<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>" + index, "InvalidArgument"},
		{"nowhere", "<RedirectAllRequestsTo/>", "MalformedXML"},
		{"protocol", "<RedirectAllRequestsTo><HostName>a</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>", "InvalidRequest"},
		{"no rules", index + "<RoutingRules/>", "MalformedXML"},
		{"too many rules", index + "<RoutingRules>" + strings.Repeat("<RoutingRule>"+home+"</RoutingRule>", 51) + "</RoutingRules>", "InvalidRequest"},
		{"no redirect", routed("<Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition>"), "MalformedXML"},
		{"empty condition", routed("<Condition/>" + home), "InvalidRequest"},
		{"no error", routed("<Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals></Condition>" + home), "InvalidRequest"},
		{"no redirection", routed("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>"), "InvalidRequest"},
		{"key twice", routed("<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>a</ReplaceKeyPrefixWith></Redirect>"), "InvalidRequest"},
		{"protocol of a rule", routed("<Redirect><Protocol>gopher</Protocol></Redirect>"), "InvalidRequest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg websiteConfig
			err := parseDocument([]byte("<WebsiteConfiguration>"+c.in+"</WebsiteConfiguration>"), "WebsiteConfiguration", &cfg)
			if err == nil {
				err = cfg.check()
			}
			if wantCode(t, err, c.code); err == nil {
				mustParse(t, document("WebsiteConfiguration", &cfg), "WebsiteConfiguration", &websiteConfig{})
			}
		})
	}
}

func TestParseListed(t *testing.T) {
	const tagged = "<Tag><Key>a</Key><Value>b</Value></Tag>"
	inventory := func(id, format, extra string) string {
		return "<InventoryConfiguration><Id>" + id + "</Id><IsEnabled>true</IsEnabled><Destination><S3BucketDestination><Bucket>arn:aws:s3:::dest</Bucket><Format>" +
			format + "</Format></S3BucketDestination></Destination><Schedule><Frequency>Daily</Frequency></Schedule><IncludedObjectVersions>All</IncludedObjectVersions>" +
			extra + "</InventoryConfiguration>"
	}
	tiering := func(inner string) string {
		return "<IntelligentTieringConfiguration><Id>x</Id><Status>Enabled</Status>" + inner + "</IntelligentTieringConfiguration>"
	}
	tier := func(name string, days int) string {
		return fmt.Sprintf("<Tiering><AccessTier>%s</AccessTier><Days>%d</Days></Tiering>", name, days)
	}
	metrics := func(inner string) string {
		return "<MetricsConfiguration><Id>x</Id>" + inner + "</MetricsConfiguration>"
	}
	for _, c := range []struct {
		name, in, code string
		parse          func([]byte, string) (string, error)
	}{
		{"inventory", inventory("x", "CSV", "<OptionalFields><Field>Size</Field></OptionalFields><Filter><Prefix/></Filter>"), "", parseInventory},
		{"inventory of another ID", inventory("y", "CSV", ""), "IdMismatch", parseInventory},
		{"inventory as what", inventory("x", "PDF", ""), "MalformedXML", parseInventory},
		{"inventory of what", inventory("x", "ORC", "<OptionalFields><Field>Colour</Field></OptionalFields>"), "MalformedXML", parseInventory},
		{"inventory to nowhere", strings.Replace(inventory("x", "CSV", ""), "arn:aws:s3:::dest", "dest", 1), "InvalidS3DestinationBucket", parseInventory},
		{"metrics", metrics(""), "", parseMetrics},
		{"metrics of a point", metrics("<Filter><AccessPointArn>arn</AccessPointArn></Filter>"), "", parseMetrics},
		{"metrics of both", metrics("<Filter><Prefix>a</Prefix>" + tagged + "</Filter>"), "MalformedXML", parseMetrics},
		{"metrics of tags", metrics("<Filter><And><Prefix>a</Prefix>" + tagged + "</And></Filter>"), "", parseMetrics},
		{"metrics of same tags", metrics("<Filter><And>" + tagged + tagged + "</And></Filter>"), "InvalidTag", parseMetrics},
		{"metrics of another ID", strings.Replace(metrics(""), "x", "y", 1), "MalformedXML", parseMetrics},
		{"analytics", "<AnalyticsConfiguration><Id>x</Id><StorageClassAnalysis/></AnalyticsConfiguration>", "", parseAnalytics},
		{"analytics of nothing", "<AnalyticsConfiguration><Id>x</Id></AnalyticsConfiguration>", "MalformedXML", parseAnalytics},
		{"analytics of a point", "<AnalyticsConfiguration><Id>x</Id><Filter><AccessPointArn>a</AccessPointArn></Filter><StorageClassAnalysis/></AnalyticsConfiguration>", "MalformedXML", parseAnalytics},
		{"tiers", tiering(tier("ARCHIVE_ACCESS", 90) + tier("DEEP_ARCHIVE_ACCESS", 180)), "", parseTiering},
		{"no tiers", tiering(""), "MalformedXML", parseTiering},
		{"tier twice", tiering(tier("ARCHIVE_ACCESS", 90) + tier("ARCHIVE_ACCESS", 91)), "MalformedXML", parseTiering},
		{"tier too early", tiering(tier("ARCHIVE_ACCESS", 89)), "InvalidArgument", parseTiering},
		{"tiers upside down", tiering(tier("ARCHIVE_ACCESS", 200) + tier("DEEP_ARCHIVE_ACCESS", 190)), "InvalidArgument", parseTiering},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := c.parse([]byte(c.in), "x")
			if wantCode(t, err, c.code); err != nil {
				return
			}
			if again, err := c.parse([]byte(doc), "x"); err != nil || again != doc {
				t.Errorf("stored as\n%s\nread back as\n%s\n%v", doc, again, err)
			}
		})
	}
}

func TestConfigurationsAreBounded(t *testing.T) {
	b := &object.Bucket{Config: map[string]string{}}
	half := strings.Repeat("x", maxConfigs/2)
	wantCode(t, setConfig(b, "a", half), "")
	wantCode(t, setConfig(b, "b", half), "")
	wantCode(t, setConfig(b, "a", half), "")
	wantCode(t, setConfig(b, "c", "x"), "TooManyConfigurations")
	wantCode(t, setConfig(b, "a", ""), "")
	wantCode(t, setConfig(b, "c", "x"), "")
}

func TestDemandDigest(t *testing.T) {
	for header, code := range map[string]string{
		"": "InvalidRequest", "Content-MD5: x": "", "x-amz-checksum-crc32: x": "", "x-amz-checksum-crc64nvme: x": "",
		"x-amz-trailer: x-amz-checksum-crc32": "", "x-amz-trailer: x-other": "InvalidRequest",
		"x-amz-checksum-algorithm: CRC32": "InvalidRequest", "x-amz-checksum-mode: ENABLED": "InvalidRequest",
	} {
		q := &request{r: &http.Request{Header: http.Header{}}}
		if name, value, ok := strings.Cut(header, ": "); ok {
			q.r.Header.Set(name, value)
		}
		if wantCode(t, q.demandDigest(), code); t.Failed() {
			t.Fatal(header)
		}
	}
}

// FuzzConfigs looks for documents that are stored as something that does not come back.
func FuzzConfigs(f *testing.F) {
	for _, s := range []string{
		"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
		"<WebsiteConfiguration><IndexDocument><Suffix>a</Suffix></IndexDocument></WebsiteConfiguration>",
		"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
		"<MetricsConfiguration><Id>x</Id></MetricsConfiguration>", "<a><b/></a>", "<!DOCTYPE a>", "<a>&#0;</a>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var cors corsConfig
		if parseDocument(data, "CORSConfiguration", &cors) == nil && cors.check() == nil {
			mustParse(t, document("CORSConfiguration", &cors), "CORSConfiguration", &corsConfig{})
			_ = cors.match("a", "GET", nil)
		}
		var site websiteConfig
		if parseDocument(data, "WebsiteConfiguration", &site) == nil && site.check() == nil {
			mustParse(t, document("WebsiteConfiguration", &site), "WebsiteConfiguration", &websiteConfig{})
		}
		var enc encryptionConfig
		if parseDocument(data, encryptionRoot, &enc) == nil && enc.check() == nil {
			if _, err := parseEncryptionDefault(document(encryptionRoot, &enc)); err != nil {
				t.Fatal(err)
			}
		}
		var logs loggingConfig
		if parseDocument(data, "BucketLoggingStatus", &logs) == nil && logs.LoggingEnabled != nil {
			_ = logs.LoggingEnabled.check()
		}
		for _, parse := range []func([]byte, string) (string, error){parseInventory, parseAnalytics, parseMetrics, parseTiering} {
			if doc, err := parse(data, "x"); err == nil {
				if _, err := parse([]byte(doc), "x"); err != nil {
					t.Fatalf("%s: %v", doc, err)
				}
			}
		}
	})
}
