package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skiff-containers/skiff/store"
	"golang.org/x/net/dns/dnsmessage"
)

// A container finds those that share a network with it, by all their names, in
// either case, and nobody else.
func TestNames(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.0.1", func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{address(q, dnsmessage.RCodeNameError)} })
	l := newLab(t, "127.1.0.1")
	b := l.connect("asker", "one", func(a *store.Attachment) {
		a.Endpoints = append(a.Endpoints, store.Endpoint{Network: "Two", NetworkID: "id of Two"})
	})
	web := l.put("Web", func(a *store.Attachment) { a.Hostname = "www.test"; a.Endpoints[0].Aliases = []string{"site"} }, "one=10.90.1.2")
	l.put("both", nil, "three=10.90.3.9", "Two=10.90.2.3,fd00:90:2::3", "one=10.90.1.3")
	l.put("far", nil, "three=10.90.3.2")
	l.put("six", nil, "Two=fd00:90:2::4")
	for name, want := range map[string]string{
		"web": "10.90.1.2", "WEB": "10.90.1.2", "web.one": "10.90.1.2", "Web.One": "10.90.1.2", "site": "10.90.1.2", "SITE.one": "10.90.1.2",
		"www.test": "10.90.1.2", web.ID()[:12]: "10.90.1.2", web.ID()[:11]: "NameError",
		"web.two": "NameError", "web.three": "NameError", "far": "NameError", "far.three": "NameError",
		"both": "10.90.1.3", "both.one": "10.90.1.3", "both.two": "10.90.2.3",
		"asker": b.addr.String(), "six": "", "nobody": "NameError", "one": "NameError",
	} {
		b.want(name, want)
	}
	for name, want := range map[string]string{"web": "", "both": "fd00:90:2::3", "six.two": "fd00:90:2::4", "far": "NameError"} {
		if got := answers(b.ask(name, dnsmessage.TypeAAAA)); got != want {
			t.Errorf("%s by IPv6 is %q, want %q", name, got, want)
		}
	}
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeMX, dnsmessage.TypeALL, dnsmessage.TypeTXT, 64, 65} {
		if got := answers(b.ask("web", kind)); got != "" {
			t.Errorf("type %v of web is %q, want nothing, and no error", kind, got)
		}
	}
	if m := b.ask("wEb", dnsmessage.TypeA); m.Questions[0].Name.String() != "wEb." || m.Answers[0].Header.TTL != 0 {
		t.Errorf("asked for wEb: %s", m.GoString())
	}
}

// The server answers by IPv6 and by TCP as well.
func TestTransports(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	if got := answers(b.askRaw("tcp", question(t, 1, "asker", dnsmessage.TypeA, 0))); got != b.addr.String() {
		t.Errorf("by TCP: %q", got)
	}
	six := *b
	six.gateway = b.Attachment.Endpoints[0].IPv6.Addr().Prev()
	six.want("asker", b.addr.String())
	if got := answers(six.askRaw("tcp", question(t, 1, "asker", dnsmessage.TypeA, 0))); got != b.addr.String() {
		t.Errorf("by TCP and IPv6: %q", got)
	}
	if m := b.askRaw("udp", question(t, 1, "asker", dnsmessage.TypeA, 1232)); len(m.Additionals) != 1 || m.Additionals[0].Header.Type != dnsmessage.TypeOPT {
		t.Errorf("EDNS is not answered with EDNS: %s", m.GoString())
	}
}

// Several containers with one name are found all, and each is the first now and then.
func TestServices(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	b := l.connect("asker", "one", nil)
	alias := func(a *store.Attachment) { a.Endpoints[0].Aliases = []string{"svc"} }
	var want []string
	for i := range 4 {
		addr := fmt.Sprintf("10.90.1.%d", 10+i)
		l.put(fmt.Sprint("w", i), alias, "one="+addr)
		want = append(want, addr)
	}
	first := map[string]bool{}
	for range 200 {
		got := strings.Fields(answers(b.ask("svc", dnsmessage.TypeA)))
		first[got[0]] = true
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("svc is %q, want %q", got, want)
		}
	}
	if len(first) != len(want) {
		t.Errorf("only %v came first", first)
	}
	for i := range 250 {
		l.put(fmt.Sprint("v", i), alias, fmt.Sprintf("one=10.90.2.%d", i))
	}
	small := b.ask("svc", dnsmessage.TypeA)
	if n := len(small.Answers); !small.Truncated || n < 20 || n > 32 {
		t.Errorf("truncated %v, %d addresses in 512 bytes", small.Truncated, n)
	}
	large := b.askRaw("tcp", question(t, 2, "svc", dnsmessage.TypeA, 0))
	if n := len(large.Answers); large.Truncated || n != 254 {
		t.Errorf("truncated %v, %d addresses by TCP", large.Truncated, n)
	}
}

