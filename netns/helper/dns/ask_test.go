package dns

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/net/dns/dnsmessage"
)

// What is none of a network's goes to the host's server as it was asked, but for the id.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	seen := make(chan dnsmessage.Message, 10)
	serveFake(t, nil, "127.0.0.53", func(q dnsmessage.Message, _ bool) [][]byte {
		seen <- q
		return [][]byte{address(q, 0, "198.51.100.7")}
	})
	l := newLab(t, "127.0.0.53")
	b := l.connect("asker", "one", nil)
	m := b.askRaw("udp", question(t, 4711, "wWw.Example.org", dnsmessage.TypeA, 1400))
	if answers(m) != "198.51.100.7" || m.Questions[0].Name.String() != "wWw.Example.org." || m.Answers[0].Header.TTL != 60 {
		t.Errorf("the answer is %s", m.GoString())
	}
	q := <-seen
	if q.Questions[0].Name.String() != "wWw.Example.org." || len(q.Additionals) != 1 || q.Additionals[0].Header.Class != 1400 || !q.Additionals[0].Header.DNSSECAllowed() {
		t.Errorf("the server was asked %s", q.GoString())
	}
	ids := map[uint16]bool{q.ID: true}
	for range 5 {
		b.want("single", "198.51.100.7")
		ids[(<-seen).ID] = true
	}
	if len(ids) < 4 {
		t.Errorf("ids to the server were %v", ids)
	}
	if got := answers(b.askRaw("tcp", question(t, 5, "example.org", dnsmessage.TypeA, 0))); got != "198.51.100.7" {
		t.Errorf("by TCP: %q", got)
	}
}

// An answer that is too large for UDP is had by TCP.
func TestTruncated(t *testing.T) {
	t.Parallel()
	many := strings.Fields(strings.Repeat("198.51.100.7 ", 1000))
	f := serveFake(t, nil, "127.1.1.1", func(q dnsmessage.Message, streamed bool) [][]byte {
		switch {
		case streamed || q.Questions[0].Name.String() == "overflow.":
			return [][]byte{address(q, 0, many...)}
		case q.Questions[0].Name.String() == "medium.":
			return [][]byte{address(q, 0, many[:100]...)}
		}
		a := address(q, 0)
		a[2] |= 2
		return [][]byte{a}
	})
	l := newLab(t, "127.1.1.1")
	b := l.connect("asker", "one", nil)
	for _, name := range []string{"large", "overflow"} {
		if m := b.ask(name, dnsmessage.TypeA); !m.Truncated || len(m.Answers) != 0 {
			t.Errorf("%s: %s", name, m.GoString())
		}
		if m := b.askRaw("tcp", question(t, 5, name, dnsmessage.TypeA, 0)); m.Truncated || len(m.Answers) != len(many) {
			t.Errorf("%s by TCP: truncated %v, %d addresses", name, m.Truncated, len(m.Answers))
		}
	}
	if m := b.askRaw("udp", question(t, 5, "medium", dnsmessage.TypeA, 4096)); m.Truncated || len(m.Answers) != 100 {
		t.Errorf("medium: %s", m.GoString())
	}
	if n := f.streamed.Load(); n != 2 {
		t.Errorf("the server was asked %d times by TCP, want 2", n)
	}
}

// In an internal network names resolve, and nothing leaves. A server within the
// network may be asked.
func TestInternal(t *testing.T) {
	t.Parallel()
	f := serveFake(t, nil, "127.1.1.2", always("198.51.100.7"))
	l := newLab(t, "127.1.1.2")
	own := l.connect("names", "one!", nil)
	inside := serveFake(t, own.Space, own.addr.String(), always("198.51.100.8"))
	b := l.connect("inner", "one!", nil)
	b.want("names", own.addr.String())
	b.want("example.org", "NameError")
	if got := answers(b.askRaw("tcp", question(t, 5, "example.org", dnsmessage.TypeA, 0))); got != "NameError" {
		t.Errorf("by TCP: %q", got)
	}
	l.connect("deaf", "one!", func(a *store.Attachment) { a.DNS.Servers = []string{"127.1.1.2", "192.0.2.1"} }).want("example.org", "NameError")
	l.connect("told", "one!", func(a *store.Attachment) { a.DNS.Servers = []string{"192.0.2.1", own.addr.String()} }).want("example.org", "198.51.100.8")
	if n := f.asked.Load(); n != 0 {
		t.Errorf("the host's server was asked %d times", n)
	}
	if n := inside.asked.Load(); n != 1 {
		t.Errorf("the server in the network was asked %d times", n)
	}
}

