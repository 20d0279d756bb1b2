package store

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/oci/push"
	"golang.org/x/sys/unix"
)

// Event is one thing that happened, in Docker's words (docker events): Type is
// "container", "image" or "network"; Action "create", "start", "die",
// "health_status: healthy" and so on; ID the object's. Attributes of a container
// are its labels, "name" and "image", and what belongs to the action: "exitCode" of
// die and exec_die, "signal" of kill, "execID" of exec_start.
type Event struct {
	Time       time.Time // zero is now
	Type       string
	Action     string
	ID         string
	Attributes map[string]string
}

// The journal is events/journal, and events/journal.1 the one before it. An event is
// a line of JSON, with an end of line before it as well: what a crash or a full disk
// cut off is then a line of its own, and no event is lost with it.
//
//	writer    shared flock on the file that bears the name, one write(2), O_APPEND
//	rotation  exclusive flock on it, rename
//
// So nobody writes to a file that has lost its name, and a reader that has read such a
// file to its end has read all of it.
const (
	journalName = "journal"
	journalMost = 4 << 20  // bytes, after which another file is begun
	eventMost   = 32 << 10 // bytes of one event
)

// eventLine is an event as the journal has it.
type eventLine struct {
	Nano       int64 `json:"timeNano"`
	Type       string
	Action     string
	ID         string
	Attributes map[string]string `json:",omitempty"`
}

// Emit writes events to the journal, in one go. It is not synced, and no failure of it is
// the caller's: nothing waits for a journal.
func (s *Store) Emit(events ...Event) {
	var lines []byte
	for _, e := range events {
		if e.Time.IsZero() {
			e.Time = time.Now()
		}
		line, err := encodeEvent(&e)
		if err != nil {
			continue
		}
		lines = append(lines, line...)
	}
	lock, err := s.openJournal()
	if err != nil {
		return
	}
	defer lock.Unlock()
	if _, err := lock.file.Write(lines); err != nil {
		return
	}
	if info, err := lock.file.Stat(); err == nil && info.Size() >= journalMost {
		s.rotateJournal(lock)
	}
}

// encodeEvent makes the line of an event. Of one that is too long the end of its action
// is cut, which is somebody's command line, and attributes are left out, which are
// somebody's labels: the longest first, and last those by which events are looked for.
// Escaped, it has twice eventMost at most.
func encodeEvent(e *Event) ([]byte, error) {
	l := eventLine{e.Time.UnixNano(), e.Type, e.Action, e.ID, e.Attributes}
	text, err := push.JSON(&l)
	if err == nil && len(text) > eventMost {
		l.Action, l.Attributes = e.Action[:min(len(e.Action), eventMost/8)], shortest(e.Attributes, eventMost/8)
		text, err = push.JSON(&l)
	}
	if err != nil {
		return nil, err
	}
	line := append(make([]byte, 0, len(text)+2), '\n')
	return append(append(line, text...), '\n'), nil
}

// wanted are the attributes by which events are looked for, and what belongs to an action.
var wanted = []string{"name", "image", "container", "type", "exitCode", "signal", "execID", "execDuration"}

// shortest are the shortest of attributes, after the wanted ones, of at most so many
// bytes together.
func shortest(attributes map[string]string, most int) map[string]string {
	length := func(key string) int { return len(key) + len(attributes[key]) }
	rank := func(key string) int {
		if i := slices.Index(wanted, key); i >= 0 {
			return i
		}
		return len(wanted)
	}
	kept := map[string]string{}
	for _, key := range slices.SortedFunc(maps.Keys(attributes), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(length(a), length(b)))
	}) {
		if most >= length(key) {
			kept[key], most = attributes[key], most-length(key)
		}
	}
	return kept
}

// openJournal opens the journal for writing, under a shared lock.
func (s *Store) openJournal() (*Lock, error) {
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE
	lock, err := lockPath(s.path("events", journalName), flags, unix.LOCK_SH)
	if !errors.Is(err, os.ErrNotExist) {
		return lock, err
	}
	if err := os.Mkdir(s.path("events"), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err // a store of before there were events
	}
	return lockPath(s.path("events", journalName), flags, unix.LOCK_SH)
}

// rotateJournal lets another file be begun, where nobody else writes at this moment:
// else the next writer does it.
func (s *Store) rotateJournal(held *Lock) {
	if flock(held.file, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	// Another writer may have done it while the lock was changed, which is not one step.
	path := s.path("events", journalName)
	if same, err := leadsTo(path, held.file); err == nil && same {
		os.Rename(path, path+".1")
	}
}

// Event is something that happens to the container of a record: its attributes are
// its labels, "name" and "image", and pairs of key and value that belong to the action.
func (r *Record) Event(action string, pairs ...string) Event {
	attributes := make(map[string]string, len(r.Config.Labels)+2+len(pairs)/2)
	maps.Copy(attributes, r.Config.Labels)
	attributes["image"], attributes["name"] = r.Config.Image, r.Name
	for i := 0; i+1 < len(pairs); i += 2 {
		attributes[pairs[i]] = pairs[i+1]
	}
	return Event{Type: "container", Action: action, ID: r.ID, Attributes: attributes}
}
