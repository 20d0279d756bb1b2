// Package wire carries messages between skiff's processes over SOCK_SEQPACKET unix
// sockets: one packet is one message, its first byte says what it is, the rest is
// JSON or raw bytes, and descriptors (SCM_RIGHTS) stay with the message they belong to.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/skiff-containers/skiff/oci/push"
	"golang.org/x/sys/unix"
)

// Kind says what a message is; each protocol numbers its own.
type Kind byte

// MaxPacket bounds a message; stream data is cut into packets of MaxData.
const (
	MaxPacket = 160 << 10
	MaxData   = 32 << 10
)

// Conn is one end of a conversation. Sends may come from several goroutines, each
// packet stays whole; one goroutine receives.
type Conn struct {
	file    *os.File
	raw     syscall.RawConn
	sending sync.Mutex
	buffer  []byte // of Recv
}

// New takes over a SOCK_SEQPACKET descriptor.
func New(fd int) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("preparing a socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "conversation")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("preparing a socket: %w", err)
	}
	return &Conn{file: file, raw: raw}, nil
}

// Accept hands each connection that comes to a listening, non-blocking socket to f, one after the
// other, until the socket is closed.
func Accept(socket *os.File, f func(*Conn)) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	for {
		var fd int
		var acceptErr error
		if err := raw.Read(func(listening uintptr) bool {
			fd, _, acceptErr = unix.Accept4(int(listening), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return !errors.Is(acceptErr, unix.EAGAIN)
		}); err != nil {
			return
		}
		if acceptErr != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely: those of others must end first
			continue
		}
		if c, err := New(fd); err == nil {
			f(c)
		}
	}
}

// Close ends the conversation: the other end reads io.EOF.
func (c *Conn) Close() { c.file.Close() }

// SetWriteDeadline bounds how long sends may wait for a peer that does not read.
func (c *Conn) SetWriteDeadline(t time.Time) { c.file.SetWriteDeadline(t) }

// SetReadDeadline bounds how long Recv waits; it then fails with os.ErrDeadlineExceeded.
func (c *Conn) SetReadDeadline(t time.Time) { c.file.SetReadDeadline(t) }

// File is the socket, to pass it on to another process.
func (c *Conn) File() *os.File { return c.file }

// Control runs f with the socket's descriptor.
func (c *Conn) Control(f func(fd uintptr)) error { return c.raw.Control(f) }

// Send writes one message with a JSON body (nil: none) and descriptors.
func (c *Conn) Send(k Kind, body any, files ...*os.File) error {
	packet := []byte{byte(k)}
	if body != nil {
		text, err := push.JSON(body)
		if err != nil {
			return fmt.Errorf("encoding a message: %w", err)
		}
		packet = append(packet, text...)
	}
	if len(packet) > MaxPacket {
		return fmt.Errorf("sending a message: %w", unix.EMSGSIZE)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			raw, err := f.SyscallConn()
			if err != nil {
				return fmt.Errorf("passing %s: %w", f.Name(), err)
			}
			if err := raw.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
				return fmt.Errorf("passing %s: %w", f.Name(), err)
			}
		}
		rights = unix.UnixRights(fds...)
	}
	return c.write(packet, rights)
}

// SendData writes stream bytes, cut into packets.
func (c *Conn) SendData(k Kind, data []byte) error {
	packet := make([]byte, 0, 1+min(len(data), MaxData))
	for len(data) > 0 {
		n := min(len(data), MaxData)
		packet = append(append(packet[:0], byte(k)), data[:n]...)
		if err := c.write(packet, nil); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (c *Conn) write(packet, rights []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	var err error
	if e := c.raw.Write(func(fd uintptr) bool {
		for {
			err = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL)
			if !errors.Is(err, unix.EINTR) {
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	}); e != nil {
		return e
	}
	return err
}

// Recv reads the next message. The body is valid until the next call. It returns
// io.EOF where the other end has left.
func (c *Conn) Recv() (k Kind, body []byte, files []*os.File, err error) {
	if c.buffer == nil {
		c.buffer = make([]byte, MaxPacket)
	}
	var n, rightsLength, flags int
	var rights [256]byte // room for sixty descriptors
	left := false
	if e := c.raw.Read(func(fd uintptr) bool {
		for {
			n, rightsLength, flags, _, err = unix.Recvmsg(int(fd), c.buffer, rights[:], unix.MSG_CMSG_CLOEXEC)
			switch {
			case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNRESET):
				// A peer that closes before it has read all that we sent resets us. That is
				// told once and first; what the peer had to say still waits behind it.
			case err == nil && n == 0 && !left:
				// The kernel looks for a packet, finds none, then looks whether the peer has
				// left (unix_dgram_recvmsg): one that spoke and left between the two is still
				// to be heard. What comes after the peer's end is nothing.
				left = true
			default:
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	}); e != nil {
		return 0, nil, nil, e
	}
	switch {
	case err != nil:
		return 0, nil, nil, err
	case n == 0:
		return 0, nil, nil, io.EOF
	}
	if rightsLength > 0 {
		files = received(rights[:rightsLength])
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		CloseAll(files)
		return 0, nil, nil, fmt.Errorf("receiving a message: %w", unix.EMSGSIZE)
	}
	return Kind(c.buffer[0]), c.buffer[1:n], files, nil
}

func received(rights []byte) (files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files
}

// CloseAll closes files, of which some may be nil.
func CloseAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// Decode parses a JSON body.
func Decode[T any](body []byte) (v T, err error) {
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fmt.Errorf("decoding a message: %w", err)
	}
	return v, nil
}