// A container that is in another network as well gets out.
func TestInternalAndNot(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.1.3", always("198.51.100.7"))
	l := newLab(t, "127.1.1.3")
	b := l.connect("inner", "one!", nil)
	l.put("inner", func(a *store.Attachment) { a.Container = b.ID() }, "one!="+b.addr.String(), "two=10.90.2.2")
	b.want("example.org", "198.51.100.7")
}

// --dns: the container's own servers are asked, those in its networks from within.
func TestOwnServers(t *testing.T) {
	t.Parallel()
	f := serveFake(t, nil, "127.1.1.4", always("198.51.100.7"))
	serveFake(t, netlab.World(), "192.0.2.2", always("198.51.100.8"))
	serveFake(t, nil, "192.0.2.11", always("198.51.100.10"))
	l := newLab(t, "127.1.1.4")
	servers := func(all ...string) func(a *store.Attachment) {
		return func(a *store.Attachment) { a.DNS.Servers = all }
	}
	l.connect("a", "one", servers("192.0.2.2")).want("example.org", "198.51.100.8")
	own := l.connect("names", "one", nil)
	serveFake(t, own.Space, own.addr.String(), always("198.51.100.9"))
	six := strings.TrimSuffix(own.Attachment.Endpoints[0].IPv6.String(), "/64")
	serveFake(t, own.Space, six, always("198.51.100.6"))
	for server, want := range map[string]string{own.addr.String(): "198.51.100.9", six: "198.51.100.6"} {
		b := l.connect("b", "one", servers(server))
		b.want("example.org", want)
		if got := answers(b.askRaw("tcp", question(t, 5, "example.org", dnsmessage.TypeA, 0))); got != want {
			t.Errorf("by TCP from %s: %q", server, got)
		}
	}
	// Nobody listens there, by UDP or TCP.
	deaf := l.connect("c", "one", servers("10.90.101.2"))
	deaf.want("example.org", "ServerFailure")
	if got := answers(deaf.askRaw("tcp", question(t, 5, "example.org", dnsmessage.TypeA, 0))); got != "ServerFailure" {
		t.Errorf("by TCP from where nobody listens: %q", got)
	}
	// A loopback address is the container's own, not the host's.
	l.connect("d", "one", servers("127.1.1.4")).want("example.org", "ServerFailure")
	if n := f.asked.Load(); n != 0 {
		t.Errorf("the host's server was asked %d times", n)
	}
}

// --dns 169.254.1.2 is the host.
func TestOwnServerIsTheHost(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "192.0.2.10", always("198.51.100.7"))
	l := newLab(t)
	l.connect("a", "one", func(a *store.Attachment) { a.DNS.Servers = []string{member.HostAddress.String()} }).want("example.org", "198.51.100.7")
}

// The host's servers are those that resolv.conf has at the moment, whatever it is.
func TestResolvConfChanges(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.2.1", always("198.51.100.1"))
	serveFake(t, nil, "127.1.2.2", always("198.51.100.2"))
	l := newLab(t, "127.1.2.1")
	b := l.connect("asker", "one", nil)
	for range 20 {
		b.want("x", "198.51.100.1")
		check(t, os.WriteFile(l.resolv, []byte("nameserver 127.1.2.2\n"), 0o644)) // of the same size, in place
		b.want("x", "198.51.100.2")
		l.setResolv("127.1.2.1")
	}
	for _, garbage := range []string{"", "\x00\x01nameserver", "nameserver\nnameserver nonsense\noptions timeout:x attempts:-1", strings.Repeat("#", 1<<20)} {
		check(t, os.WriteFile(l.resolv, []byte(garbage), 0o644))
		b.want("x", "ServerFailure")
	}
	check(t, os.Remove(l.resolv))
	b.want("x", "ServerFailure")
	check(t, os.Mkdir(l.resolv, 0o755))
	b.want("x", "ServerFailure")
	check(t, os.Remove(l.resolv))
	l.setResolv("127.1.2.2")
	b.want("x", "198.51.100.2")
}

// A server at a link-local address is reached by the interface that its zone names.
func TestZone(t *testing.T) {
	t.Parallel()
	check(t, netlab.Up("out0", "fe80::10/64"))
	check(t, netlab.World().Do(func() error { return netlab.Up("eth0", "fe80::53/64") }))
	serveFake(t, netlab.World(), "fe80::53%eth0", always("198.51.100.1"))
	l := newLab(t, "fe80::53%out0")
	b := l.connect("asker", "one", nil)
	b.want("x", "198.51.100.1")
	if got := answers(b.askRaw("tcp", question(t, 5, "x", dnsmessage.TypeA, 0))); got != "198.51.100.1" {
		t.Errorf("by TCP: %q", got)
	}
	l.setResolv("fe80::53%nosuch")
	b.want("x", "ServerFailure")
}

