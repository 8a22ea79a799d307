package s3

import (
	"net/http"
	"strings"
)

// checksumSizes are those of the values, in bytes.
var checksumSizes = map[string]int{
	"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32, "SHA512": 64,
	"MD5": 16, "XXHASH64": 8, "XXHASH3": 8, "XXHASH128": 16,
}

// uploadChecksum reads which checksum an upload is to have; algo "" is none.
func uploadChecksum(head http.Header) (algo, typ string, err error) {
	algo = strings.ToUpper(strings.TrimSpace(head.Get("x-amz-checksum-algorithm")))
	typ = strings.ToUpper(strings.TrimSpace(head.Get("x-amz-checksum-type")))
	_, known := checksumSizes[algo]
	switch {
	case typ != "" && typ != composite && typ != fullObject:
		return "", "", errorf("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	case algo == "" && typ != "":
		return "", "", errorf("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case algo == "":
		return "", "", nil
	case strings.Contains(algo, ",") || len(head.Values("x-amz-checksum-algorithm")) > 1:
		return "", "", errorf("InvalidRequest", "Invalid types are specified in x-amz-checksum-algorithm header.")
	case !known:
		return "", "", unsupportedChecksum()
	}
	_, joins := polynomials[algo]
	switch {
	case typ == "" && algo == "CRC64NVME":
		typ = fullObject
	case typ == "":
		typ = composite
	case typ == composite && algo == "CRC64NVME", typ == fullObject && !joins:
		return "", "", errorf("InvalidRequest", "The %s checksum type cannot be used with the %s checksum algorithm.", typ, strings.ToLower(algo))
	}
	return algo, typ, nil
}
