package s3

import (
	"encoding/xml"
	"net/http"
)

// Keys of the Smart Object Storage API of Veeam: two documents in every bucket, which tell
// Veeam's products what the storage can do and how full it is. An object of that key goes
// before.
const (
	sosapiSystem   = ".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/system.xml"
	sosapiCapacity = ".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/capacity.xml"
)

type systemInfo struct {
	XMLName              xml.Name `xml:"SystemInfo"`
	ProtocolVersion      string
	ModelName            string
	ProtocolCapabilities struct {
		CapacityInfo   bool
		UploadSessions bool
		IAMSTS         bool
	}
	SystemRecommendations struct {
		S3ConcurrentTaskLimit    int
		S3MultiObjectDeleteLimit int
		StorageCurrentTaskLimit  int
		KbBlockSize              int
	}
}

type capacityInfo struct {
	XMLName   xml.Name `xml:"CapacityInfo"`
	Capacity  int64
	Available int64
	Used      int64
}

// sosapi returns the document that a key stands for, or nil.
func (h *Handler) sosapi(key string) any {
	switch key {
	case sosapiSystem:
		s := &systemInfo{ProtocolVersion: `"1.0"`, ModelName: "firn"} // with quotes, as Veeam has it
		s.ProtocolCapabilities.CapacityInfo = h.opt.Space != nil
		s.SystemRecommendations.S3ConcurrentTaskLimit = 64
		s.SystemRecommendations.S3MultiObjectDeleteLimit = 1000
		s.SystemRecommendations.KbBlockSize = 1024
		return s
	case sosapiCapacity:
		if h.opt.Space == nil {
			return nil
		}
		total, free, err := h.opt.Space()
		if err != nil {
			return nil
		}
		return &capacityInfo{Capacity: total, Available: free, Used: max(total-free, 0)}
	}
	return nil
}

// sendSOSAPI answers with such a document.
func (q *request) sendSOSAPI(doc any) error {
	body, err := xml.Marshal(doc)
	if err != nil {
		return err
	}
	body = append([]byte(xml.Header), body...)
	head := q.w.Header()
	head.Set("Content-Type", "application/xml")
	head.Set("Content-Length", itoa(len(body)))
	head.Set("Last-Modified", httpTime(q.now))
	q.w.WriteHeader(http.StatusOK)
	if q.r.Method == http.MethodGet {
		_, _ = q.w.Write(body)
	}
	return nil
}
