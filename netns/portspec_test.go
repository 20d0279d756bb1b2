package netns

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/skiff-containers/skiff/store"
)

func TestParsePublish(t *testing.T) {
	t.Parallel()
	one := func(ip string, host, container uint16) []store.Port {
		return []store.Port{{HostIP: ip, HostPort: host, ContainerPort: container, Protocol: "tcp"}}
	}
	for spec, want := range map[string][]store.Port{
		"80":                                  one("", 0, 80),
		":80":                                 one("", 0, 80),
		"0:80":                                one("", 0, 80),
		"8080:80":                             one("", 8080, 80),
		"8080:80/":                            one("", 8080, 80),
		"8080:80/TCP":                         one("", 8080, 80),
		"127.0.0.1::80":                       one("127.0.0.1", 0, 80),
		"127.0.0.1:8:80":                      one("127.0.0.1", 8, 80),
		"0.0.0.0:8080:80":                     one("0.0.0.0", 8080, 80),
		"[::1]:8080:80":                       one("::1", 8080, 80),
		"[::1]::80":                           one("::1", 0, 80),
		"::1:8080:80":                         one("::1", 8080, 80),
		"[::]:8080:80":                        one("::", 8080, 80),
		"8080-8080:80-80":                     one("", 8080, 80),
		"53:53/udp":                           {{HostPort: 53, ContainerPort: 53, Protocol: "udp"}},
		"8000-8010:80":                        {{HostPort: 8000, HostPortEnd: 8010, ContainerPort: 80, Protocol: "tcp"}},
		"8000-8001:80-81":                     {{HostPort: 8000, ContainerPort: 80, Protocol: "tcp"}, {HostPort: 8001, ContainerPort: 81, Protocol: "tcp"}},
		"80-81":                               {{ContainerPort: 80, Protocol: "tcp"}, {ContainerPort: 81, Protocol: "tcp"}},
		"127.0.0.1::80-81":                    {{HostIP: "127.0.0.1", ContainerPort: 80, Protocol: "tcp"}, {HostIP: "127.0.0.1", ContainerPort: 81, Protocol: "tcp"}},
		"published=8080,target=80":            one("", 8080, 80),
		"target=53,published=53,protocol=udp": {{HostPort: 53, ContainerPort: 53, Protocol: "udp"}},
		"published=8080,target=80,mode=host":  one("", 8080, 80),
	} {
		got, err := ParsePublish([]string{spec})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", spec, got, err, want)
		}
	}
}

// Docker says it in these words.
func TestParsePublishErrors(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"xyz":               "invalid containerPort: xyz",
		"80:xyz":            "invalid containerPort: xyz",
		"80-70":             "invalid containerPort: 80-70",
		"-80":               "invalid containerPort: -80",
		"80:70000":          "invalid containerPort: 70000",
		"0":                 "invalid containerPort: 0",
		"abc:80":            "invalid hostPort: abc",
		"99999:80":          "invalid hostPort: 99999",
		"80-:80":            "invalid hostPort: 80-",
		"0-9:80":            "invalid hostPort: 0-9",
		"8000-8005:80-81":   "invalid ranges specified for container and host Ports: 80-81 and 8000-8005",
		"80:80-81":          "invalid ranges specified for container and host Ports: 80-81 and 80",
		"1.2.3.4:80:90:100": "invalid IP address: 1.2.3.4:80",
		"1.2.3:80:80":       "invalid IP address: 1.2.3",
		"host:80:80":        "invalid IP address: host",
		"[::1:80:80":        "invalid IP address [::1: address [::1:: missing ']' in address",
		"80/foo":            "invalid proto: foo",
		"":                  "no port specified: <empty>",
		"80:":               "no port specified: 80:<empty>",
		"80:/tcp":           "no port specified: 80:/tcp<empty>",
		"80/sctp":           "publishing port 80/sctp: sctp ports cannot be published, as connections are carried by TCP and UDP sockets of the host",
		"target=80,x=1":     "invalid field key x in publish opts",
		"target":            "invalid containerPort: target",
	} {
		if got, err := ParsePublish([]string{spec}); err == nil || err.Error() != want {
			t.Errorf("%q: %+v, error %v; want %q", spec, got, err, want)
		}
	}
}

// The same fixed port twice is one; two that may be any are two.
func TestParsePublishTwice(t *testing.T) {
	t.Parallel()
	got, err := ParsePublish([]string{"8080:80", "8080:80/tcp", "80", "80", "127.0.0.1:8080:80"})
	if err != nil || len(got) != 4 {
		t.Errorf("%+v, %v; want 4 ports", got, err)
	}
	if got, err := ParsePublish([]string{"20000-29999:20000-29999"}); err != nil || len(got) != 10000 {
		t.Errorf("%d ports, %v; want 10,000", len(got), err)
	}
}

func TestParseExpose(t *testing.T) {
	t.Parallel()
	got, err := ParseExpose([]string{"80", "90-91/udp", "80/tcp", "7/sctp"})
	want := map[string]struct{}{"80/tcp": {}, "90/udp": {}, "91/udp": {}, "7/sctp": {}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for spec, want := range map[string]string{
		"":      "invalid range format for --expose: , error: empty string specified for ports",
		"90-80": "invalid range format for --expose: 90-80, error: invalid range specified for port: 90-80",
		"80:80": "invalid port format for --expose: 80:80",
		"x":     `invalid range format for --expose: x, error: strconv.ParseUint: parsing "x": invalid syntax`,
		"0":     "invalid range format for --expose: 0, error: 0 is no port",
	} {
		if _, err := ParseExpose([]string{spec}); err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %q", spec, err, want)
		}
	}
}

// What a record keeps is what was asked, and -P adds what is exposed.
func TestPortsOf(t *testing.T) {
	t.Parallel()
	asked, err := ParsePublish([]string{"127.0.0.1:8080:80", "8000-8010:81", "53:53/udp", "80", "[::]::82"})
	if err != nil {
		t.Fatal(err)
	}
	r := &store.Record{HostConfig: store.HostConfig{NetworkMode: "bridge", PortBindings: PortBindings(asked)}}
	r.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}, "90": {}, "91/udp": {}, "92/sctp": {}, "bad": {}}
	want := "[{ 53 0 53 udp} { 0 0 80 tcp} {127.0.0.1 8080 0 80 tcp} { 8000 8010 81 tcp} {:: 0 0 82 tcp}]"
	if got := fmt.Sprint(PortsOf(r)); got != want {
		t.Errorf("%s; want %s", got, want)
	}
	r.HostConfig.PublishAllPorts = true
	if got := PortsOf(r); len(got) != 7 || got[5].ContainerPort != 90 || got[6] != (store.Port{ContainerPort: 91, Protocol: "udp"}) {
		t.Errorf("with -P: %v", got)
	}
	r.HostConfig.NetworkMode = "host"
	if got := PortsOf(r); got != nil {
		t.Errorf("with the host's network: %v", got)
	}
}

// Whatever is parsed can be kept in a record and is the same afterwards.
func FuzzParsePublish(f *testing.F) {
	for _, spec := range []string{"80", "127.0.0.1:8000-8010:80/udp", "[::1]::80-81", "published=1,target=2"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		ports, err := ParsePublish([]string{spec})
		if err != nil {
			return
		}
		r := &store.Record{HostConfig: store.HostConfig{NetworkMode: "bridge", PortBindings: PortBindings(ports)}}
		if got := PortsOf(r); !reflect.DeepEqual(got, ports) {
			t.Errorf("%q: %+v became %+v", spec, ports, got)
		}
	})
}
