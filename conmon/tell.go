package conmon

import (
	"maps"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// longestCommand bounds what an event tells of a command line.
const longestCommand = 4 << 10

// tell writes what happened to the container to the journal, with pairs of key and value.
func (s *shim) tell(action string, pairs ...string) {
	if s.setup.Attributes == nil {
		return
	}
	attributes := maps.Clone(s.setup.Attributes)
	if name, renamed := store.Renamed(s.setup.Dir); renamed {
		attributes["name"] = name
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		attributes[pairs[i]] = pairs[i+1]
	}
	s.store.Emit(store.Event{Type: "container", Action: action, ID: s.setup.Container, Attributes: attributes})
}

// tellSize writes that the container's terminal has a size now, where it has a terminal.
func (s *shim) tellSize(t *target, size Size) {
	if t.console == nil || size == (Size{}) {
		return
	}
	s.tell("resize", "height", strconv.Itoa(int(size.Rows)), "width", strconv.Itoa(int(size.Columns)))
}

// commandLine is a command as events show it.
func commandLine(args []string) string {
	line := strings.Join(args, " ")
	return line[:min(len(line), longestCommand)]
}
