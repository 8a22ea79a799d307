package repo

// Usage returns marks that only count what is marked: no session relies on it.
func (r *Repository) Usage() *Marks { return newMarks(r, nil) }

// Stored says what the marked chunks take, each once: before compression, and in packs,
// where a chunk has its share of the frame that it lies in. Metadata is among it.
func (m *Marks) Stored() (plain, stored int64, err error) {
	if err := m.Flush(); err != nil {
		return 0, 0, err
	}
	for num, marks := range m.packs {
		d, err := m.r.index.Directory(num)
		if err != nil {
			return 0, 0, err
		}
		for i := range d.Entries {
			if !marks.live.has(i) {
				continue
			}
			e := &d.Entries[i]
			plain += int64(e.Length)
			if f := &d.Frames[e.Frame]; f.Plain > 0 {
				stored += int64(e.Length) * int64(f.Stored) / int64(f.Plain)
			}
		}
	}
	return plain, stored, nil
}
