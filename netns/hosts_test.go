package netns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

func attachment() *store.Attachment {
	return &store.Attachment{Container: strings.Repeat("ab", 32), Name: "web", Hostname: "box", Endpoints: []store.Endpoint{
		{Network: "inner", Interface: "eth0", IPv4: netip.MustParsePrefix("10.91.0.2/24")},
		{Network: "outer", Interface: "eth1", IPv4: netip.MustParsePrefix("10.92.0.2/24"), IPv6: netip.MustParsePrefix("fd00:1::2/64")},
	}}
}

// namesOf reads a hosts file into address → names.
func namesOf(t *testing.T, text []byte) map[string][]string {
	t.Helper()
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Errorf("the last line is open: %q", text)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0][0] != '#' {
			all[fields[0]] = append(all[fields[0]], fields[1:]...)
		}
	}
	return all
}

// The name of the container can always be resolved, and only one line says so.
func TestHostsWithoutNetworks(t *testing.T) {
	t.Parallel()
	for _, m := range []Mode{None, Host} {
		all := namesOf(t, Hosts(m, "box.test", nil, nil))
		if !slices.Contains(all["127.0.0.1"], "box.test") {
			t.Errorf("%s: /etc/hosts has %q", m, all)
		}
	}
	if text := string(Hosts(None, "localhost", nil, nil)); strings.Count(text, "127.0.0.1") != 1 {
		t.Errorf("localhost is named twice: %q", text)
	}
}

func TestHostsOfNetworks(t *testing.T) {
	t.Parallel()
	all := namesOf(t, Hosts("inner", "box.test", attachment(), []string{"db:10.0.0.9", "six:fd00::9", "me:host-gateway"}))
	for addr, want := range map[string][]string{
		"10.91.0.2":   {"box.test", "box", "web"},
		"10.92.0.2":   {"box.test", "box", "web"},
		"fd00:1::2":   {"box.test", "box", "web"},
		"10.0.0.9":    {"db"},
		"fd00::9":     {"six"},
		"169.254.1.2": append([]string{"me"}, HostNames...),
		"127.0.0.1":   {"localhost"},
	} {
		if !slices.Equal(all[addr], want) {
			t.Errorf("%s is %q, want %q", addr, all[addr], want)
		}
	}
}

// The host has its three names in every mode, at an address that leads there.
func TestHostsNameTheHost(t *testing.T) {
	t.Parallel()
	for m, want := range map[Mode]string{"bridge": "169.254.1.2", None: "169.254.1.2", "pasta": "169.254.1.2", "slirp4netns": "10.0.2.2", Host: "127.0.0.1"} {
		all := namesOf(t, Hosts(m, "box", nil, nil))
		for _, name := range HostNames {
			if !slices.Contains(all[want], name) {
				t.Errorf("%s: %s is not at %s: %q", m, name, want, all)
			}
		}
	}
	a := &store.Attachment{Driver: "slirp4netns", Options: map[string]string{"cidr": "10.7.7.0/24"}}
	if all := namesOf(t, Hosts("slirp4netns:cidr=10.7.7.0/24", "box", a, nil)); len(all["10.7.7.2"]) != 3 {
		t.Errorf("slirp4netns with another range: %q", all)
	}
}

// What the user says about a name counts alone.
func TestHostsOwnEntryWins(t *testing.T) {
	t.Parallel()
	all := namesOf(t, Hosts("bridge", "box", attachment(), []string{"host.docker.internal:10.1.2.3"}))
	if !slices.Equal(all["169.254.1.2"], HostNames[1:]) || !slices.Equal(all["10.1.2.3"], HostNames[:1]) {
		t.Errorf("/etc/hosts has %q", all)
	}
}
