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
type graves struct {
	mu    sync.Mutex
	files []*os.File
	timer *time.Timer
}

const (
	graveLimit = 64                     // as many at most
	graveRest  = 300 * time.Millisecond // how long nothing must have happened
)

// add keeps a namespace, which nobody uses any longer.
func (g *graves) add(s *space.Space) {
	fd, err := unix.FcntlInt(s.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return // it goes at once
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.files = append(g.files, os.NewFile(uintptr(fd), "ended"))
	if len(g.files) >= graveLimit {
		g.clear()
		return
	}
	if g.timer == nil {
		g.timer = time.AfterFunc(graveRest, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.clear()
		})
		return
	}
	g.timer.Reset(graveRest)
}

// wait puts the clearing off: a container is just being attached.
func (g *graves) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil && len(g.files) > 0 {
		g.timer.Reset(graveRest)
	}
}

// clear lets go of all. The caller holds g.mu.
func (g *graves) clear() {
	for _, f := range g.files {
		f.Close()
	}
	g.files = nil
}
