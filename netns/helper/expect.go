package helper

import (
	"path/filepath"
	"time"

	"github.com/skiff-containers/skiff/store"
)

// expectLimit is how long names are not denied for the sake of containers whose shims
// have not attached them to a new helper yet.
const expectLimit = time.Second

// expectMembers notes which containers are about to be attached again.
func (h *helper) expectMembers() {
	h.expected, h.complete = map[string]bool{}, make(chan struct{})
	live, _ := h.store.Live()
	for who := range live {
		if a, err := store.ReadAttachment(filepath.Join(h.store.Root, "containers", who)); err == nil && a != nil {
			h.expected[who] = true
		}
	}
	if len(h.expected) == 0 {
		close(h.complete)
		return
	}
	time.AfterFunc(expectLimit, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.completed()
	})
}

// arrived notes that a container is attached.
func (h *helper) arrived(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.expected, id)
	if len(h.expected) > 0 {
		return
	}
	h.completed()
	if h.tookOver {
		h.swept.Do(func() { go h.sweep() })
	}
}

// completed lets names be denied. The caller holds h.mu.
func (h *helper) completed() {
	select {
	case <-h.complete:
	default:
		close(h.complete)
	}
}
