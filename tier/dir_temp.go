package tier

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
)

// lockState is what tryLock found.
type lockState int

const (
	lockUnknown lockState = iota // the file system cannot lock
	lockHeld                     // by the caller, until it closes the file
	lockBusy                     // by somebody else
)

// createTemp creates an empty temporary, open for writing, and returns its name
// as well. The writer holds its lock while it lives, so that removeDeadTemps
// can tell.
func (d *Dir) createTemp() (*os.File, string, error) {
	for range 100 {
		name := tempName()
		f, err := d.root.OpenFile(filepath.FromSlash(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if tryLock(f) != lockBusy && !unlinked(f) {
			return f, name, nil
		}
		// A cleaner came between creating and locking: the file is lost.
		f.Close()
	}
	return nil, "", errors.New("no temporary stays in " + tempFolder)
}

func tempName() string { return fmt.Sprintf("%s/%016x", tempFolder, rand.Uint64()) }

// isTempName tells temporaries from files that happen to lie in such a folder.
func isTempName(name string) bool {
	if len(name) != 16 {
		return false
	}
	for _, c := range name {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// removeDeadTemps removes temporaries that no living writer has locked. Names
// of temporaries are not used twice, so what was locked here is what is
// removed. It fails silently: the litter only takes room, and readers may not
// be allowed to remove it.
func (d *Dir) removeDeadTemps() {
	folder, err := d.root.Open(tempFolder)
	if err != nil {
		return
	}
	defer folder.Close()
	for {
		found, err := folder.ReadDir(256)
		for _, de := range found {
			if de.Type().IsRegular() && isTempName(de.Name()) {
				d.removeDeadTemp(tempFolder + "/" + de.Name())
			}
		}
		if err != nil {
			return
		}
	}
}

func (d *Dir) removeDeadTemp(name string) {
	f, err := d.root.Open(filepath.FromSlash(name))
	if err != nil {
		return
	}
	defer f.Close()
	if tryLock(f) == lockHeld {
		d.root.Remove(filepath.FromSlash(name))
	}
}

// chooseMethod finds out, once, how files can get their names here.
func (d *Dir) chooseMethod() (method, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.method != noMethod {
		return d.method, nil
	}
	if err := d.root.Mkdir(tempFolder, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return noMethod, err
	}
	f, name, err := d.createTemp()
	if err != nil {
		return noMethod, err
	}
	defer f.Close()
	defer d.root.Remove(filepath.FromSlash(name))
	d.method = d.probe(name)
	if d.method == noMethod {
		return noMethod, errors.New("the file system can neither link nor rename without replacing, " +
			"so a file cannot be created only if its name is free")
	}
	return d.method, nil
}

// probe tries the methods with the temporary of this name, best first.
func (d *Dir) probe(name string) method {
	folder, err := d.root.Open(tempFolder)
	if err != nil {
		return noMethod
	}
	defer folder.Close()
	other := tempName()
	defer d.root.Remove(filepath.FromSlash(other))
	if f, err := openAnonymous(folder, folder.Name()); err == nil {
		err = linkAnonymous(f, folder, path.Base(other))
		f.Close()
		if err == nil {
			return anonymous
		}
	}
	if d.root.Link(filepath.FromSlash(name), filepath.FromSlash(other)) == nil {
		return linked
	}
	if renameNew(folder, path.Base(name), folder, path.Base(other)) == nil {
		return renamed
	}
	return noMethod
}

// renameTemp moves a temporary to base in folder, unless base exists.
func (d *Dir) renameTemp(temp string, folder *os.File, base string) error {
	from, err := d.root.Open(tempFolder)
	if err != nil {
		return err
	}
	defer from.Close()
	return renameNew(from, path.Base(temp), folder, base)
}
