package conmon

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The Go runtime sends signals to its threads: they interrupt what waits with a time limit.
func TestTerminalIsReceivedBetweenSignals(t *testing.T) {
	t.Parallel()
	c, err := listenForConsole(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
				threads, _ := os.ReadDir("/proc/self/task")
				for _, thread := range threads {
					if id, err := strconv.Atoi(thread.Name()); err == nil {
						unix.Tgkill(os.Getpid(), id, unix.SIGURG)
					}
				}
			}
		}
	}()
	go func() {
		time.Sleep(50 * time.Millisecond)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: c.path}); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond)
		if err := unix.Sendmsg(fd, []byte("terminal"), unix.UnixRights(0), nil, 0); err != nil {
			t.Error(err)
		}
	}()
	got, err := c.receive()
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
}
