package conmon

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// sendLimit bounds how long a client that does not read may hold up the shim's end.
const sendLimit = 10 * time.Second

// finish is the end of a container whose first process has exited. The order
// matters: whoever hears that the container has ended finds its name free (with
// --rm), its state written and its files no longer mounted (without).
func (s *shim) finish(status unix.WaitStatus) {
	if !s.ownPIDNamespace() {
		s.children.killOrphans()
	}
	s.target.drain()
	s.listener.close()
	s.network.end(true)
	s.store.ReleaseAll(s.setup.Dir, s.setup.Container)
	exited := Exited{Code: exitCode(status)}
	if s.setup.AutoRemove {
		gone := s.unlink()
		exited.Removed = gone != nil
		if gone != nil && s.mounted != nil { // the folder has moved, and the mount with it
			s.mounted.Path = filepath.Join(gone.Path, filepath.Base(s.mounted.Path))
		}
		s.announce(exited)
		s.unmount() // before deleting: a mounted overlay would be walked whole
		s.delete(gone)
		s.store.Leave(s.setup.Container)
		return
	}
	s.unmount()
	os.Remove(filepath.Join(s.setup.Dir, socketName))
	s.state.Status, s.state.ExitCode, s.state.FinishedAt = store.Exited, exited.Code, time.Now().UTC()
	store.WriteState(s.setup.Dir, &s.state, store.Durable)
	s.store.Leave(s.setup.Container)
	s.alive.Close() // a start that follows the announcement finds it free
	s.announce(exited)
}

// abandon undoes a start that went wrong and says why.
func (s *shim) abandon(err error) {
	why := failure(err)
	s.listener.close()
	s.network.end(false)
	s.unmount()
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

// announce tells every client that the container has ended.
func (s *shim) announce(exited Exited) {
	s.mu.Lock()
	s.over = true
	clients := s.clients
	s.clients = map[*wire.Conn]struct{}{}
	s.mu.Unlock()
	var telling sync.WaitGroup
	for c := range clients {
		telling.Go(func() {
			c.SetWriteDeadline(time.Now().Add(sendLimit))
			c.Send(kindExited, exited)
			c.Close()
		})
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
	if err != nil && gone == nil {
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

func (s *shim) unmount() {
	if s.mounted != nil {
		s.mounted.Unmount()
		s.mounted = nil
	}
}
