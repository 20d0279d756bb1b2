package helper

import (
	"os"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/space"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// Of two conversations about one container the one that began later has it, in whatever order
// their first words are read: the earlier one is a killed shim's.
func TestTakeFromAnEarlierShim(t *testing.T) {
	for _, order := range [][]uint64{{1, 2}, {2, 1}} {
		h := &helper{attached: map[string]*attachment{}, leaving: map[string]chan struct{}{}}
		for _, number := range order {
			s, err := space.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			h.take(&attachment{id: "c", number: number, space: s})
		}
		if a := h.attached["c"]; a.number != 2 || a.over {
			t.Errorf("conversation %d has it, at its end: %v; they came as %v", a.number, a.over, order)
		}
	}
}
