package repo

// bitmap is a set of the slots of a pack. It grows as needed.
type bitmap []uint64

func (b bitmap) has(slot int) bool {
	return slot/64 < len(b) && b[slot/64]>>(slot%64)&1 != 0
}

// set returns the bitmap with slot in it.
func (b bitmap) set(slot int) bitmap {
	if n := slot/64 + 1 - len(b); n > 0 {
		b = append(b, make([]uint64, n)...)
	}
	b[slot/64] |= 1 << (slot % 64)
	return b
}
