package main

import (
	"bufio"
	"strconv"
	"time"
)

// rowWriter writes the rows of a dump. A row depends on the seed, its table, its id and
// its version, so both days have the same rows but for those that changed.
type rowWriter struct {
	out     *bufio.Writer
	seed    uint64
	written int64
	err     error // the first of out; nothing is written after it
	buf     []byte
	stable  rng // of the columns that an update leaves
	fresh   rng // of those that it changes
}

// epoch is the time of the first row of a table, in Unix seconds: 2019-03-01.
const epoch = 1551398400

// What the text columns are made of.
var (
	words = []string{
		"the", "order", "was", "sent", "to", "a", "new", "address", "and", "customer", "asked", "for", "refund", "after",
		"delivery", "late", "parcel", "blue", "small", "large", "returned", "damaged", "gift", "wrapped", "please", "call",
		"before", "noon", "invoice", "paid", "by", "transfer", "second", "reminder", "warehouse", "stock", "missing", "part",
		"replaced", "under", "warranty", "with", "thanks", "express", "friday", "monday", "holiday", "discount", "voucher",
		"applied", "manually", "support", "ticket", "closed", "garden", "kitchen", "lamp", "chair", "table", "wooden", "steel",
	}
	firstNames = []string{"Anna", "Bengt", "Clara", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katya", "Liam",
		"Mei", "Noah", "Olga", "Pedro", "Quinn", "Rosa", "Sven", "Tara", "Umut", "Vera", "Wim", "Ximena", "Yara", "Zoltan"}
	lastNames = []string{"Andersen", "Bauer", "Costa", "Dubois", "Eriksson", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen",
		"Kowalski", "Lindqvist", "Moreau", "Novak", "Olsen", "Petrov", "Rossi", "Schmidt", "Tanaka", "Urban", "Virtanen", "Weber"}
	cities = []string{"Aarhus", "Bergen", "Cordoba", "Dresden", "Esbjerg", "Firenze", "Gdansk", "Helsinki", "Izmir", "Jena",
		"Kaunas", "Lyon", "Malmo", "Nantes", "Ostrava", "Porto", "Riga", "Sofia", "Tartu", "Uppsala", "Verona", "Wien", "Zagreb"}
	countries = []string{"AT", "BG", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "HR", "IT", "LT", "LV", "NO", "PL", "PT", "SE", "TR"}
	statuses  = []string{"new", "paid", "packed", "shipped", "delivered", "returned", "cancelled"}
	actions   = []string{"view", "view", "view", "search", "cart_add", "cart_remove", "checkout", "login", "logout"}
	agents    = []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		"shop-app/4.12.1 (Android 14)",
	}
)

// text writes a string as it is.
func (w *rowWriter) text(s string) {
	if w.err != nil {
		return
	}
	n, err := w.out.WriteString(s)
	w.written, w.err = w.written+int64(n), err
}

// row writes one row of a table.
func (w *rowWriter) row(t *table, id, version int) {
	if w.err != nil {
		return
	}
	w.buf = w.buf[:0]
	w.stable = newRNG(w.seed, t.number, uint64(id))
	w.fresh = newRNG(w.seed, t.number, uint64(id), uint64(version), 4)
	t.row(w, id, version)
	w.buf = append(w.buf, '\n')
	n, err := w.out.Write(w.buf)
	w.written, w.err = w.written+int64(n), err
}

func (w *rowWriter) customer(id, version int) {
	first, last := pick(&w.stable, firstNames), pick(&w.stable, lastNames)
	created := int64(epoch + id*150 + w.stable.below(150))
	w.number(id + 1).tab()
	w.hex(8).str("-").hex(4).str("-").hex(4).str("-").hex(4).str("-").hex(12).tab()
	w.str(first).str(".").str(last).str(".").number(id).str("@example.org").tab()
	w.str(first).str(" ").str(last).tab().str(pick(&w.stable, cities)).tab().str(pick(&w.stable, countries)).tab()
	w.time(created, w.stable.below(1e6)).tab().time(w.updated(created, version), w.fresh.below(1e6)).tab()
	w.cents(w.fresh.below(200000)).tab().str(pick(&w.fresh, []string{"t", "t", "f"})).tab()
	if w.stable.below(3) == 0 {
		w.str(`\N`)
		return
	}
	for range 4 + w.stable.below(14) {
		w.str(pick(&w.stable, words)).str(" ")
	}
}