// Addresses have the names of those who are seen.
func TestReverse(t *testing.T) {
	t.Parallel()
	f := serveFake(t, nil, "127.1.0.2", func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{address(q, dnsmessage.RCodeNameError)} })
	l := newLab(t, "127.1.0.2")
	b := l.connect("asker", "one", nil)
	l.put("web", nil, "one=10.90.1.2,fd00:90:1::2")
	l.put("far", nil, "three=10.90.3.2")
	l.put(strings.Repeat("l", 64), nil, "one=10.90.1.3")
	six := "2." + strings.Repeat("0.", 19) + "1.0.0.0.0.9.0.0.0.0.d.f.ip6.arpa"
	for name, want := range map[string]string{
		"2.1.90.10.in-addr.arpa":   "web.one.",
		"2.1.90.10.IN-ADDR.ARPA":   "web.one.",
		six:                        "web.one.",
		"3.1.90.10.in-addr.arpa":   "", // a name that is none of DNS
		"2.3.90.10.in-addr.arpa":   "NameError",
		"9.9.90.10.in-addr.arpa":   "NameError",
		"2.1.254.169.in-addr.arpa": "host.docker.internal.",
	} {
		if got := answers(b.ask(name, dnsmessage.TypePTR)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if n := f.asked.Load(); n != 0 {
		t.Errorf("%d questions about addresses of networks went out", n)
	}
	b.ask("1.2.0.192.in-addr.arpa", dnsmessage.TypePTR)
	b.ask("90.10.in-addr.arpa", dnsmessage.TypePTR)
	if n := f.asked.Load(); n != 2 {
		t.Errorf("%d questions about other addresses went out, want 2", n)
	}
}

// --link: a name for one container alone, which hides who else has it.
func TestLinks(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.0.3", func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{address(q, dnsmessage.RCodeNameError)} })
	l := newLab(t, "127.1.0.3")
	web := l.put("web", nil, "one=10.90.1.2")
	l.put("db", nil, "one=10.90.1.3")
	b := l.connect("asker", "one", func(a *store.Attachment) {
		a.Endpoints[0].Links = map[string]string{"Store": "web", "byid": web.ID(), "short": web.ID()[:12], "db": "web", "gone": "nobody"}
	})
	for _, name := range []string{"store", "byid", "short", "db", "store.one"} {
		b.want(name, "10.90.1.2")
	}
	b.want("gone", "NameError")
	l.connect("other", "one", nil).want("store", "NameError")
}

// In a network without names nobody is found, by no way round; the world's names and the host's are.
func TestNameless(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.0.4", func(q dnsmessage.Message, _ bool) [][]byte {
		if name := q.Questions[0].Name.String(); name != "world.test." {
			return [][]byte{address(q, dnsmessage.RCodeNameError)}
		}
		return [][]byte{address(q, dnsmessage.RCodeSuccess, "192.0.2.8")}
	})
	l := newLab(t, "127.1.0.4")
	b := l.connect("asker", "one", func(a *store.Attachment) {
		a.Endpoints = append(a.Endpoints, store.Endpoint{Network: "two", NetworkID: "id of two"})
	})
	quiet := network("one", false)
	quiet.DisableDNS = true
	b.Networks["one"] = quiet
	l.put("web", nil, "one=10.90.1.2")
	l.put("both", nil, "one=10.90.1.3", "two=10.90.2.3")
	for name, want := range map[string]string{
		"web": "NameError", "web.one": "NameError", "both": "10.90.2.3", "both.one": "NameError",
		"world.test": "192.0.2.8", "host.docker.internal": "169.254.1.2",
	} {
		b.want(name, want)
	}
	for name, want := range map[string]string{"2.1.90.10.in-addr.arpa": "NameError", "3.2.90.10.in-addr.arpa": "both.two."} {
		if got := answers(b.ask(name, dnsmessage.TypePTR)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// The host has three names, everywhere.
func TestHostNames(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, b := range []*box{l.connect("asker", "one", nil), l.connect("inner", "two!", nil)} {
		for _, name := range []string{"host.docker.internal", "HOST.containers.internal", "gateway.docker.internal"} {
			b.want(name, "169.254.1.2")
			if got := answers(b.ask(name, dnsmessage.TypeAAAA)); got != "" {
				t.Errorf("%s by IPv6: %q", name, got)
			}
		}
	}
}

// A name is there as soon as its container is, and gone with it.
func TestNamesComeAndGo(t *testing.T) {
	t.Parallel()
	serveFake(t, nil, "127.1.0.5", func(q dnsmessage.Message, _ bool) [][]byte { return [][]byte{address(q, dnsmessage.RCodeNameError)} })
	l := newLab(t, "127.1.0.5")
	b := l.connect("asker", "one", nil)
	for i := range 50 {
		m := l.put("web", nil, fmt.Sprintf("one=10.90.1.%d", i))
		b.want("web", fmt.Sprintf("10.90.1.%d", i))
		l.members.Remove(m.ID())
		b.want("web", "NameError")
	}
}
