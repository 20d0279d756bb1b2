// Package space holds network namespaces and threads that are in them. A socket or
// device belongs for ever to the namespace of the thread that made it, whoever uses
// it afterwards.
package space

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Space is a network namespace.
type Space struct {
	file   *os.File
	jobs   chan job
	closed chan struct{}

	closing sync.Once
}

type job struct {
	do   func() error
	done chan error
}

// errClosed is what Do returns after Close.
var errClosed = errors.New("the network namespace is closed")

// New makes a network namespace. It lives while a Space, a process or a descriptor
// (see [Space.File]) holds it.
func New() (*Space, error) {
	return start(func() error { return unix.Unshare(unix.CLONE_NEWNET) })
}

// Open enters the namespace that a file such as /proc/PID/ns/net is. The file stays the caller's.
func Open(file *os.File) (*Space, error) {
	return start(func() error { return unix.Setns(int(file.Fd()), unix.CLONE_NEWNET) })
}

// OpenProcess enters the network namespace of a process. Whoever calls makes sure by
// a pidfd that the number means whom it should.
func OpenProcess(pid int) (*Space, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace of process %d: %w", pid, err)
	}
	defer file.Close()
	return Open(file)
}

// start gives the namespace a thread. It never leaves it: the goroutine ends locked,
// and the thread with it.
func start(enter func() error) (*Space, error) {
	s := &Space{jobs: make(chan job), closed: make(chan struct{})}
	entered := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := enter()
		if err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
		entered <- err
		if err != nil {
			return
		}
		for {
			select {
			case j := <-s.jobs:
				j.done <- j.do()
			case <-s.closed:
				return
			}
		}
	}()
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("entering a network namespace: %w", err)
	}
	return s, nil
}

// Do runs f on the thread that is in the namespace, one call after the other, and
// returns what it returns. It is for making sockets and devices and for setting
// kernel parameters: f must not wait for long, call Do of the same Space, or leave
// the thread changed. Another goroutine that f starts is not in the namespace.
func (s *Space) Do(f func() error) error {
	j := job{f, make(chan error, 1)}
	select {
	case s.jobs <- j:
		return <-j.done
	case <-s.closed:
		return errClosed
	}
}

// File is the namespace itself, valid until Close: for setns(2), for IFLA_NET_NS_FD, to pass on.
func (s *Space) File() *os.File { return s.file }

// Same tells whether two Spaces are one namespace.
func (s *Space) Same(other *Space) bool {
	a, errA := s.file.Stat()
	b, errB := other.file.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Close lets go of the namespace.
func (s *Space) Close() {
	s.closing.Do(func() {
		close(s.closed)
		s.file.Close()
	})
}
