package helper

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
)

// reloadLimit is how long a command waits for a container whose shim has not
// attached it to a fresh helper yet.
const reloadLimit = 5 * time.Second

// serveReload makes true what a container's network.json says now.
func (h *helper) serveReload(body []byte) error {
	asked, err := wire.Decode[client.Reload](body)
	if err != nil {
		return err
	}
	for end := time.Now().Add(reloadLimit); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		a := h.attached[asked.Container]
		h.mu.Unlock()
		if a != nil {
			if err := h.connect(a, nil); !errors.Is(err, errTakenOver) {
				return err
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("changing the networks of container %.12s: it is not attached", asked.Container)
		}
	}
}

// status is what `network check` compares with the store.
func (h *helper) status() *client.Status {
	s := &client.Status{PID: os.Getpid(), Path: "kernel", Why: h.why, Memory: resident()}
	if h.why != "" {
		s.Path = "netstack"
	}
	for _, m := range h.directory.All() {
		c := client.AttachedContainer{ID: m.ID()}
		for _, e := range m.Attachment.Endpoints {
			c.Networks = append(c.Networks, e.Network)
		}
		c.Ports, _ = store.ReadBound(h.store.Root + "/containers/" + m.ID())
		s.Containers = append(s.Containers, c)
	}
	slices.SortFunc(s.Containers, func(a, b client.AttachedContainer) int { return cmp.Compare(a.ID, b.ID) })
	s.Interfaces, _ = h.links.Interfaces()
	return s
}

// resident is this process's memory in bytes (proc_pid_statm(5)).
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// failure puts an error into the words of the wire.
func failure(err error) *client.Failure {
	f := &client.Failure{Text: err.Error()}
	var host *userns.HostError
	if errors.As(err, &host) {
		f.Hint = host.Hint
	}
	return f
}
