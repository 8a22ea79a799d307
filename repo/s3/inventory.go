package s3

import (
	"slices"
	"strings"
)

// The documents here are kept and answered, and nothing comes of them: no inventory is
// written, nothing is analysed or counted, and no object is moved between access tiers.

type inventoryConfig struct {
	Destination struct {
		S3BucketDestination *inventoryDestination
	}
	IsEnabled              *bool
	Filter                 *struct{ Prefix *string } `xml:",omitempty"`
	ID                     string                    `xml:"Id"`
	IncludedObjectVersions string
	OptionalFields         *struct{ Field []string } `xml:",omitempty"`
	Schedule               struct{ Frequency string }
}

type inventoryDestination struct {
	AccountID  string `xml:"AccountId,omitempty"`
	Bucket     string
	Format     string
	Prefix     *string `xml:",omitempty"`
	Encryption *struct {
		S3  *struct{} `xml:"SSE-S3,omitempty"`
		KMS *sseKMS   `xml:"SSE-KMS,omitempty"`
	} `xml:",omitempty"`
}

var inventoryFields = []string{"Size", "LastModifiedDate", "StorageClass", "ETag", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus",
	"ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier", "BucketKeyStatus",
	"ChecksumAlgorithm", "ObjectAccessControlList", "ObjectOwner", "LifecycleExpirationDate"}

// oneOf reports whether a value is one of a list, with spaces between.
func oneOf(value, list string) bool {
	return value != "" && slices.Contains(strings.Fields(list), value)
}

func parseInventory(data []byte, id string) (string, error) {
	var c inventoryConfig
	if err := parseDocument(data, "InventoryConfiguration", &c); err != nil {
		return "", err
	}
	d := c.Destination.S3BucketDestination
	if d == nil || d.Bucket == "" || !oneOf(d.Format, "CSV ORC Parquet") || !oneOf(c.Schedule.Frequency, "Daily Weekly") ||
		!oneOf(c.IncludedObjectVersions, "All Current") || c.IsEnabled == nil || c.ID == "" || c.Filter != nil && c.Filter.Prefix == nil {
		return "", errorf("MalformedXML", "")
	}
	if e := d.Encryption; e != nil && ((e.S3 == nil) == (e.KMS == nil) || e.KMS != nil && e.KMS.KeyID == "") {
		return "", errorf("MalformedXML", "")
	}
	if c.OptionalFields != nil {
		for _, f := range c.OptionalFields.Field {
			if !slices.Contains(inventoryFields, f) {
				return "", errorf("MalformedXML", "")
			}
		}
	}
	if c.ID != id {
		return "", errorf("IdMismatch", "")
	}
	if !bucketARN(d.Bucket) {
		return "", errorf("InvalidS3DestinationBucket", "Invalid bucket ARN.")
	}
	return document("InventoryConfiguration", &c), nil
}

func bucketARN(arn string) bool {
	name, ok := strings.CutPrefix(arn, "arn:aws:s3:::")
	return ok && validBucketName(name)
}

// subset is the filter of a configuration. Which of the fields are allowed depends on it.
type subset struct {
	Prefix         *string    `xml:",omitempty"`
	Tag            *tag       `xml:",omitempty"`
	AccessPointArn *string    `xml:",omitempty"`
	And            *subsetAnd `xml:",omitempty"`
}

type subsetAnd struct {
	Prefix         *string `xml:",omitempty"`
	Tag            []tag   `xml:",omitempty"`
	AccessPointArn *string `xml:",omitempty"`
}

// check validates a filter; points tells whether it may name an access point.
func (s *subset) check(points bool) error {
	if s == nil {
		return nil
	}
	given := 0
	for _, is := range []bool{s.Prefix != nil, s.Tag != nil, s.AccessPointArn != nil, s.And != nil} {
		if is {
			given++
		}
	}
	and := s.And
	if and == nil {
		and = &subsetAnd{Prefix: s.Prefix, AccessPointArn: s.AccessPointArn}
		if s.Tag != nil {
			and.Tag = []tag{*s.Tag}
		}
	}
	if given != 1 || and.Prefix == nil && and.Tag == nil && and.AccessPointArn == nil || and.AccessPointArn != nil && !points {
		return errorf("MalformedXML", "")
	}
	_, err := checkTags(and.Tag, maxObjectTags)
	return err
}

