package conmon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// sendLimit bounds how long a client that does not read may hold up the shim's end.
const sendLimit = 10 * time.Second

// finish is the end of a life, whose first process has exited. It comes back with the
// next one, or with nil where the container has ended for good.
func (s *shim) finish(l *life, status unix.WaitStatus) (next *life) {
	l.health.end() // first: a check that is killed with the container is none
	if s.sharedPIDs {
		s.endExecs()
		s.children.killOrphans()
	}
	for _, timer := range l.timers {
		timer.Stop()
	}
	if l.expired.Load() {
		s.state.Error = fmt.Sprintf("the container was killed after %v, the longest that it may run", s.setup.Timeout)
	}
	s.unpauseEnded(l)
	l.target.drain()
	s.noteOOM(l)
	exited := Exited{Code: exitCode(status)}
	lasted := time.Since(s.state.StartedAt)
	s.tell("die", "exitCode", strconv.Itoa(exited.Code), "execDuration", strconv.Itoa(int(lasted.Seconds())))
	pause, again := s.decide(exited.Code, lasted)
	if !again {
		s.listener.close()
	}
	s.network.end(true, again)
	s.foreign.delete(again)
	l.init.Close()
	if again {
		return s.again(l, exited, pause)
	}
	s.conclude(l, exited)
	return nil
}

// conclude is the end of the container. The order matters: whoever hears that it has
// ended finds its name free (with --rm), its state written and its files no longer
// mounted (without).
func (s *shim) conclude(l *life, exited Exited) {
	s.listener.close()
	s.leaveGroup()
	s.network.close()
	s.store.ReleaseAll(s.setup.Dir, s.setup.Container)
	s.refuse(&Failure{Code: 125, Text: "the container has been stopped"})
	if s.setup.AutoRemove {
		s.remove(l, exited)
		return
	}
	s.unmount(l)
	os.Remove(filepath.Join(s.setup.Dir, socketName))
	s.state.Status, s.state.ExitCode, s.state.FinishedAt = store.Exited, exited.Code, time.Now().UTC()
	s.state.UserStopped = s.stopped()
	store.WriteState(s.setup.Dir, &s.state, store.Durable)
	s.store.Leave(s.setup.Container)
	s.alive.Close() // a start that follows the announcement finds it free
	s.close()
	s.announce(exited)
}

// remove is the end of a --rm container.
func (s *shim) remove(l *life, exited Exited) {
	gone := s.unlink()
	exited.Removed = gone != nil
	if gone != nil && l != nil && l.mounted != nil { // the folder has moved, and the mount with it
		l.mounted.Path = filepath.Join(gone.Path, filepath.Base(l.mounted.Path))
	}
	s.close()
	s.announce(exited)
	s.unmount(l) // before deleting: a mounted overlay would be walked whole
	s.delete(gone)
	s.store.Leave(s.setup.Container)
}

// abandon undoes a first start that went wrong and says why.
func (s *shim) abandon(l *life, err error) {
	why := failure(err)
	s.listener.close()
	s.network.end(false, false)
	s.leaveGroup()
	s.unmount(l)
	var gone *store.Unlinked
	if s.alive == nil { // another shim has the container, or it is gone
		s.vanish()
	} else {
		s.store.ReleaseAll(s.setup.Dir, s.setup.Container)
		if s.setup.AutoRemove {
			gone = s.unlink()
		} else {
			os.Remove(filepath.Join(s.setup.Dir, socketName))
			store.WriteState(s.setup.Dir, &store.State{Status: store.Created, ExitCode: why.Code, Error: why.Text}, store.Durable)
		}
		s.store.Leave(s.setup.Container)
		s.alive.Close()
	}
	s.control.Send(kindFailure, why)
	// The starter holds the container's lock until it has heard from us, and
	// deleting waits for that lock.
	s.control.Close()
	s.delete(gone)
}

// close takes no more clients.
func (s *shim) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// stopped tells whether a user asked for the end, and not the host that goes down.
func (s *shim) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last && !s.shutdown
}

// announce tells every client that a life has ended. That another follows is told to nobody
// once a user has asked for the end: who has waits for that end.
func (s *shim) announce(exited Exited) {
	s.mu.Lock()
	if exited.Again && s.last {
		s.mu.Unlock()
		return
	}
	clients := s.clients
	s.clients = map[*wire.Conn]struct{}{}
	s.mu.Unlock()
	tell := func(c *wire.Conn) {
		c.SetWriteDeadline(time.Now().Add(sendLimit))
		c.Send(kindExited, exited)
		c.Close()
	}
	var telling sync.WaitGroup
	for c := range clients {
		if len(clients) == 1 { // mostly: another thread would first have to be made
			tell(c)
			return
		}
		telling.Go(func() { tell(c) })
	}
	telling.Wait()
}

// unlink takes a --rm container out of the store. Where that goes wrong, the
// state says that it ended, and the next command's sweep removes it.
func (s *shim) unlink() *store.Unlinked {
	c, err := s.store.Find(s.setup.Container)
	if err != nil {
		return nil
	}
	gone, err := c.UnlinkNamed(s.setup.Name)
	if gone != nil {
		s.tell("destroy")
	} else if err != nil {
		s.state.Status, s.state.FinishedAt = store.Exited, time.Now().UTC()
		store.WriteState(s.setup.Dir, &s.state, store.Durable)
	}
	return gone
}

func (s *shim) delete(gone *store.Unlinked) {
	if gone != nil {
		gone.Delete()
	}
}

func (s *shim) unmount(l *life) {
	if l != nil && l.mounted != nil {
		l.mounted.Unmount()
		l.mounted = nil
	}
}
