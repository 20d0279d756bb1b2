package sock

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected is both ends of a connection over loopback, made by this package's calls alone.
func connected(t testing.TB, host string) (client, server int, at netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	listener := int(raw.Fd())
	unix.SetNonblock(listener, true)
	at = l.Addr().(*net.TCPAddr).AddrPort()
	if client, err = Open(at.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(client) })
	if err := Connect(client, at); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	until(t, func() (err error) {
		var peer netip.AddrPort
		if server, peer, err = Accept(listener); err != nil {
			return err
		}
		if own, _ := Name(client); own != peer {
			t.Errorf("%s was accepted, %s has connected", peer, own)
		}
		return nil
	})
	until(t, func() error {
		if err := Connect(client, at); err != unix.EISCONN {
			return err
		}
		return nil
	})
	return client, server, at
}

// until repeats what another thread of the kernel's has to have done before.
func until(t testing.TB, do func() error) {
	t.Helper()
	err := do()
	for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); err = do() {
		time.Sleep(100 * time.Microsecond)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestConnection(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			client, server, at := connected(t, host)
			if name, err := Name(server); err != nil || name != at {
				t.Errorf("the server's end is %s (%v), not %s", name, err, at)
			}
			buf := make([]byte, 100)
			if _, err := Read(server, buf); err != unix.EAGAIN {
				t.Error("reading nothing:", err)
			}
			want := []byte("some words")
			if n, err := Write(client, want); n != len(want) || err != nil {
				t.Fatal(n, err)
			}
			n := 0
			until(t, func() (err error) { n, err = Peek(server, buf); return err })
			if !bytes.Equal(buf[:n], want) {
				t.Errorf("%q came", buf[:n])
			}
			if n, err := Discard(server, 5); n != 5 || err != nil {
				t.Error(n, err)
			}
			if n, err := Read(server, buf); string(buf[:n]) != "words" || err != nil {
				t.Errorf("%q, %v", buf[:n], err)
			}
			until(t, func() error {
				if Unsent(client) {
					return errors.New("something is unsent")
				}
				return nil
			})
			EndWrites(client)
			until(t, func() (err error) { n, err = Read(server, buf); return err })
			if n != 0 {
				t.Error("no end:", n)
			}
			Abort(server)
			until(t, func() error {
				if _, err := Read(client, buf); err != unix.ECONNRESET {
					return errors.New("no reset")
				}
				return nil
			})
		})
	}
}

// Nothing is on its way to a peer that has reset the connection, whatever it left unread.
func TestUnsentAfterReset(t *testing.T) {
	client, server, _ := connected(t, "127.0.0.1")
	// More than a receiver takes that had its buffer from the beginning, and never another.
	Set(client, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	Set(server, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	data := make([]byte, 300<<10)
	for left := data; len(left) > 0; {
		until(t, func() error {
			n, err := Write(client, left)
			left = left[n:]
			return err
		})
	}
	if !Unsent(client) {
		t.Error("all was acknowledged by who reads nothing")
	}
	Abort(server)
	until(t, func() error {
		if _, err := Read(client, data); err != unix.ECONNRESET {
			return errors.New("no reset")
		}
		return nil
	})
	if Unsent(client) {
		t.Error("something is unsent to nobody")
	}
	Close(client)
}

// Nothing of Go's memory is used.
func TestNoMemory(t *testing.T) {
	client, server, at := connected(t, "127.0.0.1")
	defer Close(server)
	buf := make([]byte, 100)
	n := testing.AllocsPerRun(100, func() {
		Write(client, buf)
		Read(server, buf)
		Name(server)
		Accept(server)
		Connect(client, at)
		Set(client, unix.SOL_TCP, unix.TCP_NODELAY, 1)
		Unsent(client)
	})
	if n != 0 {
		t.Errorf("%v pieces of memory", n)
	}
}
