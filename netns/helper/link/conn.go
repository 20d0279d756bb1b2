package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// conn is a conversation with the kernel's rtnetlink. Unlike the library's it sends
// several requests at once: they are on the way of each container's start.
type conn struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf []byte
}

// request is one message of a batch, with what it is for in words.
type request struct {
	kind  int
	flags int
	parts []nl.NetlinkRequestData
	what  string
	fine  []unix.Errno // answers that are as good as success
	reply *[]byte      // where to put the body of the answer, if one is expected
}

// dial opens a conversation about the calling thread's network namespace.
func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	c := &conn{fd: fd, buf: make([]byte, 16<<10)}
	// The kernel answers before send returns; a second is for what nobody thought of.
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if err == nil {
		// Answers without the requests in them.
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	return c, nil
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// do carries out requests in order. All are tried; the first one's error that is not
// fine is returned.
func (c *conn) do(requests ...*request) error {
	if len(requests) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return os.ErrClosed
	}
	var out []byte
	first := c.seq + 1
	for _, r := range requests {
		c.seq++
		m := nl.NewNetlinkRequest(r.kind, r.flags|unix.NLM_F_ACK)
		m.Seq = c.seq
		for _, p := range r.parts {
			m.AddData(p)
		}
		out = append(out, m.Serialize()...)
	}
	if err := unix.Sendto(c.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("%s: %w", requests[0].what, err)
	}
	return c.answers(first, requests)
}

func (c *conn) answers(first uint32, requests []*request) error {
	errs := make([]error, len(requests))
	for left := len(requests); left > 0; {
		n, err := c.receive()
		if err != nil {
			return fmt.Errorf("%s: reading the kernel's answer: %w", requests[0].what, err)
		}
		for b := c.buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
			length, kind, seq := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
			if length < unix.SizeofNlMsghdr || int(length) > len(b) {
				break
			}
			flags, body := binary.NativeEndian.Uint16(b[6:]), b[unix.SizeofNlMsghdr:length]
			b = b[min(len(b), int(length+3)&^3):]
			i := seq - first
			if i >= uint32(len(requests)) {
				continue // late, from a batch before
			}
			r := requests[i]
			switch {
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				left--
				errs[i] = r.judge(body, flags)
			case r.reply != nil:
				*r.reply = append([]byte(nil), body...)
			}
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) receive() (int, error) {
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, 0)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// judge reads an acknowledgement: an errno, and perhaps words.
func (r *request) judge(body []byte, flags uint16) error {
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	if errno == 0 {
		return nil
	}
	for _, fine := range r.fine {
		if errno == fine {
			return nil
		}
	}
	if words := explanation(body, flags); words != "" {
		return fmt.Errorf("%s: %s: %w", r.what, words, errno)
	}
	return fmt.Errorf("%s: %w", r.what, errno)
}

// explanation is the kernel's message beside an error, "" where there is none: after
// the errno and the header of the request come attributes (NETLINK_EXT_ACK, netlink(7)).
func explanation(body []byte, flags uint16) string {
	const before = 4 + unix.SizeofNlMsghdr
	if flags&unix.NLM_F_ACK_TLVS == 0 || len(body) < before {
		return ""
	}
	attributes, err := nl.ParseRouteAttr(body[before:])
	if err != nil {
		return ""
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.NLMSGERR_ATTR_MSG {
			return unix.ByteSliceToString(a.Value)
		}
	}
	return ""
}
