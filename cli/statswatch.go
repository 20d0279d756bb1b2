package cli

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// watch looks at containers again and again: at those that were named, or at all, which
// come and go meanwhile.
type watch struct {
	engine *run.Engine
	refs   []string // empty: those that run, or all
	all    bool
	seen   map[string]*figures // by id
	tell   func(text string)
	told   map[string]bool
}

// figures are what is known of one container.
type figures struct {
	ref                        string // as it was named
	before, now                *run.Sample
	cpu, memory, network, disk []float64 // histories, the oldest first: percent, percent, bytes a second
	pids                       []float64
}

// historyLength is how many looks are remembered: more than a line has room for.
const historyLength = 60

// look measures all of them at once.
func (w *watch) look(ctx context.Context) ([]*figures, error) {
	refs := w.refs
	if len(refs) == 0 {
		found, err := w.engine.List(ctx, run.ListOptions{All: w.all})
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			refs = append(refs, c.Record.ID)
		}
	}
	samples, errs := make([]*run.Sample, len(refs)), make([]error, len(refs))
	free := make(chan struct{}, eachAtOnce)
	var working sync.WaitGroup
	for i, ref := range refs {
		free <- struct{}{}
		working.Go(func() {
			defer func() { <-free }()
			samples[i], errs[i] = w.engine.Stats(ctx, ref)
		})
	}
	working.Wait()
	var rows []*figures
	for i, sample := range samples {
		if errs[i] != nil {
			if errors.Is(errs[i], store.ErrNoContainer) && (len(w.refs) == 0 || w.known(refs[i])) {
				continue // it went meanwhile
			}
			return nil, errs[i]
		}
		w.explain(sample)
		rows = append(rows, w.add(refs[i], sample))
	}
	return rows, ctx.Err()
}

// known tells whether a container was there before under that name.
func (w *watch) known(ref string) bool {
	for _, f := range w.seen {
		if f.ref == ref {
			return true
		}
	}
	return false
}

// explain tells once where figures come from if not from cgroups.
func (w *watch) explain(s *run.Sample) {
	text := ""
	switch {
	case s.Counted:
		text = "containers have no cgroups here: figures are added up from /proc, without processes that have ended"
	case len(s.Lacking) > 0:
		text = "some figures are not known, as cgroup controllers are not delegated to this user: " + strings.Join(s.Lacking, ", ")
	}
	if text != "" && !w.told[text] {
		if w.told == nil {
			w.told = map[string]bool{}
		}
		w.told[text] = true
		w.tell(text)
	}
}

func (w *watch) add(ref string, s *run.Sample) *figures {
	f := w.seen[s.ID]
	if f == nil {
		f = &figures{}
		w.seen[s.ID] = f
	}
	f.ref, f.before, f.now = ref, f.now, s
	remember(&f.cpu, s.CPUPercent(f.before))
	remember(&f.memory, s.MemoryPercent())
	remember(&f.pids, float64(s.Pids))
	var network, disk float64
	if b := f.before; b != nil && b.Running && s.Running {
		if span := s.Read.Sub(b.Read).Seconds(); span > 0 {
			network = growth(b.NetworkIn+b.NetworkOut, s.NetworkIn+s.NetworkOut) / span
			disk = growth(b.BlockRead+b.BlockWritten, s.BlockRead+s.BlockWritten) / span
		}
	}
	remember(&f.network, network)
	remember(&f.disk, disk)
	return f
}

// growth is what a counter has gained; one that fell was begun anew.
func growth(before, now uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

func remember(history *[]float64, value float64) {
	*history = append(*history, value)
	if len(*history) > historyLength {
		*history = (*history)[1:]
	}
}
