package s3

import (
	"net/http"
	"strings"
)

// switchOps are of configurations with one value.
var switchOps = []operation{
	{name: "GetBucketAccelerateConfiguration", level: bucketLevel, method: http.MethodGet, sub: "accelerate",
		action: "s3:GetAccelerateConfiguration", run: answerConfigOr(confAccelerate, document("AccelerateConfiguration", &accelerateConfig{}))},
	{name: "PutBucketAccelerateConfiguration", level: bucketLevel, method: http.MethodPut, sub: "accelerate",
		action: "s3:PutAccelerateConfiguration", run: (*request).putAccelerate},
	{name: "GetBucketRequestPayment", level: bucketLevel, method: http.MethodGet, sub: "requestPayment",
		action: "s3:GetBucketRequestPayment", run: answerConfigOr(confPayment, document("RequestPaymentConfiguration", &paymentConfig{Payer: ownerPays}))},
	{name: "PutBucketRequestPayment", level: bucketLevel, method: http.MethodPut, sub: "requestPayment",
		action: "s3:PutBucketRequestPayment", run: (*request).putPayment},
}

type accelerateConfig struct {
	Status string `xml:",omitempty"`
}

// putAccelerate keeps what is asked for. There is no faster way to this server that it
// could open.
func (q *request) putAccelerate() error {
	var c accelerateConfig
	if err := q.readConfig(maxConfig, "AccelerateConfiguration", &c); err != nil {
		return err
	}
	if strings.Contains(q.bucket, ".") {
		return errorf("InvalidRequest", "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names")
	}
	if c.Status != "Enabled" && c.Status != "Suspended" {
		return errorf("MalformedXML", "")
	}
	return q.storeConfig(confAccelerate, document("AccelerateConfiguration", &c))
}

const (
	ownerPays     = "BucketOwner"
	requesterPays = "Requester"
)

type paymentConfig struct{ Payer string }

func (q *request) putPayment() error {
	var c paymentConfig
	if err := q.readConfig(maxConfig, "RequestPaymentConfiguration", &c); err != nil {
		return err
	}
	switch c.Payer {
	case ownerPays:
		return q.storeConfig(confPayment, "")
	case requesterPays:
		return q.storeConfig(confPayment, document("RequestPaymentConfiguration", &c))
	}
	return errorf("MalformedXML", "")
}
