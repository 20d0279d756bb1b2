package tcp

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/skiff-containers/skiff/netns/helper/space"
)

// probeTable is there during Probe only, and nothing goes through it.
const probeTable = "skiff-probe"

// Probe tells why the kernel path cannot be had in n, in words; nil where it can:
// transparent sockets, and nftables' expressions tproxy and socket, which are modules
// of the kernel's own that a host may lack. It takes some milliseconds, as the kernel
// waits for all processors to have seen a change of its rules.
func Probe(n *space.Space) error {
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("making a socket: %w", err)
		}
		err = transparent(fd, unix.AF_INET)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("making a socket transparent (IP_TRANSPARENT): %w", err)
		}
		conn, err := nftables.New()
		if err != nil {
			return fmt.Errorf("reaching nftables: %w", err)
		}
		if try(conn, tproxy, socket) == nil {
			return nil
		}
		if err := try(conn, tproxy); err != nil {
			return fmt.Errorf("using nftables' expression tproxy: %w", err)
		}
		if err := try(conn, socket); err != nil {
			return fmt.Errorf("using nftables' expression socket: %w", err)
		}
		return nil
	})
}

var (
	tproxy = []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Immediate{Register: 1, Data: []byte{0, 1}},
		&expr.TProxy{Family: unix.NFPROTO_UNSPEC, TableFamily: unix.NFPROTO_INET, RegPort: 1},
	}
	socket = []expr.Any{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}}
)

// try makes rules in a chain that nothing leads to, and takes all away again, in one
// transaction.
func try(conn *nftables.Conn, rules ...[]expr.Any) error {
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: probeTable})
	chain := conn.AddChain(&nftables.Chain{Name: "probe", Table: table})
	for _, rule := range rules {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: rule})
	}
	conn.DelTable(table)
	return conn.Flush()
}
