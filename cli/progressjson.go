package cli

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/registry"
)

// jsonLines shows a pull as one JSON object a line, in the form of the messages
// of Docker's API.
type jsonLines struct {
	w io.Writer

	mu      sync.Mutex
	layers  map[string]*lineState
	stopped bool
}

type jsonMessage struct {
	ID       string      `json:"id,omitempty"`
	Status   string      `json:"status"`
	Progress *jsonDetail `json:"progressDetail,omitempty"`
	Reason   string      `json:"reason,omitempty"`
}

type jsonDetail struct {
	Current int64 `json:"current"`
	Total   int64 `json:"total,omitempty"`
}

// jsonEvery is how often the bytes of a layer are told; changes of phase are told at once.
const jsonEvery = 100 * time.Millisecond

func (j *jsonLines) Update(e registry.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped || !j.due(e) {
		return
	}
	m := jsonMessage{ID: e.ID, Status: string(e.Phase), Reason: e.Text}
	if e.Phase == registry.Status {
		m.Status, m.Reason = e.Text, ""
	}
	if e.Current != 0 || e.Total != 0 {
		m.Progress = &jsonDetail{e.Current, e.Total}
	}
	if text, err := json.Marshal(m); err == nil {
		writeAll(j.w, string(text)+"\n")
	}
}

func (j *jsonLines) due(e registry.Event) bool {
	if e.ID == "" {
		return true
	}
	if j.layers == nil {
		j.layers = map[string]*lineState{}
	}
	state := j.layers[e.ID]
	if state == nil {
		state = &lineState{}
		j.layers[e.ID] = state
	}
	if state.phase == e.Phase && e.Phase != registry.Retrying && time.Since(state.told) < jsonEvery {
		return false
	}
	state.phase, state.told = e.Phase, time.Now()
	return true
}

func (j *jsonLines) stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
}
