package scenario

import (
	"fmt"
	"strings"
	"testing"
)

// A host with two addresses, and a client on each side: what the container sees and
// logs is the client's own address, by TCP and UDP, IPv4 and IPv6, in the default
// network and in one of the user's.
func TestContainersSeeTheClientsAddress(t *testing.T) {
	m := newMachine(t)
	m.skiff("network", "create", "--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77::/64", "own")
	for i, network := range []string{"bridge", "own"} {
		name, tcp, udp := "web-"+network, 8080+i, 9090+i
		m.run(name, []string{"--network", network, "-p", fmt.Sprintf("%d:80", tcp), "-p", fmt.Sprintf("%d:80/udp", udp)}, "serve")
		type visit struct{ network, from, to string }
		var visits []visit
		for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
			for _, host := range []string{"192.0.2.10", "192.0.2.11"} {
				visits = append(visits, visit{"tcp", client, fmt.Sprintf("%s:%d", host, tcp)}, visit{"udp", client, fmt.Sprintf("%s:%d", host, udp)})
			}
		}
		if network == "own" {
			visits = append(visits, visit{"tcp", "2001:db8::2", fmt.Sprintf("[2001:db8::10]:%d", tcp)}, visit{"udp", "2001:db8::2", fmt.Sprintf("[2001:db8::10]:%d", udp)})
		}
		for _, v := range visits {
			answer, err := fromWorld(v.network, v.from, v.to)
			if err != nil {
				t.Errorf("%s: %s from %s to %s: %v", network, v.network, v.from, v.to, err)
				continue
			}
			seen := strings.Fields(answer)[0]
			want := v.from + ":"
			if strings.Contains(v.from, "::") {
				want = "[" + v.from + "]:"
			}
			if !strings.HasPrefix(seen, want) {
				t.Errorf("%s: %s from %s to %s is seen as from %s", network, v.network, v.from, v.to, seen)
			}
			m.eventually("logging the client", func() error {
				if log := m.skiff("logs", name); !strings.Contains(log, v.network+" "+seen) {
					return fmt.Errorf("%s: the log does not show %s %s:\n%s", network, v.network, seen, log)
				}
				return nil
			})
		}
	}
}
