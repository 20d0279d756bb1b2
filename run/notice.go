package run

import (
	"path/filepath"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// say gives a notice, where somebody listens.
func (e *Engine) say(text string) {
	if e.Notice != nil {
		e.Notice(text)
	}
}

// toldFolder holds an empty file for every notice that a user of this store got
// and needs no second time.
const toldFolder = "told"

// sayOnce gives a notice once in the life of the store.
func (e *Engine) sayOnce(key, text string) {
	folder := filepath.Join(e.Store.Root, toldFolder)
	path := filepath.Join(folder, key)
	if unix.Access(path, unix.F_OK) == nil {
		return
	}
	e.say(text)
	// Where the mark cannot be made, the notice comes again: no harm.
	unix.Mkdir(folder, 0o700)
	_ = store.WriteFile(path, nil, store.Fleeting)
}
