package repo

import (
	"fmt"
	"testing"
)

// This is the protocol of sessions and prunes, docs/design.md, section 6, for one chunk, as
// a machine whose states are all visited: two writers, two prunes that drop, move, seal and
// sweep, forgets, and an undelete, in every order of their steps; a process that stops for
// ever is one that is not scheduled again. Nothing in it knows a clock. The invariant: while
// there is a version, some pack of the folded state holds the chunk, and its file is there.
//
// Each rule that the code keeps can be left out. Then the invariant has to break: so the
// model sees what the rule is for.

// rules that are left out.
type leftOut struct {
	relied   bool // a writer does not look again for the chunk that it found
	parent   bool // nor whether the version is there that it took a content from
	validate bool // a prune does not look again before it drops
	chain    bool // a commit is created although another came first
	seal     bool // files of sessions that are open are swept
	void     bool // a sealed session commits all the same
	purge    bool // a file is removed before the row that would bring it back
	recheck  bool // an undelete does not look again for that row
	held     bool // packs that an open session has committed are dropped, and it does not look for them
}

// Packs, as bits: the old one, those of the two writers and of the two prunes.
const (
	oldPack  = 0
	ownPack  = 1 // + writer
	newPack  = 3 // + prune
	allPacks = 5
)

// Versions, as bits: one that was there, and those of the two writers.
const (
	oldVersion = 0
	ownVersion = 1 // + writer
)

const (
	unborn uint8 = iota
	open
	ended
	sealed
)

type protocolState struct {
	files, packs, rows uint8 // of packs: in the store, in the folded state, dropped and able to come back
	versions, forgot   uint8 // there now; forgotten once
	session            [2]uint8
	w                  [2]protocolWriter
	p                  [2]protocolPrune
	u                  struct {
		pc, pack uint8
		fresh    bool
	}
}

type protocolWriter struct {
	pc     uint8 // 0 begin, 1 look, 2 announce what is stored, 3 check, 4 commit, 5 over
	fresh  bool  // no commit since it looked at the log
	relies uint8 // 0 on nothing, 1 on the chunk, 2 on a pack of its own, 3 + v on version v
}

type protocolPrune struct {
	pc     uint8 // 0 idle, 1 drop or move is planned, 2 checked, 3 purge is planned, 4 a file is to be removed
	fresh  bool
	target uint8
	move   bool
	moved  bool  // it has written its pack; names are not used twice
	left   uint8 // rounds
}

func bit(n uint8) uint8 { return 1 << n }

// broken reports whether the invariant is.
func (s *protocolState) broken() bool { return s.versions != 0 && s.packs&s.files == 0 }

// commit is what every commit does to the others. It reports false when the place is taken.
func (s *protocolState) commit(out leftOut, fresh bool) bool {
	if !fresh && !out.chain {
		return false
	}
	for i := range s.w {
		s.w[i].fresh = false
	}
	for i := range s.p {
		s.p[i].fresh = false
	}
	s.u.fresh = false
	return true
}

func (s protocolState) next(out leftOut, add func(protocolState, string)) {
	for i := range s.w {
		s.writer(uint8(i), out, add)
	}
	for i := range s.p {
		s.prune(uint8(i), out, add)
	}
	s.undelete(out, add)
	for v := range uint8(3) {
		if s.versions&bit(v) != 0 && s.forgot&bit(v) == 0 {
			n := s
			n.versions &^= bit(v)
			n.forgot |= bit(v)
			n.commit(out, true)
			add(n, fmt.Sprintf("forget %d", v))
		}
	}
}

