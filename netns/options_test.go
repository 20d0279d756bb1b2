package netns

import (
	"reflect"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

func TestParse(t *testing.T) {
	t.Parallel()
	long := store.EndpointConfig{
		Network: "mine", IPAMConfig: &store.EndpointIPAM{IPv4Address: "10.1.2.3", IPv6Address: "fd00::9"}, MacAddress: "02:42:00:00:00:01",
		Aliases: []string{"a", "b"}, DriverOpts: map[string]string{OptionInterface: "wan0"}, GwPriority: 7,
	}
	short := long
	short.GwPriority = 0
	first := short
	first.DriverOpts = nil
	for _, c := range []struct {
		options Options
		mode    Mode
		want    []store.EndpointConfig
	}{
		{Options{}, Bridge, []store.EndpointConfig{{Network: "bridge"}}},
		{Options{Networks: []string{"default"}}, Bridge, []store.EndpointConfig{{Network: "bridge"}}},
		{Options{Networks: []string{""}}, Bridge, []store.EndpointConfig{{Network: "bridge"}}},
		{Options{Networks: []string{"host"}}, Host, nil},
		{Options{Networks: []string{"none"}, Hosts: []string{"a:1.2.3.4"}}, None, nil},
		{Options{Networks: []string{"container:web"}}, "container:web", nil},
		{Options{Networks: []string{"ns:/run/netns/x=y"}}, "ns:/run/netns/x=y", nil},
		{Options{Networks: []string{"pasta:--mtu,1500"}}, "pasta:--mtu,1500", nil},
		{Options{Networks: []string{"slirp4netns:mtu=1500"}}, "slirp4netns:mtu=1500", nil},
		{Options{Networks: []string{"name=mine,ip=10.1.2.3,ip6=fd00::9,mac-address=02-42-00-00-00-01,alias=a,alias=b,driver-opt=" + OptionInterface + "=wan0,gw-priority=7"}}, "mine", []store.EndpointConfig{long}},
		{Options{Networks: []string{"mine:ip=10.1.2.3,ip6=fd00::9,mac=02:42:00:00:00:01,alias=a,alias=b,interface_name=wan0"}}, "mine", []store.EndpointConfig{short}},
		{Options{Networks: []string{"mine"}, IPv4: "10.1.2.3", IPv6: "fd00::9", MAC: "02:42:00:00:00:01", Aliases: []string{"a", "b"}}, "mine", []store.EndpointConfig{first}},
		{Options{Networks: []string{"a,b", "c"}}, "a", []store.EndpointConfig{{Network: "a"}, {Network: "b"}, {Network: "c"}}},
		{Options{Networks: []string{"bridge:host-loopback=true"}}, Bridge, []store.EndpointConfig{{Network: "bridge", DriverOpts: map[string]string{OptionHostLoopback: "true"}}}},
		{Options{Networks: []string{`name=a,"driver-opt=` + OptionSysctls + `=net.ipv4.conf.IFNAME.forwarding=1,net.ipv6.conf.IFNAME.mtu=1300"`}}, "a",
			[]store.EndpointConfig{{Network: "a", DriverOpts: map[string]string{OptionSysctls: "net.ipv4.conf.IFNAME.forwarding=1,net.ipv6.conf.IFNAME.mtu=1300"}}}},
	} {
		got, err := c.options.Parse()
		if err != nil {
			t.Errorf("%+v: %v", c.options, err)
			continue
		}
		if got.Mode != c.mode || !reflect.DeepEqual(got.Endpoints, c.want) {
			t.Errorf("%+v gives %q %+v", c.options, got.Mode, got.Endpoints)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options Options
		why     string
	}{
		{Options{Networks: []string{"host", "mine"}}, "conflicting options: cannot attach both"},
		{Options{Networks: []string{"mine", "none"}}, "conflicting options: cannot attach both"},
		{Options{Networks: []string{"mine", "mine"}}, `network "mine" is specified multiple times`},
		{Options{Networks: []string{"container:"}}, "invalid container format"},
		{Options{Networks: []string{"ns:relative"}}, "absolute path"},
		{Options{Networks: []string{"alias=x"}}, "network name/id is not specified"},
		{Options{Networks: []string{"../x"}}, "invalid network name"},
		{Options{Networks: []string{"name=../x"}}, "invalid network name"},
		{Options{Networks: []string{"x:ip="}}, "invalid field"},
		{Options{Networks: []string{"x:what=1"}}, "invalid field key what"},
		{Options{Networks: []string{"host:ip=1.2.3.4"}}, "takes no options"},
		{Options{Networks: []string{"x:ip=fd00::1"}}, "invalid IPv4 address"},
		{Options{Networks: []string{"x:ip6=::ffff:1.2.3.4"}}, "invalid IPv6 address"},
		{Options{Networks: []string{"x:ip6=fe80::1%eth0"}}, "invalid IPv6 address"},
		{Options{Networks: []string{"x:mac=01:00:5e:00:00:01"}}, "not a valid mac"},
		{Options{Networks: []string{"x:interface_name=a/b"}}, "invalid interface name"},
		{Options{Networks: []string{"name=x,link-local-ip=169.254.0.1"}}, "link-local"},
		{Options{Networks: []string{"name=x,driver-opt=foo=1"}}, `"foo"`},
		{Options{Networks: []string{"name=x,driver-opt=" + OptionSysctls + "=net.ipv4.ip_forward=1"}}, "unrecognised"},
		{Options{Networks: []string{"x:ip=1.2.3.4"}, IPv4: "1.2.3.5"}, "conflicting options: cannot specify both --ip"},
		{Options{Networks: []string{"x:alias=a"}, Aliases: []string{"b"}}, "conflicting options: cannot specify both --network-alias"},
		{Options{Networks: []string{"host"}, IPv4: "1.2.3.5"}, "user specified IP address"},
		{Options{Networks: []string{"none"}, MAC: "02:42:00:00:00:01"}, "conflicting options: mac-address"},
		{Options{Networks: []string{"host"}, Links: []string{"a:b"}}, "conflicting options: host type networking"},
		{Options{Networks: []string{"container:x"}, Hostname: true}, "conflicting options: hostname"},
		{Options{Networks: []string{"container:x"}, DNS: []string{"1.1.1.1"}}, "conflicting options: dns"},
		{Options{Networks: []string{"container:x"}, Hosts: []string{"a:1.1.1.1"}}, "conflicting options: custom host-to-IP"},
		{Options{DNS: []string{"localhost"}}, "not correctly formatted"},
		{Options{DNSSearch: []string{"a b"}}, "not a domain"},
		{Options{DNSOptions: []string{"a\nnameserver 1.2.3.4"}}, "invalid --dns-option"},
		{Options{Hosts: []string{"a"}}, "bad format for add-host"},
		{Options{Hosts: []string{"a b:1.2.3.4"}}, "bad format for add-host"},
		{Options{Hosts: []string{"a:what"}}, "invalid IP address in add-host"},
		{Options{Links: []string{":a"}}, "bad format for links"},
		{Options{Sysctls: []string{"net.ipv4.ip_forward"}}, "invalid --sysctl"},
		{Options{Networks: []string{"host"}, Sysctls: []string{"net.ipv4.ip_forward=1"}}, "not allowed in host network"},
	} {
		if _, err := c.options.Parse(); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%+v gives error %v, want %q", c.options, err, c.why)
		}
	}
}

func TestParseHosts(t *testing.T) {
	t.Parallel()
	got, err := parseHosts([]string{"a:1.2.3.4", "b=[::1]", "c:::2", "d;e:host-gateway"})
	want := []string{"a:1.2.3.4", "b:::1", "c:::2", "d:host-gateway", "e:host-gateway"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parseHosts gives %q, %v", got, err)
	}
}

// Whatever --network says is understood or refused.
func FuzzParseNetwork(f *testing.F) {
	for _, text := range []string{"bridge", "name=a,ip=1.2.3.4", "a:ip6=::1,mac=02:42:00:00:00:01", "container:x", `name="a`, "a,b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := (&Options{Networks: []string{text}}).Parse()
		if err == nil && r.Mode == "" {
			t.Errorf("%q gives no mode", text)
		}
		if err == nil && r.Mode.Networks() && !store.ValidName(string(r.Mode)) {
			t.Errorf("%q gives network %q", text, r.Mode)
		}
	})
}
