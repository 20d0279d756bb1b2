package conmon

import (
	"errors"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// conversation is both ends of one.
func conversation(t *testing.T) (client, server *wire.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*wire.Conn
	for i, fd := range fds {
		if ends[i], err = wire.New(fd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ends[i].Close)
	}
	return ends[0], ends[1]
}

// Who is told that it is attached hears what comes of its own words: it is told as it is added.
func TestAttachedClientHearsAllThatFollows(t *testing.T) {
	t.Parallel()
	client, server := conversation(t)
	io := &stdio{}
	if err := io.pipe(1); err != nil {
		t.Fatal(err)
	}
	defer io.closeTheirs()
	defer io.closeOurs()
	l := &life{target: newTarget(io, nil, nil, nil, nil)}
	s := &shim{now: l, clients: map[*wire.Conn]struct{}{}}
	sessions := make(chan *Session, 1)
	go func() {
		session, err := newSession(client)
		if err != nil {
			t.Error(err)
		}
		sessions <- session
	}()
	l.target.hub.mu.Lock()
	attached := make(chan struct{})
	go func() { s.attachTo(server, Attach{Stdout: true}); close(attached) }()
	select {
	case session := <-sessions:
		t.Error("a client is told that it is attached before it is")
		sessions <- session
	case <-time.After(50 * time.Millisecond): // nothing tells when nothing is said
	}
	l.target.hub.mu.Unlock()
	session := <-sessions
	if t.Failed() {
		return
	}
	l.target.hub.spread(stdoutStream, []byte("word"))
	if e, err := session.Recv(); err != nil || string(e.Stdout) != "word" {
		t.Errorf("%q is heard, %v", e.Stdout, err)
	}
	session.Close()
	<-attached
}

// What ends while somebody is being attached to it has ended, and is nothing unexpected.
func TestWhatEndsIsNotAttachedTo(t *testing.T) {
	t.Parallel()
	client, server := conversation(t)
	if err := server.Send(kindExited, Exited{Code: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := newSession(client); !errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
}
