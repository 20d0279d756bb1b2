package cli

import (
	"testing"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// The column is docker's, for each of these.
func TestPortsColumn(t *testing.T) {
	t.Parallel()
	both := func(host, container uint16) []store.Port {
		return []store.Port{{HostIP: "0.0.0.0", HostPort: host, ContainerPort: container, Protocol: "tcp"}, {HostIP: "::", HostPort: host, ContainerPort: container, Protocol: "tcp"}}
	}
	joined := func(all ...[]store.Port) (ports []store.Port) {
		for _, some := range all {
			ports = append(ports, some...)
		}
		return ports
	}
	for want, c := range map[string]struct {
		ports   []store.Port
		exposed []string
	}{
		"":                          {},
		"80/tcp":                    {nil, []string{"80/tcp"}},
		"80-82/tcp, 53/udp, 90/tcp": {nil, []string{"82/tcp", "81/tcp", "80/tcp", "90/tcp", "53/udp"}},
		"0.0.0.0:8080->80/tcp, [::]:8080->80/tcp":                                               {both(8080, 80), []string{"80/tcp"}},
		"0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp":                                       {joined(both(81, 81), both(80, 80)), nil},
		"0.0.0.0:90->90/tcp, [::]:90->90/tcp, 443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp": {joined(both(90, 90), both(8080, 80)), []string{"443/tcp"}},
		"127.0.0.1:5353->53/udp":                                                                {[]store.Port{{HostIP: "127.0.0.1", HostPort: 5353, ContainerPort: 53, Protocol: "udp"}}, []string{"53/udp"}},
	} {
		r := &store.Record{HostConfig: store.HostConfig{NetworkMode: string(netns.Bridge)}}
		r.Config.ExposedPorts = map[string]struct{}{}
		for _, key := range c.exposed {
			r.Config.ExposedPorts[key] = struct{}{}
		}
		s := run.Summary{Record: r, State: &store.State{Status: store.Running}, Ports: c.ports}
		if got := portsColumn(s); got != want {
			t.Errorf("%q; want %q", got, want)
		}
		s.State.Status = store.Exited
		if got := portsColumn(s); got != "" {
			t.Errorf("ended: %q", got)
		}
	}
}
