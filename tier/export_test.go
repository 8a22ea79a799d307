package tier

import "context"

// Method is how a Dir publishes files; a test can force one.
type Method = method

// The methods.
const (
	Anonymous = anonymous
	Linked    = linked
	Renamed   = renamed
)

// TempFolder is where named temporaries are.
const TempFolder = tempFolder

// Force makes d use m, after the choice it would make itself, which it returns.
func (d *Dir) Force(m method) (method, error) {
	chosen, err := d.chooseMethod()
	d.method = m
	return chosen, err
}

// SetTrace sets the function that hears of each step.
func (d *Dir) SetTrace(trace func(step string)) { d.trace = trace }

// SetListBatch sets how many directory entries List sorts at once.
func (d *Dir) SetListBatch(n int) { d.batch = n }

// OpenFiles returns how many files are open for reading.
func (d *Dir) OpenFiles() int {
	d.handles.mu.Lock()
	defer d.handles.mu.Unlock()
	return d.handles.recent.Len()
}

// InFolder is the decision of List whether to enter a folder.
var InFolder = inFolder

// ReadBatch returns how many entries of the root List would sort at once, and
// how many it has room for.
func (d *Dir) ReadBatch(ctx context.Context) (length, room int, more bool, err error) {
	l := listing{ctx: ctx, d: d}
	batch, more, err := l.read("", "")
	return len(batch), cap(batch), more, err
}
