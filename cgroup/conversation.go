package cgroup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// conversation is a connection to a service manager or to its bus. It writes ahead
// what cannot but be answered well, and decodes only what it is asked for: a manager
// that is spoken to directly tells everybody everything, and the library's own
// connection would wait for it four times before the first call. That is time of
// which each start of a container had its share.
type conversation struct {
	conn   net.Conn
	in     *bufio.Reader
	serial uint32   // of the last call; those before are answered by nothing of interest
	others []socket // that are left to try, should the manager not be found here
}

// converse connects, and authenticates by the socket's credentials.
func converse(ctx context.Context, s socket) (*conversation, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", s.path)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	c := &conversation{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}
	if err = c.authenticate(); err == nil && s.bus {
		err = c.attend()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("speaking to %q: %w", s.path, err)
	}
	return c, nil
}

func (c *conversation) close() { c.conn.Close() }

// authenticate waits for the answer before anything else is said: systemd may leave a
// call that came with the end of the authentication in its buffer (D-Bus
// specification, Authentication Protocol).
func (c *conversation) authenticate() error {
	id := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	if _, err := io.WriteString(c.conn, "\x00AUTH EXTERNAL "+id+"\r\nBEGIN\r\n"); err != nil {
		return err
	}
	line, err := c.in.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "OK ") {
		err = fmt.Errorf("authentication: it says %q", strings.TrimSpace(line))
	}
	return err
}

// attend joins a bus, and has it pass on what a manager tells of the ends of jobs. It
// tells that without a subscription to whoever has asked for the job, as systemctl does.
func (c *conversation) attend() error {
	const bus, object = "org.freedesktop.DBus", dbus.ObjectPath("/org/freedesktop/DBus")
	rule := "type='signal',interface='" + managerFace + "',member='" + jobRemoved + "'"
	return c.send(
		c.call(bus, object, bus, "Hello"),
		c.call(bus, object, bus, "AddMatch", rule),
	)
}

func (c *conversation) call(to string, object dbus.ObjectPath, face, member string, args ...any) *dbus.Message {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldPath: dbus.MakeVariant(object),
		dbus.FieldInterface: dbus.MakeVariant(face), dbus.FieldMember: dbus.MakeVariant(member),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return m
}

// send writes calls, all at once.
func (c *conversation) send(calls ...*dbus.Message) error {
	var all bytes.Buffer
	for _, m := range calls {
		begin := all.Len()
		if err := m.EncodeTo(&all, binary.LittleEndian); err != nil {
			return err
		}
		c.serial++
		binary.LittleEndian.PutUint32(all.Bytes()[begin+8:], c.serial)
	}
	_, err := c.conn.Write(all.Bytes())
	return err
}

// maxMessage bounds what is read; a manager's signals have some kilobytes.
const maxMessage = 1 << 20

// receive returns the answer to the last call or a signal of the given name, whichever
// comes first. An answer that is an error comes back as a [dbus.Error].
func (c *conversation) receive(signal string) (*dbus.Message, error) {
	for {
		frame, err := c.frame()
		if err != nil {
			return nil, err
		}
		if dbus.Type(frame[1]) == dbus.TypeSignal && !bytes.Contains(frame, []byte(signal)) {
			continue
		}
		m, err := dbus.DecodeMessage(bytes.NewReader(frame))
		if err != nil {
			return nil, err
		}
		switch m.Type {
		case dbus.TypeSignal:
			if name, _ := m.Headers[dbus.FieldMember].Value().(string); name == signal {
				return m, nil
			}
		case dbus.TypeMethodReply, dbus.TypeError:
			to, _ := m.Headers[dbus.FieldReplySerial].Value().(uint32)
			if to != c.serial {
				continue
			}
			if m.Type == dbus.TypeError {
				name, _ := m.Headers[dbus.FieldErrorName].Value().(string)
				return nil, dbus.Error{Name: name, Body: m.Body}
			}
			return m, nil
		}
	}
}

// frame reads one message as it is (D-Bus specification, Message Format): 16 bytes, in
// which the lengths of body and of header fields stand, the fields up to the next
// multiple of 8, the body.
func (c *conversation) frame() ([]byte, error) {
	head, err := c.in.Peek(16)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the service manager hung up")
	}
	if err != nil {
		return nil, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := uint64(order.Uint32(head[4:])), uint64(order.Uint32(head[12:]))
	length := 16 + (fields+7)/8*8 + body
	if length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	frame := make([]byte, length)
	_, err = io.ReadFull(c.in, frame)
	return frame, err
}
