package s3

import (
	"net/http"
	"slices"
	"strings"

	"github.com/firnstore/firn/repo/object"
)

// listedOps are of configurations that a bucket has several of, each with an ID.
var listedOps = slices.Concat(
	listed{"Inventory", "inventory", confInventory, "ListInventoryConfigurationsResult", http.StatusNoContent, parseInventory}.rows(),
	listed{"Analytics", "analytics", confAnalytics, "ListBucketAnalyticsConfigurationResult", http.StatusNoContent, parseAnalytics}.rows(),
	listed{"Metrics", "metrics", confMetrics, "ListMetricsConfigurationsResult", http.StatusNoContent, parseMetrics}.rows(),
	listed{"IntelligentTiering", "intelligent-tiering", confTiering, "ListBucketIntelligentTieringConfigurationsOutput", http.StatusOK, parseTiering}.rows(),
)

const (
	maxOfKind  = 1000 // in a bucket
	pageOfKind = 100
	maxID      = 64
)

// listed is a kind of such configurations.
type listed struct {
	name string // its document is nameConfiguration
	sub  string
	conf string // what stands before the ID in Bucket.Config
	list string // root of a list
	put  int    // status of the answer to a PUT

	// parse reads a document that is for an ID, and returns it as it is to be stored.
	parse func(data []byte, id string) (doc string, err error)
}

func (l listed) rows() []operation {
	name, action := "Bucket"+l.name+"Configuration", l.name+"Configuration"
	row := func(verb, action string, f func(listed, *request) error) operation {
		return operation{name: verb + name, level: bucketLevel, sub: l.sub, action: action, run: func(q *request) error { return f(l, q) }}
	}
	get, put := row("Get", "s3:Get"+action, listed.get), row("Put", "s3:Put"+action, listed.store)
	list, remove := row("List", "s3:Get"+action, listed.page), row("Delete", "s3:Put"+action, listed.remove)
	list.name += "s"
	get.method, list.method, put.method, remove.method = http.MethodGet, http.MethodGet, http.MethodPut, http.MethodDelete
	get.match = func(q *request) bool { return q.query.Has("id") }
	return []operation{get, list, put, remove}
}

// configID is that of the configuration that a request is about.
func (q *request) configID() (string, error) {
	id := q.query.Get("id")
	bad := id == "" || len(id) > maxID
	for i := range len(id) {
		c := id[i]
		bad = bad || (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	}
	if bad {
		return "", errorf("InvalidConfigurationId", "")
	}
	return id, nil
}

func (l listed) get(q *request) error {
	id, err := q.configID()
	if err != nil {
		return err
	}
	doc := q.b.Config[l.conf+id]
	if doc == "" {
		return errorf("NoSuchConfiguration", "")
	}
	q.answerDocument(doc)
	return nil
}

func (l listed) store(q *request) error {
	id, err := q.configID()
	if err != nil {
		return err
	}
	data, err := q.readAll(maxConfig)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errorf("MissingRequestBodyError", "")
	}
	doc, err := l.parse(data, id)
	if err != nil {
		return err
	}
	return q.configure(l.put, func(b *object.Bucket) error {
		if b.Config[l.conf+id] == "" && len(l.ids(b)) >= maxOfKind {
			return errorf("TooManyConfigurations", "")
		}
		return setConfig(b, l.conf+id, doc)
	})
}

func (l listed) remove(q *request) error {
	id, err := q.configID()
	if err != nil {
		return err
	}
	return q.configure(http.StatusNoContent, func(b *object.Bucket) error {
		if b.Config[l.conf+id] == "" {
			return errorf("NoSuchConfiguration", "")
		}
		delete(b.Config, l.conf+id)
		return nil
	})
}

// ids returns those of a bucket in their order.
func (l listed) ids(b *object.Bucket) (ids []string) {
	for name := range b.Config {
		if id, ok := strings.CutPrefix(name, l.conf); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (l listed) page(q *request) error {
	token := q.query.Get("continuation-token")
	after, err := parsePageToken(token)
	if err != nil {
		return err
	}
	ids := l.ids(q.b)
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	ids = ids[from:]
	page := ids[:min(len(ids), pageOfKind)]
	var b strings.Builder
	b.WriteString("<" + l.list + ` xmlns="` + xmlns + `">`)
	if token != "" {
		b.WriteString("<ContinuationToken>" + token + "</ContinuationToken>") // it is base64
	}
	for _, id := range page {
		b.WriteString(strings.Replace(q.b.Config[l.conf+id], ` xmlns="`+xmlns+`"`, "", 1))
	}
	if len(page) < len(ids) {
		b.WriteString("<IsTruncated>true</IsTruncated><NextContinuationToken>" + makePageToken(page[len(page)-1]) + "</NextContinuationToken>")
	} else {
		b.WriteString("<IsTruncated>false</IsTruncated>")
	}
	b.WriteString("</" + l.list + ">")
	q.answerDocument(b.String())
	return nil
}
