package helper

import (
	"os"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/netns/helper/space"
	"golang.org/x/sys/unix"
)

// graves are the network namespaces of containers that have ended. To take one down
// the kernel holds for ten milliseconds and more the very lock that the next
// container's interfaces need (rtnl_lock, net/core/net_namespace.c), and takes no longer for
// many. So they are kept until no container has come or gone for a while.
//
// Another container may share one of them (--network container:…), which stays then,
// with the interfaces in it: they are removed by name, once the others have had time to go.
type graves struct {
	mu      sync.Mutex
	files   []*os.File
	remains []func() // what removes the interfaces of files
	late    []func() // of those that were let go of before
	timer   *time.Timer
}

const (
	graveLimit = 64          // as many at most
	graveRest  = time.Second // how long nothing must have happened; the helper stays for longer
	// lateRest is how long after that the interfaces of shared ones are removed.
	// `network check` is patient for both together.
	lateRest = 300 * time.Millisecond
)

// add keeps a namespace, which its container uses no longer. Remains removes those of
// its interfaces that are still there.
func (g *graves) add(s *space.Space, remains func()) {
	fd, err := unix.FcntlInt(s.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil { // else it goes at once
		g.files = append(g.files, os.NewFile(uintptr(fd), "ended"))
	}
	g.remains = append(g.remains, remains)
	switch {
	case len(g.remains) >= graveLimit:
		g.clear()
	case g.timer == nil:
		g.timer = time.AfterFunc(graveRest, g.rest)
		return
	}
	g.timer.Reset(graveRest)
}

// wait puts the clearing off: a container is just being attached.
func (g *graves) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil && len(g.remains)+len(g.late) > 0 {
		g.timer.Reset(graveRest)
	}
}

// rest is called when nothing has happened for a while.
func (g *graves) rest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clear()
	if len(g.late) > 0 {
		g.timer.Reset(lateRest)
	}
}

// clear lets go of all, and of what has outlived the last time. The caller holds g.mu.
func (g *graves) clear() {
	for _, f := range g.files {
		f.Close()
	}
	late := g.late
	g.files, g.remains, g.late = nil, nil, g.remains
	go func() {
		for _, remove := range late {
			remove()
		}
	}()
}
