package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
)

// inode is something whose attributes are set, never through a link.
type inode interface {
	chown(uid, gid int) error // -1 leaves one as it is
	chmod(mode uint32) error
	xattrNames() ([]string, error)
	xattr(name string) ([]byte, error)
	setXattr(name string, value []byte) error
	removeXattr(name string) error
}

const (
	setuid = 0o4000
	setgid = 0o2000
)

// setAttributes gives an inode the attributes of n, but for the time. have is what it
// has now; nil when it is new or was written to. The order matters: a new owner
// takes away setuid bits and capabilities, attributes need the permission to write,
// and an access control list changes the mode.
func (rs *restorer) setAttributes(i inode, n, have *Node) error {
	mode := n.Mode
	owned, uidSet, gidSet := rs.setOwner(i, n, have)
	if n.Type != Dir { // a program must not get the rights of an owner it did not have
		if !uidSet {
			mode &^= setuid
		}
		if !gidSet {
			mode &^= setgid
		}
	}
	listed, err := rs.setXattrs(i, n)
	if err != nil {
		return err
	}
	if have != nil && have.Mode == mode && !owned && !listed {
		return nil
	}
	if err := i.chmod(mode); err != nil {
		return fmt.Errorf("set mode %o: %w", mode, err)
	}
	return nil
}

// setOwner reports whether it changed something, and whether user and group are now
// those of n.
func (rs *restorer) setOwner(i inode, n, have *Node) (changed, uidSet, gidSet bool) {
	uid, gid := rs.owners.find(n, rs.opt.NumericOwner)
	if have != nil && uid == int(have.UID) && gid == int(have.GID) {
		return false, true, true
	}
	self, group := os.Geteuid(), os.Getegid()
	if rs.opt.NoOwner {
		return false, uid == self, gid == group
	}
	if privileged() {
		if err := i.chown(uid, gid); err != nil {
			rs.missed.owner(err)
			return false, false, false
		}
		return true, true, true
	}
	uidSet = uid == self
	err := i.chown(-1, gid)
	if err != nil || !uidSet {
		rs.missed.owner(errors.New("not running as root"))
	}
	return err == nil, uidSet, err == nil
}

// setXattrs makes the extended attributes those of n, access control lists last. It
// reports whether it changed one of those.
func (rs *restorer) setXattrs(i inode, n *Node) (listed bool, err error) {
	names, err := i.xattrNames()
	if err != nil && !refused(err) {
		return false, fmt.Errorf("list attributes: %w", err)
	}
	for _, name := range names {
		if !hasXattr(n, name) && removable(name) {
			if err := i.removeXattr(name); err != nil && !refused(err) {
				return listed, fmt.Errorf("remove attribute %s: %w", name, err)
			}
			listed = listed || isACL(name)
		}
	}
	for _, acls := range []bool{false, true} {
		for _, x := range n.Xattrs {
			name := string(x.Name)
			if isACL(name) != acls || len(names) > 0 && rs.equalXattr(i, name, x.Value) {
				continue
			}
			listed = listed || acls
			if err := i.setXattr(name, x.Value); refused(err) {
				rs.missed.attribute(name, err)
			} else if err != nil {
				// Not %w: a full inode is not a full disk.
				return listed, fmt.Errorf("set attribute %s: %v", name, err)
			}
		}
	}
	return listed, nil
}

func (rs *restorer) equalXattr(i inode, name string, want []byte) bool {
	value, err := i.xattr(name)
	return err == nil && bytes.Equal(value, want)
}

func hasXattr(n *Node, name string) bool {
	for _, x := range n.Xattrs {
		if string(x.Name) == name {
			return true
		}
	}
	return false
}

func isACL(name string) bool { return strings.HasPrefix(name, "system.posix_acl_") }

// removable reports whether an attribute that the snapshot does not have is taken away:
// not those that the system itself gives to new files.
func removable(name string) bool {
	return isACL(name) || strings.HasPrefix(name, "user.") || name == "security.capability"
}

// ownerIDs finds the numbers that the names of owners have here.
type ownerIDs struct {
	mu            sync.Mutex
	users, groups map[string]int // -1: there is no such name
}

// maxOwners bounds the names that are remembered.
const maxOwners = 4096

func (o *ownerIDs) find(n *Node, numeric bool) (uid, gid int) {
	uid, gid = int(n.UID), int(n.GID)
	if numeric {
		return uid, gid
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users == nil || len(o.users)+len(o.groups) > maxOwners {
		o.users, o.groups = map[string]int{}, map[string]int{}
	}
	if id := remember(o.users, n.User, userNumber); id >= 0 {
		uid = id
	}
	if id := remember(o.groups, n.Group, groupNumber); id >= 0 {
		gid = id
	}
	return uid, gid
}

func remember(known map[string]int, name string, find func(string) int) int {
	if name == "" {
		return -1
	}
	id, ok := known[name]
	if !ok {
		id = find(name)
		known[name] = id
	}
	return id
}

func userNumber(name string) int {
	u, err := user.Lookup(name)
	if err != nil {
		return -1
	}
	return number(u.Uid)
}

func groupNumber(name string) int {
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1
	}
	return number(g.Gid)
}

func number(s string) int {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 0 || id >= math.MaxUint32 {
		return -1
	}
	return int(id)
}

// missed counts what the system or the privileges did not allow, to be told once.
type missed struct {
	mu                     sync.Mutex
	owners, attributes     int64
	ownerErr, attributeErr error // the first
	attributeName          string
}

func (m *missed) owner(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owners++; m.owners == 1 {
		m.ownerErr = err
	}
}

func (m *missed) attribute(name string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attributes++; m.attributes == 1 {
		m.attributeName, m.attributeErr = name, err
	}
}

func (m *missed) notes() (notes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owners > 0 {
		notes = append(notes, fmt.Sprintf("owners of %d files not restored: %v", m.owners, m.ownerErr))
	}
	if m.attributes > 0 {
		notes = append(notes, fmt.Sprintf("%d extended attributes not restored; the first, %s: %v", m.attributes, m.attributeName, m.attributeErr))
	}
	return notes
}
