package conmon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// consoleWait is how long a terminal may be under way when its process is there.
const consoleWait = 10 * time.Second

// consoleSocket is where a runtime sends the master of a terminal (--console-socket).
type consoleSocket struct {
	fd   int
	path string // as short as a socket's must be
	link string // a symlink to its folder, where the path itself is too long
}

// maxSocketPath is sun_path's length, less the zero at its end (unix(7)).
const maxSocketPath = 107

func listenForConsole(path string) (c *consoleSocket, err error) {
	c = &consoleSocket{path: path}
	if len(path) > maxSocketPath {
		c.link = filepath.Join("/tmp", "skiff-"+store.NewID()[:32])
		if err := os.Symlink(filepath.Dir(path), c.link); err != nil {
			return nil, fmt.Errorf("making a console socket: %w", err)
		}
		c.path = filepath.Join(c.link, filepath.Base(path))
	}
	c.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		if err = unix.Bind(c.fd, &unix.SockaddrUnix{Name: c.path}); err == nil {
			err = unix.Listen(c.fd, 1)
		}
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("making a console socket: %w", err)
	}
	return c, nil
}

func (c *consoleSocket) close() {
	unix.Close(c.fd)
	os.Remove(c.path)
	if c.link != "" {
		os.Remove(c.link)
	}
}

// receive takes the terminal, which the runtime has sent before its own process ended.
func (c *consoleSocket) receive() (*os.File, error) {
	poll := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	var n int
	err := userns.Retried(func() (err error) {
		n, err = unix.Poll(poll, int(consoleWait.Milliseconds()))
		return err
	})
	if err != nil || n == 0 {
		return nil, errors.Join(errors.New("receiving the terminal: the runtime has sent none"), err)
	}
	conn, _, err := unix.Accept4(c.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receiving the terminal: %w", err)
	}
	defer unix.Close(conn)
	unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(consoleWait.Seconds())})
	name, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	err = userns.Retried(func() (err error) {
		_, n, _, _, err = unix.Recvmsg(conn, name, rights, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("receiving the terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return nil, errors.Join(errors.New("receiving the terminal: no descriptor came"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, errors.Join(errors.New("receiving the terminal: no descriptor came"), err)
	}
	return os.NewFile(uintptr(fds[0]), "console"), nil
}