func (s *protocolState) writer(i uint8, out leftOut, add func(protocolState, string)) {
	say := func(n protocolState, what string) { add(n, fmt.Sprintf("writer %d %s", i, what)) }
	w := s.w[i]
	switch w.pc {
	case 0:
		n := *s
		n.commit(out, true)
		n.session[i], n.w[i] = open, protocolWriter{pc: 1}
		say(n, "begins")
	case 1:
		n := *s
		n.w[i].pc = 3
		if s.packs != 0 {
			n.w[i].relies = 1
			say(n, "finds the chunk")
		} else {
			n.files |= bit(ownPack + i)
			n.w[i].pc, n.w[i].relies = 2, 2
			say(n, "stores the chunk")
		}
		for v := range uint8(3) {
			if s.versions&bit(v) != 0 {
				n := *s
				n.w[i].pc, n.w[i].relies = 3, 3+v
				say(n, fmt.Sprintf("takes the content of version %d", v))
			}
		}
	case 2: // a long backup announces its packs as it goes, a short one at its end
		n := *s
		n.w[i].pc = 3
		say(n, "goes on")
		if s.session[i] == open {
			n.commit(out, true)
			n.packs |= bit(ownPack + i)
			n.w[i].relies = 1
			if out.held {
				n.w[i].relies = 0
			}
			say(n, "announces its pack")
		}
	case 3: // fold everything, and look again
		n := *s
		n.w[i].pc, n.w[i].fresh = 4, true
		parent := w.relies >= 3 && s.versions&bit(w.relies-3) == 0
		if s.session[i] == sealed && !out.void || w.relies == 1 && s.packs == 0 && !out.relied || parent && !out.parent {
			n.w[i] = protocolWriter{pc: 5}
			say(n, "gives up")
			return
		}
		say(n, "checks")
	case 4:
		n := *s
		n.w[i].pc = 3
		if n.commit(out, w.fresh) {
			n.w[i] = protocolWriter{pc: 5}
			if s.session[i] == open || out.void {
				n.session[i] = ended
				n.versions |= bit(ownVersion + i)
				if w.relies == 2 {
					n.packs |= bit(ownPack + i)
				}
			}
		}
		say(n, "commits")
	}
}

// over reports whether no session can add the pack any more.
func (s *protocolState) over(pack uint8) bool {
	if pack != ownPack && pack != ownPack+1 {
		return true
	}
	state := s.session[pack-ownPack]
	return state == ended || state == sealed
}

// leaves reports whether the chunk is not needed, or in another pack.
func (s *protocolState) leaves(pack uint8) bool {
	return s.packs&bit(pack) != 0 && (s.versions == 0 || s.packs&^bit(pack) != 0)
}

func (s *protocolState) prune(i uint8, out leftOut, add func(protocolState, string)) {
	say := func(n protocolState, what string) { add(n, fmt.Sprintf("prune %d %s", i, what)) }
	p := s.p[i]
	switch p.pc {
	case 0:
		if p.left > 0 {
			s.plan(i, out, say)
		}
	case 1: // fold everything, and look again
		n := *s
		n.p[i].pc, n.p[i].fresh = 2, true
		if s.packs&bit(p.target) == 0 || !p.move && !out.validate && !s.leaves(p.target) {
			n.p[i].pc = 0
		}
		say(n, "checks")
	case 2:
		n := *s
		n.p[i].pc = 1
		if n.commit(out, p.fresh) {
			n.p[i].pc = 0
			if s.packs&bit(p.target) != 0 { // else it has no effect
				n.packs &^= bit(p.target)
				n.rows |= bit(p.target)
			}
			if p.move {
				n.packs |= bit(newPack + i)
			}
		}
		say(n, fmt.Sprintf("drops pack %d", p.target))
	case 3:
		n := *s
		n.p[i].pc = 0
		if n.commit(out, p.fresh) && s.rows&bit(p.target) != 0 {
			n.rows &^= bit(p.target)
			n.p[i].pc = 4
		}
		say(n, fmt.Sprintf("takes the row of pack %d", p.target))
	case 4:
		n := *s
		n.p[i].pc = 0
		n.files &^= bit(p.target)
		say(n, fmt.Sprintf("removes file %d", p.target))
	}
}

