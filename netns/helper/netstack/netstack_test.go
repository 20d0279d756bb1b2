package netstack

import (
	"os"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/tcptest"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }

// begin starts a stack in a lab.
func begin(t testing.TB, l *tcptest.Lab) *Path {
	t.Helper()
	p, err := Start(Config{Device: l.Device, Directory: l.Directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	l.Firewall(0)
	l.Serve(p)
	return p
}

func TestContract(t *testing.T) {
	tcptest.Run(t, func(t testing.TB, l *tcptest.Lab) { begin(t, l) })
}