func (w *rowWriter) order(id, version int) {
	ordered := int64(epoch + id*30 + w.stable.below(30))
	w.number(1000001 + id).tab().number(1 + w.stable.below(id/5+10)).tab()
	w.time(ordered, w.stable.below(1e6)).tab().time(w.updated(ordered, version), w.fresh.below(1e6)).tab()
	w.str(pick(&w.fresh, statuses)).tab().cents(499 + w.stable.below(60000)).tab()
	w.str(pick(&w.stable, []string{"EUR", "EUR", "EUR", "DKK", "SEK", "PLN"})).tab().str("TR-").hex(12).tab()
	for i := range 1 + w.stable.below(3) {
		w.str([]string{"[", ", ", ", "}[i])
		w.str(`{"sku": "`).str(pick(&w.stable, words)).str("-").number(1000 + w.stable.below(40000))
		w.str(`", "n": `).number(1 + w.stable.below(4)).str("}")
	}
	w.str("]")
}

func (w *rowWriter) event(id, version int) {
	at := int64(epoch + id*12 + w.stable.below(12))
	w.number(50000001+id).tab().time(at, w.stable.below(1e6)).tab().number(1 + w.stable.below(id/30+10)).tab()
	w.str(pick(&w.stable, actions)).tab()
	w.number(10 + w.stable.below(200)).str(".").number(w.stable.below(256)).str(".").number(w.stable.below(256)).str(".9").tab()
	w.str(pick(&w.stable, agents)).tab()
	w.str("/shop/").str(pick(&w.stable, words)).str("/").str(pick(&w.stable, words)).str("-").number(w.stable.below(40000)).tab()
	w.hex(16).tab().number(w.fresh.below(4000)).tab()
	w.str(`{"ref": "`).str(pick(&w.stable, words)).str(`", "v": `).number(version).str(`, "score": `).number(w.fresh.below(1000)).str("}")
}

// updated returns the time of the last update of a row made at a time.
func (w *rowWriter) updated(made int64, version int) int64 {
	return made + int64(w.fresh.below(400000)) + int64(version)*20e6
}

// pick returns one of a list, the first ones more often.
func pick(r *rng, list []string) string {
	return list[min(r.below(len(list)), r.below(len(list)))]
}

// tab ends a column; the last one of a row ends without it.
func (w *rowWriter) tab() *rowWriter { return w.str("\t") }

func (w *rowWriter) str(s string) *rowWriter {
	w.buf = append(w.buf, s...)
	return w
}

func (w *rowWriter) number(n int) *rowWriter {
	w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	return w
}

// cents writes an amount with two decimals.
func (w *rowWriter) cents(n int) *rowWriter {
	w.buf = append(strconv.AppendInt(w.buf, int64(n/100), 10), '.', byte('0'+n/10%10), byte('0'+n%10))
	return w
}

// hex writes up to 16 random hexadecimal digits.
func (w *rowWriter) hex(n int) *rowWriter {
	const digits = "0123456789abcdef"
	bits := w.stable.next()
	for range n {
		w.buf = append(w.buf, digits[bits&15])
		bits >>= 4
	}
	return w
}

// time writes a timestamp with microseconds.
func (w *rowWriter) time(seconds int64, micros int) *rowWriter {
	w.buf = time.Unix(seconds, int64(micros)*1000).UTC().AppendFormat(w.buf, "2006-01-02 15:04:05.000000")
	return w
}