// The next server is asked where one is not there, is in trouble or is silent.
func TestNextServer(t *testing.T) {
	t.Parallel()
	code := func(c dnsmessage.RCode) func(dnsmessage.Message, bool) [][]byte {
		return func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{address(q, c)} }
	}
	serveFake(t, nil, "127.1.3.1", always("198.51.100.1"))
	serveFake(t, nil, "127.1.3.2", code(dnsmessage.RCodeServerFailure))
	serveFake(t, nil, "127.1.3.3", code(dnsmessage.RCodeRefused))
	serveFake(t, nil, "127.1.3.5", code(dnsmessage.RCodeNameError))
	silent := serveFake(t, nil, "127.1.3.4", func(dnsmessage.Message, bool) [][]byte { return nil })
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	for _, c := range []struct {
		servers string
		want    string
	}{
		{"127.1.3.9 127.1.3.1", "198.51.100.1"},
		{"127.1.3.2 127.1.3.3 127.1.3.1", "198.51.100.1"},
		{"127.1.3.9 127.1.3.2 127.1.3.3", "ServerFailure"},
		{"127.1.3.3 127.1.3.2", "Refused"},
		{"127.1.3.5 127.1.3.1", "NameError"}, // an answer like another
		{"127.1.3.4 127.1.3.1", "198.51.100.1"},
	} {
		l.setResolv(append(strings.Fields(c.servers), "options timeout:3")...)
		b.want("x", c.want)
		if got := answers(b.askRaw("tcp", question(t, 5, "x", dnsmessage.TypeA, 0))); got != c.want {
			t.Errorf("%s by TCP: %q, want %q", c.servers, got, c.want)
		}
	}
	// One that was silent is asked last for a while: it holds up nobody else.
	before := silent.asked.Load()
	for range 20 {
		b.want("x", "198.51.100.1")
	}
	if n := silent.asked.Load() - before; n != 0 {
		t.Errorf("the silent server was asked %d times more", n)
	}
	l.setResolv("127.1.3.4", "options timeout:3 attempts:2")
	before = silent.asked.Load()
	b.want("x", "ServerFailure")
	if n := silent.asked.Load() - before; n != 2 {
		t.Errorf("with attempts:2 the server was asked %d times", n)
	}
}

// Each server has its turn where resolv.conf says so.
func TestRotate(t *testing.T) {
	t.Parallel()
	one := serveFake(t, nil, "127.1.4.1", always("198.51.100.1"))
	two := serveFake(t, nil, "127.1.4.2", always("198.51.100.1"))
	l := newLab(t, "127.1.4.1", "127.1.4.2", "options rotate")
	b := l.connect("asker", "one", nil)
	for range 40 {
		b.want("x", "198.51.100.1")
	}
	if one.asked.Load() == 0 || two.asked.Load() == 0 {
		t.Errorf("asked %d and %d times", one.asked.Load(), two.asked.Load())
	}
}

// What is not the answer to the question is not taken for it.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.5.1", func(q dnsmessage.Message, _ bool) [][]byte {
		id := q
		id.ID++
		name := q
		name.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("y."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
		kind := q
		kind.Questions = []dnsmessage.Question{{Name: q.Questions[0].Name, Type: 97, Class: dnsmessage.ClassINET}}
		none := address(q, 0, "198.51.100.66")[:12]
		none[5], none[7] = 0, 0
		asked := address(q, 0, "198.51.100.66")
		asked[2] &= 0x7f
		return [][]byte{
			address(id, 0, "198.51.100.66"), address(name, 0, "198.51.100.66"), address(kind, 0, "198.51.100.66"), none, asked,
			{}, {1}, address(q, 0)[:14], address(q, 0, "198.51.100.1"), address(q, 0, "198.51.100.66"),
		}
	})
	l := newLab(t, "127.1.5.1")
	b := l.connect("asker", "one", nil)
	for range 10 {
		b.want("x", "198.51.100.1")
	}
}

// A server that understands nothing may answer with a header alone.
func TestBareFormatError(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.5.2", func(q dnsmessage.Message, _ bool) [][]byte {
		a := address(q, dnsmessage.RCodeFormatError)[:12]
		a[5] = 0
		return [][]byte{a}
	})
	l := newLab(t, "127.1.5.2")
	l.connect("asker", "one", nil).want("x", "FormatError")
}

func TestMannerOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]manner{
		"":                              {},
		"edns0 trust-ad":                {},
		"timeout:3 attempts:1 rotate":   {3 * time.Second, 1, true},
		"timeout:99999999999 timeout:x": {timeout: maxTimeout},
		"timeout:3600 attempts:3600":    {maxTimeout, maxAttempts, false},
		"timeout:0 attempts:-1":         {},
	} {
		if got := mannerOf(strings.Fields(text)); got != want {
			t.Errorf("%q means %+v, want %+v", text, got, want)
		}
	}
}
