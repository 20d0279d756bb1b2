package wire

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// What a peer says last is heard, also where it leaves while it is being listened to: the
// kernel tells of the end first where both come within its look for a packet.
func TestLastWordIsHeard(t *testing.T) {
	t.Parallel()
	var theirs atomic.Int64 // a descriptor that waits for its last word, or 0
	over := make(chan struct{})
	defer close(over)
	go speakAndLeave(&theirs, over)
	for round := range 20_000 {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := New(ends[0])
		if err != nil {
			t.Fatal(err)
		}
		theirs.Store(int64(ends[1]))
		for range round % 50 { // the moment is not the same twice
			unix.Getppid()
		}
		if k, _, _, err := ours.Recv(); err != nil || k != 7 {
			t.Fatalf("round %d: kind %d, %v", round, k, err)
		}
		if _, _, _, err := ours.Recv(); err != io.EOF {
			t.Fatalf("round %d: the end is %v", round, err)
		}
		ours.Close()
		for theirs.Load() != 0 {
			runtime.Gosched()
		}
	}
}

func speakAndLeave(theirs *atomic.Int64, over <-chan struct{}) {
	runtime.LockOSThread()
	for {
		fd := int(theirs.Load())
		if fd == 0 {
			select {
			case <-over:
				return
			default:
				runtime.Gosched()
				continue
			}
		}
		unix.Write(fd, []byte{7})
		unix.Close(fd)
		theirs.Store(0)
	}
}
