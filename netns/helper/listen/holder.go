package listen

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Holder names the process that has an address or one that excludes it, such as
// `"nginx" (process 123)`. It is "" where that cannot be known: of other users'
// processes only root sees the sockets.
func Holder(protocol string, addr netip.AddrPort) string {
	inodes := map[string]bool{}
	for _, table := range []string{protocol, protocol + "6"} {
		sockets(table, addr, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	for _, p := range processes {
		if pid, err := strconv.Atoi(p.Name()); err == nil && holds(p.Name(), inodes) {
			name, _ := os.ReadFile("/proc/" + p.Name() + "/comm")
			return fmt.Sprintf("%q (process %d)", strings.TrimSpace(string(name)), pid)
		}
	}
	return "another user's process"
}

// sockets adds the inodes of a table's sockets that exclude a new one at addr. The
// lines of /proc/net/tcp and its like: number, local address, remote one, state, …, inode tenth.
func sockets(table string, addr netip.AddrPort, inodes map[string]bool) {
	f, err := os.Open("/proc/thread-self/net/" + table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening, unconnected = "0A", "07"
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening && fields[3] != unconnected {
			continue
		}
		if local, ok := parseLocal(fields[1]); ok && local.Port() == addr.Port() && overlap(local.Addr(), addr.Addr()) {
			inodes[fields[9]] = true
		}
	}
}

// overlap tells whether sockets at two addresses may exclude each other.
func overlap(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	return a == b || a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && (b.Is6() || a.Is4())
}

// parseLocal reads an address of /proc/net/tcp: words of 32 bits in this machine's
// order (little-endian on all that skiff runs on), in hexadecimal digits, and the port.
func parseLocal(text string) (netip.AddrPort, bool) {
	host, port, found := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !found || err != nil || len(host) != 8 && len(host) != 32 {
		return netip.AddrPort{}, false
	}
	raw := make([]byte, 0, 16)
	for i := 0; i < len(host); i += 8 {
		word, err := strconv.ParseUint(host[i:i+8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		raw = append(raw, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}

// holds tells whether a process has a socket with one of the inodes.
func holds(pid string, inodes map[string]bool) bool {
	folder := "/proc/" + pid + "/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false // another user's, or gone
	}
	for _, e := range entries {
		target, err := os.Readlink(folder + "/" + e.Name())
		if err != nil {
			continue
		}
		if inode, found := strings.CutPrefix(target, "socket:["); found && inodes[strings.TrimSuffix(inode, "]")] {
			return true
		}
	}
	return false
}
