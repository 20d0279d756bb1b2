package netlab

import (
	"net"
	"os"
	"testing"

	"github.com/skiff-containers/skiff/netns/helper/space"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// A connection goes from one container through the router to another.
func TestContainersTalk(t *testing.T) {
	router := Space(t)
	a := Container(t, router, "va", []string{"10.90.0.2/24", "fd00:a::2/64"}, []string{"10.90.0.1/24", "fd00:a::1/64"})
	b := Container(t, router, "vb", []string{"10.91.0.2/24", "fd00:b::2/64"}, []string{"10.91.0.1/24", "fd00:b::1/64"})
	for _, addr := range []string{"10.91.0.2:7", "[fd00:b::2]:7"} {
		var l net.Listener
		do(t, b, func() (err error) { l, err = net.Listen("tcp", addr); return err })
		defer l.Close()
		var c net.Conn
		do(t, a, func() (err error) { c, err = net.Dial("tcp", addr); return err })
		c.Close()
	}
}

func do(t *testing.T, s *space.Space, f func() error) {
	t.Helper()
	if err := s.Do(f); err != nil {
		t.Fatal(err)
	}
}