// plan is one round of a prune: drop, move, seal or sweep.
func (s *protocolState) plan(i uint8, out leftOut, say func(protocolState, string)) {
	begin := func(pc, target uint8) protocolState {
		n := *s
		n.p[i].left--
		n.p[i].pc, n.p[i].target, n.p[i].fresh, n.p[i].move = pc, target, true, false
		return n
	}
	for pack := range uint8(allPacks) {
		here, row, file := s.packs&bit(pack) != 0, s.rows&bit(pack) != 0, s.files&bit(pack) != 0
		if here && (s.over(pack) || out.held) {
			if s.leaves(pack) {
				say(begin(1, pack), fmt.Sprintf("plans to drop pack %d", pack))
			}
			if !s.p[i].moved {
				n := begin(1, pack)
				n.p[i].move, n.p[i].moved = true, true
				n.files |= bit(newPack + i)
				say(n, fmt.Sprintf("writes pack %d again", pack))
			}
		}
		if row && file && out.purge {
			say(begin(4, pack), fmt.Sprintf("finds that the grace of pack %d has passed", pack))
		} else if row && file {
			say(begin(3, pack), fmt.Sprintf("finds that the grace of pack %d has passed", pack))
		}
		writing := pack >= newPack && s.p[pack-newPack].move && s.p[pack-newPack].pc > 0 // its session is open
		if !here && !row && file && !writing && (s.over(pack) || out.seal) {
			say(begin(4, pack), fmt.Sprintf("finds file %d in no commit", pack))
		}
	}
	for w := range s.session {
		if s.session[w] == open {
			n := begin(0, 0)
			n.commit(out, true)
			n.session[w] = sealed
			say(n, fmt.Sprintf("seals the session of writer %d", w))
		}
	}
}

func (s *protocolState) undelete(out leftOut, add func(protocolState, string)) {
	switch s.u.pc {
	case 0:
		for pack := range uint8(allPacks) {
			if s.rows&s.files&bit(pack) != 0 {
				n := *s
				n.u.pc, n.u.pack, n.u.fresh = 1, pack, false
				add(n, fmt.Sprintf("undelete sees pack %d", pack))
			}
		}
	case 1:
		n := *s
		n.u.pc, n.u.fresh = 2, true
		if s.rows&bit(s.u.pack) == 0 && !out.recheck {
			n.u.pc = 3
		}
		add(n, "undelete checks")
	case 2:
		n := *s
		n.u.pc = 1
		if n.commit(out, s.u.fresh) {
			n.u.pc = 3
			n.packs |= bit(s.u.pack)
			n.rows &^= bit(s.u.pack)
			// Whoever brings a pack back wants a version back, too.
			if v := s.forgot & bit(oldVersion); v != 0 {
				n.versions |= v
			}
		}
		add(n, "undelete commits")
	}
}

// explore visits the states breadth first and returns how many there are, and the shortest
// way to one that breaks the invariant.
func explore(out leftOut, rounds [2]uint8) (states int, way []string) {
	type step struct {
		from int32
		what string
	}
	first := protocolState{files: bit(oldPack), packs: bit(oldPack), versions: bit(oldVersion)}
	first.p[0].left, first.p[1].left = rounds[0], rounds[1]
	seen := map[protocolState]struct{}{first: {}}
	queue, steps := []protocolState{first}, []step{{-1, ""}}
	for at := 0; at < len(queue); at++ {
		s := queue[at]
		if s.broken() {
			for i := int32(at); i > 0; i = steps[i].from {
				way = append([]string{steps[i].what}, way...)
			}
			return len(queue), way
		}
		s.next(out, func(n protocolState, what string) {
			if _, ok := seen[n]; !ok {
				seen[n] = struct{}{}
				queue, steps = append(queue, n), append(steps, step{int32(at), what})
			}
		})
	}
	return len(queue), nil
}

func TestProtocol(t *testing.T) {
	rounds := [2]uint8{2, 1} // with 3 and 2 there are 43 million states, and two minutes
	if testing.Short() {
		rounds = [2]uint8{1, 1}
	}
	states, way := explore(leftOut{}, rounds)
	for _, step := range way {
		t.Log(step)
	}
	if way != nil {
		t.Fatalf("the invariant breaks after %d states", states)
	}
	t.Logf("%d states", states)
	if states < 10_000 {
		t.Errorf("there are only %d states", states)
	}
	for name, out := range map[string]leftOut{
		"no look for what was relied on": {relied: true},
		"no look for the parent":         {parent: true},
		"no look before a drop":          {validate: true},
		"no chain":                       {chain: true},
		"no seal before a sweep":         {seal: true},
		"commits of sealed sessions":     {void: true},
		"file before row":                {purge: true},
		"no look before an undelete":     {recheck: true},
		"packs of open sessions":         {held: true},
	} {
		t.Run(name, func(t *testing.T) {
			states, way := explore(out, [2]uint8{3, 2})
			if way == nil {
				t.Fatalf("the invariant holds in all %d states: the model does not see what the rule is for", states)
			}
			t.Logf("after %d states: %q", states, way)
		})
	}
}