type analyticsConfig struct {
	ID       string  `xml:"Id"`
	Filter   *subset `xml:",omitempty"`
	Analysis *struct {
		DataExport *struct {
			OutputSchemaVersion string
			Destination         struct {
				S3BucketDestination *analyticsDestination
			}
		} `xml:",omitempty"`
	} `xml:"StorageClassAnalysis"`
}

type analyticsDestination struct {
	Format          string
	BucketAccountID string `xml:"BucketAccountId,omitempty"`
	Bucket          string
	Prefix          *string `xml:",omitempty"`
}

func parseAnalytics(data []byte, id string) (string, error) {
	var c analyticsConfig
	if err := parseDocument(data, "AnalyticsConfiguration", &c); err != nil {
		return "", err
	}
	if c.ID != id || c.Analysis == nil {
		return "", errorf("MalformedXML", "")
	}
	if e := c.Analysis.DataExport; e != nil {
		d := e.Destination.S3BucketDestination
		if e.OutputSchemaVersion != "V_1" || d == nil || d.Format != "CSV" || d.Bucket == "" {
			return "", errorf("MalformedXML", "")
		}
		if !bucketARN(d.Bucket) {
			return "", errorf("InvalidS3DestinationBucket", "Invalid bucket ARN.")
		}
	}
	if err := c.Filter.check(false); err != nil {
		return "", err
	}
	return document("AnalyticsConfiguration", &c), nil
}

type metricsConfig struct {
	ID     string  `xml:"Id"`
	Filter *subset `xml:",omitempty"`
}

func parseMetrics(data []byte, id string) (string, error) {
	var c metricsConfig
	if err := parseDocument(data, "MetricsConfiguration", &c); err != nil {
		return "", err
	}
	if c.ID != id {
		return "", errorf("MalformedXML", "")
	}
	if err := c.Filter.check(true); err != nil {
		return "", err
	}
	return document("MetricsConfiguration", &c), nil
}

type tieringConfig struct {
	ID      string  `xml:"Id"`
	Filter  *subset `xml:",omitempty"`
	Status  string
	Tiering []struct {
		Days       *int32
		AccessTier string
	}
}

const maxTieringDays = 730

func parseTiering(data []byte, id string) (string, error) {
	var c tieringConfig
	if err := parseDocument(data, "IntelligentTieringConfiguration", &c); err != nil {
		return "", err
	}
	if c.ID != id || !oneOf(c.Status, "Enabled Disabled") || len(c.Tiering) == 0 {
		return "", errorf("MalformedXML", "")
	}
	days := map[string]int32{}
	for _, t := range c.Tiering {
		least, ok := map[string]int32{"ARCHIVE_ACCESS": 90, "DEEP_ARCHIVE_ACCESS": 180}[t.AccessTier]
		if !ok || t.Days == nil || days[t.AccessTier] != 0 {
			return "", errorf("MalformedXML", "")
		}
		if *t.Days < least || *t.Days > maxTieringDays {
			return "", badArgument("'Days' for "+t.AccessTier+" must be between "+number(&least)+" and 730", "Days", number(t.Days))
		}
		days[t.AccessTier] = *t.Days
	}
	if deep := days["DEEP_ARCHIVE_ACCESS"]; deep != 0 && deep <= days["ARCHIVE_ACCESS"] {
		return "", badArgument("'Days' for DEEP_ARCHIVE_ACCESS must be greater than for ARCHIVE_ACCESS", "Days", number(&deep))
	}
	if err := c.Filter.check(false); err != nil {
		return "", err
	}
	return document("IntelligentTieringConfiguration", &c), nil
}

type sseKMS struct {
	KeyID string `xml:"KeyId"`
}
