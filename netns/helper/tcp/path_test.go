package tcp

import (
	"fmt"
	"os"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/tcptest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(peer); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(netlab.Main(m))
}

func TestContract(t *testing.T) {
	tcptest.Run(t, func(t testing.TB, l *tcptest.Lab) { begin(t, l) })
}

// begin starts the kernel path in a lab.
func begin(t testing.TB, l *tcptest.Lab) *Path {
	t.Helper()
	p, err := Start(Config{N: l.N, Device: l.Device, Directory: l.Directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l.Firewall(p.ListenPort())
	l.Serve(p)
	return p
}
