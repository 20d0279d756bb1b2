package link

import (
	"fmt"
	"net"
	"testing"
)

// Containers of a network talk, IPv4 and IPv6, and see their gateway; a helper's
// restart and repetition do not disturb an established connection.
func TestBridge(t *testing.T) {
	l := newLab(t)
	n := l.ensure(network("front", 20, nil))
	a, am := l.container("a", 2, n)
	b, bm := l.container("b", 3, n)
	var conns []net.Conn
	for _, addr := range []string{"10.20.0.3:7", "[fd00:20::3]:7"} {
		l.serve(b, addr)
		c, err := connectTo(a, addr)
		l.must(err)
		defer c.Close()
		l.must(echo(c, "before"))
		conns = append(conns, c)
	}
	for i := range 3 {
		if i == 1 {
			l.restart()
		}
		l.ensure(n)
		l.attach(a, am)
		l.attach(b, bm)
		for _, c := range conns {
			l.must(echo(c, fmt.Sprint("after ", i)))
		}
	}
}
