package client

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// stand makes a folder as a helper of another version leaves it, which lives until
// the file that is returned is closed.
func stand(t *testing.T, socket string) (*store.Store, *os.File) {
	t.Helper()
	s := &store.Store{Root: t.TempDir()}
	folder := filepath.Join(s.Root, "helper")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(folder, socket), unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	alive, err := os.OpenFile(filepath.Join(folder, AliveName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { alive.Close() })
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(alive.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		t.Fatal(err)
	}
	return s, alive
}

// A helper of another version is told from none, and its remains are no helper.
func TestOtherVersion(t *testing.T) {
	s, alive := stand(t, "socket")
	_, err := Dial(s)
	if host, ok := errors.AsType[*userns.HostError](err); !ok || host.Hint == "" || !errors.Is(err, ErrOtherVersion) {
		t.Errorf("while it lives: %v", err)
	}
	alive.Close()
	if _, err := Dial(s); !errors.Is(err, ErrNoHelper) {
		t.Errorf("after its death: %v", err)
	}
	listener, err := listen(filepath.Join(s.Root, "helper"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if left, err := otherSockets(filepath.Join(s.Root, "helper")); err != nil || len(left) != 0 {
		t.Errorf("its socket lies beside the new one: %v, %v", left, err)
	}
	conn, err := Dial(s)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// A helper of ours that is just ending is none of another version.
func TestEnding(t *testing.T) {
	s, _ := stand(t, SocketName)
	if _, err := Dial(s); !errors.Is(err, ErrNoHelper) {
		t.Error(err)
	}
}

// Who starts a container waits for a helper of another version that nobody needs.
func TestWaitForOtherVersion(t *testing.T) {
	s, alive := stand(t, "socket-0")
	asked := make(chan error)
	go func() {
		_, err := (&Start{Store: s}).dialOrWait()
		asked <- err
	}()
	select {
	case err := <-asked:
		t.Fatalf("while it lives: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	alive.Close()
	if err := <-asked; !errors.Is(err, ErrNoHelper) {
		t.Error(err)
	}
}
